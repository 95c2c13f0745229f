"""Collect the targets that the reader finds.

A run numbers and counts them and passes them on. A run of ids from the command line only needs
the options that the plan gives to those ids.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Protocol

from orchestrator.model.target import Target, TargetId
from orchestrator.model.target_id import join_id
from orchestrator.plan.placeholders import IN_CURLY_QUOTES, IS_A_TEXT, LOOKS_UNFILLED
from orchestrator.plan.problems import MOST_WARNINGS, FilePosition, UnreadableError
from orchestrator.plan.target_shape import ListedTarget
from orchestrator.plan.target_sink import TargetSink
from orchestrator.text.characters import is_in_curly_quotes, quote_text
from orchestrator.text.names import EMPTY_WORDS, find_path_end, find_placeholder, to_nfc

MOST_TARGETS = 10_000_000
"""A plan with more targets is a mistake in a list."""

_DOUBTFUL = re.compile(r"[{%?#$@<*]|__")
"""Characters of placeholders, address ends and patterns. Few ids hold one, and only these are looked at."""
_IS_NO_PATTERN = "is an id, in which * stands for itself; --only and discover take patterns"
_CURLY = re.compile("[\u201c\u201d\u2018\u2019]")


class TargetCollector(Protocol):
    """Takes the targets of a plan, one after the other."""

    def begin_wave(self, wave: int) -> None:
        """Begin the wave with this index: the next targets belong to it."""
        ...

    def put(
        self,
        gateway: str,
        parts: tuple[str, ...],
        description: str | None,
        persistent: bool | None,
        at: FilePosition,
    ) -> None:
        """Take one more target."""
        ...

    def add_dependency(self, needs: TargetId, at: FilePosition) -> None:
        """Note that the last target comes after the target with the id ``needs``."""
        ...

    def set_limit(self, at_most: int) -> None:
        """Pass no more than ``at_most`` targets on."""
        ...


class CountingCollector:
    """Numbers and counts the targets of a run, and passes them on to the sink, up to a limit."""

    def __init__(self, sink: TargetSink) -> None:
        self.count = 0
        self.by_gateway: defaultdict[str, int] = defaultdict(int)
        self.doubtful: list[tuple[FilePosition, str]] = []
        """The first targets whose names look like a mistake: their positions, and why, in words."""
        self.doubtful_more = 0
        self._wave = 0
        self._begun = [0]
        self._limit = MOST_TARGETS
        # Looked up here once, since both run for every target.
        self._add = sink.add
        self._add_dependency = sink.add_dependency

    def begin_wave(self, wave: int) -> None:
        """Count the next targets for the wave with this index. Waves come in order."""
        self._wave = wave
        # The first wave replaces the entry that stands for a plan without waves.
        self._begun[wave:] = [self.count]

    def is_cut(self) -> bool:
        """Return whether the limit kept some targets back."""
        return self.count > self._limit

    def count_by_wave(self) -> list[int]:
        """Return how many targets each wave has, in order."""
        return [after - first for first, after in pairwise([*self._begun, self.count])]

    def set_limit(self, at_most: int) -> None:
        """Pass no more than ``at_most`` targets on, but go on counting: a message names the whole number."""
        self._limit = at_most

    def put(
        self,
        gateway: str,
        parts: tuple[str, ...],
        description: str | None,
        persistent: bool | None,
        at: FilePosition,
    ) -> None:
        """Pass one more target on. Raises ``UnreadableError`` after ``MOST_TARGETS``."""
        self.count = count = self.count + 1
        self.by_gateway[gateway] += 1
        if count <= self._limit:
            name = join_id(gateway, parts)
            # Nearly all ids are ASCII, and to test that is cheaper than to search.
            is_curly = not name.isascii() and _CURLY.search(name)
            is_empty = not EMPTY_WORDS.isdisjoint(parts)
            if is_curly or is_empty or description is not None or _DOUBTFUL.search(name):
                self._note_doubt(name, parts, description or "", at)
            self._add(Target(count, name, gateway, self._wave, parts, description, persistent), at)
        elif count > MOST_TARGETS:
            raise UnreadableError(at, f"the plan names more than {MOST_TARGETS:,} targets")

    def _note_doubt(self, name: TargetId, parts: Sequence[str], description: str, at: FilePosition) -> None:
        found = find_placeholder("/".join(parts)) or find_placeholder(description)
        if found is not None:
            why = f"{quote_text(found)} in the target {quote_text(name)} {LOOKS_UNFILLED}"
        elif (sign := next(filter(None, map(find_path_end, parts)), None)) is not None:
            why = (
                f"the target {quote_text(name)} holds {sign}: if a proxy on the way decodes the address, the"
                " address ends there and names another target"
            )
        elif quoted := next(filter(is_in_curly_quotes, parts), None):
            why = f"{quote_text(quoted)} in the target {quote_text(name)} {IN_CURLY_QUOTES}"
        elif empty := next(filter(EMPTY_WORDS.__contains__, (*parts, description)), None):
            why = f"{quote_text(empty)} in the target {quote_text(name)} {IS_A_TEXT}"
        elif "*" in name:
            why = f"{quote_text(name)} {_IS_NO_PATTERN}"
        else:
            return
        if len(self.doubtful) < MOST_WARNINGS:
            self.doubtful.append((at, why))
        else:
            self.doubtful_more += 1

    def add_dependency(self, needs: TargetId, at: FilePosition) -> None:
        """Pass on a dependency of the last target, unless the limit kept that target back."""
        if self.count <= self._limit:
            self._add_dependency(self.count, needs, at)


class OptionsCollector:
    """Keeps the options that a plan gives to the targets with the given ids. Ignores all other targets."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._wanted = frozenset(map(to_nfc, ids))
        self._kept: dict[str, ListedTarget] = {}

    def begin_wave(self, wave: int) -> None:
        """Do nothing: the given ids are one wave."""

    def add_dependency(self, needs: TargetId, at: FilePosition) -> None:
        """Do nothing: the given ids may go in any order."""

    def set_limit(self, at_most: int) -> None:
        """Do nothing: the run takes the given ids, however many targets the plan lists."""

    def put(
        self,
        gateway: str,
        parts: tuple[str, ...],
        description: str | None,
        persistent: bool | None,
        at: FilePosition,  # noqa: ARG002
    ) -> None:
        """Keep the options of the target, if its id is among the given ones."""
        name = to_nfc(join_id(gateway, parts))
        if name in self._wanted:
            self._kept.setdefault(name, (parts, description, persistent))

    def find(self, gateway: str, parts: tuple[str, ...]) -> ListedTarget:
        """Return a target with the options of the plan; without options if the plan does not list it.

        The parts are spelled as in the plan: Unicode writes an accent in two ways, and a gateway knows one.
        """
        return self._kept.get(to_nfc(join_id(gateway, parts)), (parts, None, None))
