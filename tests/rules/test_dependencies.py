"""The order that ``after`` gives to targets."""

from __future__ import annotations

import pytest

from orchestrator.model.outcome import ACCEPTED_LOSS, DONE, Outcome
from orchestrator.model.target import TargetId
from orchestrator.rules.dependencies import Dependencies, Prerequisite


def require(
    seq: int,
    required: int,
    outcome: Outcome | None = None,
    reason: str | None = None,
    *,
    in_same_step: bool = True,
    gateway: str = "gw",
) -> Prerequisite:
    name = TargetId(f"{gateway}/t{required}")
    return Prerequisite(seq, required, name, gateway, outcome, reason, in_same_step)


def test_a_target_waits_until_all_targets_that_it_requires_are_down() -> None:
    dependencies = Dependencies(lambda: [require(3, 1), require(3, 2)])
    assert dependencies.is_waiting(3)
    assert not dependencies.is_waiting(1)
    assert dependencies.is_awaited(1)
    assert not dependencies.is_awaited(3)

    assert dependencies.settle(1, TargetId("gw/t1"), Outcome.UNDEPLOYED)
    assert (dependencies.is_waiting(3), dependencies.take_unblocked()) == (True, [])
    assert dependencies.settle(2, TargetId("gw/t2"), Outcome.ALREADY_UNDEPLOYED)
    assert (dependencies.is_waiting(3), dependencies.take_unblocked(), dependencies.refusal(3)) == (
        False,
        [3],
        None,
    )
    assert dependencies.take_unblocked() == []
    assert not dependencies.settle(2, TargetId("gw/t2"), Outcome.UNDEPLOYED)


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - DONE))
def test_a_target_that_did_not_end_down_has_all_that_come_after_it_refused_at_once(outcome: Outcome) -> None:
    dependencies = Dependencies(lambda: [require(3, 1), require(3, 2), require(4, 1)])
    dependencies.settle(1, TargetId("gw/t1"), outcome)

    why = f"dependency: gw/t1, which comes first, is {outcome.replace('_', ' ')}"
    assert dependencies.take_unblocked() == [3, 4]
    assert [dependencies.refusal(seq) for seq in (3, 4)] == [why, why]
    assert not dependencies.is_waiting(3)
    dependencies.settle(2, TargetId("gw/t2"), Outcome.FAILED)
    assert dependencies.refusal(3) == why


def test_a_target_follows_one_that_lacks_only_what_a_person_accepted_to_lose() -> None:
    loss = f"{ACCEPTED_LOSS}, without its plug-ins"
    dependencies = Dependencies(
        lambda: [require(3, 1), require(5, 4, Outcome.FAILED, loss, in_same_step=False)]
    )
    dependencies.settle(1, TargetId("gw/t1"), Outcome.FAILED, loss)

    assert [dependencies.refusal(seq) for seq in (3, 5)] == [None, None]
    assert dependencies.take_unblocked() == [3]


def test_outcomes_of_an_earlier_wave_step_are_known_from_the_start() -> None:
    dependencies = Dependencies(
        lambda: [
            require(5, 1, Outcome.UNDEPLOYED, in_same_step=False),
            require(6, 2, Outcome.UNKNOWN, in_same_step=False),
            require(7, 3, None, in_same_step=False),
            require(8, 4, Outcome.ALREADY_UNDEPLOYED),
        ]
    )

    assert [dependencies.is_waiting(seq) for seq in (5, 6, 7, 8)] == [False] * 4
    assert [dependencies.refusal(seq) for seq in (5, 6, 7, 8)] == [
        None,
        "dependency: gw/t2, which comes first, is unknown",
        "dependency: gw/t3, which comes first, was not reached",
        None,
    ]


def test_a_lane_that_ends_settles_the_targets_that_it_did_not_reach() -> None:
    dependencies = Dependencies(lambda: [require(2, 1, gateway="one"), require(4, 3, gateway="two")])

    assert dependencies.abandon("one")
    assert dependencies.take_unblocked() == [2]
    assert dependencies.refusal(2) == "dependency: one/t1, which comes first, was not reached"
    assert dependencies.is_waiting(4)
    assert not dependencies.abandon("one")
    assert dependencies.take_unblocked() == []


def test_a_lane_that_ends_tells_whether_any_of_its_targets_was_awaited_still() -> None:
    dependencies = Dependencies(lambda: [require(3, 1), require(4, 2)])
    dependencies.settle(1, TargetId("gw/t1"), Outcome.UNDEPLOYED)

    assert dependencies.abandon("gw")
    assert not Dependencies(list).abandon("gw")


def test_a_step_in_which_no_target_waits_is_empty() -> None:
    assert Dependencies(list).is_empty
    assert Dependencies(lambda: [require(3, 1, Outcome.UNDEPLOYED)]).is_empty
    assert not Dependencies(lambda: [require(3, 1)]).is_empty


def test_a_refused_target_that_has_its_outcome_is_refused_no_more() -> None:
    """A million refusals are not kept to the end of the step."""
    dependencies = Dependencies(lambda: [require(3, 1)])
    dependencies.settle(1, TargetId("gw/t1"), Outcome.FAILED)
    assert dependencies.refusal(3) is not None
    dependencies.settle(3, TargetId("gw/t3"), Outcome.NOT_STARTED)

    assert dependencies.refusal(3) is None
