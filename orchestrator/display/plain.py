"""The listener that writes a run as plain lines, for a log file or a terminal without a live picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from orchestrator.display.phrases import (
    describe_control,
    describe_done,
    describe_landing,
    describe_lane,
    describe_protect,
    describe_setting,
    describe_wait,
    describe_window_fit,
    format_rate,
    list_last_starts,
    list_late_gateways,
)
from orchestrator.display.progress import RunProgress
from orchestrator.display.status import choose_causes
from orchestrator.display.verdict import count_undone, describe_result
from orchestrator.model.events import (
    AnyEvent,
    AttemptEnded,
    AttemptStarted,
    Controlled,
    GatewayNoted,
    GatewayWarned,
    LaneChanged,
    ListAsked,
    PaceChanged,
    RetryPlanned,
    RunContinued,
    RunEnded,
    RunNoted,
    RunStarted,
    RunStopping,
    RunWaiting,
    RunWarned,
    StepStarted,
    TargetEnded,
    TargetInUse,
    WaveEnded,
    WaveStarted,
)
from orchestrator.model.outcome import TROUBLE, Outcome, drop_word
from orchestrator.report.words import OUTCOME_WORDS, name_stop, name_target
from orchestrator.text.characters import make_visible
from orchestrator.text.formats import format_clock

PROGRESS_EVERY = 10.0
"""Seconds between two lines of progress, if the next tenth of the work takes longer."""
BOUND_EVERY = 30.0
"""Seconds between two lines on a gateway's bound."""

# These come by the thousand. The progress counts them, and no line tells of one.
_SILENT = (AttemptStarted, AttemptEnded, RetryPlanned, ListAsked)


class PlainDisplay:
    """Listener: writes a line for each event that matters; with ``quiet`` only for faults."""

    def __init__(self, write: Callable[[str], None], *, quiet: bool = False) -> None:
        self._write = write
        self._quiet = quiet
        self._progress = RunProgress()
        self._progress_told_at = 0.0
        self._progress_told_tenth = 0
        self._pause_told_at: dict[str, float] = {}
        self._parked: set[str] = set()
        self._bounded: set[str] = set()
        self._bound_told_at: dict[str, float] = {}

    def __call__(self, event: AnyEvent) -> None:
        """Count ``event``, and write its line if it has one."""
        self._progress.observe(event)
        if isinstance(event, _SILENT):
            return
        lines = self._describe_trouble(event) if self._quiet else self._describe_event(event)
        for line in lines:
            self._write(f"{format_clock(event.at)} {line}")

    def _describe_trouble(self, event: AnyEvent) -> Iterator[str]:
        match event:
            case TargetEnded() if event.outcome in TROUBLE:
                why = make_visible(event.reason or "no reason given")
                target = name_target(event.target, event.name)
                yield f"{event.outcome.value}: {target}: {why} (attempts: {event.attempts})"
            case GatewayWarned():
                yield f"warning: {make_visible(event.gateway)}: {make_visible(event.text)}"
            case TargetInUse():
                yield f"warning: {make_visible(event.target)} goes down in use: {make_visible(event.text)}"
            case RunWarned():
                yield f"warning: {make_visible(event.text)}"
            case LaneChanged(state="parked" | "closed"):
                yield f"{event.gateway}: {describe_lane(event)}"
            case RunStopping():
                landing = describe_landing(self._progress, event)
                yield f"stopping: {make_visible(name_stop(event.reason))}; {landing}"
            case RunWaiting(why="proceed" | "paused"):
                yield from self._describe_result(event)
                yield describe_wait(self._progress, event.at)
            case _:
                pass

    def _describe_result(self, waiting: RunWaiting) -> Iterator[str]:
        """Yield how a wave ended that a person is asked about, and the causes of failures so far."""
        wave = self._progress.waves.get(waiting.wave or "")
        if waiting.why != "proceed" or wave is None:
            return
        yield f"wave {make_visible(wave.name)}: {describe_result(self._progress, wave)}"
        for group in choose_causes(self._progress.causes.list_groups()):
            text = drop_word(group.text or "", group.label)
            why = f"{group.label}: {text}" if text else group.label
            yield f"    {group.count:,} {OUTCOME_WORDS[group.outcome]}: {make_visible(why)}"

    def _describe_event(self, event: AnyEvent) -> Iterator[str]:
        yield from self._describe_trouble(event)
        match event:
            case RunStarted():
                self._progress_told_at = event.at
                yield from self._describe_start(event)
            case WaveStarted():
                yield f"wave {make_visible(event.wave)} starts: {event.left:,} to do"
            case WaveEnded():
                over = "ended" if self._progress.stopping is None else "broken off"
                yield f"wave {make_visible(event.wave)} {over}: {self._describe_standing(event.at)}"
            case LaneChanged() if self._take_lane_news(event):
                yield f"{event.gateway}: {describe_lane(event)}"
            case TargetEnded() if self._take_progress_line(event.at):
                yield self._describe_standing(event.at)
            case RunEnded():
                yield f"{event.state}: {self._describe_standing(event.at)}"
            case _:
                yield from self._describe_turning_point(event)

    def _describe_turning_point(self, event: AnyEvent) -> Iterator[str]:
        match event:
            case StepStarted():
                step = f"step {event.number} of {event.steps}"
                yield f"wave {make_visible(event.wave)}, {step} starts: {event.left:,} to do"
            case RunWaiting(why="window" | "pause_after"):
                yield describe_wait(self._progress, event.at)
            case RunContinued():
                yield "goes on"
            case GatewayNoted():
                yield f"{make_visible(event.gateway)}: {make_visible(event.text)}"
            case RunNoted():
                yield make_visible(event.text)
            case Controlled():
                yield describe_control(event)
            case PaceChanged() if self._take_first_bound(event):
                yield f"{event.gateway}: at most {event.rate:.1f}/s from here on"
            case _:
                pass

    def _describe_start(self, event: RunStarted) -> Iterator[str]:
        parts = ", ".join(f"{name} {left:,}" for name, left in event.left.items())
        by_gateway = f" ({parts})" if parts else ""
        verb = "goes on" if event.resumed else "starts"
        day = f"{datetime.fromtimestamp(event.at).astimezone():%Y-%m-%d %z}"
        yield (
            f"run {event.run} of {make_visible(event.plan)} {verb} ({day}): "
            f"{sum(event.left.values()):,} of {event.targets:,} targets to do{by_gateway}"
        )
        if event.urls:
            yield describe_setting(event)
        if protect := describe_protect(event):
            yield protect
        yield from list_last_starts(event)

    def _take_lane_news(self, event: LaneChanged) -> bool:
        """Return whether the change of a lane is worth a line, and note that the line is written."""
        match event.state:
            case "parked":
                self._parked.add(event.gateway)  # _describe_trouble has written the line
                return False
            case "open":
                back = event.gateway in self._parked
                self._parked.discard(event.gateway)
                return back
            case "paused":
                # A gateway that throttles pauses its lane every second: a line now and then is enough.
                last = self._pause_told_at.get(event.gateway, 0.0)
                if _is_within(event.at, last, PROGRESS_EVERY):
                    return False
                self._pause_told_at[event.gateway] = event.at
                return True
            case _:
                return False

    def _take_first_bound(self, event: PaceChanged) -> bool:
        """Return whether a gateway's new bound is worth a line, and note that the line is written."""
        if event.rate is None:
            self._bounded.discard(event.gateway)
            return False
        # A bound grows as long as nothing is refused, and each of these steps would be a line.
        last = self._bound_told_at.get(event.gateway, 0.0)
        if event.gateway in self._bounded or _is_within(event.at, last, BOUND_EVERY):
            self._bounded.add(event.gateway)
            return False
        self._bounded.add(event.gateway)
        self._bound_told_at[event.gateway] = event.at
        return True

    def _take_progress_line(self, at: float) -> bool:
        """Return whether a line of progress is due, and note that the line is written."""
        # A small plan passes a tenth with each few targets, which must not be a line each.
        if _is_within(at, self._progress_told_at, 1.0):
            return False
        progress = self._progress
        tenth = progress.done * 10 // max(progress.total, 1)
        is_recent = _is_within(at, self._progress_told_at, PROGRESS_EVERY)
        if is_recent and tenth <= self._progress_told_tenth:
            return False
        self._progress_told_at, self._progress_told_tenth = at, tenth
        return True

    def _describe_standing(self, at: float) -> str:
        progress = self._progress
        done = progress.done - count_undone(progress.count(Outcome.NOT_STARTED), progress)
        counts = [f"{done:,}/{progress.total:,} ended"]
        counts += [
            f"{progress.count(outcome):,} {OUTCOME_WORDS[outcome]}"
            for outcome in Outcome
            if progress.count(outcome)
        ]
        if progress.unrestorable:
            counts.append(f"{progress.unrestorable:,} cannot be brought back")
        rate = progress.pace.measure_rate(at)
        if rate and progress.ended is None:
            counts.append(format_rate(rate))
        if (forecast := progress.make_forecast(at)) is not None:
            counts += filter(
                None,
                (describe_done(forecast, at), describe_window_fit(forecast), *list_late_gateways(forecast)),
            )
        return ", ".join(counts)


def _is_within(at: float, before: float, seconds: float) -> bool:
    """Return whether two Unix times are less than so many seconds apart, whichever is the later one."""
    # A clock that is set back by an hour must not silence the lines for an hour.
    return abs(at - before) < seconds
