"""A run as an asynchronous iterator of its events, for callers that pull events instead of listening."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from orchestrator.api import RunOptions, RunResult, run
from orchestrator.model.events import AnyEvent
from orchestrator.runs.load import LoadedPlan


class EventStream:
    """The events of a live run, in order; ``result`` is set when the iteration ends."""

    def __init__(self) -> None:
        self.result: RunResult | None = None
        self._send, self._receive = anyio.create_memory_object_stream[AnyEvent](math.inf)

    def __aiter__(self) -> AsyncIterator[AnyEvent]:
        return self._receive.__aiter__()

    def close(self) -> None:
        """Accept no more events."""
        self._receive.close()

    async def drive(self, loaded: LoadedPlan, options: RunOptions | None) -> None:
        """Run the plan; when the run ends, so does the iteration."""
        with self._send:
            self.result = await run(loaded, options, listeners=[self._send.send_nowait])


@asynccontextmanager
async def stream(loaded: LoadedPlan, options: RunOptions | None = None) -> AsyncIterator[EventStream]:
    """Run a plan while the block iterates over its events.

    Leaving the block early cancels the run: its journal stays intact, and ``resume`` goes on with it. Events
    that the block has not taken yet are kept in memory. An error of ``run`` ends the iteration and is raised
    from the block; an error of the block is raised unchanged.
    """
    events = EventStream()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(events.drive, loaded, options)
            yield events
            group.cancel_scope.cancel()
    except BaseExceptionGroup as failures:
        if len(failures.exceptions) > 1:
            raise
        # The caller expects the error itself, not a group of one.
        raise failures.exceptions[0] from failures.exceptions[0].__cause__
    finally:
        events.close()
