"""Bars whose cells stand for targets, and never hide that one of them failed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.text import Text

from orchestrator.display.palette import OUTCOME_LOOKS, TO_COME
from orchestrator.model.outcome import TROUBLE, Outcome

LEAST_CELLS = 8
"""A bar of fewer cells would be all rounding; the counts beside it say more."""


def share_cells(counts: Sequence[int], cells: int) -> list[int]:
    """Share ``cells`` among ``counts`` by their size: one at least for each count that is not 0.

    The rest goes to the largest remainders. With more such counts than cells, the first ones get the cells.
    """
    total = sum(counts)
    if not total:
        return [0] * len(counts)
    exact = [count * cells / total for count in counts]
    shares = [max(1, int(share)) if count else 0 for count, share in zip(counts, exact, strict=True)]
    while sum(shares) < cells:
        shares[_find_most([share - given for share, given in zip(exact, shares, strict=True)])] += 1
    while sum(shares) > cells:
        _take_one(shares, exact)
    return shares


def _take_one(shares: list[int], exact: Sequence[float]) -> None:
    """Take a cell from the count that has the most too many; leave each one a cell, if there are enough."""
    if max(shares) > 1:
        surplus = [
            given - share if given > 1 else -math.inf for share, given in zip(exact, shares, strict=True)
        ]
        shares[_find_most(surplus)] -= 1
    else:
        shares[max(place for place, given in enumerate(shares) if given)] = 0


def _find_most(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def draw_bar(outcomes: Mapping[Outcome, int], total: int, cells: int) -> Text:
    """Draw ``total`` targets as ``cells`` cells, each outcome in its pattern; empty with too few cells.

    The bar is full only if all targets have ended, and has a cell for each outcome that occurs.
    """
    if cells < LEAST_CELLS:
        return Text("")
    # With more kinds of cells than cells, the first kinds get one.
    order = [*TROUBLE, *(outcome for outcome in OUTCOME_LOOKS if outcome not in TROUBLE)]
    counts = [outcomes.get(outcome, 0) for outcome in order]
    *given, rest = share_cells([*counts, max(0, total - sum(counts))], cells)
    widths = dict(zip(order, given, strict=True))
    bar = Text()
    for outcome, look in OUTCOME_LOOKS.items():
        bar.append(look.character * widths[outcome], look.bar_style)
    return bar.append(TO_COME.character * rest, TO_COME.bar_style)
