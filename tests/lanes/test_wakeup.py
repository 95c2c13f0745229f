"""A bell that may ring many times."""

from __future__ import annotations

import anyio

from orchestrator.lanes.wakeup import Wakeup
from tests.support.engine import played


def test_a_ring_wakes_the_waiting_tasks_and_no_later_ones() -> None:
    async def main() -> list[tuple[str, float]]:
        wakeup, woken = Wakeup(), list[tuple[str, float]]()

        async def wait(name: str, seconds: float) -> None:
            await wakeup.wait(seconds)
            woken.append((name, anyio.current_time()))

        async with anyio.create_task_group() as group:
            group.start_soon(wait, "first", 100.0)
            group.start_soon(wait, "second", 100.0)
            await anyio.sleep(5.0)
            wakeup.ring()
            group.start_soon(wait, "late", 20.0)
        return sorted(woken)

    assert played(main) == [("first", 5.0), ("late", 25.0), ("second", 5.0)]
