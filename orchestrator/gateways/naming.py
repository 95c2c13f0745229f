"""Finds replies that are about something else than the target: such a record says nothing of the target."""

from __future__ import annotations

import re
from itertools import zip_longest
from urllib.parse import unquote

from orchestrator.text.names import to_nfc

OF_ANOTHER = "the reply is about something else"

_LOST = re.compile("[?\ufffd]")
"""The signs that replace a letter which the server, or its character set, could not write."""
_CUT = re.compile(r"(?:\.\.\.|…)$")
_LONGEST_ESCAPE = 16
"""Characters for one of a name, at most: ``%F0%9F%98%80``. More of them cannot be the name."""
_MARGIN = 64
"""Characters around it: quotes, spaces, dots."""


def is_same_name(told: object, ours: str) -> bool:
    """Return whether a field of a reply is the name ``ours``; case counts, composition does not."""
    return isinstance(told, str) and to_nfc(told) == to_nfc(ours)


def names_another(told: object, ours: str) -> bool:
    """Return whether a field of a reply names something, and clearly something else than ``ours``.

    A text that may still be our name does not count: other case, quotes, escapes, a cut, lost letters.
    """
    if told is None or told in ("", ours):
        return False
    # To compare a megabyte with a name takes a second, in which no other gateway is served.
    if not isinstance(told, str) or len(told) > _LONGEST_ESCAPE * len(ours) + _MARGIN:
        return True
    import html  # noqa: PLC0415 - for few replies, and it delays the start of every command

    unescaped = html.unescape(told)
    return not any(_is_alike(one, ours) for one in {told, unescaped, unquote(told), unquote(unescaped)})


def _is_alike(told: str, ours: str) -> bool:
    told, ours = _normalize(told.strip().strip("\"'")), _normalize(ours)
    if cut := _CUT.search(told):
        told, ours = told[: cut.start()], ours[: cut.start()]
    return all(a == b or _LOST.fullmatch(a) for a, b in zip_longest(told, ours, fillvalue=""))


def _normalize(text: str) -> str:
    return to_nfc(text.strip().casefold())
