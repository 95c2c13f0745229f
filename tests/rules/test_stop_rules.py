"""The rules by which a run stops by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from orchestrator.model.outcome import ACCEPTED_LOSS, DEPLOYED_IN_PART, Counts, Outcome
from orchestrator.model.plan import StopWhen, Threshold
from orchestrator.rules.stop_rules import (
    SHARES_FROM,
    STOP_RULES,
    StoppingScope,
    StopRules,
    StopState,
    adapt_to_restore,
    is_fruitless,
    is_surprising,
    measure_headroom,
)

UNDEPLOYED, ALREADY = Outcome.UNDEPLOYED, Outcome.ALREADY_UNDEPLOYED
FAILED, UNKNOWN, NOT_STARTED = Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_STARTED

NEVER = Threshold(share=1.0)
Ended = tuple[Outcome, str | None]
GOOD: Ended = (UNDEPLOYED, None)
BAD: Ended = (FAILED, "refused: no")
ABSENT: Ended = (FAILED, "absent: gone")


def make_rules(
    *,
    failed: Threshold = NEVER,
    unknown: Threshold = NEVER,
    surprises: Threshold = NEVER,
    before: Counts | None = None,
    first_run: bool = True,
    past_stop: bool = False,
) -> StopRules:
    stop_when = StopWhen(failed=failed, unknown=unknown, surprising=surprises)
    return StopRules(stop_when, before or {}, first_run=first_run, past_stop=past_stop)


def count_all(rules: StopRules, ends: Iterable[Ended], *, doubted: bool = False) -> list[str]:
    """Count the ends; return each breach, in order."""
    breaches = [rules.count_end(outcome, reason, doubted=doubted) for outcome, reason in ends]
    return [breach for breach in breaches if breach]


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
def test_absent_drifted_and_in_a_first_run_already_undeployed_is_surprising(
    outcome: Outcome, reason: str | None, first_run: bool, is_one: bool
) -> None:
    assert is_surprising(outcome, reason, first_run=first_run) is is_one


def test_a_target_that_waits_for_the_shared_look_counts_as_ended_once() -> None:
    """Thirty targets that were down are no surprise among three hundred, although the others end later."""
    rules = make_rules(surprises=Threshold(share=0.5))

    assert [rules.count_waiting() for _ in range(30)] == [None] * 30
    assert count_all(rules, [(ALREADY, None)] * 30) == []
    assert [rules.count_end(UNDEPLOYED, None, doubted=False, waited=True) for _ in range(30)] == [None] * 30
    assert count_all(rules, [(ALREADY, None)]) == ["surprising: 31 of 61 (50.819672%) in the wave, limit 50%"]


def test_a_target_that_waited_and_was_not_started_has_not_ended() -> None:
    rules = make_rules(failed=Threshold(share=0.5))
    rules.count_waiting()
    rules.count_end(NOT_STARTED, "window: it closed", doubted=False, waited=True)
    count_all(rules, [BAD, GOOD])

    assert rules.find_breach() is None
    assert count_all(rules, [BAD]) == []
    assert rules.find_breach() == "failed: 2 of 3 (66.666667%) in the wave, limit 50%"


def test_the_twentieth_waiting_target_has_the_shares_tested() -> None:
    rules = make_rules(failed=Threshold(share=0.2))

    assert count_all(rules, [BAD] * 10) == []
    assert [rules.count_waiting() for _ in range(10)][-1] == "failed: 10 of 20 (50%) in the wave, limit 20%"


def test_a_share_is_exceeded_only_strictly() -> None:
    rules = make_rules(failed=Threshold(share=0.2))

    assert count_all(rules, [GOOD] * 16 + [BAD] * 4) == []
    assert count_all(rules, [BAD]) == ["failed: 5 of 21 (23.809524%) in the wave, limit 20%"]


def test_shares_count_from_twenty_ended_targets_on() -> None:
    rules = make_rules(failed=Threshold(share=0.2))

    assert count_all(rules, [BAD] * 19) == []
    assert count_all(rules, [BAD]) == ["failed: 20 of 20 (100%) in the wave, limit 20%"]


def test_the_twentieth_target_has_the_shares_tested_even_if_it_went_well() -> None:
    rules = make_rules(failed=Threshold(share=0.2))

    assert count_all(rules, [BAD] * 10 + [GOOD] * 9) == []
    assert count_all(rules, [GOOD]) == ["failed: 10 of 20 (50%) in the wave, limit 20%"]


def test_a_rule_says_its_name_count_share_wave_and_limit() -> None:
    rules = make_rules(failed=Threshold(share=0.125))
    rules.begin_wave("canary")
    assert count_all(rules, [BAD, *[GOOD] * 6, BAD, *[GOOD] * 12]) == []
    assert count_all(rules, [BAD]) == ["failed: 3 of 21 (14.285714%) in wave canary, limit 12.5%"]
    rules.begin_wave("rest", "step 2 of 3")
    assert count_all(rules, [BAD]) == []
    assert rules.find_breach() == "failed: 1 of 1 (100%) in step 2 of 3 of wave rest, limit 12.5%"


def test_before_the_next_wave_shares_count_at_any_number() -> None:
    rules = make_rules(failed=Threshold(share=0.2))
    count_all(rules, [GOOD, BAD])

    assert rules.find_breach() == "failed: 1 of 2 (50%) in the wave, limit 20%"
    rules.begin_wave()
    assert rules.find_breach() is None
    count_all(rules, [GOOD, GOOD])
    assert rules.find_breach() is None


def test_a_target_that_was_not_started_has_not_ended_unless_it_drifted() -> None:
    rules = make_rules(failed=Threshold(share=0.2))
    count_all(rules, [(NOT_STARTED, "window: shut")] * 30 + [BAD])

    assert rules.find_breach() == "failed: 1 of 1 (100%) in the wave, limit 20%"
    count_all(rules, [(NOT_STARTED, "drifted: changed")] * 4)
    assert rules.find_breach() is None


def test_a_count_counts_the_run_and_not_the_wave() -> None:
    rules = make_rules(failed=Threshold(count=2), before={(FAILED, "refused"): 1, (UNDEPLOYED, ""): 90})

    assert count_all(rules, [BAD]) == []
    rules.begin_wave()
    assert count_all(rules, [BAD]) == ["failed: 3 in the run, now in the wave, limit 2"]


def test_a_count_of_zero_stops_at_the_first() -> None:
    assert count_all(make_rules(unknown=Threshold(count=0)), [(UNKNOWN, "spent: 5 attempts")]) == [
        "unknown: 1 in the run, now in the wave, limit 0"
    ]


def test_an_absent_target_is_failed_and_surprising() -> None:
    assert count_all(make_rules(surprises=Threshold(count=0)), [ABSENT]) == [
        "surprising: 1 in the run, now in the wave, limit 0"
    ]
    assert count_all(make_rules(failed=Threshold(count=0)), [ABSENT]) == [
        "failed: 1 in the run, now in the wave, limit 0"
    ]


def test_a_resume_past_a_stop_accepts_earlier_counts_and_doubts() -> None:
    rules = make_rules(
        failed=Threshold(count=2),
        unknown=Threshold(count=0),
        before={(FAILED, "refused"): 9},
        first_run=False,
        past_stop=True,
    )

    assert count_all(rules, [BAD, BAD]) == []
    assert count_all(rules, [(UNKNOWN, "spent: looks")], doubted=True) == []
    assert count_all(rules, [BAD]) == ["failed: 3 since this resume, now in the wave, limit 2"]


def test_a_resume_past_a_stop_accepts_targets_that_drifted_before() -> None:
    """It looks at them again, and finds them as they were: the same stop would end each session."""
    drifted: Ended = (NOT_STARTED, "drifted: its revision was 3 when it was approved, and is 4 now")
    rules = make_rules(surprises=Threshold(count=1), first_run=False, past_stop=True)

    assert count_all(rules, [drifted] * 3, doubted=True) == []
    rules.count_ends(NOT_STARTED, "drifted", 3, doubted=True)
    assert rules.find_breach() is None
    # Targets of which no earlier session has told anything are news.
    assert count_all(rules, [drifted] * 2) == ["surprising: 2 since this resume, now in the wave, limit 1"]
    # Without --past-stop nothing is accepted.
    careful = make_rules(surprises=Threshold(count=1), first_run=False)
    assert len(count_all(careful, [drifted] * 2, doubted=True)) == 1


def test_the_defaults_are_those_of_the_product() -> None:
    stop_when = StopWhen()

    assert (stop_when.failed.share, stop_when.unknown.share, stop_when.surprising.share) == (0.2, 0.2, 0.5)


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
def test_a_wave_without_a_success_stops_the_run(counts: Counts, left: int, stops: bool) -> None:
    """Also a wave whose targets no worker took, since their lane had closed in the wave before."""
    assert is_fruitless(counts, left=left) is stops
    assert left or is_fruitless(counts) is stops


def test_a_loss_that_a_person_accepted_stops_nothing() -> None:
    loss: Ended = (FAILED, f"{ACCEPTED_LOSS}, without its plug-ins, which were never read")
    other: Ended = (FAILED, f"{DEPLOYED_IN_PART}, but without plug-in cors")

    assert count_all(make_rules(failed=Threshold(share=0.2)), [loss] * 60) == []
    assert count_all(make_rules(failed=Threshold(count=1), before={(FAILED, ACCEPTED_LOSS): 9}), [loss]) == []
    assert count_all(make_rules(failed=Threshold(share=0.2)), [other] * 20) == [
        "failed: 20 of 20 (100%) in the wave, limit 20%"
    ]
    assert not is_fruitless({(FAILED, ACCEPTED_LOSS): 5})
    assert is_fruitless({(FAILED, "partial"): 5})


def test_a_share_and_its_limit_are_told_alike() -> None:
    rules = make_rules(failed=Threshold(share=1 / 3))

    assert count_all(rules, [GOOD] * 13 + [BAD] * 7) == [
        "failed: 7 of 20 (35%) in the wave, limit 33.333333%"
    ]


def test_each_rule_of_a_plan_has_its_row_in_the_table() -> None:
    """A new key of ``stop_when`` needs a row, and nothing else in the rules."""
    assert [field.name for field in fields(StopWhen)] == list(STOP_RULES)


def test_a_rule_that_is_not_for_restores_never_fires_in_one() -> None:
    one = Threshold(count=1)
    adapted = adapt_to_restore(StopWhen(failed=one, unknown=one, surprising=one))

    assert adapted == StopWhen(failed=one, unknown=one, surprising=NEVER)


ENDS = st.lists(
    st.sampled_from([GOOD, BAD, ABSENT, (ALREADY, None), (UNKNOWN, "spent: x"), (NOT_STARTED, "window: x")]),
    max_size=40,
)
LIMITS = st.one_of(
    st.builds(Threshold, count=st.integers(0, 12)),
    st.builds(Threshold, share=st.sampled_from([0.1, 0.2, 0.5])),
)


@given(ends=ENDS, limit=LIMITS, left=st.integers(0, 40))
def test_so_many_more_failures_stop_the_run_as_the_headroom_tells(
    ends: list[Ended], limit: Threshold, left: int
) -> None:
    """One failure less does not: the number is that of the rules themselves."""
    counts = Counter((outcome, (reason or "").partition(":")[0]) for outcome, reason in ends)
    scope = StoppingScope(where="wave one", counts=counts, left=left)
    (room,) = measure_headroom({"failed": limit}, scope, scope, first_run=True)

    def is_stopped_after(more: int) -> bool:
        rules = make_rules(failed=limit)
        rules.begin_wave("one")
        count_all(rules, [*ends, *[BAD] * more])
        # Before the next wave shares count at any number of ended targets.
        return rules.find_breach(shares_from=1 if more == left else SHARES_FROM) is not None

    if room.more is None:
        assert not is_stopped_after(left)
    else:
        assert is_stopped_after(room.more)
        assert room.more == 0 or not is_stopped_after(room.more - 1)


def test_the_headroom_of_a_rule_in_words() -> None:
    wave = StoppingScope(where="wave canary", counts={(FAILED, "refused"): 3, (UNDEPLOYED, ""): 37}, left=60)
    run = StoppingScope(where="the run", counts={(FAILED, "refused"): 4, (UNDEPLOYED, ""): 96}, left=400)
    thresholds = {"failed": Threshold(share=0.2), "unknown": Threshold(count=0), "surprising": NEVER}

    assert [(room.more, room.text) for room in measure_headroom(thresholds, run, wave, first_run=True)] == [
        (7, "failed: 3 of 40 in wave canary, limit 20%: 7 more stop the run"),
        (1, "unknown: 0 in the run, limit 0: 1 more stops the run"),
    ]


@pytest.mark.parametrize(("failed", "near"), [(0, False), (4, False), (5, True), (8, True)])
def test_a_rule_is_near_once_it_counts_a_target_and_few_more_stop_the_run(failed: int, near: bool) -> None:
    run = StoppingScope(where="the run", counts={(FAILED, "refused"): failed, (UNDEPLOYED, ""): 9}, left=40)
    strict = StoppingScope(where="the run", counts={(UNDEPLOYED, ""): 9}, left=40)
    (room,) = measure_headroom({"failed": Threshold(count=7)}, run, run, first_run=True)
    (unused,) = measure_headroom({"failed": Threshold(count=0)}, strict, strict, first_run=True)

    assert (room.near, unused.near) == (near, False)


def test_one_target_is_enough_to_be_near_a_limit() -> None:
    run = StoppingScope(where="the run", counts={(FAILED, "refused"): 1}, left=40)

    (room,) = measure_headroom({"failed": Threshold(count=3)}, run, run, first_run=True)

    assert (room.more, room.near) == (3, True)


@pytest.mark.parametrize(
    ("failed", "good", "left", "share", "more"),
    [
        (0, 0, 40, 0.0, 20),  # shares count from twenty ended targets on
        (0, 25, 40, 0.0, 1),
        (4, 16, 40, 0.2, 1),  # strictly above
        (5, 16, 40, 0.2, 0),
        (30, 10, 40, 0.2, 0),
        (0, 30, 40, 0.5, 31),
        (0, 30, 30, 0.5, None),
        (3, 7, 2, 0.5, None),
        (4, 4, 2, 0.5, 2),  # fewer than twenty: they count once the step has ended
    ],
)
def test_so_many_more_exceed_a_share(
    failed: int, good: int, left: int, share: float, more: int | None
) -> None:
    counts = {(FAILED, "refused"): failed, (UNDEPLOYED, ""): good}
    step = StoppingScope(where="the wave", counts=counts, left=left)
    (room,) = measure_headroom({"failed": Threshold(share=share)}, step, step, first_run=True)

    assert room.more == more


@given(
    st.lists(st.sampled_from([GOOD, BAD, ABSENT, (UNKNOWN, "spent: 5"), (ALREADY, None)]), max_size=60),
    st.integers(0, 60),
)
def test_counts_that_another_process_takes_up_lead_to_the_same_breaches(ends: list[Ended], cut: int) -> None:
    given = {"failed": Threshold(share=0.3), "unknown": Threshold(count=2), "surprises": Threshold(share=0.4)}
    whole, first, second = make_rules(**given), make_rules(**given), make_rules(**given)
    whole.begin_wave("canary", "step 2 of 3")
    first.begin_wave("canary", "step 2 of 3")
    expected = count_all(whole, ends)

    before = count_all(first, ends[:cut])
    second.take_up(first.state)

    assert before + count_all(second, ends[cut:]) == expected
    assert second.state == whole.state


def test_a_wave_begins_with_nothing_counted() -> None:
    assert make_rules().state == StopState()


def test_a_session_counts_on_from_earlier_ones_unless_told_otherwise() -> None:
    stop_when = StopWhen(failed=Threshold(count=2), unknown=NEVER, surprising=NEVER)
    rules = StopRules(stop_when, {(FAILED, "refused"): 2}, first_run=False)

    assert count_all(rules, [BAD]) == ["failed: 3 in the run, now in the wave, limit 2"]


def test_ends_that_are_counted_together_count_as_each_by_itself() -> None:
    one_by_one, together = make_rules(), make_rules()
    ends: list[Ended] = [GOOD, GOOD, BAD, ABSENT, (NOT_STARTED, "drifted: x"), (NOT_STARTED, "skipped: y")]
    count_all(one_by_one, ends)

    together.count_ends(UNDEPLOYED, "", 2, doubted=False)
    together.count_ends(FAILED, "refused", 1, doubted=False)
    together.count_ends(FAILED, "absent", 1, doubted=False)
    together.count_ends(NOT_STARTED, "drifted", 1, doubted=False)
    together.count_ends(NOT_STARTED, "skipped", 1, doubted=False)

    assert together.state == one_by_one.state
    assert together.state.ended == 5


def test_doubts_of_before_an_accepted_stop_do_not_count_together_either() -> None:
    rules = make_rules(past_stop=True)

    rules.count_ends(UNKNOWN, "", 3, doubted=True)

    assert rules.state.ended == 0
    rules.count_ends(UNKNOWN, "", 3, doubted=False)
    rules.count_ends(FAILED, "refused", 2, doubted=True)
    assert (rules.state.ended, rules.state.in_run) == (5, {"unknown": 3, "failed": 2})

    going_on = make_rules()
    going_on.count_ends(UNKNOWN, "", 3, doubted=True)
    assert (going_on.state.ended, going_on.state.in_run) == (3, {"unknown": 3})
