"""Many targets: waves in order, a fixed number of workers a lane, and the rules that stop them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

import anyio
from msgspec import Struct

from orchestrator.engine.pauses import Prompt, asked, rest
from orchestrator.engine.queue import Claims, Feed, Order, Taken
from orchestrator.engine.target_run import Course, Tools
from orchestrator.errors import DiskError
from orchestrator.journal.pending import Leg, Pending
from orchestrator.journal.record import Record
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.state_list import Deferred, Overview
from orchestrator.model.events import StepStarted, TargetEnded, WaveEnded, WaveStarted
from orchestrator.model.http import Send
from orchestrator.model.plan import Plan, Wave
from orchestrator.model.reading import UNDEPLOY, Act
from orchestrator.rules.dependencies import Dependencies
from orchestrator.rules.retry import End, blocked
from orchestrator.rules.stop_rules import Tally, fruitless


class Crew(Struct, frozen=True, kw_only=True):
    """What the workers of a run share."""

    plan: Plan
    pending: Pending
    record: Record
    tally: Tally
    tools: Tools
    prompt: Prompt | None = None
    """Asks whether to go on after a wave, where somebody sits there."""


class Way(NamedTuple):
    """All that leads to one gateway."""

    lane: Lane
    send: Send
    overview: Overview | None = None


async def execute(crew: Crew, ways: dict[str, Way]) -> None:
    """Take every open target as far as this session may. Returns when nothing is under way any more."""
    left = crew.pending.left()
    legs = sorted({leg for leg, _ in left})
    claims: dict[str, Claims] = defaultdict(Claims)
    begun = crew.pending.begun()
    if begun and legs and legs[0] not in begun and (wave := _wave_before(crew.plan, legs[0])):
        await asked(wave, crew.tools, crew.prompt)  # the session before ended without an answer
    before: Leg | None = None
    for leg, following in zip_longest(legs, legs[1:]):
        here = {name: left[leg, name] for name in ways if left.get((leg, name))}
        if crew.tools.stopping.kind is not None or (before is not None and _is_too_late(crew, ways)):
            return
        if before is None or before.wave != leg.wave:
            whole = sum(count for (other, _), count in left.items() if other.wave == leg.wave)
            _tell_wave(crew, leg, whole)
        before = leg
        _tell_step(crew, leg, sum(here.values()))
        await _run_leg(crew, ways, leg, here, claims)
        if following is None or following.wave != leg.wave:
            crew.tools.emit(WaveEnded(at=crew.tools.world.now(), wave=crew.plan.waves[leg.wave].name))
        if following is not None:
            # Who goes on past a stop has seen how the legs went that had begun before.
            await _judge(crew, ways, leg, accepted=crew.tally.past_stop and leg in begun)
            await rest(crew.plan.waves[leg.wave], crew.tools, crew.prompt)


def _wave_before(plan: Plan, leg: Leg) -> Wave | None:
    """Return the wave that ends, or has a step that ends, just before a leg."""
    index = leg.wave if leg.step else leg.wave - 1
    return plan.waves[index] if index >= 0 else None


def _tell_wave(crew: Crew, leg: Leg, left: int) -> None:
    name = crew.plan.waves[leg.wave].name
    crew.tools.emit(WaveStarted(at=crew.tools.world.now(), wave=name, left=left))


def _tell_step(crew: Crew, leg: Leg, left: int) -> None:
    at, wave = crew.tools.world.now(), crew.plan.waves[leg.wave]
    crew.record.note(at, "leg", text=f"{leg.wave} {leg.step}")
    steps = crew.pending.steps(leg.wave) if wave.sizes else 1
    crew.tally.next_wave(wave.name, f"step {leg.step + 1} of {steps}" if steps > 1 else "")
    if steps > 1:
        crew.tools.emit(StepStarted(at=at, wave=wave.name, number=leg.step + 1, steps=steps, left=left))


async def _run_leg(
    crew: Crew, ways: dict[str, Way], leg: Leg, here: dict[str, int], claims: dict[str, Claims]
) -> None:
    """Take the targets of one leg as far as this session may, all gateways side by side."""
    order = Order(Dependencies(crew.pending.needs(leg)))
    async with anyio.create_task_group() as group:
        for name, count in here.items():
            gateway = ways[name].lane.gateway
            feed = Feed(crew.pending, leg, gateway, claims[gateway.installation], order)
            group.start_soon(_staff, crew, ways[name], feed, order, count)


async def _staff(crew: Crew, way: Way, feed: Feed, order: Order, count: int) -> None:
    """Keep as many workers at a lane as it may have requests in flight, until its targets are taken; then
    look at those that have waited for that, however the other lanes are doing."""
    lane = way.lane
    lane.left = count
    async with anyio.create_task_group() as group:

        def hire(more: int) -> None:
            for _ in range(more):
                group.start_soon(_work, crew, way, feed, order)

        lane.hire = hire
        hire(min(lane.concurrency, count))
    lane.hire = lambda _: None
    order.abandon(lane.gateway.name)
    await _look_at_deferred(crew, way, order, lane.concurrency)


async def _judge(crew: Crew, ways: dict[str, Way], leg: Leg, *, accepted: bool) -> None:
    """Stop before the next leg where this one says that something is wrong."""
    wave, stopping = crew.plan.waves[leg.wave], crew.tools.stopping
    try:
        await crew.record.flush()
    except DiskError as error:
        stopping.stop("disk", str(error))
        return
    if breach := crew.tally.breach():
        stopping.stop("stop_rule", breach)
    elif not (accepted or _is_too_late(crew, ways)) and fruitless(
        crew.pending.outcomes(leg), left=_left_in(crew, leg)
    ):
        where = f"step {leg.step + 1} of wave {wave.name}" if wave.sizes else f"wave {wave.name}"
        done = "undeployed" if crew.tools.change == UNDEPLOY else "restored"
        stopping.stop("stop_rule", f"nothing in {where} was {done}")


def _is_too_late(crew: Crew, ways: dict[str, Way]) -> bool:
    """Tell whether the window lets nothing start any more: then it means nothing that nothing did.

    A gateway that has nothing left does not count, however much time it would still have.
    """
    now, stopping = crew.tools.world.monotonic(), crew.tools.stopping
    waiting = {name for _, name in crew.pending.left()}
    timeouts = [way.lane.gateway.reply_timeout for name, way in ways.items() if name in waiting]
    return (
        stopping.kind is None
        and bool(timeouts)
        and all(stopping.refuses(Act.UNDEPLOY, now, takes=timeout) is not None for timeout in timeouts)
    )


def _left_in(crew: Crew, leg: Leg) -> int:
    """Count the targets of a leg that nobody took, since their lane ended first."""
    return sum(count for (other, _), count in crew.pending.left().items() if other == leg)


async def _work(crew: Crew, way: Way, feed: Feed, order: Order) -> None:
    """One worker: take a target, bring it to its outcome, take the next."""
    lane = way.lane
    while lane.refusal() is None and (taken := await feed.take()) is not None:
        try:
            if taken.broken is None:
                await _undeploy(crew, way, feed, order, taken)
            elif lane.refusal() is None:
                course = Course(taken.target, taken.past, lane, way.send, crew.tools)
                end = blocked(taken.past, taken.broken)
                _keep(crew, order, end, course, 0.0, doubted=taken.past.requests > 0)
        except DiskError as error:
            crew.tools.stopping.stop("disk", str(error))
        finally:
            lane.leave(taken.target.id)
            order.settle(taken.target.seq, None)  # no news where it has ended; else nobody may wait for it


async def _undeploy(crew: Crew, way: Way, feed: Feed, order: Order, taken: Taken) -> None:
    target, past, _ = taken
    # Whoever is waited for is looked at by itself: the shared look comes when all others are done.
    overview = None if order.dependencies.needed(target.seq) else way.overview
    course = Course(target, past, way.lane, way.send, crew.tools, overview=overview)
    way.lane.enter(target.id)
    began = crew.tools.world.monotonic()
    try:
        end = await course.run()
    finally:
        feed.release(target)
    if isinstance(end, End):
        seconds = crew.tools.world.monotonic() - began
        _keep(crew, order, end, course, seconds, doubted=past.requests > 0)
    else:
        await _defer(crew, way, order, Deferred(target, course.past, began))


async def _defer(crew: Crew, way: Way, order: Order, waiting: Deferred) -> None:
    """Let a target wait for the look that many share."""
    assert way.overview is not None  # noqa: S101 - nobody waits for a list that there is not
    way.overview.defer(waiting)
    if breach := crew.tally.wait():
        crew.tools.stopping.stop("stop_rule", breach)
    if way.overview.full:
        await _look_at_deferred(crew, way, order, workers=1)  # this one: the others go on meanwhile


async def _look_at_deferred(crew: Crew, way: Way, order: Order, workers: int) -> None:
    """Look at those who have waited: off a list that is read once more, or one by one."""
    if way.overview is None or not (waiting := way.overview.take_deferred()):
        return
    if way.overview.pays(len(waiting)):
        await way.overview.renew()
    turns = iter(waiting)
    async with anyio.create_task_group() as group:
        for _ in range(min(workers, len(waiting))):
            group.start_soon(_finish, crew, way, order, turns)


async def _finish(crew: Crew, way: Way, order: Order, turns: Iterator[Deferred]) -> None:
    for target, past, began in turns:
        course = Course(target, past, way.lane, way.send, crew.tools, overview=way.overview, last_look=True)
        try:
            end = await course.run()
        except DiskError as error:
            crew.tools.stopping.stop("disk", str(error))
            return
        finally:
            way.lane.release(target.id)
        if isinstance(end, End):
            seconds = crew.tools.world.monotonic() - began
            _keep(crew, order, end, course, seconds, doubted=False, waited=True)


def _keep(
    crew: Crew,
    order: Order,
    end: End,
    course: Course,
    seconds: float,
    *,
    doubted: bool,
    waited: bool = False,
) -> None:
    """Keep a target's outcome, tell it to those who wait for it, and ask the stop rules."""
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
    order.settle(target.seq, end.outcome)
