"""Texts that cross the border: a vendor's words made fit to be shown, a person's names made fit for a URL."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote

from orchestrator.text.characters import show_name as shown_name
from orchestrator.text.names import why_vanishing

SHOWN = 256
"""At most so many characters of a vendor's text are kept."""

NAMED = 8
"""At most so many pods are named; the others are counted."""

# A credential holds none of these (RFC 6750's b64token), so no cut between chunks leaves half a credential.
_CHUNKS = re.compile(r"[\s\"'<>{},]+|[^\s\"'<>{},]+")


def show_text(text: str) -> str | None:
    """Return ``text`` on one line and in at most ``SHOWN`` characters; ``None`` if there is nothing to show.

    Control characters become visible (``\\n``, ``\\x1b``). A text that is too long is cut between words,
    never inside one: a credential that a vendor repeats is either whole, so that masking finds it, or gone.
    """
    text = text.strip()
    head = text[: SHOWN + 1]
    visible = _escape_invisible(head)
    if len(visible) <= SHOWN:
        return visible or None
    kept = ""
    for chunk in _CHUNKS.findall(head):
        piece = _escape_invisible(chunk)
        if len(kept) + len(piece) >= SHOWN:
            break
        kept += piece
    return kept.rstrip() + "…"


def keep_whole(text: str) -> str | None:
    """Return ``text`` if it can be kept as it is; ``None`` where ``show_name`` would cut or change it.

    For values that are sent again later: a value that was cut is another value.
    """
    return text if show_text(text) == text else None


def list_first(names: Iterable[str]) -> tuple[tuple[str, ...], int]:
    """Return the first ``NAMED`` of some names, each once and fit to be shown; and how many more."""
    known = list(dict.fromkeys(show_text(name) or "unnamed" for name in names))
    return tuple(known[:NAMED]), max(0, len(known) - NAMED)


def _escape_invisible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


# Nearly all names: nothing in them would be encoded, and no piece of them could vanish.
_is_unreserved = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]*").fullmatch


def encode_segment(text: str) -> str:
    """Percent-encode ``text`` as one segment of a path, with no safe characters but the unreserved ones.

    Raises ``ValueError`` for a text that is no name because a piece of it would vanish: on the way to the
    server that piece disappears, and the URL that is left names something else. A plan's reader refuses such
    names long before; no journal, approval or caller gets past this one.
    """
    return text if _is_unreserved(text) else _quote(text)


@lru_cache(maxsize=4096)
def _quote(text: str) -> str:
    if why := why_vanishing(text):
        raise ValueError(
            f"{shown_name(text)!r} cannot be a part of a URL's path; it would name something else: it {why}"
        )
    return quote(text, safe="")
