r"""Puts the positions that libyaml tells into the terms of an editor.

libyaml ends a line at three more characters than editors do (U+0085, U+2028, U+2029), and it reads a pair
such as ``\ud83d\ude00`` in the shorter form that ``SurrogateJoiner`` gives it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from orchestrator.errors import UnfitError
from orchestrator.plan.problems import FilePosition
from orchestrator.plan.source import open_regular, split_lines
from orchestrator.plan.surrogates import JOINED, PAIR, find_pairs

_FURTHER = "\x85\u2028\u2029"
_FURTHER_ENDS = tuple(letter.encode() for letter in _FURTHER)


class _OddLine:
    """A line of the file that is several ones for libyaml, or that holds pairs."""

    def __init__(self, number: int, text: str, before: int) -> None:
        """``number`` is the editor's, from 1. ``before`` counts the further ends of lines before it."""
        pairs, shorter = list(find_pairs(text)), PAIR - JOINED
        self.first = number + before
        """libyaml's number of the first of its lines."""
        self.before = before
        # In characters of the line as libyaml reads it.
        self._begins = [begin - shorter * bisect_left(pairs, begin) for begin in _list_begins(text)]
        self._ends = [pair - shorter * place + JOINED for place, pair in enumerate(pairs)]
        """Where the joined pairs end."""

    @property
    def further(self) -> int:
        """How many more lines it is for libyaml."""
        return len(self._begins) - 1

    @property
    def is_odd(self) -> bool:
        """Whether libyaml tells other positions in it, or behind it, than an editor."""
        return bool(self.further or self._ends)

    def find_column(self, part: int, column: int) -> int:
        """Return the column, from 1, of the ``column`` in one of libyaml's lines."""
        at = self._begins[part] + column
        return at + (PAIR - JOINED) * bisect_right(self._ends, at - 1)


class PositionMap:
    """The odd lines of one file. It is read at the first position that is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def correct(self, at: FilePosition) -> FilePosition:
        """Return the position of ``at``, which libyaml told, as an editor tells it."""
        place = bisect_right(self._odd_lines, at.line, key=lambda line: line.first) - 1
        if place < 0:
            return at
        odd = self._odd_lines[place]
        part = at.line - odd.first
        if part > odd.further:
            return FilePosition(at.file, at.line - odd.before - odd.further, at.column)
        return FilePosition(at.file, at.line - odd.before - part, odd.find_column(part, at.column))

    @cached_property
    def _odd_lines(self) -> list[_OddLine]:
        """The odd lines in their order."""
        found: list[_OddLine] = []
        before = 0
        # A file that has gone since then has no positions that anybody could look up.
        with suppress(UnfitError, OSError), open_regular(self._path) as stream:
            for number, text in _list_doubtful(split_lines(stream)):
                if (line := _OddLine(number, text, before)).is_odd:
                    found.append(line)
                    before += line.further
        return found


def _list_doubtful(lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Yield the lines that may be odd, with their numbers, and without a byte order mark."""
    for number, data in enumerate(lines, 1):
        if b"\\u" in data or any(end in data for end in _FURTHER_ENDS):
            text = data.decode("utf-8", "replace")
            yield number, text.removeprefix("\ufeff") if number == 1 else text


def _list_begins(text: str) -> list[int]:
    """Return where in a line each of libyaml's lines begins."""
    return [0, *(place for place, letter in enumerate(text, 1) if letter in _FURTHER)]
