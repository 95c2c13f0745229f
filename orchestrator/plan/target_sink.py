"""The sink that takes the targets of a plan while the reader reads them.

A plan may have more targets than memory can hold, so a run passes a sink that writes to its journal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

from msgspec import Struct

from orchestrator.model.target import Target, TargetId
from orchestrator.plan.cycles import compute_depths, find_cycles
from orchestrator.plan.problems import FilePosition
from orchestrator.text.names import to_nfc


class DuplicateTarget(Struct, frozen=True):
    """A target that a plan names twice: both positions, and both ids.

    The ids differ if two gateway names mean the same installation.
    """

    first: FilePosition
    first_id: TargetId
    again: FilePosition
    again_id: TargetId


class DependencyFault(Struct, frozen=True):
    """An ``after`` that cannot be obeyed, with the position at which it names a target.

    ``ids`` begins with that target; for a cycle it holds all members, each of which comes after the next.
    ``among`` are the ids that an unknown one may be a misspelling of; empty if there are too many.
    """

    position: FilePosition
    why: Literal["unknown", "itself", "later", "cycle"]
    ids: tuple[TargetId, ...]
    among: tuple[TargetId, ...] = ()


MOST_SUGGESTED = 1000
"""How many ids an unknown id is compared with; with more, comparing takes too long."""


class TargetSink(Protocol):
    """Takes the targets of a plan, in the plan's order."""

    def add(self, target: Target, position: FilePosition) -> None:
        """Take one more target, which the plan names at ``position``."""
        ...

    def add_dependency(self, seq: int, needs: TargetId, position: FilePosition) -> None:
        """Take a dependency: the target numbered ``seq`` comes after the target with the id ``needs``.

        ``needs`` is in NFC, and stands at ``position``. The needed target may come before or after this call,
        or never.
        """
        ...

    def find_dependency_faults(self) -> Iterator[DependencyFault]:
        """Yield the dependencies that cannot be obeyed, one a position. Called once, at the end."""
        ...

    def find_duplicates(self, installations: Mapping[str, str]) -> Iterator[DuplicateTarget]:
        """Yield each target that the plan repeats, in the plan's order. Called once, after the last ``add``.

        ``installations`` maps the name of each gateway to a text that is equal for the same installation. Two
        targets are the same if that text and their parts are equal, in NFC.
        """
        ...


class TargetList:
    """A sink in memory, for tests and for small plans: about 600 bytes a target."""

    def __init__(self) -> None:
        self.targets: list[Target] = []
        self.positions: list[FilePosition] = []
        self.needs: dict[int, list[int]] = {}
        """By the number of a target: the numbers of those before it. ``find_dependency_faults`` fills it."""
        self._required: list[tuple[int, TargetId, FilePosition]] = []

    def add(self, target: Target, position: FilePosition) -> None:
        """Keep ``target``."""
        self.targets.append(target)
        self.positions.append(position)

    def add_dependency(self, seq: int, needs: TargetId, position: FilePosition) -> None:
        """Keep the dependency."""
        self._required.append((seq, needs, position))

    def compute_depths(self) -> dict[int, int]:
        """Return the depth of each target that comes after others."""
        return compute_depths(self.needs)

    def find_dependency_faults(self) -> Iterator[DependencyFault]:
        """Yield the dependencies that cannot be obeyed."""
        by_seq = {target.seq: target for target in self.targets}
        # Of an id that stands twice the first counts, hence the reversed order.
        by_id = {to_nfc(target.id): target for target in reversed(self.targets)}
        at: dict[tuple[int, int], FilePosition] = {}
        yield from dict.fromkeys(self._find_faults(by_seq, by_id, at))
        for cycle in find_cycles(self.needs):
            ids = tuple(by_seq[seq].id for seq in cycle)
            yield DependencyFault(at[cycle[0], cycle[1]], "cycle", ids)

    def _find_faults(
        self,
        by_seq: Mapping[int, Target],
        by_id: Mapping[str, Target],
        at: dict[tuple[int, int], FilePosition],
    ) -> Iterator[DependencyFault]:
        among = tuple(target.id for target in by_seq.values()) if len(by_id) <= MOST_SUGGESTED else ()
        for seq, name, position in self._required:
            needed = by_id.get(name)
            if needed is None:
                yield DependencyFault(position, "unknown", (name,), among)
            elif name == to_nfc(by_seq[seq].id):
                yield DependencyFault(position, "itself", (name,))
            elif needed.wave > by_seq[seq].wave:
                yield DependencyFault(position, "later", (name,))
            elif (seq, needed.seq) not in at:
                at[seq, needed.seq] = position
                self.needs.setdefault(seq, []).append(needed.seq)

    def find_duplicates(self, installations: Mapping[str, str]) -> Iterator[DuplicateTarget]:
        """Yield each target that the plan repeats, with its first position."""
        seen: dict[tuple[str, tuple[str, ...]], int] = {}
        for index, target in enumerate(self.targets):
            key = (installations.get(target.gateway, target.gateway), tuple(map(to_nfc, target.parts)))
            first = seen.setdefault(key, index)
            if first != index:
                yield DuplicateTarget(
                    self.positions[first], self.targets[first].id, self.positions[index], target.id
                )
