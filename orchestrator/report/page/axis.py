"""The time axis of the charts: clock times in the right places, and numbered flags for what happened."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from itertools import accumulate
from math import ceil
from operator import attrgetter

from msgspec import Struct

from orchestrator.model.live_status import LONGEST_TEXT, MarkKind, TimeMark
from orchestrator.report.values import ClockSpan
from orchestrator.text.characters import show_briefly

_STEPS = (
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30,
    60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800, 2592000,
)  # fmt: skip
_MOST_TICKS = 5
"""A phone has room for so many clock times."""
_TICK_ROOM = 16.0
_FLAG_ROOM = 6.0
"""Percent of the axis that a label needs on a phone."""
MOST_MARKS = 30
"""The most marks that a chart explains one by one."""

_LEFT_OUT_LAST: tuple[MarkKind, ...] = ("stop", "close", "session", "park", "steer", "wave")


class AxisTick(Struct, frozen=True):
    """A clock time under the axis, ``at`` percent of its length."""

    at: float
    text: str


class AxisFlag(Struct, frozen=True):
    """A flag above the plot: the numbers of the marks that stand there, as ``3`` or ``3-5``."""

    at: float
    text: str


class AxisNote(Struct, frozen=True):
    """The words for one mark, which stand below the chart under its number."""

    number: int
    at: float
    clock: str
    kind: MarkKind
    text: str


class TimeAxis(Struct, frozen=True):
    """A whole axis. Without clock times, ``ticks`` is empty."""

    ticks: tuple[AxisTick, ...] = ()
    flags: tuple[AxisFlag, ...] = ()
    notes: tuple[AxisNote, ...] = ()
    zone: str = "UTC"
    day: str = ""
    """The day of the first moment: ``2026-11-22``."""
    left_out: int = 0
    """Marks beyond ``MOST_MARKS``."""


def build_axis(spans: Sequence[ClockSpan], marks: Sequence[TimeMark], zone: tzinfo = UTC) -> TimeAxis:
    """Return the axis over ``spans``, which stand one behind the other; empty without any."""
    clock = _SpanClock(spans)
    if not clock.whole:
        return TimeAxis()
    first = datetime.fromtimestamp(spans[0].started, zone)
    chosen = _choose_marks(marks)
    notes = tuple(_build_notes(clock, chosen, zone))
    return TimeAxis(
        ticks=tuple(_list_ticks(clock, zone)),
        flags=tuple(_list_flags(notes)),
        notes=notes,
        zone=first.tzname() or "",
        day=f"{first:%Y-%m-%d}",
        left_out=len(marks) - len(chosen),
    )


def _choose_marks(marks: Sequence[TimeMark]) -> Sequence[TimeMark]:
    """Return at most ``MOST_MARKS``, in order: of too many, the newest of those that explain most."""
    if len(marks) <= MOST_MARKS:
        return marks
    # The beginnings of waves are left out first, and the end of the run never is.
    newest_first = sorted(marks, key=attrgetter("at"), reverse=True)
    kept = sorted(newest_first, key=lambda mark: _LEFT_OUT_LAST.index(mark.kind))[:MOST_MARKS]
    return sorted(kept, key=attrgetter("at"))


class _SpanClock:
    """Places Unix times on an axis that leaves out the time between the spans."""

    def __init__(self, spans: Sequence[ClockSpan]) -> None:
        self.spans = spans
        self.offsets = [0.0, *accumulate(span.seconds for span in spans)]
        self.whole = self.offsets[-1]

    def place(self, at: float) -> float:
        """Return the percent of the axis where ``at`` is. A time between two spans is at their border."""
        starts = [span.started for span in self.spans]
        index = max(0, bisect_left(starts, at + 1e-9) - 1)
        span = self.spans[index]
        within = min(max(0.0, at - span.started), span.seconds)
        return round(100 * (self.offsets[index] + within) / self.whole, 2)


def _list_ticks(clock: _SpanClock, zone: tzinfo) -> Iterator[AxisTick]:
    step = _choose_step(clock.whole)
    last = -_TICK_ROOM
    for span in clock.spans:
        for at in _list_round_times(span, step):
            place = clock.place(at)
            if place - last >= _TICK_ROOM:
                yield AxisTick(place, _format_clock(at, step, zone))
                last = place


def _choose_step(seconds: float) -> float:
    return next((step for step in _STEPS if seconds / step <= _MOST_TICKS), seconds / _MOST_TICKS)


def _list_round_times(span: ClockSpan, step: float) -> Iterator[float]:
    """Yield the beginning of the span, and the round times in it."""
    yield span.started
    first = ceil(span.started / step)
    for number in range(first, first + _MOST_TICKS + 1):
        if number * step <= span.started + span.seconds:
            yield number * step


def _format_clock(at: float, step: float, zone: tzinfo) -> str:
    moment = datetime.fromtimestamp(at, zone)
    if step >= 86400:
        return f"{moment:%m-%d %H:%M}"
    if step < 1:
        return f"{moment:%H:%M:%S.%f}"[:-4]
    return f"{moment:%H:%M:%S}"


def _build_notes(clock: _SpanClock, marks: Sequence[TimeMark], zone: tzinfo) -> Iterator[AxisNote]:
    for number, mark in enumerate(marks, 1):
        moment = f"{datetime.fromtimestamp(mark.at, zone):%H:%M:%S}"
        text = show_briefly(mark.text, LONGEST_TEXT)
        yield AxisNote(number, clock.place(mark.at), moment, mark.kind, text)


def _list_flags(notes: Sequence[AxisNote]) -> Iterator[AxisFlag]:
    """Yield one flag for marks that stand so close that their numbers would cover each other."""
    first = 0
    for index, note in enumerate(notes):
        following = notes[index + 1] if index + 1 < len(notes) else None
        if following is None or following.at - notes[first].at >= _FLAG_ROOM:
            low, high = notes[first].number, note.number
            yield AxisFlag(notes[first].at, str(low) if low == high else f"{low}-{high}")
            first = index + 1
