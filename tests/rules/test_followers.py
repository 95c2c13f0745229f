"""Which targets wait for which, in arrays."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.rules.followers import Followers

DEPENDENCIES = st.sets(st.tuples(st.integers(1, 30), st.integers(1, 30))).map(sorted).flatmap(st.permutations)


@given(DEPENDENCIES)
def test_they_are_what_a_dictionary_of_lists_would_hold(dependencies: list[tuple[int, int]]) -> None:
    followers = Followers(dependencies)
    assert len(followers) == len(dependencies)
    for number in range(-1, 33):
        assert list(followers[number]) == [seq for seq, earlier in dependencies if earlier == number]
        assert followers.waits_for[number] == sum(seq == number for seq, _ in dependencies)
        assert followers.awaited_by[number] == sum(earlier == number for _, earlier in dependencies)
    assert list(followers.waits_for) == sorted({seq for seq, _ in dependencies})


def test_a_number_is_counted_down_alone_or_at_once() -> None:
    followers = Followers([(5, 1), (5, 2), (6, 1)])
    assert [followers.waits_for.take_one(5) for _ in range(2)] == [1, 0]
    assert [followers.awaited_by.take_all(number) for number in (1, 1, 9)] == [2, 0, 0]
    assert (list(followers.waits_for), list(followers.awaited_by)) == ([6], [2])


@pytest.mark.long("measures memory at several sizes")
def test_a_dependency_takes_twenty_bytes_however_many_there_are() -> None:
    count = 100_000
    tracemalloc.start()
    followers = Followers((seq, seq - 1) for seq in range(2, count + 2))
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert list(followers[count]) == [count + 1]
    assert held < 20 * count
    assert peak < 40 * count
