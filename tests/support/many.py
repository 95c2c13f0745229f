"""A run by the public API, in a process of its own, that prints how much it needed: see test_scale."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from orchestrator.api import run
from orchestrator.model.events import AnyEvent, TargetEnded
from orchestrator.runs.load import load_plan


class Gauge:
    """Notes tasks and resident memory each time that so many more targets have ended."""

    def __init__(self, every: int) -> None:
        self.tasks: list[int] = []
        self.megabytes: list[float] = []
        self._every = every
        self._ended = 0

    def __call__(self, event: AnyEvent) -> None:
        self._ended += isinstance(event, TargetEnded)
        if isinstance(event, TargetEnded) and self._ended % self._every == 0:
            self.tasks.append(len(asyncio.all_tasks()))
            self.megabytes.append(_resident())


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


async def measure(plan: Path) -> dict[str, object]:
    """Run a plan; return its status, time, tasks and memory."""
    gauge = Gauge(500)
    with load_plan(plan) as loaded:
        began = time.monotonic()
        result = await run(loaded, listeners=[gauge])
    seconds = time.monotonic() - began
    return {
        "status": result.exit_status,
        "seconds": seconds,
        "tasks": gauge.tasks,
        "megabytes": gauge.megabytes,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(Path(sys.argv[1])))))  # noqa: T201
