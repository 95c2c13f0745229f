"""What ``after`` makes of the order of targets, by their numbers: how deep each stands, and circles."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

Needs = Mapping[int, Sequence[int]]
"""By the number of a target that comes after others, the numbers of those."""

MOST_CYCLES = 200
"""Circles that are told; the next reading tells of those that are left."""


def compute_depths(needs: Needs) -> dict[int, int]:
    """Return how deep each target stands that ``needs`` others: one more than the deepest of those.

    Those that need nobody stand at 0 and are left out; so are targets that wait for each other, and who
    comes after one of these.
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
                # The last one to be reached is the deepest: what is ready is taken level by level.
                found[seq] = found[earlier] + 1
                ready.append(seq)
    return {seq: depth for seq, depth in found.items() if depth}


def find_cycles(needs: Needs) -> Iterator[list[int]]:
    """Yield targets that wait for each other: each comes after the next, the last one after the first.

    Without one dependency of each of them there is no circle left; the first 200 are found.
    """
    stuck = {seq: needs[seq] for seq in needs.keys() - compute_depths(needs).keys()}
    yield from islice(map(_rotate_to_first, _walk_to_cycles(stuck)), MOST_CYCLES)


def _walk_to_cycles(needs: Needs) -> Iterator[list[int]]:
    """Yield the way from each target that a walk along ``needs`` comes to again, back to it."""
    done: set[int] = set()
    for start in sorted(needs):
        path: list[int] = []
        at: dict[int, int] = {}
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


def _rotate_to_first(circle: list[int]) -> list[int]:
    """Return the same circle from its first target in the plan on."""
    first = circle.index(min(circle))
    return circle[first:] + circle[:first]
