"""The place of a session whose waves another engine carries out: see ``distributed``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from orchestrator.model.plan import RunId, Window

if TYPE_CHECKING:  # a request holds a conductor, and the resources hold the request
    from orchestrator.engine.controller import Controller
    from orchestrator.engine.resources import RunResources


class EngineLeftError(Exception):
    """The session was stopped, and the engine does not say what became of it. It has no end here yet.

    What the engine knows is taken over by a later resume. The text is the reason of what was left; ``advice``
    says what to do.
    """

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.advice = advice


class EngineSession(Struct, frozen=True, kw_only=True):
    """What an engine keeps of one session."""

    started: float = 0.0
    """Unix seconds."""
    window: Window | None = None
    is_open: bool = True
    """Whether its workers may send something, or its results wait for somebody to take them over."""
    is_over: bool = False
    """Whether nothing of it is under way any more."""
    stopped_by: str | None = None
    """Why nothing new starts in it, with its ``Reason``; None if nothing has stopped it so far."""


class Conductor(Protocol):
    """Has the targets of a session taken down elsewhere, and brings their rows and events here."""

    @property
    def address(self) -> str:
        """The address of the engine, as a person gives it; without a secret."""
        ...

    @property
    def options(self) -> str:
        """The options of a command that reaches the engine, as a shell takes them; without a secret."""
        ...

    async def connect(self) -> None:
        """Reach the engine. Raises UsageError if that fails; nothing was sent then."""
        ...

    async def is_there(self) -> bool:
        """Return whether the engine answers, within a bounded time. Raises UsageError if that is unclear."""
        ...

    async def find_session(self, run: RunId, session: int) -> EngineSession | None:
        """Return what the engine keeps of a session; None if it has neither its work nor its results.

        ``connect`` comes first.
        """
        ...

    async def conduct(self, resources: RunResources, controller: Controller) -> str | None:
        """Have the work done, and return once all of its rows and events are here.

        Returns why nothing was sent at all, None if something may have been. The outcomes of targets that
        were not reached are the caller's; ``resources.lane_refusals`` gets the reasons. Raises
        EngineLeftError.
        """
        ...

    async def release(self, run: RunId, session: int, folder: Path) -> None:
        """Let the engine forget a session: the journal in ``folder`` has all results, and its end."""
        ...
