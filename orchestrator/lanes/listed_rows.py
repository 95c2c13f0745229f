"""The rows of long lists in little memory: the name of each target once, and a row or one byte for each list.

A dictionary takes 300 bytes for an entry of which only the state is kept. Here an entry takes 30 to 40 bytes,
and one more in each further list of the same targets.
"""

from __future__ import annotations

import weakref
from array import array
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

TargetParts: TypeAlias = tuple[str, ...]

_FEWEST_SLOTS = 1024
_PACKED = b"\xff"
"""Begins the names that are packed. No byte of UTF-8 is like it, so no two names look alike."""

_LENGTH_OF_HEX = 32


class TargetNumbers:
    """Numbers the targets that lists name, from 1 on, in the order in which they are met.

    A hash table with open addressing, of names that lie one behind the other. It compares whole names: by its
    hash alone one target could be taken for another one, and its state with it.
    """

    def __init__(self) -> None:
        self._names = bytearray()
        self._ends = array("I", [0])
        self._slots = array("I", bytes(4 * _FEWEST_SLOTS))
        self._last = _FEWEST_SLOTS - 1
        """The last slot; a hash is cut to it, since there are a power of two."""

    def __len__(self) -> int:
        return len(self._ends) - 1

    def find(self, parts: TargetParts) -> int:
        """Return the number of a target; 0 if it was not met."""
        return self._slots[self._find_slot(_pack_name(parts))]

    def add(self, parts: TargetParts) -> int:
        """Return the number of a target, which is a new one if it was not met."""
        name = _pack_name(parts)
        slot = self._find_slot(name)
        if known := self._slots[slot]:
            return known
        number = self._slots[slot] = len(self._ends)
        self._names += name
        self._ends.append(len(self._names))
        # Where more than half of the slots are taken, the searches become long.
        if 2 * number > self._last:
            self._add_slots()
        return number

    def _find_slot(self, name: bytes) -> int:
        """Return the slot of a name, or the free one where the name belongs."""
        slots, ends, names, last = self._slots, self._ends, self._names, self._last
        slot = hash(name) & last
        while (number := slots[slot]) and names[ends[number - 1] : ends[number]] != name:
            slot = (slot + 1) & last
        return slot

    def _add_slots(self) -> None:
        ends, names = self._ends, self._names
        self._last = last = 2 * self._last + 1
        self._slots = slots = array("I", bytes(4 * (last + 1)))
        for number in range(1, len(ends)):
            slot = hash(bytes(names[ends[number - 1] : ends[number]])) & last
            while slots[slot]:
                slot = (slot + 1) & last
            slots[slot] = number


def _pack_name(parts: TargetParts) -> bytes:
    """Return the parts as bytes that no other parts give: no name of a target holds a zero character."""
    text = parts[0] if len(parts) == 1 else "\0".join(parts)
    if len(text) == _LENGTH_OF_HEX:
        # ROMA makes ids of 32 hexadecimal digits: these take half of their length.
        try:
            packed = bytes.fromhex(text)
        except ValueError:
            packed = b""
        if packed.hex() == text:
            return _PACKED + packed
    return text.encode("utf-8", "surrogatepass")


class ListedRows(Protocol):
    """The rows of one list by target."""

    def __len__(self) -> int:
        """Return how many targets the list names."""
        ...

    def get(self, parts: TargetParts, default: Sequence[Any] = (), /) -> Sequence[Any]:
        """Return the rows of a target; the default if the list does not name it."""
        ...

    def add(self, parts: TargetParts, row: Any) -> bool:
        """Take in a row; return whether it is new. An entry that was met before counts once."""
        ...


Rows = TypeVar("Rows", bound=ListedRows)


class StateRows:
    """The rows of a list of states: one byte a target, since so long a list has few different rows."""

    def __init__(self, numbers: TargetNumbers) -> None:
        self._numbers = numbers
        self._count = 0
        self._states = bytearray()
        """By the number of a target the place of its rows in ``_kinds``."""
        self._kinds: list[tuple[Any, ...]] = [()]

    def __len__(self) -> int:
        return self._count

    def get(self, parts: TargetParts, default: Sequence[Any] = (), /) -> Sequence[Any]:
        """Return the rows of a target; the default if the list does not name it. More than two are two."""
        number = self._numbers.find(parts)
        state = self._states[number] if number < len(self._states) else 0
        return self._kinds[state] if state else default

    def add(self, parts: TargetParts, row: Any) -> bool:
        """Take in a row; return whether it is new."""
        number, states = self._numbers.add(parts), self._states
        if (missing := number + 1 - len(states)) > 0:
            states.extend(bytes(missing))
        known = self._kinds[states[number]]
        # Two rows contradict each other already: a third one adds nothing.
        if row in known or len(known) > 1:
            return False
        self._count += not known
        rows = (*known, row)
        if rows not in self._kinds:
            self._kinds.append(rows)
        states[number] = self._kinds.index(rows)
        return True


class WholeRows:
    """The rows of a list that snapshots want. Rows as in ``before``, the list as it was, are kept once."""

    def __init__(self, before: ListedRows | None = None) -> None:
        # Not held by this one, or each list would keep all the lists before it.
        self._before = None if before is None else weakref.ref(before)
        self.by_target: dict[TargetParts, tuple[Any, ...]] = {}

    def __len__(self) -> int:
        return len(self.by_target)

    def get(self, parts: TargetParts, default: Sequence[Any] = (), /) -> Sequence[Any]:
        """Return the rows of a target; the default if the list does not name it."""
        return self.by_target.get(parts, default)

    def add(self, parts: TargetParts, row: Any) -> bool:
        """Take in a row; return whether it is new."""
        known = self.by_target.get(parts, ())
        if row in known:
            return False
        rows, before = (*known, row), self._before and self._before()
        if before and before.get(parts) == rows:
            rows = tuple(before.get(parts))
        self.by_target[parts] = rows
        return True
