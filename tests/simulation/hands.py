"""Somebody who steers a simulated run: what a seed has them ask, and a word to go on now and then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import anyio

from orchestrator.engine.control_commands import (
    CommandHandler,
    ContinueRun,
    ControlCommand,
    ControlSocket,
    Operator,
)
from orchestrator.errors import OrchestratorError

WHO = Operator(user="simulated", origin="seed")

EVERY = 20.0
"""Virtual seconds between two words to go on: nothing waits for somebody for ever."""

TIMES = 1000
"""After so many of them a run that has not ended hangs, which the clock then tells."""


def hands(acts: Sequence[tuple[float, ControlCommand]]) -> ControlSocket:
    """Return the desk at which ``acts`` are asked for, each so many seconds after the session began."""

    @asynccontextmanager
    async def control_socket(controller: CommandHandler) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(_steer, controller, acts)
            yield
            group.cancel_scope.cancel()

    return control_socket


async def _steer(controller: CommandHandler, acts: Sequence[tuple[float, ControlCommand]]) -> None:
    began = anyio.current_time()
    for at, demand in acts:
        await anyio.sleep(max(0.0, began + at - anyio.current_time()))
        with suppress(OrchestratorError):  # a pattern that matches nothing, a disk that is full
            await controller.execute(demand, WHO)
    for _ in range(TIMES):
        await anyio.sleep(EVERY)
        with suppress(OrchestratorError):
            await controller.execute(ContinueRun(), WHO)
