"""What the live page costs a run: P17, a run that ten viewers look at beside the same run without a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.figures import BenchmarkError, Figure, Sizes
from bench.plans import PlanGateway, PlanText
from bench.processes import measure
from bench.servers import serve_fast

VIEWERS = 10
CONCURRENCY = 100


def measure_live_page(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P17: pace and processor time of the execution with viewers, over those without a page."""
    with serve_fast(folder) as port:
        gateway = PlanGateway(f"http://127.0.0.1:{port}", f"limits: {{concurrency: {CONCURRENCY}}}")
        path = PlanText([gateway], sizes.targets).write(folder / "live.yaml")
        pairs = [
            [
                measure("watched_run", path, path.with_suffix(f".{number}-{viewers}"), viewers)
                for viewers in (0, VIEWERS)
            ]
            for number in range(sizes.pairs)
        ]
    for alone, watched in pairs:
        _check(alone, watched)
    yield Figure("P17", "ROMA", tuple(alone["execution"] / seen["execution"] for alone, seen in pairs))
    yield Figure("P17 processor", "ROMA", tuple(seen["execute"] / alone["execute"] for alone, seen in pairs))
    yield Figure("P17 page", "ROMA", tuple(seen["page"] / seen["execution"] for _, seen in pairs))
    yield Figure("P17 events", "ROMA", tuple(seen["told"] / seen["execution"] for _, seen in pairs))


def _check(alone: dict[str, float], watched: dict[str, float]) -> None:
    """Raise BenchmarkError if the viewers saw no run, since the page then cost next to nothing."""
    if alone["seen"] or not watched["seen"]:
        raise BenchmarkError(
            f"the viewers saw {watched['seen']} events of a run, and {alone['seen']} of none"
        )
