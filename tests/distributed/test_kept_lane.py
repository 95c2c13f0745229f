"""A lane that goes from one worker to another: its waits end on time, whatever the clocks of both say."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.distributed.kept_lane import KeptLane, import_standing
from orchestrator.distributed.lease import LeasedSend
from orchestrator.rules.lane_standing import LaneStanding


@pytest.mark.promise(6)
def test_waits_go_by_the_clock_that_all_workers_share() -> None:
    """At 1,000 s by the server the first worker's clock that never jumps shows 10 s, the next one's 700 s."""
    lane: Any = SimpleNamespace(
        describe_standing=lambda: LaneStanding(
            state="parked", parked_since=4.0, paused_until=30.0, next_at=12.5
        )
    )
    kept = KeptLane(lane, LeasedSend(), AsyncExitStack(), None)

    carry = kept.export([], ahead=990.0)
    assert (carry.parked_since, carry.paused_until, carry.next_at) == (994.0, 1020.0, 1002.5)
    taken = import_standing(carry, ahead=300.0)
    assert (taken.parked_since, taken.paused_until, taken.next_at) == (694.0, 720.0, 702.5)


def test_a_lane_that_waits_for_nothing_goes_on_at_once() -> None:
    lane: Any = SimpleNamespace(describe_standing=LaneStanding)
    carry = KeptLane(lane, LeasedSend(), AsyncExitStack(), None).export([], ahead=990.0)

    assert import_standing(carry, ahead=300.0) == LaneStanding()
