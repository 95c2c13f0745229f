"""Judge which texts may be names, and when two names are the same.

A name travels inside a URL. A proxy between this program and the gateway may decode that URL once more than
it should, or cut it at a semicolon. So a name is judged by every text that it could turn into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from unicodedata import category, combining, normalize
from urllib.parse import unquote_to_bytes

from orchestrator.text.characters import why_hidden

# Nearly all names match this. Such a name cannot vanish from an address, and is in NFC already.
_PLAIN = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9_. -]*[A-Za-z0-9_.-])?").fullmatch

MOST_MARKS = 30
"""Accents and the like that may follow one letter (the bound of Unicode's Stream-Safe Text Format)."""

_SEPARATOR = re.compile(r"[/\\]")
_PATH_ENDS = re.compile(r"[?#]")
_VANISHING = frozenset({"", ".", ".."})
_DECODED = ("", ", once % is decoded", ", once % is decoded twice")
"""Words for the number of decodings too many that a name may meet on its way."""


def _encode_overlong(code: int) -> dict[bytes, bytes]:
    """Return the overlong forms of an ASCII character, which UTF-8 forbids and lenient decoders accept."""
    last, middle = bytes([0x80 | code & 0x3F]), bytes([0x80 | code >> 6])
    plain = bytes([code])
    return {
        bytes([0xC0 | code >> 6]) + last: plain,
        b"\xe0" + middle + last: plain,
        b"\xf0\x80" + middle + last: plain,
    }


_OVERLONG = {form: plain for code in b"./\\;%" for form, plain in _encode_overlong(code).items()}
_ANY_OVERLONG = re.compile(b"|".join(map(re.escape, _OVERLONG)))

# Bounded where anything may stand inside: else each of a thousand brackets is sought to the end of the text.
_PLACEHOLDER = re.compile(
    r"\$\{[^{}]*\}|\{\{.{0,200}?\}\}|__[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*__|\$\[\[.{0,200}?\]\]|#\{[^{}]*\}"
    r"|<%.{0,200}?%>|\$\([\w. -]+\)|\$[A-Z_][A-Z0-9_]+|@[A-Za-z_][\w.-]*@|%[A-Z_][A-Z0-9_]+%"
    r"|(?<![^/])<[\w. -]+>(?![^/])"
)

EMPTY_WORDS = frozenset({"null", "NULL", "Null", "~", "None", "NaN", "nan", "undefined"})
"""Words that programs write where they have no value, and that a plan takes for texts like any others."""


def to_nfc(text: str) -> str:
    """Return ``text`` in NFC, the form for comparing names: Unicode writes an accent in two ways.

    A text with more than ``MOST_MARKS`` accents on one letter stays as it is: the time to put those in order
    grows with their square, and a gateway may send a megabyte of them.
    """
    # For comparing only: a manager knows a name by its bytes, so a name is sent as written.
    return text if text.isascii() or _has_too_many_marks(text) else normalize("NFC", text)


def _has_too_many_marks(text: str) -> bool:
    # A row of so many covers at least one of these places: hardly any name has a mark on one.
    if not any(map(combining, text[MOST_MARKS :: MOST_MARKS + 1])):
        return False
    rows = groupby(text, key=lambda letter: combining(letter) > 0)
    return any(is_mark and sum(1 for _ in row) > MOST_MARKS for is_mark, row in rows)


def fold_for_search(text: str) -> str:
    """Return ``text`` as a search takes it: without accents, and the same for small letters and capitals.

    All four letters I of Turkish become one, since whoever searches types the one that is at hand.
    """
    if text.isascii():
        return text.lower()
    bare = "".join(letter for letter in normalize("NFD", text) if not category(letter).startswith("M"))
    return bare.lower().replace("\u0131", "i")


def is_name(text: str) -> bool:
    """Return whether ``text`` may be a name that travels in a URL; ``why_no_name`` gives the reason."""
    # The reader calls this for every name of a plan. Most names pass the first test, which is the fastest.
    if text.isascii() and text.replace("-", "a").replace("_", "a").isalnum():
        return True
    return _PLAIN(text) is not None or why_no_name(text) is None


def why_no_name(text: str) -> str | None:
    """Return why ``text`` may not be such a name, as a clause that follows the text; None if it may."""
    if not text:
        return "is empty; a text is expected"
    return why_hidden(text) or why_at_ends(text) or why_vanishing(text)


def why_at_ends(text: str) -> str | None:
    """Return a clause if a text begins or ends with a space; None otherwise."""
    if text[:1] == " ":
        return "begins with a space"
    return "ends with a space" if text[-1:] == " " else None


def why_vanishing(text: str) -> str | None:
    """Return which piece of a name could turn an address into another one, as a clause; None without one.

    Pieces stand between ``/`` and ``\\``, each up to its first ``;``. Decoding ``%`` once or twice may bring
    new pieces. All this in NFC, which turns one more character into ``;``.
    """
    for decodings, seen in enumerate(decode_repeatedly(text)):
        for piece in _SEPARATOR.split(seen):
            if (left := piece.partition(";")[0]) in _VANISHING:
                return _why_vanishing(left, whole=left == text, decodings=decodings)
    return None


def decode_repeatedly(text: str) -> Iterator[str]:
    """Yield ``text`` as written, then with ``%`` decoded once, then twice; each in NFC."""
    seen = to_nfc(text)
    yield seen
    for _ in range(1, len(_DECODED)):
        if "%" not in seen:
            return
        seen = to_nfc(_decode_once(seen))
        yield seen


def find_path_end(name: str) -> str | None:
    """Return the ``?`` or ``#`` of a name that ends its address once it is decoded; None without one."""
    found = next(filter(None, map(_PATH_ENDS.search, decode_repeatedly(name))), None)
    return found[0] if found else None


def split_path(path: str) -> tuple[str, ...]:
    """Return the pieces of a path as the strictest server sees them.

    Such a server ends the path at ``?`` or ``#``, drops slashes at its end, and ends a piece at its first
    ``;``.
    """
    left = _PATH_ENDS.split(path, maxsplit=1)[0].rstrip("/")
    return tuple(piece.partition(";")[0] for piece in _SEPARATOR.split(left))


def _why_vanishing(left: str, *, whole: bool, decodings: int) -> str:
    if whole:
        return "would vanish from an address; it cannot be a name"
    piece = (
        f'the piece "{left}"' if left else "an empty piece, between slashes, at an end or before a semicolon"
    )
    return f"holds {piece}{_DECODED[decodings]}; on its way it could turn into the address of something else"


def _decode_once(text: str) -> str:
    """Decode ``%`` once, as leniently as the worst of servers."""
    data = unquote_to_bytes(text.encode("utf-8", "surrogatepass"))
    return _ANY_OVERLONG.sub(lambda found: _OVERLONG[found[0]], data).decode("utf-8", "replace")


def find_placeholder(text: str) -> str | None:
    """Return the part of ``text`` that looks like an unfilled placeholder; None without one."""
    found = _PLACEHOLDER.search(text)
    return found[0] if found else None
