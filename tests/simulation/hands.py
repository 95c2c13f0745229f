"""Somebody who steers a simulated run: what a seed has them ask, and a word to go on now and then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import anyio

from orchestrator.engine.control import Continue, Demand, Desk, Steering, Who
from orchestrator.errors import OrchestratorError

WHO = Who(user="simulated", origin="seed")

EVERY = 20.0
"""Virtual seconds between two words to go on: nothing waits for somebody for ever."""

TIMES = 1000
"""After so many of them a run that has not ended hangs, which the clock then tells."""


def hands(acts: Sequence[tuple[float, Demand]]) -> Desk:
    """Return the desk at which ``acts`` are asked for, each so many seconds after the session began."""

    @asynccontextmanager
    async def desk(steering: Steering) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(_steer, steering, acts)
            yield
            group.cancel_scope.cancel()

    return desk


async def _steer(steering: Steering, acts: Sequence[tuple[float, Demand]]) -> None:
    began = anyio.current_time()
    for at, demand in acts:
        await anyio.sleep(max(0.0, began + at - anyio.current_time()))
        with suppress(OrchestratorError):  # a pattern that matches nothing, a disk that is full
            await steering.do(demand, WHO)
    for _ in range(TIMES):
        await anyio.sleep(EVERY)
        with suppress(OrchestratorError):
            await steering.do(Continue(), WHO)
