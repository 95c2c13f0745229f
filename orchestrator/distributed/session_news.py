"""The news of a run's workflow, as a session on this machine tells them: steps, waits, lanes, stops."""

from __future__ import annotations

from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from orchestrator.distributed.payloads import RunInput, StepWork
from orchestrator.distributed.run_news import (
    LanePartBegun,
    LanePartOver,
    NewsItem,
    RunOver,
    RunStopped,
    StepBegun,
    StepOver,
    WaitBegun,
    WaitOver,
    ZoneAnswers,
    ZoneSilent,
)
from orchestrator.engine.lane_recorder import LaneRecorder
from orchestrator.engine.request import Prompt
from orchestrator.engine.resources import RunResources
from orchestrator.lanes.announcer import LaneNews
from orchestrator.model.events import RunContinued, RunWaiting, StepStarted, WaveEnded, WaveStarted
from orchestrator.model.outcome import NO_WORKER, Reason
from orchestrator.model.plan import WaveStep
from orchestrator.text.formats import format_unix_time


class LaneResults(Protocol):
    """Takes the results of lanes over: see ``lane_tails``."""

    def begin(self, part: LanePartBegun) -> None: ...
    def end(self, part: LanePartOver) -> None: ...
    async def finish(self, index: int | None = None) -> None: ...


class SessionNews:
    """Tells the news of a session, in their order, to its journal and its listeners."""

    def __init__(
        self,
        resources: RunResources,
        given: RunInput,
        lanes: LaneResults,
        group: TaskGroup,
        *,
        announced: int = -1,
        heard: int = 0,
    ) -> None:
        """``announced`` is the index of the last step of which an earlier process told, -1 if there is none.

        ``heard`` is the number of news that were there before this process: a wait among them is told only
        if it still goes on.
        """
        self._resources = resources
        self._steps = given.steps
        self._lanes = lanes
        self._group = group
        self._announced = announced
        self._heard = heard
        self._recorder = LaneRecorder(resources.record, resources.emit, resources.environment.now)
        self._silent: dict[str, ZoneSilent] = {}
        self._asking: anyio.CancelScope | None = None
        self._wait: WaitBegun | None = None
        self.told_wait: WaitBegun | None = None
        """The wait that goes on, once it has been told."""
        self.over: RunOver | None = None
        self._unended: str | None = None
        """The name of the wave whose end is still to be told; None if none goes on."""

    async def tell(self, item: NewsItem) -> None:
        """Tell one item. After the end of a step it returns once the results of that step are here."""
        self._heard -= 1
        match item:
            case StepBegun(index=index):
                self._begin_step(index)
            case StepOver(index=index):
                await self._end_step(index)
            case LanePartBegun() | LanePartOver() | ZoneSilent() | ZoneAnswers():
                self._tell_of_lane(item)
            case WaitBegun():
                self._wait = item
            case WaitOver():
                self._end_wait()
            case RunStopped(stop=stop):
                self._resources.run_gate.stop(stop.kind, stop.text)
            case RunOver():
                self._end_wait()
                self._end_wave()  # broken off before its last step
                self.over = item
        if self._heard <= 0:
            self._tell_what_holds(item)

    def _tell_what_holds(self, item: NewsItem) -> None:
        """Tell a wait and silent zones: the one that is new, or at first those that go on."""
        is_first = self._heard == 0
        if self._wait is not None and (is_first or item is self._wait):
            self._begin_wait(self._wait)
        for silent in list(self._silent.values()):
            if is_first or item is silent:
                self._tell_silence(silent)

    # Steps.

    def _begin_step(self, index: int) -> None:
        if index < self._announced:
            return
        resources, step = self._resources, self._steps[index]
        at = resources.environment.now()
        if index in (self._announced, 0) or self._steps[index - 1].wave != step.wave:
            left = sum(_count_targets(each) for each in self._steps if each.wave == step.wave)
            self._unended = step.name
            resources.emit(WaveStarted(at=at, wave=step.name, left=left))
        if index > self._announced:
            resources.record.keep_wave_step(at, WaveStep(step.wave, step.step))
        if step.steps > 1:
            resources.emit(
                StepStarted(
                    at=at,
                    wave=step.name,
                    number=step.step + 1,
                    steps=step.steps,
                    left=_count_targets(step),
                )
            )

    async def _end_step(self, index: int) -> None:
        if index < self._announced:
            return
        await self._lanes.finish(index)
        step, following = self._steps[index], self._steps[index + 1 : index + 2]
        if not following or following[0].wave != step.wave:
            self._end_wave()

    def _end_wave(self) -> None:
        if self._unended is not None:
            self._resources.emit(WaveEnded(at=self._resources.environment.now(), wave=self._unended))
            self._unended = None

    # Lanes.

    def _tell_of_lane(self, item: LanePartBegun | LanePartOver | ZoneSilent | ZoneAnswers) -> None:
        match item:
            case LanePartBegun():
                self._lanes.begin(item)
            case LanePartOver():
                self._end_part(item)
            case ZoneSilent():
                self._silent[item.gateway] = item
            case ZoneAnswers():
                self._hear_zone(item.gateway)

    def _end_part(self, part: LanePartOver) -> None:
        if part.refusal is not None:
            self._resources.lane_refusals[part.gateway] = part.refusal
            was_silent = self._silent.pop(part.gateway, None) is not None
            if was_silent or part.untold:
                is_shut = part.refusal.startswith((f"{Reason.DENIED}:", f"{Reason.WRONG_PLACE}:"))
                is_parked = part.refusal.startswith(f"{Reason.PARKED}:") or (was_silent and not is_shut)
                state: LaneNews = "given_up" if is_parked else "closed"
                self._recorder.on_lane_state(part.gateway, state, part.refusal, None)
        self._lanes.end(part)

    def _tell_silence(self, silent: ZoneSilent) -> None:
        until = format_unix_time(silent.until)
        reason = f"{Reason.PARKED}: {NO_WORKER} {silent.zone} takes its work; given up at {until}"
        self._recorder.on_lane_state(silent.gateway, "parked", reason, None)
        wait = max(0.0, silent.until - self._resources.environment.now())
        self._recorder.on_probe(silent.gateway, wait, wait)

    def _hear_zone(self, gateway: str) -> None:
        # The word of a worker may come after that of its end: a lane that is over does not open again.
        was_silent = self._silent.pop(gateway, None) is not None
        if was_silent and self._heard <= 0 and gateway not in self._resources.lane_refusals:
            self._recorder.on_lane_state(gateway, "open", None, None)

    # Waits.

    def _begin_wait(self, wait: WaitBegun) -> None:
        resources, prompt = self._resources, self._resources.spec.request.prompt
        at = resources.environment.now()
        self.told_wait = wait
        if wait.why == "window":
            resources.emit(RunWaiting(at=at, why="window", until=wait.until))
            return
        name = self._find_wave(wait.index)
        answers = wait.why == "proceed" and prompt is not None
        resources.emit(RunWaiting(at=at, why=wait.why, until=wait.until, wave=name, answers=answers))
        resources.run_gate.rest()
        if wait.why == "proceed" and prompt is not None:
            self._asking = anyio.CancelScope()
            self._group.start_soon(self._ask, name, prompt, self._asking)

    async def _ask(self, wave: str, prompt: Prompt, scope: anyio.CancelScope) -> None:
        run_gate = self._resources.run_gate
        with scope:
            if await prompt(wave):
                run_gate.end_rest()
            else:
                run_gate.stop("control", f"the operator declined to continue after wave {wave}")

    def _end_wait(self) -> None:
        self._wait = None
        if self.told_wait is None:
            return
        self.told_wait = None
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
        resources = self._resources
        resources.run_gate.rest(over=True)
        at = resources.environment.now()
        resources.emit(RunContinued(at=at))
        # A pause that was asked for meanwhile goes on: tell it again, or a display would show no wait.
        if resources.run_gate.paused:
            resources.emit(RunWaiting(at=at, why="paused"))

    def _find_wave(self, index: int) -> str:
        """Return the name of the wave after whose step the run waits; -1: before the first step."""
        if index >= 0:
            return self._steps[index].name
        first = self._steps[0]
        # The session before ended between two steps, and its question is still open.
        wave = first.asked_after
        if wave is None:
            wave = first.wave if first.step else max(0, first.wave - 1)
        return self._resources.spec.plan.waves[wave].name


def _count_targets(step: StepWork) -> int:
    return sum(sum(level.targets.values()) for level in step.levels)
