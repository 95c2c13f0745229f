"""A run as an async iterator of its events, for callers who would rather pull than be called."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from orchestrator.api import RunOptions, RunResult, run
from orchestrator.model.events import AnyEvent
from orchestrator.runs.load import LoadedPlan


class Events:
    """The events of a run that goes on; ``result`` is there once the iteration has ended."""

    def __init__(self) -> None:
        self.result: RunResult | None = None
        self._send, self._receive = anyio.create_memory_object_stream[AnyEvent](math.inf)

    def __aiter__(self) -> AsyncIterator[AnyEvent]:
        return self._receive.__aiter__()

    def close(self) -> None:
        """Take no more events."""
        self._receive.close()

    async def drive(self, loaded: LoadedPlan, options: RunOptions | None) -> None:
        """Run the plan, and end the iteration after it."""
        with self._send:
            self.result = await run(loaded, options, listeners=[self._send.send_nowait])


@asynccontextmanager
async def stream(loaded: LoadedPlan, options: RunOptions | None = None) -> AsyncIterator[Events]:
    """Run a plan beside the block, which iterates over its events.

    A block that leaves early cancels the run; the journal stays intact, and ``resume`` goes on with it.
    Events that are not taken are kept in memory. What ``run`` raises ends the iteration and leaves the block,
    as does what the block itself raises.
    """
    events = Events()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(events.drive, loaded, options)
            yield events
            group.cancel_scope.cancel()
    except BaseExceptionGroup as failures:
        if len(failures.exceptions) > 1:
            raise
        raise failures.exceptions[0] from failures.exceptions[0].__cause__  # not wrapped in a group of one
    finally:
        events.close()
