"""The execution of the commands that operators send to a live run.

Each command is in the journal before it is answered, with the operator, the time and the place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

import anyio.lowlevel
import msgspec
from msgspec.structs import replace

from orchestrator.display.progress import RunProgress
from orchestrator.display.status import read_status
from orchestrator.engine.control_commands import (
    ContinueRun,
    ControlCommand,
    Operator,
    PauseRun,
    ReadStatus,
    SetLimits,
    SkipTargets,
    StopRun,
)
from orchestrator.engine.resources import RunResources
from orchestrator.errors import UsageError, make_damage_error
from orchestrator.journal.notes import ControlNote, PaceNote
from orchestrator.lanes.lane import LearnedLimits
from orchestrator.model.events import (
    Controlled,
    LimitsChanged,
    PartLeft,
    RunContinued,
    RunWaiting,
    RunWarned,
)
from orchestrator.model.gateway import Gateway
from orchestrator.model.live_status import LiveStatus
from orchestrator.model.plan import WaveStep
from orchestrator.model.settings import Limits
from orchestrator.plan.patterns import Patterns, find_fault
from orchestrator.text.characters import quote_text
from orchestrator.text.counting import choose_form, count_noun
from orchestrator.text.formats import format_unix_time

SkippedCounts: TypeAlias = Counter[tuple[WaveStep, int]]
"""Targets by their part of the run, and by the index of their gateway in the plan."""

ROUNDED = 1e-5
"""The most by which a bound may be lower in the journal than it was, as a share."""


class Controller:
    """The command handler of one session."""

    def __init__(self, resources: RunResources, progress: RunProgress) -> None:
        """``progress`` has seen every event of the session."""
        self._resources = resources
        self._progress = progress
        self._plan = resources.spec.plan
        self._record = resources.record
        self._run_gate = resources.run_gate
        self._emit = resources.emit
        self._environment = resources.environment
        self.learned = dict(resources.spec.learned)
        """The first limits of each lane: its earlier pace, and limits that an operator set."""

    async def execute(self, command: ControlCommand, operator: Operator) -> str:
        """Carry out a command; return the answer for the operator. Raises UsageError if it cannot be done."""
        if isinstance(command, ReadStatus):
            return msgspec.json.encode(self.read_status()).decode()
        # First: a command that cannot be carried out must leave no note.
        skipped = SkippedCounts()
        answer = await self._answer(command, skipped)
        at = self._environment.now()
        encoded = msgspec.Raw(msgspec.json.encode(command))
        note = ControlNote(act=str(command), by=operator.user, origin=operator.origin, command=encoded)
        self._record.keep_control(at, note)
        origin, parts = operator.origin, self._name_parts(skipped)
        self._emit(Controlled(at=at, act=note.act, by=operator.user, origin=origin, skipped=parts))
        self._apply(command, operator)
        await self._record.flush()
        return answer

    async def preview(self, command: ControlCommand) -> str:
        """Return what a command would do, and do nothing. Raises UsageError as ``execute`` would."""
        match command:
            case PauseRun():
                return f"nothing new starts; {self._describe_landing()}; `continue` goes on"
            case StopRun():
                left = count_noun(self._progress.total - self._progress.done, "target")
                rest = self._describe_resume(f"the rest, at most {left}")
                return f"nothing new starts; {self._describe_landing()}; {rest}"
            case SetLimits():
                return self._compare_limits(command)
            case _:
                return await self._answer(command, SkippedCounts())

    def _compare_limits(self, command: SetLimits) -> str:
        gateway = self._find_gateway(command)
        now = self.learned.get(command.gateway, LearnedLimits())
        then = _replace_limits(now, gateway, command)
        before, after = now.limits or gateway.limits, then.limits or gateway.limits
        return f"{gateway.name}: {_show_limits(before)} now; {_show_limits(after)} then"

    def _describe_landing(self) -> str:
        count = self._progress.in_flight
        if not count:
            return "nothing is in flight"
        return f"{count_noun(count, 'request')} in flight {choose_form(count, 'lands', 'land')}"

    def _describe_resume(self, rest: str) -> str:
        spec = self._resources.spec
        if spec.request.rehearsal:
            return "a rehearsal is not resumed"
        on = f" {spec.to_engine}" if spec.to_engine else ""
        return f"`undeploy resume {spec.folder.id}{on}{spec.folder.state_option}` goes on with {rest}"

    def read_status(self) -> LiveStatus:
        """Return where the run stands; another thread may ask, too."""
        return read_status(self._progress, self._environment.now())

    def warn_uncontrollable(self, text: str) -> None:
        """Keep and tell that the run takes no commands, and why."""
        at = self._environment.now()
        self._record.keep_note(at, "warning", text=text)
        self._emit(RunWarned(at=at, text=text))

    async def _answer(self, command: ControlCommand, skipped: SkippedCounts) -> str:
        """Return the effect of a command in words. Raises UsageError if it cannot be carried out.

        ``skipped`` gets the targets that it leaves out and that were not skipped before.
        """
        match command:
            case PauseRun():
                return "nothing new starts; what is in flight lands, and `continue` goes on"
            case ContinueRun():
                return self._describe_continue()
            case StopRun():
                return f"it stops; {self._describe_resume('what is left')}"
            case SkipTargets(pattern):
                return await self._count_skipped(pattern, skipped)
            case ReadStatus():
                return ""
            case SetLimits():
                self._find_gateway(command)
                return f"in force: {str(command).removeprefix('limits ')}"

    def _describe_continue(self) -> str:
        waits, opens = self._run_gate.paused or self._run_gate.rests, self._find_opening()
        if opens is None:
            return "it goes on" if waits else "it was not waiting; nothing has changed"
        window = f"its window opens at {format_unix_time(opens)}"
        return f"it goes on once {window}" if waits else f"it waits until {window}; nothing has changed"

    def _find_opening(self) -> float | None:
        """Return when the window opens, in Unix seconds; None if that is not yet to come."""
        window = self._resources.spec.window
        opens = None if window is None or window.opens is None else window.opens.timestamp()
        return None if opens is None or opens <= self._environment.now() else opens

    async def _count_skipped(self, pattern: str, skipped: SkippedCounts) -> str:
        patterns = Patterns((pattern,), self._plan.gateways)
        count = 0
        for part in self._resources.pending.list_untouched():
            found = [target for target in part if patterns.find_first(target.id) is not None]
            count += len(found)
            skipped.update(
                (target.wave_step, target.gateway)
                for target in found
                if self._run_gate.skip_reason(target.id) is None
            )
            # A million targets take seconds, which the replies of the gateways must not wait for.
            await anyio.lowlevel.checkpoint()
        if not count:
            unfit = find_fault(pattern, self._plan.gateways)
            hint = f"; {unfit.hint}" if unfit is not None and unfit.hint else ""
            raise UsageError(
                f"{pattern} matches no target that nothing was sent for (in a pattern * stays inside one"
                f" part of an id, ** crosses parts{hint}); nothing has changed"
            )
        return f"{count_noun(count, 'target')} will be passed over"

    def _name_parts(self, skipped: SkippedCounts) -> tuple[PartLeft, ...]:
        """Return the counts of skipped targets by part of the run, as an event has them."""
        parts: dict[WaveStep, dict[str, int]] = {}
        for (wave_step, gateway), count in sorted(skipped.items()):
            parts.setdefault(wave_step, {})[self._plan.gateways[gateway].name] = count
        return tuple(
            PartLeft(wave=self._plan.waves[wave_step.wave].name, number=wave_step.step + 1, left=left)
            for wave_step, left in parts.items()
        )

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
                # A wait between two waves tells its own end; see ``pauses``.
                if self._run_gate.paused:
                    self._tell_end_of_pause()
                self._run_gate.go_on()
            case StopRun():
                self._run_gate.stop("control", f"{operator.user} stopped it ({operator.origin})")
            case SkipTargets(pattern):
                self._run_gate.skip(pattern, operator.user)
            case SetLimits():
                self._set_limits(command)
            case _:
                pass

    def _tell_end_of_pause(self) -> None:
        at = self._environment.now()
        self._emit(RunContinued(at=at))
        # The wait for the window, in which the pause began, goes on: a display would show no wait any more.
        if (opens := self._find_opening()) is not None:
            self._emit(RunWaiting(at=at, why="window", until=opens))

    def _set_limits(self, command: SetLimits) -> None:
        before = self.learned.get(command.gateway, LearnedLimits())
        given = command.unbounded or command.rate is not None
        # Kept also where no lane is open yet: before the window opens, for instance.
        self.learned[command.gateway] = _replace_limits(before, self._find_gateway(command), command)
        if lane := self._resources.lanes.get(command.gateway):
            lane.limit(concurrency=command.concurrency, rate=command.rate if given else "same")
        gateway, limits = self._find_gateway(command), self.learned[command.gateway].limits
        assert limits is not None  # noqa: S101 - they were set above
        self._emit(
            LimitsChanged(
                at=self._environment.now(),
                gateway=command.gateway,
                concurrency=limits.concurrency or gateway.CONCURRENCY,
                rate=limits.rate,
            )
        )


def _show_limits(limits: Limits) -> str:
    rate = "no fixed rate" if limits.rate is None else f"{limits.rate:g}/s"
    return f"{limits.concurrency} at once, {rate}"


def recall_controls(
    gateways: Iterable[Gateway], notes: Iterable[PaceNote | ControlNote]
) -> tuple[dict[str, LearnedLimits], dict[str, str]]:
    """Return the limits and the skips that a resume takes over from earlier sessions.

    The first is for each lane, by gateway: the pace that the gateway turned out to bear, and the limits that
    an operator set. The second has the patterns of skipped targets, each with the operator who skipped them
    first.
    """
    learned: dict[str, LearnedLimits] = {}
    entries = {entry.name: entry for entry in gateways}
    skips: dict[str, str] = {}
    for note in notes:
        if isinstance(note, PaceNote):
            if (entry := entries.get(note.gateway)) is not None:
                known = learned.get(note.gateway, LearnedLimits())
                learned[note.gateway] = _learn_pace(known, entry, note.rate)
            continue
        match _decode_command(note):
            case SetLimits(gateway=name) as command if name in entries:
                learned[name] = _replace_limits(learned.get(name, LearnedLimits()), entries[name], command)
            case SkipTargets(pattern):
                skips.setdefault(pattern, note.by)
            case _:
                pass
    return learned, skips


def _learn_pace(known: LearnedLimits, gateway: Gateway, told: float | None) -> LearnedLimits:
    """Return ``known`` with the pace that the gateway bears, by the bound that its lane has told.

    A person's limit is no word of the gateway: once it is raised, nothing but the gateway shall bound the
    lane. Where it is the lower bound, what was learned before has grown up to it at least.
    """
    cap = (known.limits or gateway.limits).rate
    if told is None or cap is None or told < cap * (1.0 - ROUNDED):
        return replace(known, rate=told)
    return known if known.rate is None else replace(known, rate=max(known.rate, cap))


def _decode_command(note: ControlNote) -> ControlCommand:
    """Return the command of an operator. Nothing is guessed: without it a skipped target would be touched."""
    try:
        command: ControlCommand = msgspec.json.decode(note.command, type=ControlCommand)
    except msgspec.DecodeError as error:
        raise make_damage_error(f"the command {quote_text(note.act)} cannot be read: {error}") from error
    return command


def _replace_limits(learned: LearnedLimits, gateway: Gateway, command: SetLimits) -> LearnedLimits:
    """Return ``learned`` with the command's limits; a limit that the command does not give stays."""
    limits = learned.limits or gateway.limits
    return replace(
        learned,
        limits=Limits(
            concurrency=command.concurrency or limits.concurrency,
            rate=command.rate if command.unbounded or command.rate is not None else limits.rate,
        ),
    )
