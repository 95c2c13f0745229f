"""Where a lane stands, as far as another process needs it."""

from __future__ import annotations

from orchestrator.model.reading import Act
from orchestrator.rules.admission import LaneState
from orchestrator.rules.lane_standing import LaneStanding
from orchestrator.rules.retry import RetryPolicy
from orchestrator.rules.shared_pace import SharedPace


def test_a_lane_that_nothing_has_happened_to_stands_where_all_lanes_begin() -> None:
    assert LaneState(RetryPolicy(), 600.0).describe_standing(0.0) == LaneStanding()


def test_the_plan_s_rate_holds_over_a_change_of_processes_with_and_without_a_slot() -> None:
    before, after = SharedPace(cap=0.5), SharedPace(cap=0.5)
    assert before.find_next(Act.UNDEPLOY) is None
    before.note_departure(Act.UNDEPLOY, 10.0)
    assert before.find_next(Act.UNDEPLOY) == 12.0

    after.go_on(Act.UNDEPLOY, 12.0)

    assert after.seconds_until_allowed(Act.UNDEPLOY, 10.5) == 1.5
    assert after.reserve(Act.UNDEPLOY, 10.5) == 12.0
    assert SharedPace().find_next(Act.UNDEPLOY) is None
