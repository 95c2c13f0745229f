"""What a run waits for between two waves, or two steps of one: a time, or that somebody says to go on."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal, TypeAlias

import anyio

from orchestrator.engine.resources import RunResources
from orchestrator.model.events import RunContinued, RunWaiting
from orchestrator.model.plan import Wave

Prompt: TypeAlias = Callable[[str], Awaitable[bool]]
"""Asks whether to go on after the wave of that name; may be cancelled."""


async def pause_after_wave(wave: Wave, tools: RunResources, prompt: Prompt | None) -> None:
    """Wait for as long as a wave says, then until somebody says to go on where it asks for that.

    A run that stops waits no longer, nor does one whose window closes. ``control continue`` ends either wait.
    """
    if wave.pause_after is not None:
        await _wait(wave, tools, "pause_after", wave.pause_after)
    await wait_to_proceed(wave, tools, prompt)


async def wait_to_proceed(wave: Wave, tools: RunResources, prompt: Prompt | None) -> None:
    """Wait until somebody says to go on after a wave, where it asks for that."""
    if wave.proceed == "ask":
        async with anyio.create_task_group() as group:
            if prompt is not None and tools.run_gate.kind is None:
                group.start_soon(_ask_operator, wave, tools, prompt)
            await _wait(wave, tools, "proceed", math.inf, answers=prompt is not None)
            group.cancel_scope.cancel()


async def _ask_operator(wave: Wave, tools: RunResources, prompt: Prompt) -> None:
    if await prompt(wave.name):
        tools.run_gate.go_on()
    else:
        tools.run_gate.stop("control", f"the operator declined to continue after wave {wave.name}")


async def _wait(
    wave: Wave,
    tools: RunResources,
    why: Literal["pause_after", "proceed"],
    seconds: float,
    *,
    answers: bool = False,
) -> None:
    environment, run_gate = tools.environment, tools.run_gate
    if run_gate.kind is not None:
        return
    event = partial(RunWaiting, at=environment.now(), why=why, wave=wave.name, answers=answers)
    tools.emit(event() if math.isinf(seconds) else event(until=environment.now() + seconds))
    run_gate.rest()
    ends = environment.monotonic() + seconds
    while run_gate.rests:
        left = min(ends, run_gate.closes) - environment.monotonic()
        if left <= 0:
            break
        await run_gate.change(left)
    run_gate.rest(over=True)
    tools.emit(RunContinued(at=environment.now()))
    if run_gate.paused:
        tools.emit(RunWaiting(at=environment.now(), why="paused"))
