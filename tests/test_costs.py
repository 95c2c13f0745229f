"""The measures of what work costs tell apart what they must."""

from __future__ import annotations

import pytest

from orchestrator.model.globs import make_matcher
from tests.support.costs import count_calls, measure_growth


def search_each_in_each(count: int) -> None:
    sought = list(range(count))
    assert all(each in sought for each in range(count))


@pytest.mark.long("counts calls at several sizes")
def test_growth_tells_a_search_from_a_walk() -> None:
    assert measure_growth(lambda count: sorted(range(count * 10)), 400, 8_000) < 5
    assert measure_growth(search_each_in_each, 400, 8_000) > 5


def test_only_calls_of_this_program_count() -> None:
    match = make_matcher(["a/*"])
    match("a/b")  # the first call makes what the others use

    once = count_calls(lambda: match("a/b"))

    assert once > 0
    assert count_calls(lambda: [match("a/b") for _ in range(3)]) == 3 * once
    assert count_calls(lambda: sorted(map(str, range(100)))) == 0
