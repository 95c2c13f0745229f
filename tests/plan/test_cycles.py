"""How deep targets stand, and which of them wait for one another."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan.cycles import MOST_CYCLES, compute_depths, find_cycles
from tests.support.costs import measure_growth

NEEDS = st.dictionaries(
    st.integers(1, 12), st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True), max_size=12
)


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({}, {}),
        ({2: [1]}, {2: 1}),
        ({1: [2]}, {1: 1}),
        ({2: [1], 3: [2], 4: [3]}, {2: 1, 3: 2, 4: 3}),
        ({4: [1, 3], 3: [2], 2: [1]}, {2: 1, 3: 2, 4: 3}),
        ({1: [2], 2: [1]}, {}),
        ({1: [2], 2: [1], 3: [2], 5: [4]}, {5: 1}),
        ({1: [1]}, {}),
    ],
)
def test_depth_is_one_more_than_the_deepest_before(
    needs: dict[int, list[int]], expected: dict[int, int]
) -> None:
    assert compute_depths(needs) == expected


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({2: [1], 3: [2]}, []),
        ({1: [1]}, [[1]]),
        ({2: [3], 3: [2], 1: [3]}, [[2, 3]]),
        ({3: [1], 1: [2], 2: [3]}, [[1, 2, 3]]),
        ({1: [2, 3], 2: [1], 3: [1]}, [[1, 2], [1, 3]]),
        ({1: [2], 2: [1, 3], 3: [4], 4: [3]}, [[1, 2], [3, 4]]),
    ],
)
def test_each_cycle_is_found_once_from_its_first_target_on(
    needs: dict[int, list[int]], expected: list[list[int]]
) -> None:
    assert sorted(find_cycles(needs)) == expected


@given(NEEDS)
def test_every_target_is_deeper_than_its_needs_unless_there_is_a_cycle(
    needs: dict[int, list[int]],
) -> None:
    found = compute_depths(needs)

    for seq in found:
        assert all(found.get(earlier, 0) < found[seq] for earlier in needs[seq])
    assert (len(found) < len(needs)) == bool(list(find_cycles(needs)))


@given(NEEDS)
def test_removing_one_dependency_of_each_cycle_leaves_none(needs: dict[int, list[int]]) -> None:
    left = {seq: set(before) for seq, before in needs.items()}
    for circle in find_cycles(needs):
        assert all(later in needs[seq] for seq, later in pairwise([*circle, circle[0]]))
    for _ in range(MOST_CYCLES):
        found = next(find_cycles({seq: sorted(before) for seq, before in left.items() if before}), None)
        if found is None:
            break
        left[found[-1]].discard(found[0])
    assert not list(find_cycles({seq: sorted(before) for seq, before in left.items() if before}))


@pytest.mark.long("measures what a large plan costs")
def test_neither_a_long_way_nor_a_wide_one_takes_long() -> None:
    """A walk that began again for each target would cost twenty times as much a target."""
    for work in (walk_a_chain, walk_wide, walk_a_circle, walk_a_tangle):
        growth = measure_growth(work, 2_000, 40_000)
        assert growth < 5, (work.__name__, growth)


def walk_a_chain(count: int) -> None:
    assert max(compute_depths({seq: [seq - 1] for seq in range(1, count)}).values()) == count - 1


def walk_wide(count: int) -> None:
    assert len(compute_depths({seq: [0] for seq in range(1, count)})) == count - 1


def walk_a_circle(count: int) -> None:
    assert [len(circle) for circle in find_cycles({seq: [(seq - 1) % count] for seq in range(count)})] == [
        count
    ]


def walk_a_tangle(count: int) -> None:
    assert len(list(find_cycles({seq: [(seq + 1) % count, 0] for seq in range(count)}))) == MOST_CYCLES
