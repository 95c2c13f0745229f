"""How many requests a default run sends for each of its targets: P13."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.figures import Figure, Sizes
from bench.plans import PlanGateway, PlanText
from bench.processes import measure
from bench.simulated import serve_simulator

_CASES: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("P13 ROMA", ""): ("roma", {}),
    ("P13 Apinizer", ""): ("apinizer", {}),
    ("P13 report", ""): ("apinizer", {"report": "allowed"}),
}


def count_requests(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P13 by the simulators' gateways without a limit."""
    for (name, variant), (kind, fields) in _CASES.items():
        with serve_simulator(folder, name, sizes.targets, kind, latency=0.0, **fields) as url:
            text = PlanText([PlanGateway(url, "", kind)], sizes.targets, "snapshot: best")
            plan = text.write(folder / f"{name}.yaml")
            told = measure("whole_run", plan, folder / f"{name}.state", "asyncio")
        yield Figure(name, variant, (told["requests"] / sizes.targets,))
