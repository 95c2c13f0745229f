"""How many requests a default run sends for each of its targets: P13."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.figures import Figure, Sizes
from bench.plans import PlanGateway, PlanText
from bench.processes import measure
from bench.simulated import count_binding_reads, serve_simulator

_BOUND = [
    {"type": "applications", "name": "web-shop"},
    {"type": "applications", "name": "billing"},
    {"type": "throttles", "name": "slow"},
    {"type": "acls", "name": "offices"},
    {"type": "signs", "name": "hmac"},
    {"type": "plugins", "name": "cors"},
]
"""What hangs on each front-end API."""
_CASES: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("P13 ROMA", ""): ("roma", {"bound": _BOUND}),
    ("P13 Apinizer", ""): ("apinizer", {}),
    ("P13 report", ""): ("apinizer", {"report": "allowed"}),
}


def count_requests(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P13 by the simulators' gateways without a limit; reads of bindings are counted apart."""
    for (name, variant), (kind, fields) in _CASES.items():
        with serve_simulator(folder, name, sizes.targets, kind, latency=0.0, **fields) as url:
            text = PlanText([PlanGateway(url, "", kind)], sizes.targets, "snapshot: best")
            plan = text.write(folder / f"{name}.yaml")
            told = measure("whole_run", plan, folder / f"{name}.state", "asyncio")
            bindings = count_binding_reads(url)
        yield Figure(name, variant, ((told["requests"] - bindings) / sizes.targets,))
        if "bound" in fields:
            yield Figure("P13 bindings", f"{len(_BOUND)} things on each front end", (float(bindings),))
