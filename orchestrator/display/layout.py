"""The lines of a picture that has less room than there is to tell: the least important is cut first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rich.text import Text

MINOR = 7
"""The first rank of the sections that are shown only once all others have enough lines."""
FILLER = 10
"""The rank of an empty line: it is shown only where all else has the lines that it needs."""


class PictureSection(NamedTuple):
    """A part of a picture, from its top to its bottom."""

    rank: int
    """Its importance; 0 is shown before all others."""
    size: int
    """Lines that show all of it."""
    draw: Callable[[int], Sequence[Text]]
    """Draws it in at most so many lines, which are never fewer than ``least``, and says what it left out."""
    least: int = 1
    """Lines below which it tells nothing."""
    enough: int = 1
    """Lines with which it tells most of it; less important sections come before its further lines."""


def make_section(rank: int, lines: Sequence[Text]) -> PictureSection:
    """Return a section of given lines, which are shown together or not at all."""
    return PictureSection(rank, len(lines), lambda _: lines, len(lines), len(lines))


def arrange(sections: Sequence[PictureSection], height: int) -> list[Text]:
    """Return the lines of the sections in their order, ``height`` at most.

    By importance each section first gets its least lines, then enough of them; the minor ones come after
    all others have enough. What is left goes to empty lines, and then to the sections that have more to tell.
    """
    rows, left = [0] * len(sections), height
    by_rank = sorted((n for n, each in enumerate(sections) if each.size), key=lambda n: sections[n].rank)
    for first, end in ((0, MINOR), (MINOR, FILLER), (FILLER, FILLER + 1)):
        here = [n for n in by_rank if first <= sections[n].rank < end]
        left = _grow(rows, here, left, {n: min(sections[n].least, sections[n].size) for n in here})
        # A section without its least lines must not take what a less important one could use.
        here = [n for n in here if rows[n]]
        left = _grow(
            rows, here, left, {n: min(sections[n].enough, sections[n].size) for n in here}, partly=True
        )
    _grow(rows, [n for n in by_rank if rows[n]], left, {n: sections[n].size for n in by_rank}, partly=True)
    return [line for each, given in zip(sections, rows, strict=True) if given for line in each.draw(given)]


def _grow(
    rows: list[int], places: Sequence[int], left: int, wanted: Mapping[int, int], *, partly: bool = False
) -> int:
    """Give each place the rows it wants, the first ones first, and return how many are left.

    If there are too few for a place it gets them ``partly``, or none.
    """
    for place in places:
        more = max(0, wanted.get(place, 0) - rows[place])
        given = min(more, left) if partly or more <= left else 0
        rows[place], left = rows[place] + given, left - given
    return left


def choose_rows(count: int, rows: int, urgency: Callable[[int], object]) -> tuple[list[int], int]:
    """Choose which of ``count`` entries to show in ``rows`` lines; return them, and how many are left out.

    The entries with the smallest ``urgency`` are shown, in their own order. What is left out needs a line.
    """
    if count <= rows:
        return list(range(count)), 0
    chosen = sorted(range(count), key=urgency)[: max(rows - 1, 0)]  # type: ignore[arg-type]  # any that sorts
    return sorted(chosen), count - len(chosen)
