"""What Temporal's own page gets of names, within the server's bounds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from orchestrator.distributed.payloads import LaneInput, RunInput
from orchestrator.distributed.showing import (
    PLAN,
    describe_lane,
    describe_run,
    search_lane,
    search_run,
    search_scheduled,
    summarize_lane,
    summarize_run,
)
from tests.support.names import NAMES, RARE_CHINESE

LARGEST = 2048
"""Bytes of one search attribute that a server takes."""


def make_given(plan: str) -> Any:
    place = SimpleNamespace(gateway="apim", count=3)
    return SimpleNamespace(
        plan=plan, run="r1", session=1, act="undeploy", searchable=True, place=place, zone="default"
    )


def read_plans(given: Any) -> list[str]:
    """Return the name of the plan in each place where a search finds it."""
    run, lane = cast("RunInput", given), cast("LaneInput", given)
    return [found[PLAN] for found in (search_run(run), search_lane(lane), search_scheduled(run)) if found]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stands_whole_in_each_place(name: str) -> None:
    given = make_given(NAMES[name])

    assert read_plans(given) == [NAMES[name]] * 3
    assert describe_run(given)["plan"] == describe_lane(given)["plan"] == NAMES[name]
    assert summarize_run(given) == f"Undeploy {NAMES[name]}: run r1, session 1"
    assert summarize_lane(given).endswith(f"3 targets of {NAMES[name]}")


@pytest.mark.parametrize("text", ["x", RARE_CHINESE[0], "e\u0301"])
def test_a_long_name_is_cut_to_what_a_server_takes(text: str) -> None:
    """The library writes an attribute as JSON in ASCII, two escapes for a rare character."""
    given = make_given(text * 5_000)
    for plan in read_plans(given):
        assert sum(12 if ord(letter) > 0xFFFF else 6 for letter in plan) < LARGEST
        assert plan.endswith("…")
        assert not plan.endswith("e…") or text == "x"
    assert describe_run(given)["plan"] == text * 5_000
