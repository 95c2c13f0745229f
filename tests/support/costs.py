"""What work costs, in counts and in ratios: a slow or busy machine and a tracer change neither."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import orchestrator

_PACKAGE = str(Path(orchestrator.__file__).parent)


def measure_growth(work: Callable[[int], object], small: int, large: int, repeats: int = 2) -> float:
    """Return what one of ``large`` items costs over what one of ``small`` costs, in processor time.

    Work that grows with the number of items gives about 1. Work that compares each with each gives up to
    ``large / small``. Each size costs what the cheapest of its ``repeats`` took: other programs make work
    dearer, never cheaper.
    """
    costs = dict.fromkeys((small, large), float("inf"))
    for _ in range(repeats):
        for count, least in costs.items():
            costs[count] = min(least, _measure(work, count))
    return (costs[large] / large) / (costs[small] / small)


def _measure(work: Callable[[int], object], count: int) -> float:
    """Return the seconds of processor time that ``work`` takes for so many items."""
    gc.collect()
    began = time.process_time()
    work(count)
    return time.process_time() - began


def count_calls(work: Callable[[], object]) -> int:
    """Return how many functions of this program ``work`` calls; a generator counts each time it goes on."""
    calls = 0

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(_PACKAGE)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls
