"""Texts for a terminal whose character set lacks some of their characters. Pure."""

from __future__ import annotations

from functools import lru_cache
from unicodedata import normalize

from orchestrator.text.cells import measure_width

_STAND_INS = {
    # A picture keeps its columns, so each character has one character in its place.
    **dict(zip("█▓✗░─", "#=x:-", strict=True)),
    **dict(zip("▁▂▃▄▅▆▇", "_.,-=+*", strict=True)),
    **dict(zip("·…≤≥\N{EN DASH}\N{EM DASH}", "-~<>--", strict=True)),
    **dict(zip("↻»✓▶•", "@>+>*", strict=True)),
    "\N{LATIN SMALL LETTER DOTLESS I}": "i",
}


def fit_charset(text: str, charset: str) -> str:
    """Return ``text`` in the characters of ``charset``, in as many cells.

    A letter loses its accent rather than to be lost itself; ``?`` stands where nothing is like a character.
    """
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        return "".join(_fit_character(letter, charset) for letter in text)
    return text


@lru_cache(maxsize=4096)
def _fit_character(letter: str, charset: str) -> str:
    try:
        letter.encode(charset)
    except UnicodeEncodeError:
        width = measure_width(letter)
        like = _STAND_INS.get(letter) or normalize("NFKD", letter)[0]
        return like if like.isascii() and like.isprintable() and width == 1 else "?" * width
    return letter
