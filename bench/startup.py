"""How long commands take to start, over `python -c "import argparse"`: P9, by the processor's time."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from bench.figures import Figure, Sizes
from bench.plans import PlanGateway, PlanText
from bench.processes import ROOT, measure, run_program
from bench.servers import serve_fast

_BARE = (sys.executable, "-c", "import argparse")
_OURS = (sys.executable, "-m", "orchestrator")


def measure_start_up(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P9; `runs` lists a run of so many targets, and `check` reads the example."""
    state = folder / "state"
    with serve_fast(folder) as port:
        gateway = PlanGateway(f"http://127.0.0.1:{port}")
        plan = PlanText([gateway], sizes.targets).write(folder / "plan.yaml")
        measure("whole_run", plan, state, "asyncio")
    commands: Mapping[tuple[str, str], Sequence[str]] = {
        ("P9", "--help"): ("--help",),
        ("P9", "--version"): ("--version",),
        ("P9 runs", ""): ("runs", "--state", str(state)),
        ("P9 check", ""): ("check", str(ROOT / "plans" / "example.yaml")),
    }
    for (name, variant), arguments in commands.items():
        command = (*_OURS, *arguments)
        # Once unmeasured: the first start of all compiles the modules.
        _measure_processor(command)
        ratios = [1 / _measure_processor(_BARE) * _measure_processor(command) for _ in range(sizes.pairs)]
        yield Figure(name, variant, tuple(ratios))


def _measure_processor(command: Sequence[str]) -> float:
    """Return the seconds of the processor that a program takes from its start to its end."""
    before = getrusage(RUSAGE_CHILDREN)
    run_program(command)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
