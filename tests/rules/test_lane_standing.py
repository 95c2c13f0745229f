"""Where a lane stands, as far as another process needs it."""

from __future__ import annotations

from orchestrator.rules.admission import LaneState
from orchestrator.rules.lane_standing import LaneStanding
from orchestrator.rules.retry import RetryPolicy


def test_a_lane_that_nothing_has_happened_to_stands_where_all_lanes_begin() -> None:
    assert LaneState(RetryPolicy(), 600.0).describe_standing(0.0) == LaneStanding()
