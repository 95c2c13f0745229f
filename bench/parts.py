"""The parts of the benchmark: each measures some figures, at one of three sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from msgspec import Struct

from bench.client import measure_client
from bench.control import (
    count_requests_to_an_ill_one,
    measure_beside_an_ill_one,
    measure_cold_start,
    measure_one_bucket,
    measure_pace,
    measure_scattered_refusals,
)
from bench.distributed import measure_distributed_run
from bench.figures import BenchmarkError, Figure, Sizes
from bench.goals import YARDSTICKS
from bench.live import measure_live_page
from bench.plan_read import measure_plan_reading
from bench.requests import count_requests
from bench.resume import measure_resume
from bench.scale import measure_scale, measure_scale_with_looks
from bench.startup import measure_start_up
from bench.tools import compare_with_curl, compare_with_others
from bench.whole_run import measure_run_at_a_slow_gateway, measure_whole_run

SizeName: TypeAlias = Literal["full", "gate", "tiny"]


class Part(Struct, frozen=True):
    """One part: what it measures, for about how many minutes in full, and how.

    ``tiny`` proves that the part works; its figures mean nothing. ``gate`` is the size at which the floors
    are judged in a few minutes; None for a part that takes too long for it, or has no floors.
    """

    about: str
    minutes: int
    measure: Callable[[Path, Sizes], Iterator[Figure]]
    full: Sizes
    tiny: Sizes
    gate: Sizes | None = None

    def choose_sizes(self, size: SizeName) -> Sizes | None:
        """Return the sizes with this name; None where the part has none for the gate."""
        return {"full": self.full, "gate": self.gate, "tiny": self.tiny}[size]


PARTS = {
    "run": Part(
        "whole runs beside a bare aiohttp loop",
        10, measure_whole_run, Sizes(100_000, 5), Sizes(200, 1), Sizes(20_000, 5),
    ),
    "client": Part(
        "our client alone beside that loop",
        3, measure_client, Sizes(50_000, 5), Sizes(200, 1),
    ),
    "slow": Part(
        "the same at bench/server.py, which takes 20 ms to answer (nginx cannot wait)",
        3, measure_run_at_a_slow_gateway, Sizes(20_000, 5), Sizes(200, 1),
    ),
    "pace": Part(
        "runs against token buckets of 100/s, beside a bare loop with back-off",
        6, measure_pace, Sizes(6000, 5), Sizes(150, 1), Sizes(3000, 1),
    ),
    "ill": Part(
        "a healthy gateway beside an ill one",
        3, measure_beside_an_ill_one, Sizes(1500, 5), Sizes(100, 1), Sizes(1500, 3),
    ),
    "parked": Part(
        "requests to an ill gateway",
        3, count_requests_to_an_ill_one, Sizes(1000, 5), Sizes(50, 1), Sizes(1000, 1),
    ),
    "scattered": Part(
        "a few refusals at random",
        2, measure_scattered_refusals, Sizes(1000, 5), Sizes(40, 1), Sizes(1000, 3),
    ),
    "start": Part(
        "the start of commands",
        2, measure_start_up, Sizes(100, 20), Sizes(20, 1), Sizes(100, 10),
    ),
    "curl": Part(
        "whole runs beside `curl -Z`",
        4, compare_with_curl, Sizes(100_000, 5), Sizes(100, 1),
    ),
    "others": Part(
        "whole runs beside other tools, where they are installed",
        6, compare_with_others, Sizes(20_000, 5), Sizes(100, 1),
    ),
    "resume": Part(
        "the resume of a finished run",
        3, measure_resume, Sizes(100_000, 10), Sizes(50, 1), Sizes(100_000, 5),
    ),
    "requests": Part(
        "requests a target of default runs",
        1, count_requests, Sizes(1000, 1), Sizes(100, 1), Sizes(1000, 1),
    ),
    "scale": Part(
        "runs of a million targets, of a tenth of them and of ten thousand",
        8, measure_scale, Sizes(1_000_000, 1), Sizes(500, 1), Sizes(100_000, 1),
    ),
    "looks": Part(
        "runs of 300,000 targets under `look: always`, of a tenth of them and of ten thousand",
        8, measure_scale_with_looks, Sizes(300_000, 1), Sizes(500, 1),
    ),
    "bucket": Part(
        "default runs against one bucket of 100/s for reads and writes",
        5, measure_one_bucket, Sizes(3000, 5), Sizes(120, 1), Sizes(3000, 1),
    ),
    "cold": Part(
        "the start against limits that the plan does not know",
        3, measure_cold_start, Sizes(2000, 5), Sizes(200, 1), Sizes(2000, 1),
    ),
    "live": Part(
        "runs whose live page ten viewers look at, beside runs without a page",
        4, measure_live_page, Sizes(50_000, 5), Sizes(200, 1), Sizes(20_000, 3),
    ),
    "distributed": Part(
        "runs over two zones through Temporal, beside runs on one machine",
        8, measure_distributed_run, Sizes(20_000, 5), Sizes(200, 1),
    ),
    "check": Part(
        "reading a plan beside a bare libyaml loop",
        5, measure_plan_reading, Sizes(100_000, 5), Sizes(200, 1), Sizes(50_000, 3),
    ),
}  # fmt: skip
"""The parts by their names, in the order in which they run."""


def choose_parts(words: Iterable[str]) -> list[str]:
    """Return the parts that are asked for, by name or by a figure (``p3``); all of them for none.

    Raises BenchmarkError for a word that is neither.
    """
    chosen = {_find_part(word) for word in words}
    return [name for name in PARTS if name in chosen or not chosen]


def _find_part(word: str) -> str:
    for row in YARDSTICKS.values():
        if word.lower() in (row.part, row.name.lower(), row.name.lower().partition(" ")[0]):
            return row.part
    raise BenchmarkError(f"there is no part or figure {word}; the parts are {', '.join(PARTS)}")
