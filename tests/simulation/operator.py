"""The operator of a simulated run: the commands of its seed, and ``continue`` every now and then."""

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

OPERATOR = Operator(user="simulated", origin="seed")

CONTINUE_EVERY = 20.0
"""Virtual seconds between two ``continue``: no run waits for its operator for ever."""

MOST_CONTINUES = 1000
"""After so many ``continue`` a run that has not ended hangs, and the clock reports that."""


def make_control_socket(acts: Sequence[tuple[float, ControlCommand]]) -> ControlSocket:
    """Return a control socket that gives each of ``acts`` so many seconds after the session began."""

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
            await controller.execute(demand, OPERATOR)
    for _ in range(MOST_CONTINUES):
        await anyio.sleep(CONTINUE_EVERY)
        with suppress(OrchestratorError):
            await controller.execute(ContinueRun(), OPERATOR)
