"""Find what a pattern without a match probably meant: that pattern with one part as some target has it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import islice

from orchestrator.plan.pattern_text import canonicalize
from orchestrator.plan.problems import find_nearest
from orchestrator.text.names import to_nfc

MOST_TARGETS = 100_000
"""How many targets the search looks at."""
MOST_PATTERNS = 5
"""For how many patterns at a time it looks for more."""
_MOST_COMPARED = 500
"""To compare two texts takes some ten microseconds, so of the targets' texts only so many are compared."""

_WILD = re.compile(r"[*?]")


class _NearPattern:
    """Gathers, for one pattern, the texts that targets have in the place of its one wrong part."""

    def __init__(self, pattern: str, gateways: Collection[str]) -> None:
        self._parts = canonicalize(pattern).split("/")
        self._gateways = gateways
        # Behind a ** a part may stand at any place of an id.
        crossing = (index for index, part in enumerate(self._parts) if "**" in part)
        self._end = next(crossing, 0)
        self._fixed = [
            (index, part)
            for index, part in enumerate(self._parts[: self._end or None])
            if index and not _WILD.search(part)
        ]
        self._found: dict[int, dict[str, None]] = {index: {} for index, _ in self._fixed}

    def add(self, gateway: str, parts: list[str]) -> None:
        """Note the text of a target that differs in one part only."""
        is_long_enough = len(parts) > self._end if self._end else len(parts) == len(self._parts)
        if gateway not in self._gateways or not is_long_enough:
            return
        wrong = [(index, part) for index, part in self._fixed if parts[index] != part]
        if len(wrong) == 1:
            ((index, part),) = wrong
            known = self._found[index]
            if len(known) < _MOST_COMPARED or _is_half_equal(part, parts[index]):
                known[parts[index]] = None

    def suggest(self) -> str:
        """Return the mended pattern; an empty text if no target looks alike."""
        for index, part in self._fixed:
            known = list(self._found[index])
            if near := find_nearest(part, known[-_MOST_COMPARED:]):
                return "/".join([*self._parts[:index], near, *self._parts[index + 1 :]])
        return ""


def _is_half_equal(one: str, other: str) -> bool:
    """Return whether the first or the last halves are equal, as after a slip of one letter."""
    half = len(one) // 2
    return other.startswith(one[:half]) or other.endswith(one[half:])


def suggest_patterns(patterns: dict[str, Collection[str]], targets: Iterable[str]) -> dict[str, str]:
    """Return, for ``patterns`` that match no target, the pattern that was probably meant, where one is found.

    ``patterns`` has the names of the gateways that each one means. The work is bounded: see the constants.
    """
    near = {text: _NearPattern(text, names) for text, names in islice(patterns.items(), MOST_PATTERNS)}
    for target in islice(targets, MOST_TARGETS) if near else ():
        parts = to_nfc(target).split("/")
        for one in near.values():
            one.add(parts[0], parts)
    found = {text: one.suggest() for text, one in near.items()}
    return {text: meant for text, meant in found.items() if meant}
