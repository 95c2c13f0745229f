"""The processor's time of a request by our client alone, beside the bare aiohttp loop of P1.

Both talk to the same server with the same number of connections, in turn, each in a process of its own;
imports are not counted. The session is our client for an aiohttp whose parts differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, Sizes
from bench.processes import measure
from bench.servers import serve_fast

_CONCURRENCY = 100
_CLIENTS = ("exchange", "session")


def measure_client(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure a request of each kind of gateway."""
    with serve_fast(folder) as port:
        for kind in ("roma", "apinizer"):
            yield from _measure_kind(kind, port, sizes)


def _measure_kind(kind: str, port: int, sizes: Sizes) -> Iterator[Figure]:
    micros: dict[str, list[float]] = {"bare loop": [], **{name: [] for name in _CLIENTS}}
    order = (kind, port, sizes.targets, _CONCURRENCY)
    for _ in range(sizes.pairs):
        times = {"bare loop": measure("bare_loop", *order, "asyncio")["processor"]}
        times |= {name: measure("client_loop", *order, name)["processor"] for name in _CLIENTS}
        for name, seconds in times.items():
            micros[name].append(seconds / sizes.targets * 1e6)
    for name in _CLIENTS:
        ratios = tuple(ours / bare for ours, bare in zip(micros[name], micros["bare loop"], strict=True))
        yield Figure("client", f"{kind}, {name}", ratios)
    for name, values in micros.items():
        yield Figure("client µs", f"{kind}, {name}", tuple(values))
