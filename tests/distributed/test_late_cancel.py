"""A cancel that comes in the very task of Temporal in which the run's workflow continues as new."""

from __future__ import annotations

import logging
import random

import anyio
import pytest

from orchestrator.distributed.conversion import CONVERTER
from orchestrator.distributed.names import MEMO_ORDERS
from orchestrator.distributed.payloads import Orders, RunInput
from orchestrator.distributed.run_conduct import CANCELLED
from orchestrator.distributed.run_news import ZoneSilent
from tests.simulation.clock import play
from tests.simulation.far.execution import PlayedExecution
from tests.simulation.far.processes import FarLoop
from tests.simulation.far.server import PlayedServer, ServerListener
from tests.simulation.far.workers import WorkflowInstances
from tests.support.conducted import WORKFLOW, make_input, make_step
from tests.support.engine import EPOCH

SILENT = ZoneSilent(gateway="apim", zone="default", until=EPOCH + 600.0)
"""News, after which the workflow has nothing more to do in its present task."""


class LongRun:
    """A run's workflow with a history so long that it shall continue as new, and one worker for it."""

    def __init__(self, loop: FarLoop) -> None:
        self.server = PlayedServer(loop, random.Random(1), epoch=EPOCH, listener=ServerListener())
        self._instances = WorkflowInstances()

    async def begin(self, given: RunInput) -> PlayedExecution:
        """Start the workflow, and have its first decisions made."""
        payloads = await CONVERTER.encode([given])
        begun = PlayedExecution(
            server=self.server, workflow=WORKFLOW, run="run-0", kind="UndeployRun", first="run-0",
            given=payloads, memo={},
        )  # fmt: skip
        self.server.begin(begun)
        await self.decide(begun)
        await anyio.sleep(1.0)
        await self.decide(begun)
        return begun

    async def decide(self, execution: PlayedExecution) -> None:
        """Have the worker do the task that waits, if one does."""
        if (task := execution.hand_out()) is not None:
            instance, completion = await self._instances.decide(task)
            done = self.server.take_completion(task, completion)
            if done is not None:
                self._instances.keep(execution, instance, done)
        assert self.server.broken == []

    async def decide_until_new(self, execution: PlayedExecution) -> PlayedExecution:
        """Have all be decided until another execution goes on; return that one, after its first decisions."""
        for _ in range(10):
            await self.decide(execution)
            await anyio.sleep(1.0)
            following = self.server.find_open(WORKFLOW)
            if following is not None and following is not execution:
                self.server.longest_history = 10_000
                await self.decide(following)
                self._instances.forget_all()
                return following
        raise AssertionError("it continues as new all the same")

    async def find_orders(self, last: PlayedExecution) -> Orders:
        """Return the orders that an execution shows."""
        (orders,) = await CONVERTER.decode([last.memo[MEMO_ORDERS]], [Orders])
        return orders


@pytest.mark.long(
    "plays the server as simulated runs do, by the fields of a newer client than the lowest allowed"
)
@pytest.mark.parametrize("comes", ["with the signal", "before the timer", "with the timer", "never"])
def test_a_cancel_in_the_task_that_would_continue_as_new_stops_the_run(
    comes: str, caplog: pytest.LogCaptureFixture
) -> None:
    loop = FarLoop(ends=1000.0)

    async def main() -> Orders:
        run = LongRun(loop)
        begun = await run.begin(make_input(make_step(targets={"apim": 400})))
        run.server.longest_history = 1
        begun.signal("zone_silent", await CONVERTER.encode([SILENT]))
        if comes == "with the signal":
            begun.cancel()
        await run.decide(begun)
        if comes == "before the timer":
            begun.cancel()
        await anyio.sleep(1.0)
        if comes == "with the timer":
            begun.cancel()
        following = await run.decide_until_new(begun)
        return await run.find_orders(following)

    assert play(loop, main()).stop == (None if comes == "never" else CANCELLED)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
