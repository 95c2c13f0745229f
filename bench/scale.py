"""Whether a run's cost stays in proportion to its targets: memory (P7) and processor time (P12)."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.figures import Figure, Sizes
from bench.plans import PlanGateway, PlanText
from bench.processes import measure
from bench.servers import serve_fast
from bench.simulated import serve_simulator

FEW = 10_000
"""Targets of the small run, with which the processor time a target of a large one is compared."""
SMALL_RUNS = 3
"""How often the small run is measured; its processor time is the median."""


class Shape(NamedTuple):
    """A kind of run that may grow in its own way. ``mark`` stands behind the names of its figures."""

    name: str
    chained: bool = False
    looks: bool = False
    mark: str = ""


WITHOUT_LOOKS = (Shape("a plain run"), Shape("chains of `after`", chained=True))
WITH_LOOKS = (Shape("`look: always`", looks=True, mark=" looks"),)


def measure_scale(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P7 and P12 without looks."""
    yield from _measure_shapes(folder, sizes, WITHOUT_LOOKS)


def measure_scale_with_looks(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P7 and P12 under ``look: always``: that takes a simulator, which is a slow server."""
    yield from _measure_shapes(folder, sizes, WITH_LOOKS)


def _measure_shapes(folder: Path, sizes: Sizes, shapes: Sequence[Shape]) -> Iterator[Figure]:
    """Measure each shape with few targets, with a tenth of all, and with all of them."""
    few = min(FEW, sizes.targets // 10)
    for shape in shapes:
        small = [_run(folder, shape, few) for _ in range(SMALL_RUNS)]
        tenth = _run(folder, shape, sizes.targets // 10)
        whole = [_run(folder, shape, sizes.targets) for _ in range(sizes.pairs)]
        base = statistics.median(each["processor"] for each in small) / few
        yield Figure(f"P7{shape.mark}", shape.name, tuple(each["peak"] for each in whole))
        yield Figure(
            f"P7{shape.mark} growth", shape.name, tuple(each["peak"] - tenth["peak"] for each in whole)
        )
        yield Figure(
            f"P12{shape.mark}", shape.name, tuple(each["processor"] / sizes.targets / base for each in whole)
        )


def _run(place: Path, shape: Shape, targets: int) -> dict[str, float]:
    # A journal of a million targets takes 200 MB: none is left behind for the next run.
    folder = place / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    keys = "limits: {concurrency: 100}"
    with ExitStack() as stack:
        if shape.looks:
            url = stack.enter_context(serve_simulator(folder, "platform", targets, latency=0.0))
        else:
            url = f"http://127.0.0.1:{stack.enter_context(serve_fast(folder))}"
        more = f"{keys}, look: always" if shape.looks else keys
        plan = PlanText([PlanGateway(url, more)], targets, chained=shape.chained, in_files=True)
        return measure("whole_run", plan.write(folder / "plan.yaml"), folder / "state", "asyncio")
