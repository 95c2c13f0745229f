"""Targets that are given by id instead of a plan's own: on the command line, or one a line in a file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from orchestrator.errors import UnfitError

COMMAND_LINE = "--target"
_LINE_END = re.compile("\r\n|\r|\n")
_COMMENTED = re.compile(r"[ \t](?:#|//)")
_BLANK = " \t"


class GivenTarget(Struct, frozen=True):
    """An id, and where it was given: the line of a file from 1, or 0 and the place among those on the command
    line."""

    text: str
    file: str = COMMAND_LINE
    line: int = 0
    place: int = 0


def read_given_targets(data: bytes, file: str) -> list[GivenTarget]:
    """Return the ids in a file: one a line; empty lines and those that begin with ``#`` say nothing.

    Raises ``UnfitError`` where it is no text.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnfitError(f"it is not UTF-8 text, at line {line}", "save it as UTF-8") from None
    return list(_lines(text, file))


def explain_mistake(one: GivenTarget) -> str:
    """Return in a clause how an id is taken that somebody may have meant as something else; else nothing."""
    if "*" in one.text:
        return "is an id, in which * stands for itself; --only takes patterns"
    if one.line and _COMMENTED.search(one.text):
        return "is an id as a whole: a comment has a line of its own"
    if one.line and one.text.endswith((",", ";")):
        return f"is an id with the {one.text[-1]} at its end; a line holds an id and nothing else"
    return ""


def _lines(text: str, file: str) -> Iterator[GivenTarget]:
    for number, raw in enumerate(_LINE_END.split(text), 1):
        line = raw.strip(_BLANK)
        if line and not line.startswith("#"):
            yield GivenTarget(line, file, number, raw.index(line) + 1)
