"""Many targets: waves in order, a fixed number of workers a lane, and the rules that stop them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest

import anyio
from msgspec import Struct

from orchestrator.engine.pauses import Prompt, pause_after_wave, wait_to_proceed
from orchestrator.engine.queue import DependencyTracker, ExclusiveKeys, QueuedTarget, TargetQueue
from orchestrator.engine.resources import RunResources
from orchestrator.engine.target_run import TargetRun
from orchestrator.errors import DiskError
from orchestrator.journal.pending import Pending
from orchestrator.journal.record import Record
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.state_list import DeferredTarget
from orchestrator.model.events import StepStarted, TargetEnded, WaveEnded, WaveStarted
from orchestrator.model.plan import Plan, Wave, WaveStep
from orchestrator.model.reading import UNDEPLOY, Act
from orchestrator.rules.dependencies import Dependencies
from orchestrator.rules.retry import TargetEnd, end_blocked
from orchestrator.rules.stop_rules import StopRules, is_fruitless


class Crew(Struct, frozen=True, kw_only=True):
    """What the workers of a run share."""

    plan: Plan
    pending: Pending
    record: Record
    tally: StopRules
    tools: RunResources
    prompt: Prompt | None = None
    """Asks whether to go on after a wave, where somebody sits there."""


async def execute(crew: Crew, lanes: dict[str, Lane]) -> None:
    """Take every open target as far as this session may. Returns when nothing is under way any more."""
    left = crew.pending.left()
    wave_steps = sorted({wave_step for wave_step, _ in left})
    claims: dict[str, ExclusiveKeys] = defaultdict(ExclusiveKeys)
    begun = crew.pending.begun()
    if (
        begun
        and wave_steps
        and wave_steps[0] not in begun
        and (wave := _wave_before(crew.plan, wave_steps[0]))
    ):
        await wait_to_proceed(wave, crew.tools, crew.prompt)  # the session before ended without an answer
    before: WaveStep | None = None
    for wave_step, following in zip_longest(wave_steps, wave_steps[1:]):
        here = {name: left[wave_step, name] for name in lanes if left.get((wave_step, name))}
        if crew.tools.run_gate.kind is not None or (before is not None and _is_too_late(crew, lanes)):
            return
        if before is None or before.wave != wave_step.wave:
            whole = sum(count for (other, _), count in left.items() if other.wave == wave_step.wave)
            _tell_wave(crew, wave_step, whole)
        before = wave_step
        _tell_step(crew, wave_step, sum(here.values()))
        await _run_leg(crew, lanes, wave_step, here, claims)
        if following is None or following.wave != wave_step.wave:
            crew.tools.emit(
                WaveEnded(at=crew.tools.environment.now(), wave=crew.plan.waves[wave_step.wave].name)
            )
        if following is not None:
            # Who goes on past a stop has seen how the legs went that had begun before.
            await _judge(crew, lanes, wave_step, accepted=crew.tally.past_stop and wave_step in begun)
            await pause_after_wave(crew.plan.waves[wave_step.wave], crew.tools, crew.prompt)


def _wave_before(plan: Plan, wave_step: WaveStep) -> Wave | None:
    """Return the wave that ends, or has a step that ends, just before a leg."""
    index = wave_step.wave if wave_step.step else wave_step.wave - 1
    return plan.waves[index] if index >= 0 else None


def _tell_wave(crew: Crew, wave_step: WaveStep, left: int) -> None:
    name = crew.plan.waves[wave_step.wave].name
    crew.tools.emit(WaveStarted(at=crew.tools.environment.now(), wave=name, left=left))


def _tell_step(crew: Crew, wave_step: WaveStep, left: int) -> None:
    at, wave = crew.tools.environment.now(), crew.plan.waves[wave_step.wave]
    crew.record.wave_step(at, wave_step)
    steps = crew.pending.steps(wave_step.wave) if wave.sizes else 1
    crew.tally.next_wave(wave.name, f"step {wave_step.step + 1} of {steps}" if steps > 1 else "")
    if steps > 1:
        crew.tools.emit(StepStarted(at=at, wave=wave.name, number=wave_step.step + 1, steps=steps, left=left))


async def _run_leg(
    crew: Crew,
    lanes: dict[str, Lane],
    wave_step: WaveStep,
    here: dict[str, int],
    claims: dict[str, ExclusiveKeys],
) -> None:
    """Take the targets of one leg as far as this session may, all gateways side by side."""
    order = DependencyTracker(Dependencies(crew.pending.needs(wave_step)))
    async with anyio.create_task_group() as group:
        for name, count in here.items():
            gateway = lanes[name].gateway
            queue = TargetQueue(crew.pending, wave_step, gateway, claims[gateway.installation], order)
            group.start_soon(_staff, crew, lanes[name], queue, order, count)


async def _staff(crew: Crew, lane: Lane, queue: TargetQueue, order: DependencyTracker, count: int) -> None:
    """Keep as many workers at a lane as it may have requests in flight, until its targets are taken; then
    look at those that have waited for that, however the other lanes are doing."""
    async with anyio.create_task_group() as group:

        def hire(more: int) -> None:
            for _ in range(more):
                group.start_soon(_work, crew, lane, queue, order)

        lane.begin_step(count, hire)
        hire(min(lane.concurrency, count))
    lane.end_step()
    order.abandon(lane.gateway.name)
    await _look_at_deferred(crew, lane, order, lane.concurrency)


async def _judge(crew: Crew, lanes: dict[str, Lane], wave_step: WaveStep, *, accepted: bool) -> None:
    """Stop before the next leg where this one says that something is wrong."""
    wave, run_gate = crew.plan.waves[wave_step.wave], crew.tools.run_gate
    try:
        await crew.record.flush()
    except DiskError as error:
        run_gate.stop("disk", str(error))
        return
    if breach := crew.tally.find_breach():
        run_gate.stop("stop_rule", breach)
    elif not (accepted or _is_too_late(crew, lanes)) and is_fruitless(
        crew.pending.outcomes(wave_step), left=_left_in(crew, wave_step)
    ):
        where = f"step {wave_step.step + 1} of wave {wave.name}" if wave.sizes else f"wave {wave.name}"
        done = "undeployed" if crew.tools.change == UNDEPLOY else "restored"
        run_gate.stop("stop_rule", f"nothing in {where} was {done}")


def _is_too_late(crew: Crew, lanes: dict[str, Lane]) -> bool:
    """Tell whether the window lets nothing start any more: then it means nothing that nothing did.

    A gateway that has nothing left does not count, however much time it would still have.
    """
    now, run_gate = crew.tools.environment.monotonic(), crew.tools.run_gate
    waiting = {name for _, name in crew.pending.left()}
    timeouts = [lane.gateway.reply_timeout for name, lane in lanes.items() if name in waiting]
    return (
        run_gate.kind is None
        and bool(timeouts)
        and all(run_gate.refuses(Act.UNDEPLOY, now, takes=timeout) is not None for timeout in timeouts)
    )


def _left_in(crew: Crew, wave_step: WaveStep) -> int:
    """Count the targets of a leg that nobody took, since their lane ended first."""
    return sum(count for (other, _), count in crew.pending.left().items() if other == wave_step)


async def _work(crew: Crew, lane: Lane, queue: TargetQueue, order: DependencyTracker) -> None:
    """One worker: take a target, bring it to its outcome, take the next."""
    while lane.refusal() is None and (taken := await queue.take()) is not None:
        try:
            if taken.refusal is None:
                await _undeploy(crew, lane, queue, order, taken)
            elif lane.refusal() is None:
                target_run = TargetRun(taken.target, taken.history, lane, crew.tools)
                end = end_blocked(taken.history, taken.refusal)
                _keep(crew, order, end, target_run, 0.0, doubted=taken.history.requests > 0)
        except DiskError as error:
            crew.tools.run_gate.stop("disk", str(error))
        finally:
            lane.leave(taken.target.id)
            order.settle(taken.target.seq, None)  # no news where it has ended; else nobody may wait for it


async def _undeploy(
    crew: Crew, lane: Lane, queue: TargetQueue, order: DependencyTracker, taken: QueuedTarget
) -> None:
    target, history, _ = taken
    # Whoever is waited for is looked at by itself: the shared look comes when all others are done.
    state_list = None if order.dependencies.is_awaited(target.seq) else lane.state_list
    target_run = TargetRun(target, history, lane, crew.tools, state_list=state_list)
    lane.enter(target.id)
    began = crew.tools.environment.monotonic()
    try:
        end = await target_run.run()
    finally:
        queue.release(target)
    if isinstance(end, TargetEnd):
        seconds = crew.tools.environment.monotonic() - began
        _keep(crew, order, end, target_run, seconds, doubted=history.requests > 0)
    else:
        await _defer(crew, lane, order, DeferredTarget(target, target_run.history, began))


async def _defer(crew: Crew, lane: Lane, order: DependencyTracker, waiting: DeferredTarget) -> None:
    """Let a target wait for the look that many share."""
    lane.state_list.defer(waiting)
    if breach := crew.tally.wait():
        crew.tools.run_gate.stop("stop_rule", breach)
    if lane.state_list.full:
        await _look_at_deferred(crew, lane, order, workers=1)  # this one: the others go on meanwhile


async def _look_at_deferred(crew: Crew, lane: Lane, order: DependencyTracker, workers: int) -> None:
    """Look at those who have waited: off a list that is read once more, or one by one."""
    if not (waiting := lane.state_list.take_deferred()):
        return
    if lane.state_list.pays(len(waiting)):
        await lane.state_list.renew()
    turns = iter(waiting)
    async with anyio.create_task_group() as group:
        for _ in range(min(workers, len(waiting))):
            group.start_soon(_finish, crew, lane, order, turns)


async def _finish(crew: Crew, lane: Lane, order: DependencyTracker, turns: Iterator[DeferredTarget]) -> None:
    for target, history, began in turns:
        target_run = TargetRun(target, history, lane, crew.tools, state_list=lane.state_list, last_look=True)
        try:
            end = await target_run.run()
        except DiskError as error:
            crew.tools.run_gate.stop("disk", str(error))
            return
        finally:
            lane.release(target.id)
        if isinstance(end, TargetEnd):
            seconds = crew.tools.environment.monotonic() - began
            _keep(crew, order, end, target_run, seconds, doubted=False, waited=True)


def _keep(
    crew: Crew,
    order: DependencyTracker,
    end: TargetEnd,
    target_run: TargetRun,
    seconds: float,
    *,
    doubted: bool,
    waited: bool = False,
) -> None:
    """Keep a target's outcome, tell it to those who wait for it, and ask the stop rules."""
    target, at = target_run.target, crew.tools.environment.now()
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
            attempts=target_run.history.requests,
        )
    )
    if breach := crew.tally.add(end.outcome, end.reason, doubted=doubted, waited=waited):
        crew.tools.run_gate.stop("stop_rule", breach)
    order.settle(target.seq, end.outcome)
