"""Texts for a terminal that can show ASCII only. Pure."""

from __future__ import annotations

_STAND_INS = {
    # A picture keeps its columns, so each character has one character in its place.
    **dict(zip("█▓✗░─", "#=x:-", strict=True)),
    **dict(zip("▁▂▃▄▅▆▇", "_.,-=+*", strict=True)),
    **dict(zip("·…≤≥\N{EN DASH}\N{EM DASH}", "-~<>--", strict=True)),
    **dict(zip("↻»✓▶•", "@>+>*", strict=True)),
}
_TABLE = str.maketrans(_STAND_INS)


def make_ascii(text: str) -> str:
    """Return ``text`` with one ASCII character for each of its characters; ``?`` where none is like it."""
    return text.translate(_TABLE).encode("ascii", "replace").decode()
