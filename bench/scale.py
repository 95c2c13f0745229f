"""Whether a run's cost stays in proportion to its targets: memory (P7) and processor time (P12)."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.control import simulator
from bench.figures import Figure, Sizes
from bench.plans import PlanText
from bench.processes import measure
from bench.servers import serve_fast

SMALL_RUNS = 3
"""How often the small run is measured; its processor time is the median."""


class Shape(NamedTuple):
    """A kind of run that may grow in its own way."""

    name: str
    chained: bool = False
    looks: bool = False


SHAPES = (
    Shape("a plain run"),
    Shape("chains of `after`", chained=True),
    Shape("`look: always`", looks=True),
)


def measure_scale(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P7 and P12: each shape with a hundredth of the targets, a tenth, and all of them."""
    for shape in SHAPES:
        runs = [
            [_run(folder / f"{shape.chained:d}{shape.looks:d}-{part}-{again}", shape, sizes.targets // part)
             for again in range(repeats)]
            for part, repeats in ((100, SMALL_RUNS), (10, 1), (1, sizes.pairs))
        ]  # fmt: skip
        few, some, all_of_them = runs
        base = statistics.median(each["processor"] * 100 for each in few)
        yield Figure("P7", shape.name, tuple(each["peak"] for each in all_of_them))
        yield Figure("P7 growth", shape.name, tuple(each["peak"] - some[0]["peak"] for each in all_of_them))
        yield Figure("P12", shape.name, tuple(each["processor"] / base for each in all_of_them))


def _run(folder: Path, shape: Shape, targets: int) -> dict[str, float]:
    folder.mkdir()
    keys = "limits: {concurrency: 100}"
    with ExitStack() as stack:
        if shape.looks:
            url = stack.enter_context(simulator(folder, "platform", targets, latency=0.0))
        else:
            url = f"http://127.0.0.1:{stack.enter_context(serve_fast(folder))}"
        more = f"{keys}, look: always" if shape.looks else keys
        plan = PlanText("roma", url, targets, more, chained=shape.chained).write(folder / "plan.yaml")
        return measure("whole_run", plan, folder / "state", "asyncio")
