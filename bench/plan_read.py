"""How long `check` reads a plan, over a bare libyaml event loop over the same file: P8.

Ours reads the plan, checks every target, and lays them out in the draft of a journal. The two are measured in
turn, each in a process of its own, by the processor's time; imports and start-up are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from bench.figures import Figure, Sizes
from bench.processes import measure

_HEAD = """\
version: 1
name: bench
gateways:
  apim:
    kind: apinizer
    url: https://apim.example.com
    auth: {token: {env: APINIZER_TOKEN}}
  roma:
    kind: roma
    url: https://roma.example.com
    project_id: 0123456789abcdef0123456789abcdef
    instance_id: f0fa1789-3b76-433b-a787-9892951c620e
    auth: {token: {env: ROMA_TOKEN}}
targets:
"""
_SHAPES: dict[str, Callable[[int], str]] = {
    "ROMA, two lines a target": "  - gateway: roma\n    ld_api_id: {0:032x}\n".format,
    "Apinizer, four lines a target": (
        "  - gateway: apim\n    project: Retail\n    proxy: orders-{0}\n    environment: production\n".format
    ),
    "Apinizer, one flow line a target": (
        "  - {{gateway: apim, project: Retail, proxy: orders-api-{0}, environment: production}}\n".format
    ),
}


def measure_plan_reading(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P8 for each way to write a target."""
    path = folder / "plan.yaml"
    for shape, write_entry in _SHAPES.items():
        with path.open("w", encoding="utf-8") as out:
            out.write(_HEAD)
            out.writelines(map(write_entry, range(sizes.targets)))
        ratios, micros = [], []
        for _ in range(sizes.pairs):
            bare = measure("bare_yaml", path)["processor"]
            ours = measure("read_plan", path)["processor"]
            ratios.append(ours / bare)
            micros.append(ours / sizes.targets * 1e6)
        yield Figure("P8", shape, tuple(ratios))
        yield Figure("P8 µs", shape, tuple(micros))
