"""A session over time: what ended and what was sent in each of at most 240 buckets of equal width."""

from __future__ import annotations

from orchestrator.model.live_status import (
    LONGEST_TEXT,
    MOST_BUCKETS,
    MOST_MARKS,
    MarkKind,
    OverTime,
    TimeMark,
)
from orchestrator.model.outcome import Outcome
from orchestrator.text.characters import show_briefly

FIRST_WIDTH = 1.0
"""Seconds of a bucket as long as the session is young."""


class TimeBucket:
    """One bucket: its targets by outcome, the requests that change something, and the most at once.

    ``refused`` counts those that the gateway asked to wait.
    """

    __slots__ = ("bound", "ended", "in_flight", "refused", "sent")

    def __init__(self, in_flight: int = 0, bound: float | None = None) -> None:
        self.ended: dict[Outcome, int] = {}
        self.sent = self.refused = 0
        self.in_flight = in_flight
        self.bound = bound

    def clone(self) -> TimeBucket:
        """Return a bucket of its own with the same counts."""
        bucket = TimeBucket(self.in_flight, self.bound)
        bucket.ended, bucket.sent, bucket.refused = dict(self.ended), self.sent, self.refused
        return bucket

    def take_in(self, later: TimeBucket) -> None:
        """Make this bucket one with the next."""
        self.ended = {
            outcome: self.ended.get(outcome, 0) + later.ended.get(outcome, 0)
            for outcome in (*self.ended, *later.ended)
        }
        self.sent += later.sent
        self.refused += later.refused
        self.in_flight = max(self.in_flight, later.in_flight)
        self.bound = later.bound


class TimelineCounter:
    """Counts a session that began at the Unix time ``start`` by time, with marks for what happened.

    Whoever counts compares the time with ``until`` first, and calls ``go_to`` from there on: nearly all
    events fall into the bucket that goes on.
    """

    def __init__(self, start: float) -> None:
        self.start = start
        self.width = FIRST_WIDTH
        self.bucket = TimeBucket()
        """The bucket that goes on."""
        self.until = start + self.width
        """When it ends."""
        self.marks: tuple[TimeMark, ...] = ()
        self._buckets = [self.bucket]

    def go_to(self, at: float, in_flight: int, bound: float | None) -> None:
        """Begin the bucket of the Unix time ``at``, with the requests and the bound of that moment."""
        while at >= self.start + self.width * MOST_BUCKETS:
            self._double()
        index = int((at - self.start) / self.width)
        self.bucket.bound = bound
        self._buckets += (TimeBucket(in_flight, bound) for _ in range(index + 1 - len(self._buckets)))
        self.bucket = self._buckets[-1]
        self.until = self.start + self.width * len(self._buckets)

    def _double(self) -> None:
        """Make each two buckets one of twice the width."""
        self.width *= 2
        for earlier, later in zip(self._buckets[::2], self._buckets[1::2], strict=False):
            earlier.take_in(later)
        # Another thread may read: the list is replaced, never shortened.
        self._buckets = self._buckets[::2]
        self.bucket = self._buckets[-1]
        self.until = self.start + self.width * len(self._buckets)

    def mark(self, at: float, kind: MarkKind, text: str) -> None:
        """Keep a mark, and of too many only the newest."""
        mark = TimeMark(at=at, kind=kind, text=show_briefly(text, LONGEST_TEXT))
        self.marks = (*self.marks[1 - MOST_MARKS :], mark)

    def read(self, now: float, in_flight: int, bound: float | None) -> OverTime:
        """Return the session up to the Unix time ``now``. Changes nothing."""
        counter = self._clone()
        counter.go_to(max(now, self.start), in_flight, bound)
        return counter._describe()

    def _clone(self) -> TimelineCounter:
        counter = TimelineCounter(self.start)
        counter.width, counter.until, counter.marks = self.width, self.until, self.marks
        counter._buckets = [bucket.clone() for bucket in self._buckets]
        counter.bucket = counter._buckets[-1]
        return counter

    def _describe(self) -> OverTime:
        buckets = self._buckets
        return OverTime(
            start=self.start,
            seconds=self.width,
            ended=tuple({outcome.value: n for outcome, n in bucket.ended.items()} for bucket in buckets),
            sent=tuple(round(bucket.sent / self.width, 2) for bucket in buckets),
            refused=tuple(bucket.refused for bucket in buckets),
            bound=tuple(bucket.bound and round(bucket.bound, 2) for bucket in buckets),
            in_flight=tuple(bucket.in_flight for bucket in buckets),
            marks=self.marks,
        )
