"""Nights on the simulation's virtual clock, all in this process: what a night leaves behind adds up."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence

from tests.simulation.play import play_seed
from tests.soak.gauges import count_descriptors, read_memory
from tests.soak.growth import Sample

SEEDS = (5, 10, 11, 17, 18)
"""The seeds that make up one night; the same each night, so that each night is the same work.

No process is killed in them: a simulated one would leave its memory behind in this process.
"""


def play_nights(
    nights: int, tell: Callable[[int, Sample], None], seeds: Sequence[int] = SEEDS
) -> Iterator[Sample]:
    """Play nights, and yield a sample after each. Raises AssertionError if a night was not as the first."""
    first: list[int] | None = None
    requests, simulated = 0, 0.0
    for night in range(1, nights + 1):
        verdicts = [play_seed(seed) for seed in seeds]
        broken = [line for verdict in verdicts for line in verdict.broken]
        assert not broken, f"night {night}: {broken[0]}"
        traces = [verdict.trace for verdict in verdicts]
        first = first or traces
        assert traces == first, f"night {night} was not as the first one"
        requests += sum(verdict.requests for verdict in verdicts)
        simulated += sum(verdict.seconds for verdict in verdicts)
        gc.collect()  # what waits for the collector has not leaked
        sample = Sample(
            memory=read_memory(),
            descriptors=count_descriptors(),
            requests=requests,
            objects=len(gc.get_objects()),
            simulated=simulated,
        )
        tell(night, sample)
        yield sample
