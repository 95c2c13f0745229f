"""Files in which each line is one entry: ids of targets, or patterns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_LINE_END = re.compile("\r\n|\r|\n")
_BLANK = " \t"


class ListedLine(NamedTuple):
    """An entry without the blanks at its ends, and its position, counted from 1."""

    text: str
    number: int
    column: int


def read_listed_lines(text: str) -> Iterator[ListedLine]:
    """Yield the entries of a list. Empty lines and lines that begin with ``#`` are none."""
    for number, raw in enumerate(_LINE_END.split(text), 1):
        line = raw.strip(_BLANK)
        if line and not line.startswith("#"):
            yield ListedLine(line, number, raw.index(line) + 1)
