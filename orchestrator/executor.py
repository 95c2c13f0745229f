"""Many targets: waves in order, a fixed number of workers a lane, and the rules that stop them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio
from msgspec import Struct

from orchestrator.errors import DiskError
from orchestrator.events import AnyEvent, TargetEnded, WaveEnded, WaveStarted
from orchestrator.journal.pending import Pending
from orchestrator.journal.record import Record
from orchestrator.lane import Lane
from orchestrator.model import Plan, Target
from orchestrator.retry import End, Past
from orchestrator.schedule import Tally, fruitless
from orchestrator.stopping import Stopping
from orchestrator.undeploy import Course
from orchestrator.world import Send, World

LOOK_AHEAD = 2000
"""Targets that may stand aside because their like is under way, before the lane waits for one of them."""


class Crew(Struct, frozen=True, kw_only=True):
    """What the workers of a run share."""

    plan: Plan
    world: World
    stopping: Stopping
    record: Record
    pending: Pending
    tally: Tally
    emit: Callable[[AnyEvent], None]
    note: str | None
    """The text for a vendor's history record, where a target has none of its own."""


class Feed:
    """The open targets of one wave on one gateway, handed out in the plan's order.

    Of targets that exclude one another (``Gateway.exclusive``) one is under way at a time; the others stand
    aside, and whoever is free takes the next one that may go.
    """

    def __init__(self, pending: Pending, wave: int, lane: Lane) -> None:
        self._pending = pending
        self._wave = wave
        self._lane = lane
        self._batch: deque[tuple[Target, Past]] = deque()
        self._after = 0
        self._drained = False
        self._busy: set[str] = set()
        self._aside: dict[str, deque[tuple[Target, Past]]] = {}
        self._aside_count = 0
        self._ready: deque[tuple[Target, Past]] = deque()
        self._released = anyio.Event()

    async def take(self) -> tuple[Target, Past] | None:
        """Return the next target that may go now, or None when there is none left to wait for."""
        while True:
            item = self._next()
            if item is not None or not self._aside_count:
                return item
            await self._released.wait()

    def _next(self) -> tuple[Target, Past] | None:
        if self._ready:
            return self._claim(self._ready.popleft())
        while self._aside_count < LOOK_AHEAD and (item := self._read()) is not None:
            key = self._lane.gateway.exclusive(item[0])
            if key is None or key not in self._busy:
                return self._claim(item)
            self._aside.setdefault(key, deque()).append(item)
            self._aside_count += 1
        return None

    def _claim(self, item: tuple[Target, Past]) -> tuple[Target, Past]:
        key = self._lane.gateway.exclusive(item[0])
        if key is not None:
            self._busy.add(key)
        return item

    def _read(self) -> tuple[Target, Past] | None:
        if not self._batch and not self._drained:
            self._batch.extend(self._pending.batch(self._wave, self._lane.gateway.name, self._after))
            self._drained = not self._batch
            if self._batch:
                self._after = self._batch[-1][0].seq
        return self._batch.popleft() if self._batch else None

    def release(self, target: Target) -> None:
        """Let the next of those that this target excluded go."""
        key = self._lane.gateway.exclusive(target)
        if key is None:
            return
        aside = self._aside.get(key)
        if aside:
            self._ready.append(aside.popleft())
            self._aside_count -= 1
        else:
            self._aside.pop(key, None)
            self._busy.discard(key)
        released, self._released = self._released, anyio.Event()
        released.set()


async def execute(crew: Crew, lanes: dict[str, tuple[Lane, Send]]) -> None:
    """Take every open target as far as this session may. Returns when nothing is under way any more."""
    left = crew.pending.left()
    for name, (lane, _) in lanes.items():
        lane.left = sum(count for (_, gateway), count in left.items() if gateway == name)
    for index, wave in enumerate(crew.plan.waves):
        here = {name: left[index, name] for name in lanes if left.get((index, name))}
        if not here or crew.stopping.kind is not None:
            continue
        crew.emit(WaveStarted(at=crew.world.now(), wave=wave.name, left=sum(here.values())))
        crew.tally.next_wave()
        async with anyio.create_task_group() as group:
            for name, count in here.items():
                lane, send = lanes[name]
                feed = Feed(crew.pending, index, lane)
                for _ in range(min(lane.gateway.concurrency, count)):
                    group.start_soon(_work, crew, lane, send, feed)
        crew.emit(WaveEnded(at=crew.world.now(), wave=wave.name))
        if any(later > index for later, _ in left):
            await _judge_wave(crew, index)


async def _judge_wave(crew: Crew, index: int) -> None:
    """Stop before the next wave where this one says that something is wrong."""
    name = crew.plan.waves[index].name
    try:
        await crew.record.flush()
    except DiskError as error:
        crew.stopping.stop("disk", str(error))
        return
    if breach := crew.tally.breach():
        crew.stopping.stop("stop_rule", breach)
    elif fruitless(crew.pending.outcomes(index), left=_left_in(crew, index)):
        crew.stopping.stop("stop_rule", f"nothing in wave {name} was undeployed")


def _left_in(crew: Crew, index: int) -> int:
    """Count the targets of a wave that nobody took, since their lane ended first."""
    return sum(count for (wave, _), count in crew.pending.left().items() if wave == index)


async def _work(crew: Crew, lane: Lane, send: Send, feed: Feed) -> None:
    """One worker: take a target, bring it to its outcome, take the next."""
    while lane.refusal() is None and (item := await feed.take()) is not None:
        target, past = item
        began = crew.world.monotonic()
        course = Course(
            target,
            past,
            lane,
            world=crew.world,
            stopping=crew.stopping,
            send=send,
            record=crew.record,
            emit=crew.emit,
            note=crew.note,
        )
        try:
            end = await course.run()
        except DiskError as error:
            crew.stopping.stop("disk", str(error))
            return
        finally:
            feed.release(target)
            lane.leave(target.id)
        _keep(crew, end, course, crew.world.monotonic() - began, doubted=past.doubt)


def _keep(crew: Crew, end: End, course: Course, seconds: float, *, doubted: bool) -> None:
    """Keep a target's outcome, tell it, and ask the stop rules."""
    target, at = course.target, crew.world.now()
    crew.record.ended(target, end, seconds=seconds, at=at)
    crew.emit(
        TargetEnded(
            at=at,
            target=target.id,
            gateway=target.gateway,
            wave=crew.plan.waves[target.wave].name,
            outcome=end.outcome,
            reason=end.reason,
            evidence=end.evidence,
            seconds=seconds,
            attempts=course.past.requests,
        )
    )
    if breach := crew.tally.add(end.outcome, end.reason, doubted=doubted):
        crew.stopping.stop("stop_rule", breach)
