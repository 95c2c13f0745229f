"""Which targets wait for which, in arrays of numbers: a million dependencies take 16 MB. Pure.

Targets are named by their numbers in the journal, which fit into four bytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate


class NumberCounts:
    """How often each number occurs; 0 for every other one. Memory grows with the span of the numbers."""

    def __init__(self, numbers: array[int]) -> None:
        self._first = min(numbers, default=0)
        self._counts = array("i", bytes(4 * (max(numbers, default=-1) - self._first + 1)))
        for number in numbers:
            self._counts[number - self._first] += 1

    def __getitem__(self, number: int) -> int:
        index = number - self._first
        return self._counts[index] if 0 <= index < len(self._counts) else 0

    def __iter__(self) -> Iterator[int]:
        """Yield each number that occurs, the smallest first."""
        return (number for number, count in enumerate(self._counts, self._first) if count)

    def take_one(self, number: int) -> int:
        """Count a number that occurs once less; return how often it occurs still."""
        self._counts[number - self._first] -= 1
        return self._counts[number - self._first]

    def take_all(self, number: int) -> int:
        """Count a number as one that does not occur; return how often it did."""
        count = self[number]
        if count:
            self._counts[number - self._first] = 0
        return count


class Followers:
    """By the number of a target: the numbers of the targets that wait for it."""

    def __init__(self, dependencies: Iterable[tuple[int, int]]) -> None:
        """``dependencies`` gives each target that waits, and a target that goes before it."""
        waiting, required = array("i"), array("i")
        for follower, earlier in dependencies:
            waiting.append(follower)
            required.append(earlier)
        self.waits_for = NumberCounts(waiting)
        """For each target that waits: for how many it does."""
        self.awaited_by = NumberCounts(required)
        """For each target that goes before others: before how many it does."""
        self._first = min(required, default=0)
        self._group(waiting, required)

    def __len__(self) -> int:
        """Return the number of dependencies."""
        return len(self._followers)

    def __getitem__(self, earlier: int) -> array[int]:
        index = earlier - self._first
        if not 0 <= index < len(self._ends):
            return array("i")
        return self._followers[self._ends[index - 1] if index else 0 : self._ends[index]]

    def _group(self, waiting: array[int], required: array[int]) -> None:
        """Bring the followers of each target together, by counting: a sort would make objects of them."""
        first, last = self._first, max(required, default=-1)
        counts = (self.awaited_by[number] for number in range(first, last + 1))
        # Where the group of each target begins, until it is filled: then that is where the group ends.
        ends = array("i", accumulate(counts, initial=0))
        followers = array("i", bytes(4 * len(waiting)))
        for follower, earlier in zip(waiting, required, strict=True):
            followers[ends[earlier - first]] = follower
            ends[earlier - first] += 1
        self._followers, self._ends = followers, ends
