"""What a whole run costs beside a bare aiohttp loop that does nothing but send: P1 and P2.

Both talk to the same server with the same number of connections, in turn, each in a process of its own;
imports and start-up are not counted on either side. Ours reads the plan, keeps the journal with full
durability, undeploys without looks and snapshots, and writes all five reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from bench.figures import Figure, Sizes
from bench.plans import KINDS, PlanGateway, PlanText
from bench.processes import measure
from bench.servers import serve_fast, serve_slow

CONCURRENCY = 100
LATE = 0.02


class RunPair(NamedTuple):
    """What the bare loop and the whole run measured of themselves, one after the other."""

    bare: dict[str, float]
    ours: dict[str, float]


def measure_whole_run(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P1 and P2 for both kinds of gateway, on asyncio and on uvloop."""
    with serve_fast(folder) as port:
        for kind in ("roma", "apinizer"):
            pairs = _measure_pairs(folder, port, sizes, kind, "asyncio")
            yield from _compare(pairs, "P1", "P2", kind)
            yield from _tell_costs(pairs, sizes, kind)
        if find_spec("uvloop") is None:
            yield Figure("P1 uvloop", "ROMA", absent="uvloop is not installed here")
            yield Figure("P2 uvloop", "ROMA", absent="uvloop is not installed here")
        else:
            yield from _compare(
                _measure_pairs(folder, port, sizes, "roma", "uvloop"), "P1 uvloop", "P2 uvloop", "roma"
            )


def measure_run_at_a_slow_gateway(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure the same at a server that takes 20 ms to answer."""
    with serve_slow(LATE) as port:
        yield from _compare(
            _measure_pairs(folder, port, sizes, "roma", "asyncio"), "slow", "slow execution", "roma"
        )


def _measure_pairs(folder: Path, port: int, sizes: Sizes, kind: str, loop: str) -> list[RunPair]:
    gateway = PlanGateway(f"http://127.0.0.1:{port}", f"limits: {{concurrency: {CONCURRENCY}}}", kind)
    path = PlanText([gateway], sizes.targets).write(folder / f"{kind}-{loop}-{port}.yaml")
    return [
        RunPair(
            measure("bare_loop", kind, port, sizes.targets, CONCURRENCY, loop),
            measure("whole_run", path, path.with_suffix(f".{number}"), loop),
        )
        for number in range(sizes.pairs)
    ]


def _compare(pairs: list[RunPair], whole: str, execution: str, kind: str) -> Iterator[Figure]:
    for name, part in ((whole, "seconds"), (execution, "execution")):
        yield Figure(name, KINDS[kind].title, tuple(pair.bare["seconds"] / pair.ours[part] for pair in pairs))


def _tell_costs(pairs: list[RunPair], sizes: Sizes, kind: str) -> Iterator[Figure]:
    for name, part in (("P1 processor", "processor"), ("P2 processor", "execute")):
        ratios = tuple(pair.bare["processor"] / pair.ours[part] for pair in pairs)
        yield Figure(name, KINDS[kind].title, ratios)
    for about, values in (
        ("the bare loop", [pair.bare["processor"] for pair in pairs]),
        ("a whole run", [pair.ours["processor"] for pair in pairs]),
        ("its plan", [pair.ours["plan"] for pair in pairs]),
        ("its execution", [pair.ours["execute"] for pair in pairs]),
        ("its reports", [pair.ours["reports"] for pair in pairs]),
    ):
        micros = tuple(value / sizes.targets * 1e6 for value in values)
        yield Figure("P1 µs", f"{KINDS[kind].title}, {about}", micros)
