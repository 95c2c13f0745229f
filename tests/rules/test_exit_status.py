"""The exit status of a session, and the state of its run."""

from __future__ import annotations

from itertools import permutations

import pytest

from orchestrator.errors import ExitStatus
from orchestrator.model.outcome import Outcome, Reason
from orchestrator.rules.exit_status import choose_exit_status, find_undone_reason, name_end_state

UNDEPLOYED, ALREADY = Outcome.UNDEPLOYED, Outcome.ALREADY_UNDEPLOYED
FAILED, UNKNOWN, NOT_STARTED = Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_STARTED

RESUMABLE = ["window", "stop_rule", "interrupt", "disk", "parked", "denied", "wrong_place"]
HELD_BACK = ["filtered", "protected", "skipped"]


@pytest.mark.parametrize("word", RESUMABLE)
@pytest.mark.parametrize("outcome", [NOT_STARTED, UNKNOWN])
def test_a_target_that_a_resume_goes_on_with_is_status_4(outcome: Outcome, word: str) -> None:
    counts = {(outcome, word): 1, (FAILED, "refused"): 5, (UNDEPLOYED, ""): 9}

    assert choose_exit_status(counts, interrupted=False) is ExitStatus.STOPPED
    assert choose_exit_status(counts, interrupted=True) is ExitStatus.INTERRUPTED
    assert find_undone_reason(counts) == word


@pytest.mark.parametrize(
    "end",
    [
        (FAILED, "refused"),
        (FAILED, "absent"),
        (UNKNOWN, "spent"),
        (NOT_STARTED, "dependency"),
        (NOT_STARTED, "drifted"),
        (NOT_STARTED, "snapshot"),
        (NOT_STARTED, "limit"),
    ],
)
def test_an_end_without_success_is_status_1(end: tuple[Outcome, str]) -> None:
    assert choose_exit_status({end: 1, (UNDEPLOYED, ""): 9}, interrupted=False) is ExitStatus.UNFINISHED


def test_success_and_targets_held_back_on_purpose_are_status_0() -> None:
    counts = {(UNDEPLOYED, ""): 3, (ALREADY, "absent"): 1} | {(NOT_STARTED, word): 1 for word in HELD_BACK}

    assert choose_exit_status(counts, interrupted=False) is ExitStatus.DONE
    assert choose_exit_status({}, interrupted=False) is ExitStatus.DONE


@pytest.mark.parametrize(("word", "status"), [("skipped", 1), ("filtered", 0), ("protected", 0)])
def test_in_a_restore_a_skipped_target_is_still_down(word: str, status: int) -> None:
    """It needs an ``--accept``."""
    counts = {(Outcome.RESTORED, ""): 3, (NOT_STARTED, word): 1}

    assert choose_exit_status(counts, interrupted=False, restores=True) == status


def test_an_interrupt_after_the_last_target_changes_nothing() -> None:
    assert choose_exit_status({(UNDEPLOYED, ""): 3}, interrupted=True) is ExitStatus.DONE
    assert choose_exit_status({(FAILED, "refused"): 3}, interrupted=True) is ExitStatus.UNFINISHED


def test_the_order_of_the_counts_does_not_matter() -> None:
    ends = [(UNDEPLOYED, ""), (FAILED, "refused"), (UNKNOWN, "spent"), (NOT_STARTED, "window")]
    found = {choose_exit_status(dict.fromkeys(order, 1), interrupted=False) for order in permutations(ends)}

    assert found == {ExitStatus.STOPPED}


def test_a_count_of_zero_is_no_count() -> None:
    assert (
        choose_exit_status({(NOT_STARTED, "window"): 0, (FAILED, "refused"): 0}, interrupted=False)
        is ExitStatus.DONE
    )


def test_statuses_are_tested_in_the_product_s_order() -> None:
    assert [int(status) for status in ExitStatus] == [3, 2, 130, 4, 1, 0]


def test_every_reason_leads_to_one_status() -> None:
    """A new reason must be given its place."""
    statuses = {
        str(word): int(choose_exit_status({(NOT_STARTED, word): 1}, interrupted=False)) for word in Reason
    }

    assert {word for word, status in statuses.items() if status == 4} == set(RESUMABLE)
    assert {word for word, status in statuses.items() if status == 0} == set(HELD_BACK)
    assert set(statuses.values()) == {0, 1, 4}


@pytest.mark.parametrize(
    ("status", "state"),
    [(130, "interrupted"), (4, "stopped"), (2, "stopped"), (1, "complete"), (0, "complete")],
)
def test_the_state_of_a_run_follows_its_status(status: int, state: str) -> None:
    assert name_end_state(ExitStatus(status)) == state
