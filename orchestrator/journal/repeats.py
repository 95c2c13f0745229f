"""Whether a text came twice among very many: by their hashes, at 8 bytes a text."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

_PARTS = 64
"""The hashes lie in parts by their lowest bits, so that the search holds one part at a time as a set."""


class RepeatDetector:
    """Takes texts, and tells whether one of them may have come twice.

    "No" is certain. "Yes" is wrong where two texts have one hash: once in some million plans of a million
    targets. So the caller looks for the repeated ones itself.
    """

    def __init__(self) -> None:
        self._parts = [array("q") for _ in range(_PARTS)]

    def add(self, texts: Iterable[str]) -> None:
        """Take some more texts."""
        parts = self._parts
        for value in map(hash, texts):
            parts[value % _PARTS].append(value)

    def may_repeat(self) -> bool:
        """Return whether two of the texts may be equal."""
        return any(len(set(part)) < len(part) for part in self._parts)
