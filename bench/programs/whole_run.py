"""A whole run by the public API: it reads the plan, keeps the journal, undeploys, and writes all reports.

    python -m bench.programs.whole_run PLAN STATE LOOP

LOOP is asyncio or uvloop. Also reported: the seconds until the run's start (``plan``), from there to its end
(``execute``), after it (``reports``), and the requests, as the report counts them.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from pathlib import Path

import anyio

from bench.programs.meter import Meter
from orchestrator.api import LoadedPlan, RunOptions, load_plan, run
from orchestrator.model.events import AnyEvent, RunEnded, RunStarted
from orchestrator.report.formats import FORMATS
from orchestrator.runs.result import RunResult


class Marks:
    """A listener that notes when the run started and ended."""

    started = ended = 0.0

    def __call__(self, event: AnyEvent) -> None:
        if isinstance(event, RunStarted):
            self.started = time.perf_counter()
        elif isinstance(event, RunEnded):
            self.ended = time.perf_counter()


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
    ended = time.perf_counter()
    assert result.exit_status == 0, result
    meter.report(
        plan=marks.started - meter.began,
        execute=marks.ended - marks.started,
        reports=ended - marks.ended,
        requests=result.report.totals.requests,
    )


if __name__ == "__main__":
    main()
