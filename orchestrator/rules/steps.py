"""How a wave is split into steps."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

from orchestrator.model.plan import Size

_FINEST = 10**8
"""A share is written with at most eight decimals; a float of it is a little more or less."""


def end_steps(sizes: Sequence[Size], count: int) -> tuple[int, ...]:
    """Return how far each step of a wave of ``count`` targets goes, in targets from the wave's beginning.

    Shares round up. A step that would add nothing is left out; the last one goes to the end.
    """
    bounds = [0]
    for size in sizes:
        bound = min(_end_of_step(size, count), count)
        if bound > bounds[-1]:
            bounds.append(bound)
    if bounds[-1] < count:
        bounds.append(count)
    return tuple(bounds[1:])


def _end_of_step(size: Size, count: int) -> int:
    if size.count is not None:
        return size.count
    return ceil(Fraction(size.share or 0).limit_denominator(_FINEST) * count)
