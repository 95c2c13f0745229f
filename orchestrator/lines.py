"""A run as lines of text: for people without a terminal, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from io import RawIOBase
from math import ceil
from typing import BinaryIO

import msgspec

from orchestrator.events import (
    EVENTS_SCHEMA,
    AnyEvent,
    AttemptEnded,
    AttemptStarted,
    Controlled,
    GatewayWarned,
    LaneChanged,
    PaceChanged,
    RetryPlanned,
    RunContinued,
    RunEnded,
    RunStarted,
    RunStopping,
    RunWaiting,
    StepStarted,
    TargetEnded,
    WaveEnded,
    WaveStarted,
)
from orchestrator.forecast import Forecast, last_starts
from orchestrator.model import Outcome
from orchestrator.progress import GIVEN_UP, TROUBLED, Progress
from orchestrator.report.words import guarded, span, told_act, visible

PROGRESS_EVERY = 10.0
"""Seconds between two lines of progress, where the next tenth of the work takes longer."""
BOUND_EVERY = 30.0
"""Seconds between two lines on a gateway's bound."""
SILENT = (AttemptStarted, AttemptEnded, RetryPlanned)


def clock(at: float) -> str:
    """Return the Unix time ``at`` as a local time of day."""
    return f"{datetime.fromtimestamp(at).astimezone():%H:%M:%S}"


def time_of_day(at: float, now: float) -> str:
    """Return the Unix time ``at`` as local hours and minutes; with its day if that is another one."""
    then = datetime.fromtimestamp(at).astimezone()
    today = datetime.fromtimestamp(now).astimezone()
    if then.date() == today.date():
        return f"{then:%H:%M}"
    return f"{then:%a %H:%M}" if then - today < timedelta(days=6) else f"{then:%Y-%m-%d %H:%M}"


def done_text(forecast: Forecast, now: float) -> str:
    """Return the full minute by which all will be done, or that nobody can tell."""
    if forecast.done is not None:
        return f"done by {time_of_day(ceil(forecast.done / 60) * 60, now)}"
    return (
        f"{visible(forecast.hindered)}: nobody can tell" if forecast.hindered else "forecast: not yet known"
    )


def window_text(forecast: Forecast) -> str:
    """Return whether that fits the window; empty where there is none, or nobody can tell."""
    if forecast.spare is None:
        return "misses the window" if forecast.late else ""
    if forecast.spare < 0:
        return f"misses the window by {_about(forecast.spare)}"
    return f"fits the window, {_about(forecast.spare)} to spare"


def late_texts(forecast: Forecast) -> Iterator[str]:
    """Yield for each gateway how many of its targets cannot start, and from when on it starts none."""
    for gateway in forecast.gateways:
        if gateway.late and gateway.starts_until is not None:
            targets = "1 target" if gateway.late == 1 else f"{gateway.late:,} targets"
            begins = f"starts nothing after {clock(gateway.starts_until)}"
            yield f"{visible(gateway.name)} {begins}: at least {targets} of it cannot start in the window"


def _last_starts_text(event: RunStarted) -> Iterator[str]:
    """Yield until when each gateway starts something, where there is a window."""
    last = last_starts(event.closes, event.timeouts)
    told = [f"{visible(name)} {clock(last[name])}" for name in event.left if name in last]
    if told:
        yield f"the window lets them start undeploys until, one timeout before it closes: {', '.join(told)}"


def _about(spare: float) -> str:
    """In whole minutes where it has any: what is to spare is rounded down, what is missing up."""
    unit = 60 if abs(spare) >= 60 else 1
    return span(abs(spare // unit * unit))


def rate_text(rate: float) -> str:
    """Return so many a second, in a few digits."""
    return f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s"


def waiting_text(progress: Progress, now: float) -> str:
    """Return what the run waits for, how long still, and how it is told to go on; empty where it does not."""
    event = progress.waiting
    if event is None:
        return ""
    left = span(ceil(max(0.0, event.until - now))) if event.until is not None else ""
    goes_on = f"`undeploy control {progress.started.run if progress.started else 'RUN'} continue` goes on"
    match event.why:
        case "window":
            opens = f" at {time_of_day(event.until, now)}, in {left}" if event.until is not None else ""
            return f"waits for the window to open{opens}"
        case "pause_after":
            return f"pause after {_ended_part(progress, event)}{left and f', {left} left'}"
        case "proceed":
            typed = "type y to go on, n to stop; or " if event.answers else ""
            return f"{_ended_part(progress, event)} has ended: {typed}{goes_on} with the next"
        case _:
            return f"paused; {goes_on}"


def _ended_part(progress: Progress, event: RunWaiting) -> str:
    """Name the wave that has ended, or the step of it."""
    name, step = visible(event.wave or progress.wave), progress.step
    if step is not None and step.wave == event.wave and step.number < step.steps:
        return f"wave {name}, step {step.number} of {step.steps}"
    return f"wave {name}"


def setting_text(event: RunStarted) -> str:
    """Return what is done where, within which hours, and who agreed to it."""
    places = ", ".join(f"{visible(name)} {visible(url)}" for name, url in event.urls.items())
    stand_in = "simulators in place of " if event.rehearsal else ""
    told = [f"{told_act(event.act, rehearsal=event.rehearsal)} at {stand_in}{places}", *_hours(event)]
    if event.approval:
        told.append(f"approved: {visible(event.approval)}")
    return "; ".join(told)


def protect_text(event: RunStarted) -> str:
    """Return how many patterns are in force and how many targets they keep; nothing of a restore."""
    if event.patterns is None:
        return ""
    return f"protect: {guarded(event.patterns, event.protected)}"


def _hours(event: RunStarted) -> Iterator[str]:
    if event.opens is not None or event.closes is not None:
        opens = f"from {time_of_day(event.opens, event.at)} " if event.opens is not None else ""
        closes = (
            f"until {time_of_day(event.closes, event.at)}" if event.closes is not None else "without an end"
        )
        yield f"window {opens}{closes}"
    if event.session > 1:
        yield f"session {event.session}"


def control_text(event: Controlled) -> str:
    """Return who did what to the run, and from where."""
    origin = f" ({visible(event.origin)})" if event.origin else ""
    return f"{visible(event.by)}{origin}: {visible(event.act)}"


def lane_text(event: LaneChanged) -> str:
    """Return the state of a lane in words: ``paused for 12 s: 429``."""
    parked = GIVEN_UP if event.given_up else "parked, being probed"
    words = {"open": "goes on", "parked": parked, "closed": "closed to the end of the run"}
    text = words.get(event.state, event.state)
    if event.state == "paused" and event.seconds is not None:
        text += f" for {span(event.seconds)}"
    # A reason begins with its word, which may be the state itself.
    return f"{text}: {visible(event.reason.removeprefix(f'{event.state}: '))}" if event.reason else text


class PlainLines:
    """Listener: writes a line for what matters; with ``quiet`` only for what went wrong."""

    def __init__(self, write: Callable[[str], None], *, quiet: bool = False) -> None:
        self._write = write
        self._quiet = quiet
        self._progress = Progress()
        self._told_at = 0.0
        self._told_tenth = 0
        self._pause_told: dict[str, float] = {}
        self._parked: set[str] = set()
        self._bounded: set[str] = set()
        self._bound_told: dict[str, float] = {}

    def __call__(self, event: AnyEvent) -> None:
        """Take ``event`` in, and write its line if it has one."""
        self._progress.heed(event)
        if isinstance(event, SILENT):
            return
        lines = self._wrong(event) if self._quiet else self._lines(event)
        for line in lines:
            self._write(f"{clock(event.at)} {line}")

    def _wrong(self, event: AnyEvent) -> Iterator[str]:
        match event:
            case TargetEnded() if event.outcome in TROUBLED:
                why = visible(event.reason or "no reason given")
                yield f"{event.outcome.value}: {visible(event.target)}: {why} (attempts: {event.attempts})"
            case GatewayWarned():
                yield f"warning: {visible(event.gateway)}: {visible(event.text)}"
            case LaneChanged(state="parked" | "closed"):
                yield f"{event.gateway}: {lane_text(event)}"
            case RunStopping():
                again = "; interrupt again to leave at once" if event.reason.startswith("interrupt") else ""
                landing = f"{self._progress.in_flight} in flight will land"
                yield f"stopping: {visible(event.reason)}; {landing}{again}"
            case RunWaiting(why="proceed" | "paused"):
                yield waiting_text(self._progress, event.at)
            case _:
                pass

    def _lines(self, event: AnyEvent) -> Iterator[str]:
        yield from self._wrong(event)
        match event:
            case RunStarted():
                self._told_at = event.at
                yield from self._started(event)
            case WaveStarted():
                yield f"wave {visible(event.wave)} starts: {event.left:,} to do"
            case WaveEnded():
                yield f"wave {visible(event.wave)} ended: {self._standing(event.at)}"
            case LaneChanged() if self._is_news(event):
                yield f"{event.gateway}: {lane_text(event)}"
            case TargetEnded() if self._is_due(event.at):
                yield self._standing(event.at)
            case RunEnded():
                yield f"{event.state}: {self._standing(event.at)}"
            case _:
                yield from self._steered(event)

    def _steered(self, event: AnyEvent) -> Iterator[str]:
        match event:
            case StepStarted():
                step = f"step {event.number} of {event.steps}"
                yield f"wave {visible(event.wave)}, {step} starts: {event.left:,} to do"
            case RunWaiting(why="window" | "pause_after"):
                yield waiting_text(self._progress, event.at)
            case RunContinued():
                yield "goes on"
            case Controlled():
                yield control_text(event)
            case PaceChanged() if self._is_first_bound(event):
                yield f"{event.gateway}: at most {event.rate:.1f}/s from here on"
            case _:
                pass

    def _started(self, event: RunStarted) -> Iterator[str]:
        by_gateway = ", ".join(f"{name} {left:,}" for name, left in event.left.items())
        verb = "goes on" if event.resumed else "starts"
        day = f"{datetime.fromtimestamp(event.at).astimezone():%Y-%m-%d %z}"
        yield (
            f"run {event.run} of {visible(event.plan)} {verb} ({day}): "
            f"{sum(event.left.values()):,} of {event.targets:,} targets to do ({by_gateway})"
        )
        if event.urls:
            yield setting_text(event)
        if told := protect_text(event):
            yield told
        yield from _last_starts_text(event)

    def _is_news(self, event: LaneChanged) -> bool:
        """A throttling gateway pauses its lane every second: once in a while is enough to know."""
        match event.state:
            case "parked":
                self._parked.add(event.gateway)  # told already, as something wrong
                return False
            case "open":
                back = event.gateway in self._parked
                self._parked.discard(event.gateway)
                return back
            case "paused":
                told = self._pause_told.get(event.gateway, 0.0)
                if event.at - told < PROGRESS_EVERY:
                    return False
                self._pause_told[event.gateway] = event.at
                return True
            case _:
                return False

    def _is_first_bound(self, event: PaceChanged) -> bool:
        """The bound moves all the time; that there is one is worth a line, though not every time anew."""
        if event.rate is None:
            self._bounded.discard(event.gateway)
            return False
        told = self._bound_told.get(event.gateway, 0.0)
        if event.gateway in self._bounded or event.at - told < BOUND_EVERY:
            self._bounded.add(event.gateway)
            return False
        self._bounded.add(event.gateway)
        self._bound_told[event.gateway] = event.at
        return True

    def _is_due(self, at: float) -> bool:
        if at - self._told_at < 1.0:
            return False
        progress = self._progress
        tenth = progress.done * 10 // max(progress.total, 1)
        if at - self._told_at < PROGRESS_EVERY and tenth <= self._told_tenth:
            return False
        self._told_at, self._told_tenth = at, tenth
        return True

    def _standing(self, at: float) -> str:
        progress = self._progress
        counts = [f"{progress.done:,}/{progress.total:,} ended"]
        counts += [
            f"{progress.count(outcome):,} {outcome.value.replace('_', ' ')}"
            for outcome in Outcome
            if progress.count(outcome)
        ]
        if progress.lost:
            counts.append(f"{progress.lost:,} cannot be brought back")
        rate = progress.pace.rate(at)
        if rate and progress.ended is None:
            counts.append(f"{rate:.1f}/s")
        if (forecast := progress.forecast(at)) is not None:
            counts += filter(None, (done_text(forecast, at), window_text(forecast), *late_texts(forecast)))
        return ", ".join(counts)


class EventLines:
    """Listener: writes each event as a line of JSON, the version of their schema first.

    Each line is handed to the system at once, so that a program that follows them is never behind. Once
    the other side has gone away the rest is dropped and ``complain`` is told so: the run goes on.
    """

    def __init__(self, out: BinaryIO | RawIOBase, complain: Callable[[str], None]) -> None:
        self._out: BinaryIO | RawIOBase | None = out
        self._complain = complain
        self._encode = msgspec.json.Encoder().encode
        self._line({"event": "schema", "schema": EVENTS_SCHEMA})

    def __call__(self, event: AnyEvent) -> None:
        """Write ``event``."""
        self._line(event)

    def _line(self, value: object) -> None:
        if self._out is None:
            return
        try:
            self._out.write(self._encode(value) + b"\n")
            self._out.flush()
        except OSError as error:
            self._out = None
            self._complain(f"--events: no more events are written ({error.strerror}); the run goes on")
