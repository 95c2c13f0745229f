"""The lines of a picture that has less room than there is to tell: the least important is cut first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.text import Text


class Section(NamedTuple):
    """A part of a picture, from its top to its bottom."""

    rank: int
    """Its importance; 0 is shown before all others."""
    size: int
    """Lines that show all of it."""
    draw: Callable[[int], Sequence[Text]]
    """Draws it in at most so many lines, which are never fewer than ``least``, and says what it left out."""
    least: int = 1
    """Lines below which it tells nothing."""


def make_section(rank: int, lines: Sequence[Text], *, least: int = 1) -> Section:
    """Return a section of given lines, of which the last ones may be cut."""
    return Section(rank, len(lines), lambda rows: lines[:rows], min(least, len(lines)))


def arrange(sections: Sequence[Section], height: int) -> list[Text]:
    """Return the lines of the sections in their order, ``height`` at most.

    By importance each section first gets its least lines, and then the lines that show all of it.
    """
    rows, left = [0] * len(sections), height
    by_rank = sorted((place for place, each in enumerate(sections) if each.size), key=lambda n: sections[n].rank)
    for place in by_rank:
        if (least := min(sections[place].least, sections[place].size)) <= left:
            rows[place], left = least, left - least
    for place in by_rank:
        # A section without its least lines must not take what a less important one could use.
        if rows[place]:
            more = min(left, sections[place].size - rows[place])
            rows[place], left = rows[place] + more, left - more
    return [line for each, given in zip(sections, rows, strict=True) if given for line in each.draw(given)]


def choose_rows(count: int, rows: int, urgency: Callable[[int], object]) -> tuple[list[int], int]:
    """Choose which of ``count`` entries to show in ``rows`` lines, and return them with how many are left out.

    The entries with the smallest ``urgency`` are shown, in their own order. What is left out needs a line.
    """
    if count <= rows:
        return list(range(count)), 0
    chosen = sorted(range(count), key=urgency)[: max(rows - 1, 0)]  # type: ignore[arg-type]  # any that sorts
    return sorted(chosen), count - len(chosen)
