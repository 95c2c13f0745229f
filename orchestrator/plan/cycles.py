"""The graph that ``after`` makes of targets, which are numbers here: their depths, and its cycles."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, islice

from orchestrator.rules.followers import Followers

Needs = Mapping[int, Sequence[int]]
"""By the number of each target that comes after others: the numbers of the targets that go first."""

MOST_CYCLES = 200
"""Cycles that one reading names. Once they are broken, the next reading names the rest."""


def list_depths(dependencies: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield each target that needs others, and its depth: one more than the deepest of those.

    ``dependencies`` gives each target that needs another one, and that one. Targets without needs have depth
    0 and are left out. So are the targets of a cycle, and those that come after one.
    """
    followers = Followers(dependencies)
    waits_for = followers.waits_for
    level = array("i", (seq for seq in followers.awaited_by if not waits_for[seq]))
    for depth in count(1):
        # Level by level: the last of its needs that a target sees is the deepest.
        reached = (seq for earlier in level for seq in followers[earlier] if not waits_for.take_one(seq))
        level = array("i", reached)
        if not level:
            return
        yield from ((seq, depth) for seq in level)


def compute_depths(needs: Needs) -> dict[int, int]:
    """Return the depth of each target that ``needs`` others, as ``list_depths`` finds it."""
    return dict(list_depths((seq, earlier) for seq, before in needs.items() for earlier in before))


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
