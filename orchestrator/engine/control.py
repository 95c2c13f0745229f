"""What may be asked of a run while it goes on: to pause, go on, stop, pass over targets, change limits.

Each act is in the journal before it is answered, with who, when and from where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from orchestrator.engine.live_status import LiveStatus
from orchestrator.engine.resources import RunResources
from orchestrator.errors import UsageError
from orchestrator.journal.notes import ControlNote
from orchestrator.journal.pending import Pending
from orchestrator.journal.record import Record
from orchestrator.lanes.lane import Lane, LearnedLimits
from orchestrator.model.events import Controlled, GatewayWarned, RunContinued, RunWaiting
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan, RunId
from orchestrator.model.settings import MOST_IN_FLIGHT, Limits, PerSecond
from orchestrator.plan.patterns import Patterns, fault
from orchestrator.text.counting import count_noun


class PauseRun(Struct, frozen=True, tag="pause", tag_field="act"):
    """Let nothing new start until told to go on."""

    def __str__(self) -> str:
        return "pause"


class ContinueRun(Struct, frozen=True, tag="continue", tag_field="act"):
    """Go on: end a pause, or the rest between two waves."""

    def __str__(self) -> str:
        return "continue"


class StopRun(Struct, frozen=True, tag="stop", tag_field="act"):
    """Start nothing more; what flies lands, doubts are looked at, the rest is left for a resume."""

    def __str__(self) -> str:
        return "stop"


class SkipTargets(Struct, frozen=True, tag="skip", tag_field="act"):
    """Pass over the targets whose id matches and for which nothing was sent."""

    pattern: Annotated[str, Meta(min_length=1, max_length=1024)]

    def __str__(self) -> str:
        return f"skip {self.pattern}"


class SetLimits(Struct, frozen=True, tag="limits", tag_field="act"):
    """Put other limits in force on one gateway; what is not given stays."""

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
    """Say where the run stands, as JSON (``live_status.LiveStatus``). It changes nothing, and is not kept."""

    def __str__(self) -> str:
        return "status"


ControlCommand: TypeAlias = PauseRun | ContinueRun | StopRun | SkipTargets | SetLimits | ReadStatus


class Operator(Struct, frozen=True, kw_only=True):
    """Who asks, as far as the system knows: the user, and from where."""

    user: str
    origin: str
    """Host, process, terminal."""


class Controller:
    """Does what is asked of one session of a run."""

    def __init__(
        self,
        *,
        run: RunId,
        plan: Plan,
        lanes: Mapping[str, Lane],
        learned: dict[str, LearnedLimits],
        pending: Pending,
        record: Record,
        tools: RunResources,
        stands: Callable[[], LiveStatus] = lambda: LiveStatus(at=0.0),
    ) -> None:
        """``stands`` says where the run stands at the moment."""
        self._stands = stands
        self.run = run
        self.learned = learned
        """What each lane begins with, and what limits somebody has set since."""
        self._plan = plan
        self._lanes = lanes
        self._pending = pending
        self._record = record
        self._run_gate = tools.run_gate
        self._emit = tools.emit
        self._environment = tools.environment

    async def execute(self, command: ControlCommand, operator: Operator) -> str:
        """Do what is asked, and say what that amounts to. Raises UsageError where it cannot be done."""
        if isinstance(command, ReadStatus):
            return msgspec.json.encode(self._stands()).decode()
        answer = self._answer(command)
        at = self._environment.now()
        encoded = msgspec.Raw(msgspec.json.encode(command))
        note = ControlNote(act=str(command), by=operator.user, origin=operator.origin, command=encoded)
        self._record.control(at, note)
        self._emit(Controlled(at=at, act=note.act, by=operator.user, origin=operator.origin))
        self._apply(command, operator)
        await self._record.flush()
        return answer

    def warn_uncontrollable(self, text: str) -> None:
        """Keep and tell that the run cannot be steered."""
        at, gateway = self._environment.now(), self._plan.gateways[0].name
        self._record.note(at, "warning", gateway=gateway, text=text)
        self._emit(GatewayWarned(at=at, gateway=gateway, text=text))

    def _answer(self, command: ControlCommand) -> str:
        match command:
            case PauseRun():
                return "nothing new starts; what is in flight lands, and `continue` goes on"
            case ContinueRun():
                waits = self._run_gate.paused or self._run_gate.rests
                return "it goes on" if waits else "it was not waiting; nothing has changed"
            case StopRun():
                return f"it stops; `undeploy resume {self.run}` goes on with what is left"
            case SkipTargets(pattern):
                return self._count_skipped(pattern)
            case ReadStatus():
                return ""
            case SetLimits():
                self._find_gateway(command)
                return f"in force: {str(command).removeprefix('limits ')}"

    def _count_skipped(self, pattern: str) -> str:
        patterns = Patterns((pattern,), self._plan.gateways)
        count = sum(patterns.first(name) is not None for _, name in self._pending.untouched())
        if not count:
            unfit = fault(pattern, self._plan.gateways)
            hint = f"; {unfit.hint}" if unfit is not None and unfit.hint else ""
            raise UsageError(
                f"{pattern} matches no target that nothing was sent for (in a pattern * stays inside one"
                f" part of an id, ** crosses parts{hint}); nothing has changed"
            )
        return f"{count_noun(count, 'target')} will be passed over"

    def _find_gateway(self, command: SetLimits) -> Gateway:
        found = next((entry for entry in self._plan.gateways if entry.name == command.gateway), None)
        if found is None:
            names = ", ".join(entry.name for entry in self._plan.gateways)
            raise UsageError(f"the plan has no gateway {command.gateway!r}; it has {names}")
        if command.concurrency is None and command.rate is None and not command.unbounded:
            raise UsageError("give concurrency=N, rate=N/s, or both")
        return found

    def _apply(self, command: ControlCommand, operator: Operator) -> None:
        match command:
            case PauseRun() if not self._run_gate.paused:
                self._run_gate.pause()
                self._emit(RunWaiting(at=self._environment.now(), why="paused"))
            case ContinueRun() if self._run_gate.paused or self._run_gate.rests:
                if self._run_gate.paused:
                    self._emit(RunContinued(at=self._environment.now()))
                self._run_gate.go_on()
            case StopRun():
                self._run_gate.stop("control", f"{operator.user} stopped it ({operator.origin})")
            case SkipTargets(pattern):
                self._run_gate.skip(pattern, operator.user)
            case SetLimits():
                self._set_limits(command)
            case _:
                pass

    def _set_limits(self, command: SetLimits) -> None:
        before = self.learned.get(command.gateway, LearnedLimits())
        self.learned[command.gateway] = _replace_limits(before, self._find_gateway(command), command)
        if lane := self._lanes.get(command.gateway):
            given = command.unbounded or command.rate is not None
            lane.limit(concurrency=command.concurrency, rate=command.rate if given else "same")


ControlSocket: TypeAlias = Callable[[Controller], AbstractAsyncContextManager[None]]
"""Where a run takes demands from while the block goes on."""


def no_control(_: Controller) -> AbstractAsyncContextManager[None]:
    """Nobody steers the run."""
    return nullcontext()


def recall_controls(
    gateways: Iterable[Gateway], rates: Mapping[str, float], notes: Iterable[ControlNote]
) -> tuple[dict[str, LearnedLimits], dict[str, str]]:
    """Return what earlier sessions leave to a resume: for each lane the pace that was found and the limits
    that somebody set, and the patterns that are passed over with who wanted that."""
    learned = {name: LearnedLimits(rate=rate) for name, rate in rates.items()}
    entries = {entry.name: entry for entry in gateways}
    skips: dict[str, str] = {}
    for note in notes:
        match msgspec.json.decode(note.command, type=ControlCommand):
            case SetLimits(gateway=name) as command if name in entries:
                learned[name] = _replace_limits(learned.get(name, LearnedLimits()), entries[name], command)
            case SkipTargets(pattern):
                skips.setdefault(pattern, note.by)
            case _:
                pass
    return learned, skips


def _replace_limits(learned: LearnedLimits, gateway: Gateway, command: SetLimits) -> LearnedLimits:
    limits = learned.limits or gateway.limits
    return replace(
        learned,
        limits=Limits(
            concurrency=command.concurrency or limits.concurrency,
            rate=command.rate if command.unbounded or command.rate is not None else limits.rate,
        ),
    )
