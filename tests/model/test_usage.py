"""The words for the use of a target."""

from __future__ import annotations

import pytest

from orchestrator.model.usage import Usage, describe_callers, describe_calls


@pytest.mark.parametrize(
    ("usage", "calls", "callers", "is_told"),
    [
        (Usage(hours=72, calls=0), "0 calls in 72 h", "nobody", True),
        (Usage(hours=24.0, calls=1, callers=("web-shop",)), "1 call in 24 h", "web-shop", True),
        (
            Usage(hours=72, calls=1204, callers=("web-shop", "billing"), more_callers=1001),
            "1,204 calls in 72 h",
            "web-shop, billing and 1,001 more",
            True,
        ),
        (Usage(hours=72, calls=3, is_open=True, callers=("web-shop",)), "3 calls in 72 h", "anybody", True),
        (Usage(hours=72, why="APIG.1005"), "not told: APIG.1005", "nobody", False),
        (Usage(hours=72), "not told", "nobody", False),
        (Usage(hours=72, calls=0, callers_unread="401"), "0 calls in 72 h", "not told: 401", False),
        (
            Usage(hours=72, calls=0, callers=("a",), callers_unread="401"),
            "0 calls in 72 h",
            "a; others not told: 401",
            False,
        ),
        (Usage(hours=72, calls=0, is_open=True, callers_unread="401"), "0 calls in 72 h", "anybody", True),
    ],
)
def test_a_number_that_nothing_tells_is_never_none(
    usage: Usage, calls: str, callers: str, is_told: bool
) -> None:
    assert (describe_calls(usage), describe_callers(usage), usage.is_told) == (calls, callers, is_told)


def test_many_names_are_cut_and_the_rest_is_counted() -> None:
    usage = Usage(hours=72, calls=1, callers=tuple("abcdefg"), more_callers=10)

    assert describe_callers(usage, most=2) == "a, b and 15 more"
