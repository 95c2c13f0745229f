"""The graph that ``after`` makes of targets, which are numbers here: their depths, and its cycles."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

Needs = Mapping[int, Sequence[int]]
"""By the number of each target that comes after others: the numbers of the targets that go first."""

MOST_CYCLES = 200
"""Cycles that one reading names. Once they are broken, the next reading names the rest."""


def compute_depths(needs: Needs) -> dict[int, int]:
    """Return the depth of each target that ``needs`` others: one more than the deepest of those.

    Targets without needs have depth 0 and are left out. So are the targets of a cycle, and those that come
    after one.
    """
    waiting = {seq: len(before) for seq, before in needs.items()}
    followers: dict[int, list[int]] = {}
    for seq, before in needs.items():
        for earlier in before:
            followers.setdefault(earlier, []).append(seq)
    ready = deque(seq for seq in followers if seq not in needs)
    found = dict.fromkeys(ready, 0)
    while ready:
        earlier = ready.popleft()
        for seq in followers.get(earlier, ()):
            waiting[seq] -= 1
            if not waiting[seq]:
                # The queue goes level by level, so the last of its needs that a target sees is the deepest.
                found[seq] = found[earlier] + 1
                ready.append(seq)
    return {seq: depth for seq, depth in found.items() if depth}


def find_cycles(needs: Needs) -> Iterator[list[int]]:
    """Yield the first 200 cycles: each target comes after the next one, and the last one after the first.

    Removing one dependency from each cycle leaves no cycle.
    """
    stuck = {seq: needs[seq] for seq in needs.keys() - compute_depths(needs).keys()}
    yield from islice(map(_rotate_to_first, _walk_to_cycles(stuck)), MOST_CYCLES)


def _walk_to_cycles(needs: Needs) -> Iterator[list[int]]:
    """Walk along ``needs``; yield the path from each target that the walk meets again back to it."""
    done: set[int] = set()
    for start in sorted(needs):
        path: list[int] = []
        at: dict[int, int] = {}
        # A stack of our own: a chain of a hundred thousand targets would exceed Python's recursion.
        walks = [iter((start,))]
        while walks:
            following = next(walks[-1], None)
            if following is None:
                walks.pop()
                if path:
                    done.add(path[-1])
                    del at[path.pop()]
            elif following in at:
                yield path[at[following] :]
            elif following not in done:
                at[following] = len(path)
                path.append(following)
                walks.append(iter(sorted(needs.get(following, ()))))


def _rotate_to_first(cycle: list[int]) -> list[int]:
    """Return the same cycle, beginning with its first target in the plan."""
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]
