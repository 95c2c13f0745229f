"""Where the targets of a plan go while it is read: there are too many to be held by the reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from msgspec import Struct

from orchestrator.model import Target, TargetId


class Place(Struct, frozen=True, order=True):
    """Where something stands. ``file`` 0 is the plan, included files follow in the order of reading.

    ``line`` and ``column`` count from 1; 0 means the file as a whole.
    """

    file: int
    line: int
    column: int


class Duplicate(Struct, frozen=True):
    """A target that stands a second time: the place and the id of either, which differ where two gateway
    names mean the same installation."""

    first: Place
    first_id: TargetId
    again: Place
    again_id: TargetId


class TargetSink(Protocol):
    """Takes the targets of a plan, in the plan's order."""

    def add(self, target: Target, place: Place) -> None:
        """Take one more target, which stands at ``place``."""
        ...

    def duplicates(self, installations: Mapping[str, str]) -> Iterator[Duplicate]:
        """Yield each target that stands again, in the plan's order; asked once, after the last ``add``.

        ``installations`` maps each gateway's name to what makes it the same place as another one. Two targets
        are the same when that and their parts are equal.
        """
        ...


class Listing:
    """A sink in memory, for tests and for small plans: some 600 bytes a target."""

    def __init__(self) -> None:
        self.targets: list[Target] = []
        self.places: list[Place] = []

    def add(self, target: Target, place: Place) -> None:
        """Keep ``target``."""
        self.targets.append(target)
        self.places.append(place)

    def duplicates(self, installations: Mapping[str, str]) -> Iterator[Duplicate]:
        """Yield each target that stands again, with the place where it stood first."""
        seen: dict[tuple[str, tuple[str, ...]], int] = {}
        for index, target in enumerate(self.targets):
            key = (installations.get(target.gateway, target.gateway), target.parts)
            first = seen.setdefault(key, index)
            if first != index:
                yield Duplicate(self.places[first], self.targets[first].id, self.places[index], target.id)
