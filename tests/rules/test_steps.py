"""The steps of a wave."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.plan import StepSize, WaveStep
from orchestrator.rules.steps import find_step_before, find_step_ends

ALL = StepSize(share=1.0)


@pytest.mark.parametrize(
    ("sizes", "count", "expected"),
    [
        ((), 7, (7,)),
        ((), 0, ()),
        ((ALL,), 7, (7,)),
        ((StepSize(count=1), StepSize(share=0.1), ALL), 400, (1, 40, 400)),
        ((StepSize(count=1), StepSize(share=0.1), ALL), 401, (1, 41, 401)),
        ((StepSize(count=1), StepSize(share=0.1), ALL), 10, (1, 10)),
        ((StepSize(count=1), StepSize(share=0.1), ALL), 11, (1, 2, 11)),
        ((StepSize(count=1), StepSize(share=0.1), ALL), 1, (1,)),
        ((StepSize(count=1), StepSize(share=0.1), ALL), 0, ()),
        ((StepSize(count=50), StepSize(share=0.1), ALL), 100, (50, 100)),
        ((StepSize(share=0.1), StepSize(count=5), ALL), 1000, (100, 1000)),
        ((StepSize(count=500), ALL), 100, (100,)),
        # As floats 0.1 * 30 and 0.07 * 100 are a little more than 3 and 7.
        ((StepSize(share=0.1), ALL), 30, (3, 30)),
        ((StepSize(share=0.07), ALL), 100, (7, 100)),
        ((StepSize(share=12.5 / 100), ALL), 10_000_000, (1_250_000, 10_000_000)),
        ((StepSize(share=1e-8), ALL), 10_000_000, (1, 10_000_000)),
    ],
)
def test_shares_round_up_and_empty_steps_vanish(
    sizes: tuple[StepSize, ...], count: int, expected: tuple[int, ...]
) -> None:
    assert find_step_ends(sizes, count) == expected


SIZES = st.lists(
    st.builds(StepSize, count=st.integers(1, 200)) | st.builds(StepSize, share=st.floats(0.0001, 1)),
    max_size=8,
)


@given(SIZES, st.integers(0, 10_000_000))
def test_steps_go_on_to_the_end_and_are_no_more_than_their_sizes(sizes: list[StepSize], count: int) -> None:
    bounds = find_step_ends((*sizes, ALL), count)

    assert all(before < after for before, after in pairwise((0, *bounds)))
    assert bounds[-1:] == ((count,) if count else ())
    assert len(bounds) <= len(sizes) + 1


@given(st.integers(1, 10_000_000), st.integers(1, 10_000))
def test_a_share_of_whole_percents_is_exact(count: int, percent: int) -> None:
    bounds = find_step_ends((StepSize(share=percent / 100 / 100), ALL), count)

    assert bounds[0] == min(count, -(-count * percent // 10_000))


@pytest.mark.parametrize(
    ("begun", "first", "before"),
    [
        ([], (0, 0), None),
        ([(0, 0)], (0, 0), None),
        ([(0, 0), (0, 1)], (0, 1), None),
        ([(0, 0)], (0, 1), (0, 0)),
        ([(0, 0), (0, 1)], (1, 0), (0, 1)),
        # Nothing of the wave between was open.
        ([(0, 0)], (2, 0), (0, 0)),
        # A resume of a later wave came between.
        ([(0, 0), (2, 0)], (1, 0), (0, 0)),
        ([(2, 0)], (1, 0), None),
    ],
)
def test_the_step_before_is_the_last_that_has_begun(
    begun: list[tuple[int, int]], first: tuple[int, int], before: tuple[int, int] | None
) -> None:
    found = find_step_before(WaveStep(*first), frozenset(WaveStep(*each) for each in begun))
    assert found == (None if before is None else WaveStep(*before))
