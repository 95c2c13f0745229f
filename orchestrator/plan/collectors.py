"""Where the reader puts each target: numbered, counted and passed on, or only compared with given ids."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Protocol

from orchestrator.model.target import Target, TargetId
from orchestrator.model.target_id import join_id
from orchestrator.plan.placeholders import LOOKS_UNFILLED
from orchestrator.plan.problems import MOST_WARNINGS, FilePosition, UnreadableError
from orchestrator.plan.target_sink import TargetSink
from orchestrator.text.characters import quote_text
from orchestrator.text.names import find_path_end, find_placeholder, to_nfc

MOST_TARGETS = 10_000_000
"""More than this is no plan but a slip in a list."""

_DOUBTFUL = re.compile(r"[{%?#$@<]|__")
"""What the id of a target holds whose names are looked at closely: few do."""


class TargetCollector(Protocol):
    """Takes the coordinates and options of one target after the other."""

    def begin_wave(self, wave: int) -> None:
        """Take the targets of the wave with this index from here on."""
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
        """Take that the target that was put last comes after the one called ``needs``."""
        ...

    def set_limit(self, at_most: int) -> None:
        """Hold no more than ``at_most`` targets from here on."""
        ...


class CountingCollector:
    """Numbers and counts the targets of a run, and passes them on to the sink, at most ``limit`` of them."""

    def __init__(self, sink: TargetSink) -> None:
        self.count = 0
        self.by_gateway: defaultdict[str, int] = defaultdict(int)
        self.doubtful: list[tuple[FilePosition, str]] = []
        """The first targets that may not be what is meant: where they stand, and why, in words."""
        self.doubtful_more = 0
        self._wave = 0
        self._begun = [0]
        self._limit = MOST_TARGETS
        self._add = sink.add
        self._add_dependency = sink.add_dependency

    def begin_wave(self, wave: int) -> None:
        """Count the targets of the wave ``wave`` from here on; they come in order."""
        self._wave = wave
        self._begun[wave:] = [self.count]

    def is_cut(self) -> bool:
        """Say whether some targets were not passed on."""
        return self.count > self._limit

    def count_by_wave(self) -> list[int]:
        """Return how many targets each wave has, in order."""
        return [after - first for first, after in pairwise([*self._begun, self.count])]

    def set_limit(self, at_most: int) -> None:
        """Go on counting above ``at_most``, but pass no more targets on."""
        self._limit = at_most

    def put(
        self,
        gateway: str,
        parts: tuple[str, ...],
        description: str | None,
        persistent: bool | None,
        at: FilePosition,
    ) -> None:
        """Pass one more target on. Raises ``UnreadableError`` where there is no end to them."""
        self.count = count = self.count + 1
        self.by_gateway[gateway] += 1
        if count <= self._limit:
            name = join_id(gateway, parts)
            if description is not None or _DOUBTFUL.search(name):
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
                f"the target {quote_text(name)} holds {sign}: where something on its way decodes an address,"
                " the address ends there, and what is left is the address of something else"
            )
        else:
            return
        if len(self.doubtful) < MOST_WARNINGS:
            self.doubtful.append((at, why))
        else:
            self.doubtful_more += 1

    def add_dependency(self, needs: TargetId, at: FilePosition) -> None:
        """Pass on what the last target needs, if that target was passed on."""
        if self.count <= self._limit:
            self._add_dependency(self.count, needs, at)


ListedTarget = tuple[tuple[str, ...], str | None, bool | None]
"""What a plan says of a target: its parts, its description and whether its record is kept."""


class OptionsCollector:
    """Keeps what a plan says of the targets with the given ids, and lets the others go."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._wanted = frozenset(map(to_nfc, ids))
        self._kept: dict[str, ListedTarget] = {}

    def begin_wave(self, wave: int) -> None:
        """Nothing: given ids are one wave."""

    def add_dependency(self, needs: TargetId, at: FilePosition) -> None:
        """Nothing: given ids may go in any order."""

    def set_limit(self, at_most: int) -> None:
        """Nothing: what the plan lists is not what is run."""

    def put(
        self,
        gateway: str,
        parts: tuple[str, ...],
        description: str | None,
        persistent: bool | None,
        at: FilePosition,  # noqa: ARG002
    ) -> None:
        """Keep what is said of the target if it is wanted."""
        name = to_nfc(join_id(gateway, parts))
        if name in self._wanted:
            self._kept.setdefault(name, (parts, description, persistent))

    def find(self, gateway: str, parts: tuple[str, ...]) -> ListedTarget:
        """Return what the plan says of a target; without options where it does not list it.

        Its parts are as the plan writes them: an accent may be written in two ways, and a gateway knows one.
        """
        return self._kept.get(to_nfc(join_id(gateway, parts)), (parts, None, None))
