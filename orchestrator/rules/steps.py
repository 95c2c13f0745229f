"""The steps of a wave: how ``sizes`` splits its targets. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from math import ceil

from orchestrator.model.plan import StepSize, WaveStep

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


def find_step_before(first: WaveStep, begun: Collection[WaveStep]) -> WaveStep | None:
    """Return the last step that had ``begun`` before a session which begins with the step ``first``.

    None if the session before ended within ``first``, or before any step. Steps without an open target were
    never begun, so the step before need not be that of the wave before.
    """
    return None if first in begun else max((step for step in begun if step < first), default=None)


def _find_end(size: StepSize, count: int) -> int:
    if size.count is not None:
        return size.count
    return ceil(Fraction(size.share or 0).limit_denominator(_FINEST) * count)
