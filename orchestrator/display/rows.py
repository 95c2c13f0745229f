"""Rows of cells as lines of equal width, with the columns that there is room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.text import Text

from orchestrator.display.bars import LEAST_CELLS

GAP = 2
"""Spaces between two columns."""
WANTED_CELLS = 20
"""Cells of a bar before ``DISPENSABLE`` columns, and those of higher rank, get any room."""
DISPENSABLE = 6


class RowColumn(NamedTuple):
    """A column of a table."""

    heading: str
    rank: int
    """Its importance; the columns with the highest are left out first."""
    least: int = 0
    """Its width at least. Without it the columns would dance as their numbers grow."""
    most: int = 1000
    """Its width at most; longer cells are cut."""
    is_right: bool = True


class TableRow(NamedTuple):
    """One cell for each column, and the bar between the first and the second one."""

    cells: Sequence[Text]
    draw_bar: Callable[[int], Text]


def draw_rows(columns: Sequence[RowColumn], rows: Sequence[TableRow], width: int) -> list[Text]:
    """Draw the headings and the rows, each ``width`` wide at most.

    The bar takes the room that is left. It is left out last but for the columns of rank 0.
    """
    shown, widths = _fit_columns(columns, rows, width)
    room = width - sum(widths) - GAP * len(widths)
    cells = room if room >= LEAST_CELLS else 0
    heading = TableRow(
        [Text(column.heading, "bright_black") for column in columns], lambda wide: Text(" " * wide)
    )
    return [_draw_row(columns, row, shown, widths, cells) for row in (heading, *rows)]


def _fit_columns(
    columns: Sequence[RowColumn], rows: Sequence[TableRow], width: int
) -> tuple[list[int], list[int]]:
    """Return the places of the columns that there is room for, and their widths."""
    shown = [n for n, column in enumerate(columns) if not column.rank or any(row.cells[n] for row in rows)]
    wide = [
        min(column.most, max(column.least, len(column.heading), *(row.cells[n].cell_len for row in rows)))
        for n, column in enumerate(columns)
    ]
    while True:
        widths = [wide[n] for n in shown]
        last = max(shown, key=lambda n: columns[n].rank)
        bar = WANTED_CELLS if columns[last].rank >= DISPENSABLE else LEAST_CELLS
        if sum(widths) + GAP * len(widths) + bar <= width or columns[last].rank == 0:
            break
        shown.remove(last)
    # On a very narrow terminal names are cut before states.
    over = sum(widths) + GAP * (len(widths) - 1) - width
    return shown, [max(4, widths[0] - over) if over > 0 else widths[0], *widths[1:]]


def _draw_row(
    columns: Sequence[RowColumn], row: TableRow, shown: Sequence[int], widths: Sequence[int], cells: int
) -> Text:
    line = Text()
    for place, (number, wide) in enumerate(zip(shown, widths, strict=True)):
        if place:
            line.append(" " * GAP)
        cell = row.cells[number].copy()
        cell.truncate(wide, overflow="ellipsis")
        padding = " " * (wide - cell.cell_len)
        # Behind the cell, not in it: its style must not colour the padding.
        line.append_text(Text.assemble(*((padding, cell) if columns[number].is_right else (cell, padding))))
        if place == 0 and cells:
            line.append(" " * GAP).append_text(row.draw_bar(cells))
    return line
