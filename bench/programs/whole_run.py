"""A whole run by the public API: it reads the plan, keeps the journal, undeploys, and writes all reports.

    python -m bench.programs.whole_run PLAN STATE LOOP

LOOP is asyncio or uvloop. Also reported: the processor's seconds until the run's start (``plan``), from there
to its end (``execute``) and after it (``reports``), the clock's from start to end (``execution``), and
the requests, as the report counts them.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import anyio

from bench.programs.meter import Meter
from orchestrator.api import LoadedPlan, RunOptions, load_plan, run
from orchestrator.model.events import AnyEvent, RunEnded, RunStarted
from orchestrator.report.formats import FORMATS
from orchestrator.runs.result import RunResult


class Instant(NamedTuple):
    """A moment by the clock, and by the processor's time that this process has taken."""

    clock: float
    processor: float

    @classmethod
    def now(cls) -> Instant:
        return cls(time.perf_counter(), time.process_time())


class Marks:
    """A listener that notes when the run started and ended."""

    def __init__(self) -> None:
        self.began = self.started = self.ended = Instant.now()

    def __call__(self, event: AnyEvent) -> None:
        if isinstance(event, RunStarted):
            self.started = Instant.now()
        elif isinstance(event, RunEnded):
            self.ended = Instant.now()


async def run_loaded(loaded: LoadedPlan, state: Path, marks: Marks) -> RunResult:
    """Run a plan that is loaded already."""
    return await run(loaded, RunOptions(state=state), listeners=[marks])


def main() -> None:
    """Run, and report what it took."""
    plan, state, loop = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    for form in FORMATS.values():
        import_module(form.module)
    marks, meter = Marks(), Meter()
    with load_plan(plan) as loaded:
        result = anyio.run(run_loaded, loaded, state, marks, backend_options={"use_uvloop": loop == "uvloop"})
    assert result.exit_status == 0, result
    meter.report(
        plan=marks.started.processor - marks.began.processor,
        execute=marks.ended.processor - marks.started.processor,
        reports=time.process_time() - marks.ended.processor,
        execution=marks.ended.clock - marks.started.clock,
        requests=result.report.totals.requests,
    )


if __name__ == "__main__":
    main()
