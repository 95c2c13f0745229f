"""What the resume of a finished run costs, over a bare scan of its journal: P11."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.figures import BenchmarkError, Figure, Sizes
from bench.plans import PlanGateway, PlanText
from bench.processes import measure
from bench.servers import serve_fast


def measure_resume(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P11 by the processor's time, with the gateway gone, and see that the reports are left alone."""
    state = folder / "state"
    with serve_fast(folder) as port:
        gateway = PlanGateway(f"http://127.0.0.1:{port}")
        plan = PlanText([gateway], sizes.targets).write(folder / "plan.yaml")
        measure("whole_run", plan, state, "asyncio")
    (journal,) = state.glob("runs/*/journal.sqlite")
    before = _read_times(journal.parent)
    ratios = []
    for _ in range(sizes.pairs):
        bare = measure("scan_journal", journal)["processor"]
        ratios.append(measure("resume_run", state)["processor"] / bare)
    yield Figure("P11", "", tuple(ratios))
    written = sum(_read_times(journal.parent)[name] != time for name, time in before.items())
    yield Figure("P11 written", "", (float(written),))


def _read_times(folder: Path) -> dict[str, int]:
    reports = {path.name: path.stat().st_mtime_ns for path in folder.glob("report.*")}
    if not reports:
        raise BenchmarkError("a run has left no reports")
    return reports
