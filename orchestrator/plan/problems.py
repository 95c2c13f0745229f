"""Gather the problems of a plan until its end, then raise them all at once, in file order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from functools import lru_cache

from msgspec import Struct

from orchestrator.errors import PlanError, Problem
from orchestrator.text.characters import is_in_curly_quotes, quote_text

MOST_PRINTED = 200
"""How many problems a message shows; it counts the others."""


MOST_WARNINGS = 20
"""How many warnings a message shows: a mistake in a generator stands in every line of its plan."""


class FilePosition(Struct, frozen=True, order=True):
    """A position in a file. ``file`` 0 is the plan; the files that it names follow, in the order of reading.

    ``line`` and ``column`` count from 1; 0 means the file as a whole. For one of several ids on the command
    line, ``line`` is 0 and ``column`` is the number of the id.
    """

    file: int
    line: int
    column: int


class UnreadableError(Exception):
    """The rest of a file cannot be read. Carries the position and the message."""

    def __init__(
        self,
        position: FilePosition,
        message: str,
        hint: str = "",
        *,
        path: str = "",
        is_exact: bool = False,
    ) -> None:
        """``is_exact``: the position is the file's own, and not as libyaml counts."""
        super().__init__(message)
        self.position = position
        self.is_exact = is_exact
        self.message = message
        self.hint = hint
        self.path = path


def _format_number(position: FilePosition) -> str:
    """Return ``number 3`` for the third of several ids on the command line, else an empty text."""
    return f"number {position.column}" if position.column and not position.line else ""


class Problems:
    """Gathers problems and warnings. Holds a bounded number of them, and counts the others."""

    def __init__(self) -> None:
        self._files: list[str] = []
        self._kept: list[tuple[FilePosition, Problem]] = []
        self._count = 0
        self._warned: list[tuple[FilePosition, Problem]] = []
        self._warned_more = 0
        self.correct: Callable[[FilePosition], FilePosition] = lambda at: at
        """Returns a position in the plan as an editor tells it, of one that libyaml told."""

    def __len__(self) -> int:
        return self._count

    def add_file(self, name: str) -> int:
        """Return the index by which positions refer to the file ``name``."""
        self._files.append(name)
        return len(self._files) - 1

    def format_position(self, position: FilePosition) -> str:
        """Return ``position`` as ``file:line:column``, or as the number of an id on the command line."""
        name = self._files[position.file]
        if not position.line:
            return f"{name} {_format_number(position)}".rstrip()
        at = self._find_own(position)
        return f"{name}:{at.line}:{at.column}"

    def add(
        self, position: FilePosition, path: str, message: str, hint: str = "", *, is_exact: bool = False
    ) -> None:
        """Add one problem. ``path`` is the path of the wrong key; ``is_exact`` as in ``UnreadableError``."""
        self._count += 1
        at = position if is_exact else self._find_own(position)
        self._kept.append((at, self._problem(at, path, message, hint)))
        # Problems do not come in file order, so more are kept than are shown.
        # To sort them at each new one would take long.
        if len(self._kept) >= 4 * MOST_PRINTED:
            self._trim()

    def _find_own(self, position: FilePosition) -> FilePosition:
        """Return a position as an editor tells it."""
        return self.correct(position) if position.line and not position.file else position

    def _problem(self, position: FilePosition, path: str, message: str, hint: str) -> Problem:
        return Problem(
            file=self._files[position.file],
            line=position.line,
            column=position.column if position.line else 0,
            path=path or _format_number(position),
            message=message,
            hint=hint,
        )

    def warn(self, position: FilePosition, path: str, message: str, hint: str = "") -> None:
        """Add a warning of something that a plan may say, but hardly means. Keeps the first 20."""
        if len(self._warned) < MOST_WARNINGS:
            at = self._find_own(position)
            self._warned.append((at, self._problem(at, path, message, hint)))
        else:
            self._warned_more += 1

    def count_warnings(self, count: int) -> None:
        """Count more warnings without their texts."""
        self._warned_more += count

    def list_warnings(self) -> tuple[Problem, ...]:
        """Return the warnings in file order."""
        shown = tuple(problem for _, problem in sorted(self._warned, key=lambda kept: kept[0]))
        return (
            *shown,
            *([self._make_file_problem(f"{self._warned_more:,} more warnings")] if self._warned_more else ()),
        )

    def _make_file_problem(self, message: str) -> Problem:
        return Problem(file=self._files[0], line=0, column=0, path="", message=message)

    def _trim(self) -> None:
        self._kept.sort(key=lambda kept: kept[0])
        del self._kept[MOST_PRINTED:]

    def raise_any(self) -> None:
        """Raise ``PlanError`` with the problems, in file order, if there are any."""
        if not self._count:
            return
        self._trim()
        shown = tuple(problem for _, problem in self._kept)
        more = self._count - len(shown)
        if more:
            shown += (self._make_file_problem(f"{more:,} more problems are not shown; mend these first"),)
        raise PlanError(shown)


def quote_key(key: str) -> str:
    """Return ``key`` as a step of a key path."""
    return quote_text(key)[1:-1]


def suggest_nearest(word: str, words: Iterable[str]) -> str:
    """Return ``did you mean "…"?`` if one of the words looks alike, else an empty text."""
    near = find_nearest(word, words)
    return f'did you mean "{near}"?' if near else ""


def find_nearest(word: str, words: Iterable[str]) -> str:
    """Return the one of the words that looks most alike; an empty text if none does."""
    return _find_nearest(word[:100], tuple(words))


def suggest_key(key: str, known: Collection[str], what: str = "keys here") -> str:
    """Return what to write instead of an unknown key; ``what`` names the ``known`` ones."""
    # YAML takes "name:foo" in braces for one key without a value.
    if ":" in key and key.partition(":")[0] in known:
        return "write a space after the colon"
    return suggest_nearest(key, known) or f"the {what} are {', '.join(known)}"


def prefer_straight_quotes(text: str, hint: str) -> str:
    """Return ``hint``; if the refused ``text`` stands in curly quotes, that straight ones are meant."""
    return "write straight quotes" if is_in_curly_quotes(text) else hint


def find_misspelt(key: str, given: Iterable[str], known: Collection[str]) -> str:
    """Return the first ``given`` key that is unknown and looks like ``key``; an empty text without one.

    Its own problem says what was meant, so that no second one is needed for the missing ``key``.
    """
    words = tuple(known)
    unknown = (one for one in given if one not in known)
    return next((one for one in unknown if _find_nearest(one.partition(":")[0][:100], words) == key), "")


@lru_cache(maxsize=1000)  # a mistake in a generator stands in every line of its plan
def _find_nearest(word: str, words: tuple[str, ...]) -> str:
    alike = [one for one in words if one.casefold() == word.casefold()]
    close = alike or get_close_matches(word, words, n=1, cutoff=0.6)
    return close[0] if close else ""
