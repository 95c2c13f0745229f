"""Stop rules and exit statuses."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ExitStatus
from orchestrator.model.outcome import Counts, Outcome, Reason
from orchestrator.model.plan import StepSize, StopWhen, Threshold
from orchestrator.rules.exit_status import choose_exit_status, find_undone_reason, name_end_state
from orchestrator.rules.steps import find_step_ends
from orchestrator.rules.stop_rules import StopRules, is_fruitless, is_surprising

UNDEPLOYED, ALREADY = Outcome.UNDEPLOYED, Outcome.ALREADY_UNDEPLOYED
FAILED, UNKNOWN, NOT_STARTED = Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_STARTED

NEVER = Threshold(share=1.0)
Ended = tuple[Outcome, str | None]
GOOD: Ended = (UNDEPLOYED, None)
BAD: Ended = (FAILED, "refused: no")
ABSENT: Ended = (FAILED, "absent: gone")


def tally(
    *,
    failed: Threshold = NEVER,
    unknown: Threshold = NEVER,
    surprises: Threshold = NEVER,
    before: Counts | None = None,
    first_run: bool = True,
    past_stop: bool = False,
) -> StopRules:
    rules = StopWhen(failed=failed, unknown=unknown, surprising=surprises)
    return StopRules(rules, before or {}, first_run=first_run, past_stop=past_stop)


def count(counting: StopRules, ends: Iterable[Ended], *, doubted: bool = False) -> list[str]:
    """Every breach that was told, in order."""
    told = [counting.count_end(outcome, reason, doubted=doubted) for outcome, reason in ends]
    return [breach for breach in told if breach]


# --- stop rules -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "reason", "first_run", "is_one"),
    [
        (FAILED, "absent: no such API", True, True),
        (ALREADY, "absent: no such API", False, True),
        (NOT_STARTED, "drifted: it was deployed again", True, True),
        (ALREADY, None, True, True),
        (ALREADY, None, False, False),
        (FAILED, "refused: absent", True, False),
        (UNDEPLOYED, None, True, False),
        (UNKNOWN, "spent: 5 attempts", True, False),
    ],
)
def test_what_is_surprising(outcome: Outcome, reason: str | None, first_run: bool, is_one: bool) -> None:
    assert is_surprising(outcome, reason, first_run=first_run) is is_one


def test_who_waits_for_the_shared_look_counts_as_ended_and_once() -> None:
    """Thirty that were down are no surprise among three hundred, though the others end after them."""
    counting = tally(surprises=Threshold(share=0.5))

    assert [counting.count_waiting() for _ in range(30)] == [None] * 30
    assert count(counting, [(ALREADY, None)] * 30) == []
    assert [counting.count_end(UNDEPLOYED, None, doubted=False, waited=True) for _ in range(30)] == [
        None
    ] * 30
    assert count(counting, [(ALREADY, None)]) == ["surprising: 31 of 61 (50.82%) in the wave, limit 50%"]


def test_who_waited_and_was_not_started_after_all_has_not_ended() -> None:
    counting = tally(failed=Threshold(share=0.5))
    counting.count_waiting()
    counting.count_end(NOT_STARTED, "window: it closed", doubted=False, waited=True)
    count(counting, [BAD, GOOD])

    assert counting.find_breach() is None
    assert count(counting, [BAD]) == []
    assert counting.find_breach() == "failed: 2 of 3 (66.67%) in the wave, limit 50%"


def test_the_twentieth_that_waits_asks_the_shares() -> None:
    counting = tally(failed=Threshold(share=0.2))

    assert count(counting, [BAD] * 10) == []
    assert [counting.count_waiting() for _ in range(10)][
        -1
    ] == "failed: 10 of 20 (50%) in the wave, limit 20%"


def test_a_share_is_exceeded_only_strictly() -> None:
    counting = tally(failed=Threshold(share=0.2))

    assert count(counting, [GOOD] * 16 + [BAD] * 4) == []
    assert count(counting, [BAD]) == ["failed: 5 of 21 (23.81%) in the wave, limit 20%"]


def test_shares_count_from_twenty_ended_targets_on() -> None:
    counting = tally(failed=Threshold(share=0.2))

    assert count(counting, [BAD] * 19) == []
    assert count(counting, [BAD]) == ["failed: 20 of 20 (100%) in the wave, limit 20%"]


def test_the_twentieth_target_asks_the_shares_even_if_it_went_well() -> None:
    counting = tally(failed=Threshold(share=0.2))

    assert count(counting, [BAD] * 10 + [GOOD] * 9) == []
    assert count(counting, [GOOD]) == ["failed: 10 of 20 (50%) in the wave, limit 20%"]


def test_a_rule_says_its_name_count_share_wave_and_limit() -> None:
    counting = tally(failed=Threshold(share=0.125))
    counting.next_wave("canary")
    assert count(counting, [BAD, *[GOOD] * 6, BAD, *[GOOD] * 12]) == []
    assert count(counting, [BAD]) == ["failed: 3 of 21 (14.29%) in wave canary, limit 12.5%"]
    counting.next_wave("rest", "step 2 of 3")
    assert count(counting, [BAD]) == []
    assert counting.find_breach() == "failed: 1 of 1 (100%) in step 2 of 3 of wave rest, limit 12.5%"


def test_before_the_next_wave_shares_count_at_any_number() -> None:
    counting = tally(failed=Threshold(share=0.2))
    count(counting, [GOOD, BAD])

    assert counting.find_breach() == "failed: 1 of 2 (50%) in the wave, limit 20%"
    counting.next_wave()
    assert counting.find_breach() is None
    count(counting, [GOOD, GOOD])
    assert counting.find_breach() is None


def test_what_was_not_started_has_not_ended_unless_it_drifted() -> None:
    counting = tally(failed=Threshold(share=0.2))
    count(counting, [(NOT_STARTED, "window: shut")] * 30 + [BAD])

    assert counting.find_breach() == "failed: 1 of 1 (100%) in the wave, limit 20%"
    count(counting, [(NOT_STARTED, "drifted: changed")] * 4)
    assert counting.find_breach() is None


def test_a_count_counts_the_run_and_not_the_wave() -> None:
    counting = tally(failed=Threshold(count=2), before={(FAILED, "refused"): 1, (UNDEPLOYED, ""): 90})

    assert count(counting, [BAD]) == []
    counting.next_wave()
    assert count(counting, [BAD]) == ["failed: 3 in the run, now in the wave, limit 2"]


def test_a_count_of_nought_stops_at_the_first() -> None:
    assert count(tally(unknown=Threshold(count=0)), [(UNKNOWN, "spent: 5 attempts")]) == [
        "unknown: 1 in the run, now in the wave, limit 0"
    ]


def test_an_absent_target_is_failed_and_surprising() -> None:
    assert count(tally(surprises=Threshold(count=0)), [ABSENT]) == [
        "surprising: 1 in the run, now in the wave, limit 0"
    ]
    assert count(tally(failed=Threshold(count=0)), [ABSENT]) == [
        "failed: 1 in the run, now in the wave, limit 0"
    ]


def test_a_resume_past_a_stop_accepts_what_was_counted_and_what_was_in_doubt() -> None:
    counting = tally(
        failed=Threshold(count=2),
        unknown=Threshold(count=0),
        before={(FAILED, "refused"): 9},
        first_run=False,
        past_stop=True,
    )

    assert count(counting, [BAD, BAD]) == []
    assert count(counting, [(UNKNOWN, "spent: looks")], doubted=True) == []
    assert count(counting, [BAD]) == ["failed: 3 in the run, now in the wave, limit 2"]


def test_the_defaults_are_those_of_the_product() -> None:
    rules = StopWhen()

    assert (rules.failed.share, rules.unknown.share, rules.surprising.share) == (0.2, 0.2, 0.5)


@pytest.mark.parametrize(
    ("counts", "left", "stops"),
    [
        ({(FAILED, "refused"): 3}, 0, True),
        ({(UNKNOWN, "spent"): 1, (NOT_STARTED, "filtered"): 3}, 0, True),
        ({(NOT_STARTED, "parked"): 2}, 0, True),
        ({(FAILED, "refused"): 3, (UNDEPLOYED, ""): 1}, 0, False),
        ({(FAILED, "refused"): 3, (ALREADY, "absent"): 1}, 0, False),
        (
            {(NOT_STARTED, "filtered"): 1, (NOT_STARTED, "protected"): 1, (NOT_STARTED, "skipped"): 1},
            0,
            False,
        ),
        ({}, 0, False),
        ({}, 5, True),
        ({(NOT_STARTED, "filtered"): 1}, 5, True),
        ({(UNDEPLOYED, ""): 1}, 5, False),
    ],
)
def test_a_wave_in_which_nothing_went_down_stops_the_run(counts: Counts, left: int, stops: bool) -> None:
    """Also one whose targets nobody took, since their lane had closed in the wave before."""
    assert is_fruitless(counts, left=left) is stops


# --- exit statuses --------------------------------------------------------------------------------------

RESUMABLE = ["window", "stop_rule", "interrupt", "disk", "parked", "denied", "wrong_place"]
HELD_BACK = ["filtered", "protected", "skipped"]


@pytest.mark.parametrize("word", RESUMABLE)
@pytest.mark.parametrize("outcome", [NOT_STARTED, UNKNOWN])
def test_what_a_resume_would_go_on_with_is_status_4(outcome: Outcome, word: str) -> None:
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
def test_an_end_that_is_not_success_is_status_1(end: tuple[Outcome, str]) -> None:
    assert choose_exit_status({end: 1, (UNDEPLOYED, ""): 9}, interrupted=False) is ExitStatus.UNFINISHED


def test_success_and_what_was_held_back_on_purpose_is_status_0() -> None:
    counts = {(UNDEPLOYED, ""): 3, (ALREADY, "absent"): 1} | {(NOT_STARTED, word): 1 for word in HELD_BACK}

    assert choose_exit_status(counts, interrupted=False) is ExitStatus.DONE
    assert choose_exit_status({}, interrupted=False) is ExitStatus.DONE


def test_an_interrupt_that_came_when_all_was_done_changes_nothing() -> None:
    assert choose_exit_status({(UNDEPLOYED, ""): 3}, interrupted=True) is ExitStatus.DONE
    assert choose_exit_status({(FAILED, "refused"): 3}, interrupted=True) is ExitStatus.UNFINISHED


def test_the_order_of_the_counts_does_not_matter() -> None:
    ends = [(UNDEPLOYED, ""), (FAILED, "refused"), (UNKNOWN, "spent"), (NOT_STARTED, "window")]
    found = {choose_exit_status(dict.fromkeys(order, 1), interrupted=False) for order in permutations(ends)}

    assert found == {ExitStatus.STOPPED}


def test_a_count_of_nought_is_no_count() -> None:
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
    [(130, "interrupted"), (4, "stopped"), (1, "complete"), (0, "complete")],
)
def test_the_state_of_a_run_follows_its_status(status: int, state: str) -> None:
    assert name_end_state(ExitStatus(status)) == state


# --- steps ----------------------------------------------------------------------------------------------

ALL = StepSize(share=1.0)


@pytest.mark.parametrize(
    ("sizes", "count", "expected"),
    [
        ((), 7, (7,)),
        ((), 0, ()),
        ((ALL,), 7, (7,)),
        ((StepSize(count=1), StepSize(share=0.1), ALL), 400, (1, 40, 400)),
        ((StepSize(count=1), StepSize(share=0.1), ALL), 401, (1, 41, 401)),
        ((StepSize(count=1), StepSize(share=0.1), ALL), 10, (1, 10)),
        ((StepSize(count=1), StepSize(share=0.1), ALL), 11, (1, 2, 11)),
        ((StepSize(count=1), StepSize(share=0.1), ALL), 1, (1,)),
        ((StepSize(count=1), StepSize(share=0.1), ALL), 0, ()),
        ((StepSize(count=50), StepSize(share=0.1), ALL), 100, (50, 100)),
        ((StepSize(share=0.1), StepSize(count=5), ALL), 1000, (100, 1000)),
        ((StepSize(count=500), ALL), 100, (100,)),
        # As floats 0.1 * 30 and 0.07 * 100 are a little more than 3 and 7.
        ((StepSize(share=0.1), ALL), 30, (3, 30)),
        ((StepSize(share=0.07), ALL), 100, (7, 100)),
        ((StepSize(share=12.5 / 100), ALL), 10_000_000, (1_250_000, 10_000_000)),
        ((StepSize(share=1e-8), ALL), 10_000_000, (1, 10_000_000)),
    ],
)
def test_shares_round_up_and_empty_steps_vanish(
    sizes: tuple[StepSize, ...], count: int, expected: tuple[int, ...]
) -> None:
    assert find_step_ends(sizes, count) == expected


SIZES = st.lists(
    st.builds(StepSize, count=st.integers(1, 200)) | st.builds(StepSize, share=st.floats(0.0001, 1)),
    max_size=8,
)


@given(SIZES, st.integers(0, 10_000_000))
def test_steps_go_on_to_the_end_and_are_no_more_than_their_sizes(sizes: list[StepSize], count: int) -> None:
    bounds = find_step_ends((*sizes, ALL), count)

    assert all(before < after for before, after in pairwise((0, *bounds)))
    assert bounds[-1:] == ((count,) if count else ())
    assert len(bounds) <= len(sizes) + 1


@given(st.integers(1, 10_000_000), st.integers(1, 10_000))
def test_a_share_of_whole_percents_is_exact(count: int, percent: int) -> None:
    bounds = find_step_ends((StepSize(share=percent / 100 / 100), ALL), count)

    assert bounds[0] == min(count, -(-count * percent // 10_000))
