"""Patterns of parts match the same texts as trying every way by hand."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.globs import make_matcher


@pytest.mark.parametrize(
    ("pattern", "target", "expected"),
    [
        ("apim/Payments/*/production", "apim/Payments/card/production", True),
        ("apim/Payments/*/production", "apim/payments/card/production", False),
        ("apim/*/production", "apim/Payments/card/production", False),
        ("apim/**", "apim/Payments/card/production", True),
        ("apim/**/production", "apim/Payments/card/production", True),
        ("**", "roma/a", True),
        ("*", "roma/a", False),
        ("*/*", "roma/a", True),
        ("**production", "apim/P/c/production", True),
        ("**production", "apim/P/c/production2", False),
        ("roma/a", "roma/a", True),
        ("roma/a", "roma/ab", False),
        ("roma/?", "roma/a", True),
        ("roma?a", "roma/a", False),
        ("roma/[ab]", "roma/a", False),
        ("roma/[ab]", "roma/[ab]", True),
        ("roma/a.c", "roma/abc", False),
        ("apim/a%2Fb/*/x", "apim/a%2Fb/c/x", True),
        ("apim/a*b/x/y", "apim/a%2Fb/x/y", True),
        ("roma/*", "roma/", True),
        ("roma/*", "roma/a\n", True),
        ("", "", True),
    ],
)
def test_stars_know_the_parts_of_an_id(pattern: str, target: str, expected: bool) -> None:
    assert (make_matcher([pattern])(target) == pattern) is expected


def test_a_matcher_returns_the_pattern_that_matched() -> None:
    match = make_matcher(["apim/**", "roma/a*", "roma/abc", "roma/*"])

    assert match("apim/x/y") == "apim/**"
    assert match("roma/ab") == "roma/a*"
    assert match("roma/abc") == "roma/abc"
    assert match("other/x") is None


def test_no_pattern_matches_nothing() -> None:
    assert make_matcher([])("roma/a") is None


def by_hand(pattern: str, target: str) -> bool:
    """Match one character after the other, trying every way."""
    if not pattern:
        return not target
    if pattern.startswith("**"):
        rest = pattern.lstrip("*")
        return any(by_hand(rest, target[start:]) for start in range(len(target) + 1))
    if pattern.startswith("*"):
        ends = range(len(target.partition("/")[0]) + 1)
        return any(by_hand(pattern[1:], target[start:]) for start in ends)
    if not target or (pattern[0] == "?" and target[0] == "/"):
        return False
    return pattern[0] in {"?", target[0]} and by_hand(pattern[1:], target[1:])


@given(st.text(st.sampled_from("ab/*?"), max_size=9), st.text(st.sampled_from("ab/"), max_size=9))
def test_patterns_agree_with_trying_every_way(pattern: str, target: str) -> None:
    assert (make_matcher([pattern])(target) is not None) == by_hand(pattern, target)


@pytest.mark.parametrize("star", ["*", "**"])
def test_many_stars_take_no_more_than_a_moment(star: str) -> None:
    """Backtracking over thirty stars would outlast the night."""
    match = make_matcher([f"{star}a" * 30 + f"{star}b"])
    start = time.process_time()

    assert match("a" * 300) is None
    assert time.process_time() - start < 5
