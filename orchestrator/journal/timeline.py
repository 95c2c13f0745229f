"""A run over its working time: ended targets, sent requests, and the pace of each gateway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from orchestrator.journal.database import Database
from orchestrator.journal.schema import IS_MAIN_ACT
from orchestrator.journal.sessions import WorkingTime
from orchestrator.model.live_status import TimeMark
from orchestrator.report.values import ClockSpan, PaceTimeline, RunTimeline

# The events between ?1 and ?2, the starts of a session and of the next one, by bucket: ?3 is how long the
# session worked, ?4 how long those before it did, ?5 the width of a bucket, ?6 the index of the last one.
_BUCKET = "MIN(CAST((?4 + MIN({0} - ?1, ?3)) / ?5 AS INTEGER), ?6)"
_BETWEEN = "{0} >= ?1 AND {0} < ?2"
_ENDED_BY_BUCKET = f"""
SELECT {_BUCKET.format("ended")}, outcome, COUNT(*) FROM ended WHERE {_BETWEEN.format("ended")} GROUP BY 1, 2
"""
_SENT_BY_BUCKET = f"""
SELECT {_BUCKET.format("started")}, COUNT(*) FROM attempt
WHERE sent IS NOT 0 AND {_BETWEEN.format("started")} GROUP BY 1
"""
# The gateways whose pace is worth a curve, by index and by name.
_REFUSING = f"""
SELECT DISTINCT t.gateway FROM attempt AS a JOIN target AS t USING (seq)
WHERE a.verdict = 'busy' AND a.{IS_MAIN_ACT}
"""
_BOUND = "SELECT DISTINCT gateway FROM note WHERE kind = 'pace' AND text IS NOT NULL"
# SQLite gives the other columns of the row that has the maximum: the last bound of each bucket.
_LAST_BOUNDS = f"""
SELECT {_BUCKET.format("at")}, CAST(text AS REAL), MAX(number) FROM note
WHERE kind = 'pace' AND gateway = ?7 AND {_BETWEEN.format("at")} GROUP BY 1
"""
# Starts and ends of the requests to gateway ?7 by bucket: how many, the sum of their instants, and how many
# of them were an undeploy or a deploy (that was refused). A request without an end lasted as long as its
# session.
_PLACED = "?4 + MIN({0} - ?1, ?3)"
_STARTS = f"""
SELECT {_BUCKET.format("a.started")}, COUNT(*), SUM({_PLACED.format("a.started")}), SUM(a.{IS_MAIN_ACT})
FROM attempt AS a JOIN target AS t USING (seq)
WHERE t.gateway = ?7 AND a.sent IS NOT 0 AND {_BETWEEN.format("a.started")} GROUP BY 1
"""
_END = "a.started + COALESCE(a.seconds, ?3)"
_ENDS = f"""
SELECT {_BUCKET.format(_END)}, COUNT(*), SUM({_PLACED.format(_END)}),
    SUM(a.{IS_MAIN_ACT} AND a.verdict IS 'busy')
FROM attempt AS a JOIN target AS t USING (seq)
WHERE t.gateway = ?7 AND a.sent IS NOT 0 AND {_BETWEEN.format("a.started")} GROUP BY 1
"""

_SHORTEST = 0.001
"""Seconds that a run counts as at least, so that its buckets have a width."""


class WorkingTimeCurves:
    """Counts by buckets of equal width over the working time of a run, which leaves the pauses out."""

    def __init__(
        self, database: Database, gateways: Sequence[str], sessions: Sequence[WorkingTime], buckets: int
    ) -> None:
        """``database`` has the view ``ended``; ``gateways`` are the names of the plan's gateways."""
        self._database = database
        self._gateways = gateways
        self._sessions = sessions
        self._buckets = buckets
        self._width = max(sum(session.seconds for session in sessions), _SHORTEST) / buckets

    def count_events(self, marks: tuple[TimeMark, ...] = ()) -> RunTimeline:
        """Count the ended targets, by outcome, and the sent requests; ``marks`` explain them."""
        ended: list[Counter[str]] = [Counter() for _ in range(self._buckets)]
        requests = [0] * self._buckets
        for _, values in self._list_sessions():
            for bucket, outcome, count in self._database.rows(_ENDED_BY_BUCKET, values):
                ended[bucket][outcome] += count
            for bucket, count in self._database.rows(_SENT_BY_BUCKET, values):
                requests[bucket] += count
        return RunTimeline(
            width=self._width,
            ended=tuple(map(dict, ended)),
            requests=tuple(requests),
            spans=tuple(ClockSpan(started=each.started, seconds=each.seconds) for each in self._sessions),
            marks=marks,
        )

    def trace_pacings(self) -> tuple[PaceTimeline, ...]:
        """Return the curves of the gateways that had a bound or refused an undeploy, in the plan's order."""
        refusing = {place for (place,) in self._database.rows(_REFUSING)}
        bound = {name for (name,) in self._database.rows(_BOUND)}
        return tuple(
            self._trace(place, name)
            for place, name in enumerate(self._gateways)
            if place in refusing or name in bound
        )

    def _list_sessions(self) -> Iterator[tuple[int, tuple[float, ...]]]:
        """Yield for each session the bucket that it begins in, and ?1 to ?6 of the queries."""
        offset, last = 0.0, self._buckets - 1
        for session in self._sessions:
            yield min(int(offset / self._width), last), (*session, offset, self._width, last)
            offset += session.seconds

    def _trace(self, place: int, name: str) -> PaceTimeline:
        starts, ends = RequestInstants(self._buckets), RequestInstants(self._buckets)
        bounds: dict[int, float | None] = {}
        for first, values in self._list_sessions():
            bounds[first] = None  # no session begins with a bound of the one before
            last = self._database.rows(_LAST_BOUNDS, (*values, name))
            bounds |= {bucket: rate for bucket, rate, _ in last}
            for row in self._database.rows(_STARTS, (*values, place)):
                starts.add(*row)
            for row in self._database.rows(_ENDS, (*values, place)):
                ends.add(*row)
        width = self._width
        in_flight = zip(starts.integrate(width), ends.integrate(width), strict=True)
        return PaceTimeline(
            gateway=name,
            width=width,
            bound=tuple(_carry_forward(bounds, self._buckets)),
            sent=tuple(count / width for count in starts.marked),
            refused=tuple(ends.marked),
            in_flight=tuple(
                max(0.0, after - before) / width
                for before, after in pairwise(started - ended for started, ended in in_flight)
            ),
        )


class RequestInstants:
    """When requests began, or when they ended, by bucket; ``marked`` counts the undeploys among them."""

    def __init__(self, buckets: int) -> None:
        self._counts = [0] * buckets
        self._sums = [0.0] * buckets
        self.marked = [0] * buckets

    def add(self, bucket: int, count: int, total: float, marked: int) -> None:
        """Add a bucket of one session; ``total`` is the sum of its instants, in seconds of working time."""
        self._counts[bucket] += count
        self._sums[bucket] += total
        self.marked[bucket] += marked

    def integrate(self, width: float) -> Iterator[float]:
        """Yield at each edge of a bucket the seconds since then of all instants before it, added up.

        The requests in flight, integrated up to an edge, are those of the starts less those of the ends.
        """
        count, total = 0, 0.0
        yield 0.0
        for index, (here, sum_here) in enumerate(zip(self._counts, self._sums, strict=True), 1):
            count += here
            total += sum_here
            yield count * index * width - total


def _carry_forward(values: dict[int, float | None], buckets: int) -> Iterator[float | None]:
    """Yield the value of each bucket, which holds until there is another one."""
    value = None
    for bucket in range(buckets):
        value = values.get(bucket, value)
        yield value
