"""Counts with the words that go with them."""

from __future__ import annotations

import pytest

from orchestrator.text.counting import choose_form, count_noun, name_first


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 targets"), (1, "1 target"), (2, "2 targets"), (12_000, "12,000 targets")]
)
def test_a_noun_goes_with_its_count(count: int, text: str) -> None:
    assert count_noun(count, "target") == text


def test_a_plural_of_its_own_is_given() -> None:
    assert count_noun(1, "target is", "targets are") == "1 target is"
    assert count_noun(0, "target is", "targets are") == "0 targets are"


def test_only_one_is_singular() -> None:
    assert [choose_form(count, "is", "are") for count in (0, 1, 2)] == ["are", "is", "are"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, ""),
        (1, "n0"),
        (3, "n0, n1, n2"),
        (4, "n0, n1, n2 and 1 more"),
        (2003, "n0, n1, n2 and 2,000 more"),
    ],
)
def test_the_first_names_stand_for_all(count: int, text: str) -> None:
    assert name_first([f"n{number}" for number in range(count)], 3) == text
