"""Many targets: waves in order, a fixed number of workers a lane, and the rules that stop them."""

from __future__ import annotations

from collections import defaultdict

import anyio
from msgspec import Struct

from orchestrator.errors import DiskError
from orchestrator.events import TargetEnded, WaveEnded, WaveStarted
from orchestrator.feed import Claims, Feed
from orchestrator.journal.pending import Pending
from orchestrator.journal.record import Record
from orchestrator.lane import Lane
from orchestrator.model import Plan
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


async def execute(crew: Crew, lanes: dict[str, tuple[Lane, Send]]) -> None:
    """Take every open target as far as this session may. Returns when nothing is under way any more."""
    left = crew.pending.left()
    claims: dict[str, Claims] = defaultdict(Claims)
    for name, (lane, _) in lanes.items():
        lane.left = sum(count for (_, gateway), count in left.items() if gateway == name)
    for index, wave in enumerate(crew.plan.waves):
        here = {name: left[index, name] for name in lanes if left.get((index, name))}
        if not here or crew.tools.stopping.kind is not None:
            continue
        crew.tools.emit(WaveStarted(at=crew.tools.world.now(), wave=wave.name, left=sum(here.values())))
        crew.tally.next_wave()
        async with anyio.create_task_group() as group:
            for name, count in here.items():
                lane, send = lanes[name]
                feed = Feed(crew.pending, index, lane.gateway, claims[lane.gateway.installation])
                for _ in range(min(lane.gateway.concurrency, count)):
                    group.start_soon(_work, crew, lane, send, feed)
        crew.tools.emit(WaveEnded(at=crew.tools.world.now(), wave=wave.name))
        if any(later > index for later, _ in left):
            await _judge_wave(crew, index)


async def _judge_wave(crew: Crew, index: int) -> None:
    """Stop before the next wave where this one says that something is wrong."""
    name, stopping = crew.plan.waves[index].name, crew.tools.stopping
    try:
        await crew.record.flush()
    except DiskError as error:
        stopping.stop("disk", str(error))
        return
    if breach := crew.tally.breach():
        stopping.stop("stop_rule", breach)
    elif fruitless(crew.pending.outcomes(index), left=_left_in(crew, index)):
        stopping.stop("stop_rule", f"nothing in wave {name} was undeployed")


def _left_in(crew: Crew, index: int) -> int:
    """Count the targets of a wave that nobody took, since their lane ended first."""
    return sum(count for (wave, _), count in crew.pending.left().items() if wave == index)


async def _work(crew: Crew, lane: Lane, send: Send, feed: Feed) -> None:
    """One worker: take a target, bring it to its outcome, take the next."""
    while lane.refusal() is None and (item := await feed.take()) is not None:
        target, past = item
        began = crew.tools.world.monotonic()
        course = Course(target, past, lane, send, crew.tools)
        try:
            end = await course.run()
        except DiskError as error:
            crew.tools.stopping.stop("disk", str(error))
            return
        finally:
            feed.release(target)
            lane.leave(target.id)
        _keep(crew, end, course, crew.tools.world.monotonic() - began, doubted=past.doubt)


def _keep(crew: Crew, end: End, course: Course, seconds: float, *, doubted: bool) -> None:
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
    if breach := crew.tally.add(end.outcome, end.reason, doubted=doubted):
        crew.tools.stopping.stop("stop_rule", breach)
