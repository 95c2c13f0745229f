"""The waits between two waves, or two steps of one: for a time, or until an operator continues the run."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import anyio

from orchestrator.engine.request import Prompt
from orchestrator.engine.resources import RunResources
from orchestrator.model.events import RunContinued, RunWaiting
from orchestrator.model.plan import Wave


async def pause_after_wave(wave: Wave, resources: RunResources) -> None:
    """Wait for a wave's ``pause_after``, then for the operator if it has ``proceed: ask``.

    Either wait ends early when the run stops, when its window closes, or by ``control continue``.
    """
    if wave.pause_after is not None:
        await _wait(wave, resources, "pause_after", wave.pause_after)
    await wait_to_proceed(wave, resources)


async def wait_to_proceed(wave: Wave, resources: RunResources) -> None:
    """Wait until an operator continues the run, if the wave has ``proceed: ask``."""
    if wave.proceed != "ask":
        return
    prompt = resources.spec.request.prompt
    async with anyio.create_task_group() as group:
        # The operator at the terminal and ``control continue`` may both answer: the first one counts.
        if prompt is not None and resources.run_gate.stop_kind is None:
            group.start_soon(_ask_operator, wave, resources, prompt)
        await _wait(wave, resources, "proceed", math.inf, answers=prompt is not None)
        group.cancel_scope.cancel()


async def _ask_operator(wave: Wave, resources: RunResources, prompt: Prompt) -> None:
    if await prompt(wave.name):
        resources.run_gate.end_rest()
    else:
        resources.run_gate.stop("control", f"the operator declined to continue after wave {wave.name}")


async def _wait(
    wave: Wave,
    resources: RunResources,
    why: Literal["pause_after", "proceed"],
    seconds: float,
    *,
    answers: bool = False,
) -> None:
    """Wait and tell it. ``answers`` says that an operator is asked at a terminal meanwhile."""
    environment, run_gate = resources.environment, resources.run_gate
    if run_gate.stop_kind is not None:
        return
    event = partial(RunWaiting, at=environment.now(), why=why, wave=wave.name, answers=answers)
    resources.emit(event() if math.isinf(seconds) else event(until=environment.now() + seconds))
    run_gate.rest()
    ends = environment.monotonic() + seconds
    while run_gate.rests:
        left = min(ends, run_gate.closes) - environment.monotonic()
        if left <= 0:
            break
        await run_gate.wait_for_change(left)
    run_gate.rest(over=True)
    resources.emit(RunContinued(at=environment.now()))
    # A pause that was asked for meanwhile goes on: tell it again, or a display would show no wait.
    if run_gate.paused:
        resources.emit(RunWaiting(at=environment.now(), why="paused"))
