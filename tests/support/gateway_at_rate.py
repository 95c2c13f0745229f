"""A lane and a gateway that refuses some of what it is sent, as bare events: no loop, no sockets."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Container
from functools import partial
from itertools import count
from typing import Any, NamedTuple, Protocol

from orchestrator.model.reading import Act, Verdict
from orchestrator.model.target import TargetId
from orchestrator.rules.admission import AdmissionDelayed, AdmissionGranted, AdmissionRequest, LaneState
from orchestrator.simulator.limits import RateLimit, TokenBucket
from tests.support.readings import reading

WAKES = 0.1
"""Seconds after which whoever waits asks again at the latest."""

REMOVED, SEEN = reading(Verdict.REMOVED), reading(Verdict.UP)


class Drive(NamedTuple):
    """When the last reply came, how many requests were refused, when each undeploy left and each look, and
    for how many seconds in all the gateway has asked for a pause."""

    seconds: float
    refused: int
    left: list[float]
    looked: list[float]
    paused: float


class Door(Protocol):
    """Lets requests in."""

    def take(self, now: float) -> float:
        """Take one and return 0, or refuse it and return the seconds until one may be taken."""
        ...


class Windows:
    """Takes so many in each window of so many seconds, counted by the clock."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit, self._seconds = limit, seconds
        self._window, self._taken = -1, 0

    def take(self, now: float) -> float:
        window = int(now // self._seconds)
        if window != self._window:
            self._window, self._taken = window, 0
        if self._taken < self._limit:
            self._taken += 1
            return 0.0
        return (window + 1) * self._seconds - now


class Scattered:
    """Refuses the requests of these numbers, whenever they come, and passes the others on."""

    def __init__(self, refused: Container[int], behind: Door | None = None) -> None:
        self._refused, self._behind, self._number = refused, behind, count()

    def take(self, now: float) -> float:
        if next(self._number) in self._refused:
            return 1.0
        return self._behind.take(now) if self._behind is not None else 0.0


def drive(lane: LaneState, doors: Callable[[float], RateLimit | Door], **options: Any) -> Drive:
    """Send an undeploy for each target through ``lane`` to a gateway whose limit ``doors`` gives."""
    return _Road(lane, doors, **options).run()


class _Road:
    """Workers, who take a target each as soon as they may, and what is on its way to the gateway and back."""

    def __init__(
        self,
        lane: LaneState,
        doors: Callable[[float], RateLimit | Door],
        *,
        targets: int,
        concurrency: int = 8,
        latency: float = 0.020,
        bare: bool = False,
        named: float | None = None,
        jitter: float = 0.0,
        looks: int = 0,
        look_doors: Callable[[float], RateLimit | Door] | None = None,
        busy_until: Callable[[float], float] = lambda now: now,
    ) -> None:
        """Whoever is free at a time takes the next target at ``busy_until`` of it. The gateway refuses with
        429 and the whole seconds to wait, or ``bare``: with a 503 that says nothing more; ``named`` is the
        rate that a refusal states. A request is up to ``jitter`` seconds longer on its way. Each undeploy
        comes after so many ``looks``, which go through the same doors unless they have ``look_doors``.
        """
        self._named, self._jitter, self._dice = named, jitter, random.Random(1)
        self._lane, self._doors, self._latency = lane, doors, latency
        self._looks, self._look_doors = looks, look_doors or doors
        self._targets, self._concurrency = targets, concurrency
        self._bare = bare
        self._paused_until = self._paused = 0.0
        self._busy_until = busy_until
        self._todo = iter(range(targets))
        self._order = count()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._buckets: dict[RateLimit, Door] = {}
        self._left: list[float] = []
        self._looked: list[float] = []
        self._looks_left: dict[TargetId, int] = {}
        self._refused = self._ended = 0

    def run(self) -> Drive:
        for _ in range(self._concurrency):
            self._take(0.0)
        now = 0.0
        while self._events:
            now, _, what = heapq.heappop(self._events)
            what(now)
        assert self._ended == self._targets
        return Drive(now, self._refused, self._left, self._looked, self._paused)

    def _at(self, when: float, what: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), what))

    def _take(self, now: float) -> None:
        if (number := next(self._todo, None)) is not None:
            target = TargetId(f"gw/{number}")
            turn = AdmissionRequest(target, Act.LOOK if self._looks else Act.UNDEPLOY)
            self._looks_left[target] = self._looks
            self._at(self._busy_until(now), partial(self._ask, turn))

    def _ask(self, turn: AdmissionRequest, now: float) -> None:
        match self._lane.admit(turn, now):
            case AdmissionGranted():
                (self._looked if turn.act is Act.LOOK else self._left).append(now)
                late = self._dice.random() * self._jitter
                self._at(now + self._latency / 2 + late, partial(self._arrive, turn, now))
            case AdmissionDelayed(
                seconds
            ):  # a lane wakes those who wait when it changes: here they ask now and then
                asks = WAKES if seconds is None else min(seconds, WAKES)
                self._at(now + asks, partial(self._ask, turn))

    def _arrive(self, turn: AdmissionRequest, began: float, now: float) -> None:
        limit = (self._look_doors if turn.act is Act.LOOK else self._doors)(now)
        door = self._buckets.setdefault(limit, TokenBucket(limit)) if isinstance(limit, RateLimit) else limit
        self._at(now + self._latency / 2, partial(self._land, turn, began, door.take(now)))

    def _land(self, turn: AdmissionRequest, began: float, wait: float, now: float) -> None:
        said, status = (SEEN, 200) if turn.act is Act.LOOK else (REMOVED, 204)
        if wait:
            said, status = reading(Verdict.BUSY, wait=max(1.0, math.ceil(wait)), rate=self._named), 429
        if wait and self._bare:
            said, status = reading(Verdict.UNCLEAR if turn.act is Act.LOOK else Verdict.DOUBT), 503
        reach = self._concurrency
        self._lane.observe(
            turn, said, now, began=began, left=self._targets, within_reach=reach, status=status
        )
        if not wait:
            self._go_on(turn, now)
            return
        self._refused += 1
        if said.wait is not None:
            self._paused += max(0.0, now + said.wait - max(self._paused_until, now))
            self._paused_until = max(self._paused_until, now + said.wait)
        again = AdmissionRequest(turn.target, turn.act, repeats=self._bare and turn.act is Act.UNDEPLOY)
        self._at(now + 0.5 * self._bare, partial(self._ask, again))

    def _go_on(self, turn: AdmissionRequest, now: float) -> None:
        """Send the next look at the target of this answered request, or its undeploy, or take another one."""
        if turn.act is Act.UNDEPLOY:
            del self._looks_left[turn.target]
            self._ended += 1
            self._take(now)
            return
        self._looks_left[turn.target] -= 1
        act = Act.LOOK if self._looks_left[turn.target] else Act.UNDEPLOY
        self._ask(AdmissionRequest(turn.target, act), now)
