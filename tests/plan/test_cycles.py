"""How deep targets stand, and which of them wait for one another."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan.cycles import MOST_CYCLES, compute_depths, find_cycles

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
    count = 100_000
    chain = {seq: [seq - 1] for seq in range(1, count)}
    before = time.process_time()

    assert max(compute_depths(chain).values()) == count - 1
    assert len(compute_depths({seq: [0] for seq in range(1, count)})) == count - 1
    assert [len(circle) for circle in find_cycles(chain | {0: [count - 1]})] == [count]
    assert len(list(find_cycles({seq: [(seq + 1) % 1000, 0] for seq in range(1000)}))) == MOST_CYCLES
    assert time.process_time() - before < 5
