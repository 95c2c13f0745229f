"""The width of texts on a terminal, in cells. Pure.

A Chinese character takes two cells, and an accent that stands behind its letter takes none. So a text's
length is not its width, and columns that are filled up by lengths do not stand below each other.
"""

from __future__ import annotations

from functools import lru_cache
from unicodedata import category, east_asian_width

_WIDE = frozenset({"W", "F"})
_WITHOUT = frozenset({"Mn", "Me", "Cf"})
_JOINED_HANGUL = range(0x1160, 0x1200)
"""Vowels and finals, which join the syllable before them."""
_NEW_WIDE = (range(0x1F300, 0x1FB00), range(0x20000, 0x3FFFE))
"""Pictures and Chinese characters: the ones that Python does not know yet are wide like the others."""


@lru_cache(maxsize=4096)
def _measure_character(letter: str) -> int:
    kind, code = category(letter), ord(letter)
    if kind in _WITHOUT or code in _JOINED_HANGUL:
        return 0
    # For a code that names no character Python returns any width.
    is_wide = any(code in part for part in _NEW_WIDE) if kind == "Cn" else east_asian_width(letter) in _WIDE
    return 1 + is_wide


def measure_width(text: str) -> int:
    """Return how many cells ``text`` takes."""
    return len(text) if text.isascii() else sum(map(_measure_character, text))


def fill_right(text: str, width: int) -> str:
    """Return ``text`` with spaces behind it, so that it takes ``width`` cells at least."""
    return text + " " * (width - measure_width(text))


def fill_left(text: str, width: int) -> str:
    """Return ``text`` with spaces before it, so that it takes ``width`` cells at least."""
    return " " * (width - measure_width(text)) + text


def cut_to_width(text: str, width: int) -> str:
    """Return the beginning of ``text`` that takes ``width`` cells at most, each letter with its accents."""
    if measure_width(text) <= width:
        return text
    left = width
    for at, letter in enumerate(text):
        left -= _measure_character(letter)
        if left < 0:
            return text[:at]
    return text
