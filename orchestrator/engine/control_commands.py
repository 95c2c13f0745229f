"""The commands of an operator to a live run: pause, continue, stop, skip targets, change limits.

The tags and the fields are the words of the control socket.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Annotated, Protocol, TypeAlias

from msgspec import Meta, Struct

from orchestrator.model.live_status import LiveStatus
from orchestrator.model.settings import MOST_IN_FLIGHT, PerSecond


class PauseRun(Struct, frozen=True, tag="pause", tag_field="act"):
    """Let nothing new start until ``continue``."""

    def __str__(self) -> str:
        return "pause"


class ContinueRun(Struct, frozen=True, tag="continue", tag_field="act"):
    """End a pause, or the wait between two waves."""

    def __str__(self) -> str:
        return "continue"


class StopRun(Struct, frozen=True, tag="stop", tag_field="act"):
    """Start nothing more; what is in flight lands, doubts are looked at, the rest is left for a resume."""

    def __str__(self) -> str:
        return "stop"


class SkipTargets(Struct, frozen=True, tag="skip", tag_field="act"):
    """Skip the targets whose id matches and for which no request was sent."""

    pattern: Annotated[str, Meta(min_length=1, max_length=1024)]

    def __str__(self) -> str:
        return f"skip {self.pattern}"


class SetLimits(Struct, frozen=True, tag="limits", tag_field="act"):
    """Put other limits in force on one gateway; a limit that is not given stays."""

    gateway: str
    concurrency: Annotated[int, Meta(ge=1, le=MOST_IN_FLIGHT)] | None = None
    rate: PerSecond | None = None
    unbounded: bool = False
    """No fixed rate any more."""

    def __str__(self) -> str:
        given = [] if self.concurrency is None else [f"concurrency={self.concurrency}"]
        if self.unbounded or self.rate is not None:
            given.append("rate=none" if self.rate is None else f"rate={self.rate:g}/s")
        return " ".join(["limits", self.gateway, *given])


class ReadStatus(Struct, frozen=True, tag="status", tag_field="act"):
    """Say where the run stands, as JSON (``model.live_status``). Changes nothing, and is not kept."""

    def __str__(self) -> str:
        return "status"


ControlCommand: TypeAlias = PauseRun | ContinueRun | StopRun | SkipTargets | SetLimits | ReadStatus


class Operator(Struct, frozen=True, kw_only=True):
    """The person or program that sends a command, as far as the system knows."""

    user: str
    origin: str
    """Host, process, terminal."""


class CommandHandler(Protocol):
    """Carries out the commands that come through a control socket."""

    async def execute(self, command: ControlCommand, operator: Operator) -> str:
        """Carry out a command; return the answer for the operator. Raises UsageError if it cannot be done."""
        ...

    async def preview(self, command: ControlCommand) -> str:
        """Return what a command would do, and do nothing. Raises UsageError as ``execute`` would."""
        ...

    def read_status(self) -> LiveStatus:
        """Return where the run stands; another thread may ask, too."""
        ...

    def warn_uncontrollable(self, text: str) -> None:
        """Keep and tell that the run takes no commands, and why."""
        ...


ControlSocket: TypeAlias = Callable[[CommandHandler], AbstractAsyncContextManager[None]]
"""Takes commands for a run, for as long as the block goes on."""


def no_control(_: CommandHandler) -> AbstractAsyncContextManager[None]:
    """Take no commands."""
    return nullcontext()
