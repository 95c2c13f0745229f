"""A lane and a gateway that takes so many a second, as bare events: no loop, no sockets."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, NamedTuple

from engine import reading

from orchestrator.lane_state import Go, LaneState, Turn, Wait
from orchestrator.model import Act, TargetId, Verdict
from orchestrator.simulator.limits import Bucket, Rate

REMOVED = reading(Verdict.REMOVED)


class Drive(NamedTuple):
    """When the last reply came, how many requests were refused, and when each one left."""

    seconds: float
    refused: int
    left: list[float]


def drive(lane: LaneState, rates: Callable[[float], Rate], **options: Any) -> Drive:
    """Send an undeploy for each target through ``lane`` to a gateway whose limit ``rates`` gives."""
    return _Road(lane, rates, **options).run()


class _Road:
    """Workers, who take a target each as soon as they may, and what is on its way to the gateway and back."""

    def __init__(
        self,
        lane: LaneState,
        rates: Callable[[float], Rate],
        *,
        targets: int,
        concurrency: int = 8,
        latency: float = 0.020,
        retry_after: float | None = 1.0,
        busy_until: Callable[[float], float] = lambda now: now,
    ) -> None:
        """Whoever is free at a time takes the next target at ``busy_until`` of it."""
        self._lane, self._rates, self._latency = lane, rates, latency
        self._targets, self._concurrency = targets, concurrency
        self._busy = reading(Verdict.BUSY, wait=retry_after)
        self._busy_until = busy_until
        self._todo = iter(range(targets))
        self._order = count()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._buckets: dict[Rate, Bucket] = {}
        self._left: list[float] = []
        self._refused = self._ended = 0

    def run(self) -> Drive:
        for _ in range(self._concurrency):
            self._take(0.0)
        now = 0.0
        while self._events:
            now, _, what = heapq.heappop(self._events)
            what(now)
        assert self._ended == self._targets
        return Drive(now, self._refused, self._left)

    def _at(self, when: float, what: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), what))

    def _take(self, now: float) -> None:
        if (number := next(self._todo, None)) is not None:
            turn = Turn(TargetId(f"gw/{number}"), Act.UNDEPLOY)
            self._at(self._busy_until(now), partial(self._ask, turn))

    def _ask(self, turn: Turn, now: float) -> None:
        match self._lane.admit(turn, now):
            case Go():
                self._left.append(now)
                self._at(now + self._latency / 2, partial(self._arrive, turn, now))
            case Wait(seconds):
                assert seconds is not None
                self._at(now + seconds, partial(self._ask, turn))

    def _arrive(self, turn: Turn, began: float, now: float) -> None:
        rate = self._rates(now)
        taken = not self._buckets.setdefault(rate, Bucket(rate)).take(now)
        self._at(now + self._latency / 2, partial(self._land, turn, began, taken))

    def _land(self, turn: Turn, began: float, taken: bool, now: float) -> None:
        said = REMOVED if taken else self._busy
        reach = self._concurrency
        self._lane.heed(turn, said, now, began=began, left=self._targets, within_reach=reach)
        if taken:
            self._ended += 1
            self._take(now)
        else:
            self._refused += 1
            self._ask(Turn(turn.target, Act.UNDEPLOY), now)
