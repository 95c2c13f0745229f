"""The time axis of the charts: clock times in the right places, and numbered flags for what happened."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from itertools import accumulate
from math import ceil
from operator import attrgetter
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.model.live_status import LONGEST_TEXT, MarkKind, TimeMark
from orchestrator.report.values import ClockSpan
from orchestrator.text.characters import show_briefly

_STEPS = (
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30,
    60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800, 2592000,
)  # fmt: skip
_MOST_TICKS = 5
_CHARACTER = 3.0
"""Percent of the axis that a character of a label takes on a phone of 320 px."""
_GAP = 1.0
"""Percent of the axis between two labels, at least."""
_EDGE = 5.0
"""A label so near to an end of the axis, in percent, begins or ends there."""
MOST_MARKS = 30
"""The most marks that a chart explains one by one."""

_LEFT_OUT_LAST: tuple[MarkKind, ...] = ("stop", "close", "session", "park", "steer", "wave")


Anchor: TypeAlias = Literal["start", "middle", "end"]
"""Which part of a label stands at its place."""


class AxisLabel(Struct, frozen=True):
    """A label ``at`` so many percent of the axis: a clock time below it, or a flag above the plot.

    A flag has the numbers of the marks that stand there, as ``3`` or ``3-5``.
    """

    at: float
    text: str
    anchor: Anchor

    @property
    def extent(self) -> tuple[float, float]:
        """From where to where the label reaches on a phone, in percent of the axis."""
        width = len(self.text) * _CHARACTER
        begins = {"start": self.at, "middle": self.at - width / 2, "end": self.at - width}[self.anchor]
        return begins, begins + width


class AxisNote(Struct, frozen=True):
    """The words for one mark, which stand below the chart under its number."""

    number: int
    at: float
    clock: str
    kind: MarkKind
    text: str


class TimeAxis(Struct, frozen=True):
    """A whole axis. Without clock times, ``ticks`` is empty."""

    ticks: tuple[AxisLabel, ...] = ()
    flags: tuple[AxisLabel, ...] = ()
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


def _choose_anchor(at: float) -> Anchor:
    """Return the anchor of a label that must not leave the chart."""
    return "start" if at < _EDGE else "end" if at > 100 - _EDGE else "middle"


def _list_ticks(clock: _SpanClock, zone: tzinfo) -> Iterator[AxisLabel]:
    step = _choose_step(clock.whole)
    taken = -_GAP
    for span in clock.spans:
        for at in _list_round_times(span, step):
            place = clock.place(at)
            tick = AxisLabel(place, _format_clock(at, step, zone), _choose_anchor(place))
            begins, ends = tick.extent
            if begins >= taken + _GAP:
                yield tick
                taken = ends


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


def _list_flags(notes: Sequence[AxisNote]) -> Sequence[AxisLabel]:
    """Return one flag for marks that stand so close that their numbers would cover each other."""
    flags: list[AxisLabel] = []
    firsts: list[AxisNote] = []
    for note in notes:
        firsts.append(note)
        flags.append(_make_flag(note, note))
        # A flag for several marks is wider, and may meet the one before it in turn.
        while len(flags) > 1 and flags[-1].extent[0] < flags[-2].extent[1] + _GAP:
            del flags[-2:], firsts[-1:]
            flags.append(_make_flag(firsts[-1], note))
    return flags


def _make_flag(first: AxisNote, last: AxisNote) -> AxisLabel:
    if first is last:
        return AxisLabel(first.at, str(first.number), _choose_anchor(first.at))
    # The numbers stand above their marks, which follow on the right.
    flag = AxisLabel(first.at, f"{first.number}-{last.number}", "start")
    return flag if flag.extent[1] <= 100 else replace(flag, anchor="end")
