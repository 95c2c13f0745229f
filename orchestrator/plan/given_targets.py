"""Targets that replace a plan's own: ids on the command line, or in a file with one id a line."""

from __future__ import annotations

import re

from msgspec import Struct

from orchestrator.errors import UnfitError
from orchestrator.text.lists import read_listed_lines

COMMAND_LINE = "--target"
_COMMENTED = re.compile(r"[ \t](?:#|//)")


class GivenTarget(Struct, frozen=True):
    """An id, and its origin.

    In a file, ``line`` and ``position`` (the column) count from 1. On the command line, ``line`` is 0 and
    ``position`` counts the ids from 1; 0 if there is only one.
    """

    text: str
    file: str = COMMAND_LINE
    line: int = 0
    position: int = 0


def read_given_targets(data: bytes, file: str) -> list[GivenTarget]:
    """Return the ids in a file: one a line. Ignores empty lines and lines that begin with ``#``.

    Raises ``UnfitError`` if the file is no UTF-8 text.
    """
    try:
        # Editors on Windows begin a file with a byte order mark, which would become part of the first id.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnfitError(f"it is not UTF-8 text, at line {line}", "save it as UTF-8") from None
    return [GivenTarget(line.text, file, line.number, line.column) for line in read_listed_lines(text)]


def explain_mistake(one: GivenTarget) -> str:
    """Return, as a clause, how the program reads an id that looks like a mistake; else an empty text."""
    if one.line and _COMMENTED.search(one.text):
        return "is an id as a whole: a comment has a line of its own"
    if one.line and one.text.endswith((",", ";")):
        return f"is an id with the {one.text[-1]} at its end; a line holds an id and nothing else"
    return ""
