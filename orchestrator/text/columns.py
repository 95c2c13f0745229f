"""Rows of texts as lines in columns, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def align_columns(rows: Sequence[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    """Yield each row as a line. Align the first ``left`` columns to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = zip(row, widths, strict=True)
        texts = [
            cell.ljust(width) if n < left else cell.rjust(width) for n, (cell, width) in enumerate(cells)
        ]
        yield "  ".join(texts).rstrip()
