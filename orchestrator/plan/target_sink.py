"""Where the targets of a plan go while it is read: there are too many to be held by the reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

from msgspec import Struct

from orchestrator.model.target import Target, TargetId
from orchestrator.plan.cycles import compute_depths, find_cycles
from orchestrator.plan.problems import FilePosition
from orchestrator.text.names import to_nfc


class DuplicateTarget(Struct, frozen=True):
    """A target that stands a second time: the place and the id of either, which differ where two gateway
    names mean the same installation."""

    first: FilePosition
    first_id: TargetId
    again: FilePosition
    again_id: TargetId


class DependencyFault(Struct, frozen=True):
    """An ``after`` that cannot be obeyed, at the ``place`` where it names a target.

    ``ids`` begins with that target; of a circle it holds all members, each coming after the next. ``among``
    are ids that may be meant by one that is unknown; empty where there are too many.
    """

    place: FilePosition
    why: Literal["unknown", "itself", "later", "circle"]
    ids: tuple[TargetId, ...]
    among: tuple[TargetId, ...] = ()


MOST_SUGGESTED = 1000
"""Ids that a slip in an id is compared with."""


class TargetSink(Protocol):
    """Takes the targets of a plan, in the plan's order."""

    def add(self, target: Target, place: FilePosition) -> None:
        """Take one more target, which stands at ``place``."""
        ...

    def add_dependency(self, seq: int, needs: TargetId, place: FilePosition) -> None:
        """Take that the target numbered ``seq`` comes after the one called ``needs``, as said at ``place``.

        ``needs`` is in NFC. Either may come first, also the target that is needed, and that may never come.
        """
        ...

    def find_dependency_faults(self) -> Iterator[DependencyFault]:
        """Yield what was required and cannot be, once for each place; asked once, after the last ``add``."""
        ...

    def find_duplicates(self, installations: Mapping[str, str]) -> Iterator[DuplicateTarget]:
        """Yield each target that stands again, in the plan's order; asked once, after the last ``add``.

        ``installations`` maps each gateway's name to what makes it the same place as another one. Two targets
        are the same when that and their parts are equal, both in NFC.
        """
        ...


class TargetList:
    """A sink in memory, for tests and for small plans: some 600 bytes a target."""

    def __init__(self) -> None:
        self.targets: list[Target] = []
        self.places: list[FilePosition] = []
        self.needs: dict[int, list[int]] = {}
        """By the number of a target, the targets that go first; ``find_dependency_faults`` completes it."""
        self._required: list[tuple[int, TargetId, FilePosition]] = []

    def add(self, target: Target, place: FilePosition) -> None:
        """Keep ``target``."""
        self.targets.append(target)
        self.places.append(place)

    def add_dependency(self, seq: int, needs: TargetId, place: FilePosition) -> None:
        """Keep that ``seq`` comes after ``needs``."""
        self._required.append((seq, needs, place))

    def compute_depths(self) -> dict[int, int]:
        """Return how deep each target stands that comes after others."""
        return compute_depths(self.needs)

    def find_dependency_faults(self) -> Iterator[DependencyFault]:
        """Yield what was required and cannot be."""
        by_seq = {target.seq: target for target in self.targets}
        by_id = {to_nfc(target.id): target for target in reversed(self.targets)}
        at: dict[tuple[int, int], FilePosition] = {}
        yield from dict.fromkeys(self._find_faults(by_seq, by_id, at))
        for circle in find_cycles(self.needs):
            ids = tuple(by_seq[seq].id for seq in circle)
            yield DependencyFault(at[circle[0], circle[1]], "circle", ids)

    def _find_faults(
        self,
        by_seq: Mapping[int, Target],
        by_id: Mapping[str, Target],
        at: dict[tuple[int, int], FilePosition],
    ) -> Iterator[DependencyFault]:
        among = tuple(target.id for target in by_seq.values()) if len(by_id) <= MOST_SUGGESTED else ()
        for seq, name, place in self._required:
            needed = by_id.get(name)
            if needed is None:
                yield DependencyFault(place, "unknown", (name,), among)
            elif name == to_nfc(by_seq[seq].id):
                yield DependencyFault(place, "itself", (name,))
            elif needed.wave > by_seq[seq].wave:
                yield DependencyFault(place, "later", (name,))
            elif (seq, needed.seq) not in at:
                at[seq, needed.seq] = place
                self.needs.setdefault(seq, []).append(needed.seq)

    def find_duplicates(self, installations: Mapping[str, str]) -> Iterator[DuplicateTarget]:
        """Yield each target that stands again, with the place where it stood first."""
        seen: dict[tuple[str, tuple[str, ...]], int] = {}
        for index, target in enumerate(self.targets):
            key = (installations.get(target.gateway, target.gateway), tuple(map(to_nfc, target.parts)))
            first = seen.setdefault(key, index)
            if first != index:
                yield DuplicateTarget(
                    self.places[first], self.targets[first].id, self.places[index], target.id
                )
