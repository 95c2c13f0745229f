"""The steps of a wave: how ``sizes`` splits its targets. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

from orchestrator.model.plan import StepSize

_FINEST = 10**8
"""Denominator of a share: a plan writes it with at most eight decimals. As a float it is a little more or
less, and 10 % of 10 targets must not round up to 2."""


def find_step_ends(sizes: Sequence[StepSize], count: int) -> tuple[int, ...]:
    """Return where each step of a wave of ``count`` targets ends, counted from the wave's beginning.

    Shares round up. A step that would add no target is left out; the last one goes to the end.
    """
    bounds = [0]
    for size in sizes:
        bound = min(_find_end(size, count), count)
        if bound > bounds[-1]:
            bounds.append(bound)
    if bounds[-1] < count:
        bounds.append(count)
    return tuple(bounds[1:])


def _find_end(size: StepSize, count: int) -> int:
    if size.count is not None:
        return size.count
    return ceil(Fraction(size.share or 0).limit_denominator(_FINEST) * count)
