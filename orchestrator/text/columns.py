"""Rows of texts as lines in columns, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.text.cells import fill_left, fill_right, measure_width


def align_columns(rows: Sequence[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    """Yield each row as a line. Align the first ``left`` columns to the left, the others to the right."""
    widths = [max(measure_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = zip(row, widths, strict=True)
        texts = [
            fill_right(cell, width) if n < left else fill_left(cell, width)
            for n, (cell, width) in enumerate(cells)
        ]
        yield "  ".join(texts).rstrip()
