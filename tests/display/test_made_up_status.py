"""The made-up states of the live page's tests are states that a run could have."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.made_up_status import STATES, count_targets, make_rows, make_status


@pytest.mark.parametrize("name", STATES)
def test_the_waves_and_the_lanes_of_a_made_up_state_count_the_same_targets(name: str) -> None:
    state = make_status(name)
    for parts in (state["waves"], state["lanes"]):
        assert sum(part["total"] for part in parts) == count_targets(state) == state["run"]["targets"]
        assert sum(part["ended"] for part in parts) == state["verdict"]["counts"]["ended"]
        assert all(sum(part["counts"].values()) == part["ended"] for part in parts)


@pytest.mark.parametrize("name", STATES)
def test_the_rows_of_a_made_up_state_have_its_outcomes(name: str) -> None:
    state = make_status(name)
    rows = make_rows(state)
    outcomes = Counter(row["outcome"] for row in rows if row["outcome"] is not None)
    counts = {key: count for key, count in state["verdict"]["counts"].items() if count}
    assert len(rows) == counts.pop("targets", 0)
    assert sum(outcomes.values()) == counts.pop("ended", 0)
    assert outcomes == counts
