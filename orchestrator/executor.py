"""Many targets: waves in order, a fixed number of workers a lane, and the rules that stop them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import anyio
from msgspec import Struct

from orchestrator.errors import DiskError
from orchestrator.events import TargetEnded, WaveEnded, WaveStarted
from orchestrator.feed import Claims, Feed
from orchestrator.journal.pending import Pending
from orchestrator.journal.record import Record
from orchestrator.lane import Lane
from orchestrator.model import Plan
from orchestrator.overview import Deferred, Overview
from orchestrator.retry import End
from orchestrator.schedule import Tally, fruitless
from orchestrator.undeploy import Course, Tools
from orchestrator.world import Send


class Crew(Struct, frozen=True, kw_only=True):
    """What the workers of a run share."""

    plan: Plan
    pending: Pending
    record: Record
    tally: Tally
    tools: Tools


class Way(NamedTuple):
    """All that leads to one gateway."""

    lane: Lane
    send: Send
    overview: Overview | None = None


async def execute(crew: Crew, ways: dict[str, Way]) -> None:
    """Take every open target as far as this session may. Returns when nothing is under way any more."""
    left = crew.pending.left()
    claims: dict[str, Claims] = defaultdict(Claims)
    begun = crew.pending.begun()
    for index, wave in enumerate(crew.plan.waves):
        here = {name: left[index, name] for name in ways if left.get((index, name))}
        if not here or crew.tools.stopping.kind is not None:
            continue
        crew.tools.emit(WaveStarted(at=crew.tools.world.now(), wave=wave.name, left=sum(here.values())))
        crew.tally.next_wave()
        async with anyio.create_task_group() as group:
            for name, count in here.items():
                ways[name].lane.left = count
                gateway = ways[name].lane.gateway
                feed = Feed(crew.pending, index, gateway, claims[gateway.installation])
                for _ in range(min(gateway.concurrency, count)):
                    group.start_soon(_work, crew, ways[name], feed)
        async with anyio.create_task_group() as group:
            for name in here:
                group.start_soon(_look_at_deferred, crew, ways[name], ways[name].lane.gateway.concurrency)
        crew.tools.emit(WaveEnded(at=crew.tools.world.now(), wave=wave.name))
        if any(later > index for later, _ in left):
            # Who goes on past a stop has seen how the waves went that had begun before.
            await _judge_wave(crew, index, accepted=crew.tally.past_stop and index in begun)


async def _judge_wave(crew: Crew, index: int, *, accepted: bool) -> None:
    """Stop before the next wave where this one says that something is wrong."""
    name, stopping = crew.plan.waves[index].name, crew.tools.stopping
    try:
        await crew.record.flush()
    except DiskError as error:
        stopping.stop("disk", str(error))
        return
    if breach := crew.tally.breach():
        stopping.stop("stop_rule", breach)
    elif not accepted and fruitless(crew.pending.outcomes(index), left=_left_in(crew, index)):
        stopping.stop("stop_rule", f"nothing in wave {name} was undeployed")


def _left_in(crew: Crew, index: int) -> int:
    """Count the targets of a wave that nobody took, since their lane ended first."""
    return sum(count for (wave, _), count in crew.pending.left().items() if wave == index)


async def _work(crew: Crew, way: Way, feed: Feed) -> None:
    """One worker: take a target, bring it to its outcome, take the next."""
    lane, overview = way.lane, way.overview
    while lane.refusal() is None and (item := await feed.take()) is not None:
        target, past = item
        began = crew.tools.world.monotonic()
        course = Course(target, past, lane, way.send, crew.tools, overview=overview)
        try:
            end = await course.run()
        except DiskError as error:
            crew.tools.stopping.stop("disk", str(error))
            return
        finally:
            feed.release(target)
            lane.leave(target.id)
        if isinstance(end, End):
            _keep(crew, end, course, crew.tools.world.monotonic() - began, doubted=past.requests > 0)
        elif overview is not None:
            overview.defer(Deferred(target, course.past, began))
            if breach := crew.tally.wait():
                crew.tools.stopping.stop("stop_rule", breach)
            if overview.full:
                await _look_at_deferred(crew, way, workers=1)  # this one: the others go on meanwhile


async def _look_at_deferred(crew: Crew, way: Way, workers: int) -> None:
    """Look at those who have waited: off a list that is read once more, or one by one."""
    if way.overview is None or not (waiting := way.overview.take_deferred()):
        return
    if way.overview.serves:
        await way.overview.renew()
    turns = iter(waiting)
    async with anyio.create_task_group() as group:
        for _ in range(min(workers, len(waiting))):
            group.start_soon(_finish, crew, way, turns)


async def _finish(crew: Crew, way: Way, turns: Iterator[Deferred]) -> None:
    for target, past, began in turns:
        course = Course(target, past, way.lane, way.send, crew.tools, overview=way.overview, last_look=True)
        try:
            end = await course.run()
        except DiskError as error:
            crew.tools.stopping.stop("disk", str(error))
            return
        if isinstance(end, End):
            seconds = crew.tools.world.monotonic() - began
            _keep(crew, end, course, seconds, doubted=False, waited=True)


def _keep(
    crew: Crew, end: End, course: Course, seconds: float, *, doubted: bool, waited: bool = False
) -> None:
    """Keep a target's outcome, tell it, and ask the stop rules."""
    target, at = course.target, crew.tools.world.now()
    crew.record.ended(target, end, seconds=seconds, at=at)
    crew.tools.emit(
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
    if breach := crew.tally.add(end.outcome, end.reason, doubted=doubted, waited=waited):
        crew.tools.stopping.stop("stop_rule", breach)
