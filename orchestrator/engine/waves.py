"""The waves of a session in their order, each in steps, and the checks between two steps."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from itertools import zip_longest

import anyio

from orchestrator.engine.pauses import pause_after_wave, wait_to_proceed
from orchestrator.engine.queue import DependencyTracker, ExclusiveKeys, TargetQueue
from orchestrator.engine.resources import RunResources
from orchestrator.engine.workers import LaneWorkers
from orchestrator.errors import DiskError
from orchestrator.model.events import StepStarted, WaveEnded, WaveStarted
from orchestrator.model.plan import Wave, WaveStep
from orchestrator.model.reading import Act
from orchestrator.rules.dependencies import Dependencies
from orchestrator.rules.steps import find_step_before
from orchestrator.rules.stop_rules import is_fruitless
from orchestrator.rules.upcoming import count_upcoming


class WaveRunner:
    """Takes every open target as far as this session may, wave step by wave step."""

    def __init__(self, resources: RunResources) -> None:
        self._resources = resources
        self._plan = resources.spec.plan
        self._pending = resources.pending
        self._run_gate = resources.run_gate
        self._left: dict[WaveStep, dict[str, int]] = defaultdict(dict)
        """The open targets of each wave step by gateway name; of an ended one those that no worker took."""
        self._open: Counter[str] = Counter()
        """The open targets of all wave steps by gateway name."""
        self._left_in_wave: Counter[int] = Counter()
        """The targets that were open when the session began, by wave."""
        self._begun = resources.pending.list_begun()
        self._unended: WaveStep | None = None
        """A step of the wave whose end is still to be told; None if none goes on."""
        self._keys: dict[str, ExclusiveKeys] = defaultdict(ExclusiveKeys)
        """By installation: a plan may name one installation as two gateways."""
        for (wave_step, name), count in resources.pending.count_left().items():
            self._left[wave_step][name] = count
            self._open[name] += count
            self._left_in_wave[wave_step.wave] += count
        self._upcoming = count_upcoming(self._left, self._plan.waves)

    async def run(self) -> None:
        """Take the wave steps in their order. Returns when nothing is under way any more."""
        try:
            await self._run_steps()
        except DiskError as error:  # the journal cannot be read, or takes no rows any more
            self._run_gate.stop("disk", str(error))
        if self._unended is not None:  # broken off before its last step
            self._announce_end(self._unended)

    async def _run_steps(self) -> None:
        steps = sorted(self._left)
        if steps:
            await self._ask_again(steps[0])
        before: WaveStep | None = None
        for wave_step, following in zip_longest(steps, steps[1:]):
            if self._run_gate.stop_kind is not None or (before is not None and self._is_too_late()):
                return
            if before is None or before.wave != wave_step.wave:
                self._announce_wave(wave_step)
            before = wave_step
            await self._run_step(wave_step)
            if following is None or following.wave != wave_step.wave:
                self._announce_end(wave_step)
            if following is not None:
                await self._judge(wave_step)
                await pause_after_wave(self._find_wave(wave_step), self._resources)

    async def _ask_again(self, first: WaveStep) -> None:
        """Ask whether to continue, if the session before ended between two wave steps without an answer."""
        before = find_step_before(first, self._begun)
        if before is not None:
            await wait_to_proceed(self._find_wave(before), self._resources)

    async def _run_step(self, wave_step: WaveStep) -> None:
        """Take the targets of one wave step as far as this session may, all lanes side by side."""
        lanes, pending = self._resources.lanes, self._pending
        here = {name: count for name in lanes if (count := self._left[wave_step].get(name))}
        upcoming = self._upcoming[wave_step]
        self._announce_step(wave_step, sum(here.values()))
        tracker = DependencyTracker(Dependencies(partial(pending.list_prerequisites, wave_step)))
        async with anyio.create_task_group() as group:
            for name, count in here.items():
                gateway = lanes[name].gateway
                queue = TargetQueue(pending, wave_step, gateway, self._keys[gateway.installation], tracker)
                workers = LaneWorkers(self._resources, lanes[name], queue, tracker)
                group.start_soon(workers.run, count, upcoming.get(name, 0))

    async def _judge(self, wave_step: WaveStep) -> None:
        """Stop before the next wave step if this one shows that something is wrong."""
        stop_rules = self._resources.stop_rules
        # The outcomes are counted in the journal, so its newest rows must be there first.
        await self._resources.record.flush()
        self._recount(wave_step)
        if breach := stop_rules.find_breach():
            self._run_gate.stop("stop_rule", breach)
            return
        # An operator who resumed past a stop saw how the earlier wave steps ended.
        is_accepted = stop_rules.past_stop and wave_step in self._begun
        if is_accepted or self._is_too_late():
            return
        left = sum(self._left[wave_step].values())
        if is_fruitless(self._pending.count_outcomes(wave_step), left=left):
            wave = self._find_wave(wave_step)
            where = f"step {wave_step.step + 1} of wave {wave.name}" if wave.sizes else f"wave {wave.name}"
            done = "restored" if self._resources.spec.is_restore else "undeployed"
            self._run_gate.stop("stop_rule", f"nothing in {where} was {done}")

    def _is_too_late(self) -> bool:
        """Return whether the window lets no open target start any more.

        A gateway without open targets does not count, however short its timeout is. When nothing may start,
        a wave step without a success is no sign of a mistake.
        """
        now, run_gate = self._resources.environment.monotonic(), self._run_gate
        lanes = self._resources.lanes.items()
        timeouts = [lane.gateway.reply_timeout for name, lane in lanes if self._open[name]]
        return (
            run_gate.stop_kind is None
            and bool(timeouts)
            and all(run_gate.refusal(Act.UNDEPLOY, now, takes=timeout) is not None for timeout in timeouts)
        )

    def _recount(self, wave_step: WaveStep) -> None:
        """Count the targets of an ended wave step that no worker took, since their lane ended first."""
        # Of this step alone: a run of many steps would count all of its targets as often.
        self._open.subtract(self._left[wave_step])
        self._left[wave_step] = self._pending.count_left_in(wave_step)
        self._open.update(self._left[wave_step])

    def _find_wave(self, wave_step: WaveStep) -> Wave:
        return self._plan.waves[wave_step.wave]

    def _announce_wave(self, wave_step: WaveStep) -> None:
        at, name = self._resources.environment.now(), self._find_wave(wave_step).name
        left = self._left_in_wave[wave_step.wave]
        self._unended = wave_step
        self._resources.emit(WaveStarted(at=at, wave=name, left=left))

    def _announce_end(self, wave_step: WaveStep) -> None:
        at, name = self._resources.environment.now(), self._find_wave(wave_step).name
        self._unended = None
        self._resources.emit(WaveEnded(at=at, wave=name))

    def _announce_step(self, wave_step: WaveStep, left: int) -> None:
        """Keep that a wave step begins, and have the stop rules count its shares afresh."""
        at, wave = self._resources.environment.now(), self._find_wave(wave_step)
        self._resources.record.keep_wave_step(at, wave_step)
        number, steps = wave_step.step + 1, self._pending.count_steps(wave_step.wave) if wave.sizes else 1
        self._resources.stop_rules.begin_wave(wave.name, f"step {number} of {steps}" if steps > 1 else "")
        if steps > 1:
            self._resources.emit(StepStarted(at=at, wave=wave.name, number=number, steps=steps, left=left))
