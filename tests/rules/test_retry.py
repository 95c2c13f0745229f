"""The rules of one target: verdict, past and policy to the next step, and the past made again from rows."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act, LookFacts, Reading, Verdict
from orchestrator.rules.retry import (
    LOOKS_PER_DOUBT,
    LookStep,
    RetryPolicy,
    SendStep,
    Step,
    TargetEnd,
    TargetHistory,
    choose_first_step,
    choose_pause,
    decide,
    describe,
    describe_wrong_place,
    draw_backoff,
    end_blocked,
    is_passing_fault,
    replay,
    replay_all,
    uncharge,
)
from tests.support.readings import reading

POLICY = RetryPolicy()
ALWAYS = RetryPolicy(always_look=True)
ABSENT_OK = RetryPolicy(absent_ok=True)
ONCE = RetryPolicy(attempts=1)

REMOVED = reading(Verdict.REMOVED, evidence="204")
DOUBT = reading(Verdict.DOUBT, code="E.500", message="broken")
STRANGE = reading(Verdict.STRANGE, message="a login page")
PARTIAL = reading(
    Verdict.PARTIAL, pods=("10.0.0.7",), pod_count=2, message="one row false", evidence="deploymentResult"
)
CONTESTED = reading(Verdict.CONTESTED, code="E.400", message="no")
REFUSED = reading(Verdict.REFUSED, code="E.403", message="not yours")
ABSENT = reading(Verdict.ABSENT, code="E.3084", message="no such API")
HIDDEN = reading(Verdict.ABSENT, code="E.1", message="not found or no privilege", hidden=True)
UP, DOWN = reading(Verdict.UP), reading(Verdict.DOWN)
UNCLEAR = reading(Verdict.UNCLEAR, message="HTTP 500")
NOT_OFFERED = reading(Verdict.NOT_OFFERED)
BUSY = reading(Verdict.BUSY, wait=7.0)
DENIED = reading(Verdict.DENIED, code="E.401")
UNSENT = reading(Verdict.UNSENT, message="refused")
ELSEWHERE = reading(Verdict.ELSEWHERE, code="E.3030", message="no instance", hint="check instance_id")

FRESH = TargetHistory()
IN_DOUBT = TargetHistory(requests=1, charged=1, may_have_arrived=True, in_doubt=True, unsettled_reply=DOUBT)
LAST_DOUBT = TargetHistory(requests=5, charged=5, may_have_arrived=True, in_doubt=True, unsettled_reply=DOUBT)
SETTLED_UP = TargetHistory(requests=2, charged=1, may_have_arrived=True)


def after(history: TargetHistory, about: Reading, **fields: Any) -> TargetHistory:
    """A past whose newest undeploy got the reading ``about``, one more attempt charged."""
    return replace(history, charged=history.charged + 1, unsettled_reply=about, **fields)


def failed(reason: str, evidence: str | None = None) -> TargetEnd:
    return TargetEnd(Outcome.FAILED, reason, evidence)


UNDEPLOYED_204 = TargetEnd(Outcome.UNDEPLOYED, evidence="204")
UNDEPLOYED_LOOK = TargetEnd(Outcome.UNDEPLOYED, evidence="look")
ALREADY = TargetEnd(Outcome.ALREADY_UNDEPLOYED, evidence="look")


@pytest.mark.parametrize(
    ("policy", "history", "undeploy", "step"),
    [
        (POLICY, FRESH, REMOVED, UNDEPLOYED_204),
        (POLICY, IN_DOUBT, REMOVED, UNDEPLOYED_204),
        (ALWAYS, FRESH, REMOVED, LookStep()),
        (POLICY, FRESH, DOUBT, SendStep(0.5)),
        (POLICY, IN_DOUBT, DOUBT, SendStep(1.0)),
        (POLICY, replace(LAST_DOUBT, charged=4), DOUBT, LookStep()),
        (ONCE, FRESH, DOUBT, LookStep()),
        (POLICY, FRESH, STRANGE, LookStep()),
        (POLICY, FRESH, PARTIAL, LookStep()),
        (POLICY, FRESH, CONTESTED, LookStep()),
        (POLICY, IN_DOUBT, CONTESTED, LookStep()),
        (POLICY, FRESH, REFUSED, failed("refused: E.403 not yours", "code")),
        (POLICY, IN_DOUBT, REFUSED, LookStep()),
        (POLICY, SETTLED_UP, REFUSED, LookStep()),
        (POLICY, FRESH, ABSENT, failed("absent: E.3084 no such API", "code")),
        (POLICY, IN_DOUBT, ABSENT, failed("absent: E.3084 no such API", "code")),
        (
            ABSENT_OK,
            FRESH,
            ABSENT,
            TargetEnd(Outcome.ALREADY_UNDEPLOYED, "absent: E.3084 no such API", "code"),
        ),
        (
            ABSENT_OK,
            IN_DOUBT,
            ABSENT,
            TargetEnd(Outcome.ALREADY_UNDEPLOYED, "absent: E.3084 no such API", "code"),
        ),
        (ABSENT_OK, FRESH, HIDDEN, failed("absent: E.1 not found or no privilege", "code")),
        (POLICY, FRESH, BUSY, SendStep()),
        (POLICY, LAST_DOUBT, BUSY, SendStep()),
        (POLICY, FRESH, DENIED, SendStep()),
        (POLICY, FRESH, UNSENT, SendStep(0.5)),
        (POLICY, replace(FRESH, unsent=3), UNSENT, SendStep(4.0)),
        (
            POLICY,
            FRESH,
            ELSEWHERE,
            TargetEnd(Outcome.NOT_STARTED, "wrong_place: E.3030 no instance; check instance_id"),
        ),
        (
            POLICY,
            IN_DOUBT,
            ELSEWHERE,
            TargetEnd(Outcome.UNKNOWN, "wrong_place: E.3030 no instance; check instance_id"),
        ),
    ],
)
def test_what_follows_a_reply_to_an_undeploy(
    policy: RetryPolicy, history: TargetHistory, undeploy: Reading, step: Step
) -> None:
    assert decide(policy, history, Act.UNDEPLOY, undeploy, roll=1.0)[1] == step


SEEN = replace(FRESH, exists=True)
NOT_THERE = "absent: E.3084 no such API"


@pytest.mark.promise(4)
@pytest.mark.parametrize(
    ("policy", "history", "answers", "end"),
    [
        # Nobody has seen it: the vendor's word is enough.
        (POLICY, FRESH, [(Act.UNDEPLOY, ABSENT)], failed(NOT_THERE, "code")),
        (
            ABSENT_OK,
            FRESH,
            [(Act.UNDEPLOY, ABSENT)],
            TargetEnd(Outcome.ALREADY_UNDEPLOYED, NOT_THERE, "code"),
        ),
        # A look has: another one settles it.
        (POLICY, SEEN, [(Act.UNDEPLOY, ABSENT), (Act.LOOK, ABSENT)], failed(NOT_THERE, "code")),
        (
            ABSENT_OK,
            SEEN,
            [(Act.UNDEPLOY, ABSENT), (Act.LOOK, ABSENT)],
            TargetEnd(Outcome.ALREADY_UNDEPLOYED, NOT_THERE, "code"),
        ),
        (POLICY, SEEN, [(Act.UNDEPLOY, ABSENT), (Act.LOOK, DOWN)], ALREADY),
        (ABSENT_OK, SEEN, [(Act.UNDEPLOY, DOUBT), (Act.UNDEPLOY, ABSENT), (Act.LOOK, DOWN)], UNDEPLOYED_LOOK),
        *(
            (
                policy,
                SEEN,
                [(Act.UNDEPLOY, ABSENT), *late, (Act.LOOK, UP)],
                failed(f"{NOT_THERE}; but a look says that it is deployed", "code"),
            )
            for policy in (POLICY, ABSENT_OK)
            for late in ([], [(Act.LOOK, UNCLEAR)], [(Act.LOOK, BUSY), (Act.LOOK, UNCLEAR)])
        ),
        (
            ABSENT_OK,
            SEEN,
            [(Act.UNDEPLOY, ABSENT), *[(Act.LOOK, UNCLEAR)] * 3],
            TargetEnd(
                Outcome.UNKNOWN,
                "spent: 1 undeploy request, and the looks could not tell: HTTP 500;"
                " last reply: E.3084 no such API",
            ),
        ),
        # So it is where a look comes first with the word, after a doubt.
        (
            ABSENT_OK,
            SEEN,
            [(Act.UNDEPLOY, STRANGE), (Act.LOOK, ABSENT), (Act.LOOK, ABSENT)],
            TargetEnd(Outcome.ALREADY_UNDEPLOYED, NOT_THERE, "code"),
        ),
        (ABSENT_OK, SEEN, [(Act.UNDEPLOY, STRANGE), (Act.LOOK, ABSENT), (Act.LOOK, DOWN)], UNDEPLOYED_LOOK),
        (
            replace(ABSENT_OK, attempts=1),
            SEEN,
            [(Act.UNDEPLOY, STRANGE), (Act.LOOK, ABSENT), (Act.LOOK, UP)],
            failed("spent: still deployed after 1 undeploy request; last: a login page", "look"),
        ),
    ],
)
def test_what_a_look_has_seen_is_not_gone_by_one_word(
    policy: RetryPolicy, history: TargetHistory, answers: list[tuple[Act, Reading]], end: TargetEnd
) -> None:
    step: Step = SendStep()
    for act, answer in answers:
        assert isinstance(step, LookStep if act is Act.LOOK else SendStep), (act, step)
        history, step = decide(policy, history, act, answer, roll=0.0)

    assert step == end


def test_a_resume_knows_that_a_word_was_spoken_against() -> None:
    rows: list[tuple[Act, Reading | None]] = [(Act.LOOK, UP), (Act.UNDEPLOY, ABSENT)]
    history = replay_all(rows)

    assert choose_first_step(ABSENT_OK, history) == LookStep()
    assert decide(ABSENT_OK, history, Act.LOOK, UP, roll=0.0)[1] == failed(
        f"{NOT_THERE}; but a look says that it is deployed", "code"
    )
    assert decide(ABSENT_OK, history, Act.LOOK, ABSENT, roll=0.0)[1] == TargetEnd(
        Outcome.ALREADY_UNDEPLOYED, NOT_THERE, "code"
    )


FIVE_SPENT = "spent: still deployed after 5 undeploy requests; last: E.500 broken"


@pytest.mark.parametrize(
    ("policy", "history", "look", "step"),
    [
        # Before anything was sent.
        (ALWAYS, FRESH, DOWN, ALREADY),
        (ALWAYS, FRESH, UP, SendStep()),
        (ALWAYS, FRESH, PARTIAL, SendStep()),
        (ALWAYS, FRESH, NOT_OFFERED, SendStep()),
        (ALWAYS, FRESH, ABSENT, failed("absent: E.3084 no such API", "code")),
        (ALWAYS, replace(FRESH, looks=2), UNCLEAR, SendStep()),
        # After a doubt.
        (POLICY, IN_DOUBT, DOWN, UNDEPLOYED_LOOK),
        (POLICY, IN_DOUBT, UP, SendStep(0.5)),
        (POLICY, IN_DOUBT, ABSENT, failed("absent: E.3084 no such API", "code")),
        (POLICY, IN_DOUBT, UNCLEAR, LookStep(0.5)),
        (POLICY, IN_DOUBT, DENIED, LookStep()),
        (POLICY, IN_DOUBT, NOT_OFFERED, SendStep(0.5)),
        (POLICY, LAST_DOUBT, DOWN, UNDEPLOYED_LOOK),
        (POLICY, LAST_DOUBT, UP, failed(FIVE_SPENT, "look")),
        # After a reply that says too little to be repeated.
        (POLICY, after(FRESH, STRANGE, may_have_arrived=True, in_doubt=True), UP, SendStep(0.5)),
        # A refusal of one of several causes.
        (POLICY, after(FRESH, CONTESTED), DOWN, ALREADY),
        (POLICY, after(IN_DOUBT, CONTESTED), DOWN, UNDEPLOYED_LOOK),
        (POLICY, after(FRESH, CONTESTED), UP, failed("refused: E.400 no", "code")),
        (POLICY, after(IN_DOUBT, CONTESTED), UP, failed("refused: E.400 no", "code")),
        (POLICY, after(FRESH, CONTESTED), NOT_OFFERED, failed("refused: E.400 no", "code")),
        (POLICY, after(IN_DOUBT, REFUSED), DOWN, UNDEPLOYED_LOOK),
        (POLICY, after(IN_DOUBT, REFUSED), UP, failed("refused: E.403 not yours", "code")),
        # Success outside, false inside.
        (POLICY, after(FRESH, PARTIAL, may_have_arrived=True, in_doubt=True), DOWN, UNDEPLOYED_LOOK),
        (POLICY, after(FRESH, PARTIAL, may_have_arrived=True, in_doubt=True), UP, SendStep(0.5)),
        (POLICY, after(FRESH, PARTIAL, may_have_arrived=True, in_doubt=True), PARTIAL, LookStep(0.5)),
        (
            POLICY,
            after(FRESH, PARTIAL, may_have_arrived=True, in_doubt=True, looks=2),
            PARTIAL,
            failed("partial: not everything obeyed: 10.0.0.7 (one row false)", "deploymentResult"),
        ),
        (
            POLICY,
            after(FRESH, PARTIAL, may_have_arrived=True, in_doubt=True),
            NOT_OFFERED,
            failed("partial: not everything obeyed: 10.0.0.7 (one row false)", "deploymentResult"),
        ),
        (
            ONCE,
            after(FRESH, PARTIAL, may_have_arrived=True, in_doubt=True),
            UP,
            failed("spent: still deployed after 1 undeploy request; last: one row false", "look"),
        ),
        # Looked at although the vendor's evidence is full.
        (ALWAYS, after(FRESH, REMOVED, may_have_arrived=True, in_doubt=True), DOWN, UNDEPLOYED_LOOK),
        (ALWAYS, after(FRESH, REMOVED, may_have_arrived=True, in_doubt=True), NOT_OFFERED, UNDEPLOYED_204),
        (
            ALWAYS,
            after(FRESH, REMOVED, may_have_arrived=True, in_doubt=True, looks=2),
            UNCLEAR,
            UNDEPLOYED_204,
        ),
        (ALWAYS, after(FRESH, REMOVED, may_have_arrived=True, in_doubt=True), UP, LookStep(0.5)),
        (ALWAYS, after(FRESH, REMOVED, may_have_arrived=True, looks=2), UP, SendStep(0.5)),
    ],
)
def test_what_follows_a_look(policy: RetryPolicy, history: TargetHistory, look: Reading, step: Step) -> None:
    assert decide(policy, history, Act.LOOK, look, roll=1.0)[1] == step


@pytest.mark.parametrize(
    ("history", "look"),
    [
        (replace(LAST_DOUBT, looks=2), UNCLEAR),
        (LAST_DOUBT, NOT_OFFERED),
        (replace(IN_DOUBT, looks=2), UNCLEAR),
        (after(FRESH, STRANGE, may_have_arrived=True, in_doubt=True), NOT_OFFERED),
        (after(FRESH, STRANGE, may_have_arrived=True, in_doubt=True, looks=2), UNCLEAR),
        (after(IN_DOUBT, CONTESTED), NOT_OFFERED),
        (after(IN_DOUBT, CONTESTED, looks=2), UNCLEAR),
        (after(IN_DOUBT, REFUSED), NOT_OFFERED),
    ],
)
def test_what_no_look_settles_is_unknown(history: TargetHistory, look: Reading) -> None:
    step = decide(POLICY, history, Act.LOOK, look, roll=1.0)[1]

    assert isinstance(step, TargetEnd)
    assert step.outcome is Outcome.UNKNOWN
    assert step.reason is not None
    assert step.reason.startswith(f"spent: {history.charged} undeploy request")


def test_a_look_that_speaks_against_full_evidence_is_not_forgotten() -> None:
    """204, then a look says "up", then looks tell nothing: that is no ``undeployed`` any more."""
    history, step = decide(ALWAYS, FRESH, Act.UNDEPLOY, REMOVED, roll=1.0)
    for look in (UP, UNCLEAR, UNCLEAR):
        assert isinstance(step, LookStep)
        history, step = decide(ALWAYS, history, Act.LOOK, look, roll=1.0)

    assert step == SendStep(0.5)


def test_an_absurd_wait_asked_of_a_look_is_left_to_the_lane() -> None:
    """The lane bounds what a 429 asks for; a target that waited on its own would wait for ever."""
    busy = reading(Verdict.BUSY, wait=1e300)

    assert decide(POLICY, IN_DOUBT, Act.LOOK, busy, roll=1.0)[1] == LookStep()


@pytest.mark.promise(7)
@pytest.mark.promise(3)
@pytest.mark.parametrize("later", [DOUBT, STRANGE, REFUSED, CONTESTED, UNSENT, BUSY, DENIED])
def test_pods_that_did_not_obey_count_until_a_reply_has_full_evidence(later: Reading) -> None:
    history, _ = decide(POLICY, FRESH, Act.UNDEPLOY, PARTIAL, roll=1.0)
    history, _ = decide(POLICY, history, Act.LOOK, UP, roll=1.0)
    history, _ = decide(POLICY, history, Act.UNDEPLOY, later, roll=1.0)
    assert history.reply_to_settle == PARTIAL
    rows = [(Act.UNDEPLOY, PARTIAL), (Act.LOOK, UP), (Act.UNDEPLOY, later)]
    assert replay_all(rows).reply_to_settle == PARTIAL

    history, _ = decide(POLICY, history, Act.UNDEPLOY, REMOVED, roll=1.0)
    assert history.reply_to_settle == REMOVED
    assert replay_all([*rows, (Act.UNDEPLOY, REMOVED)]).reply_to_settle == REMOVED


def test_what_takes_no_effect_costs_no_attempt() -> None:
    history = IN_DOUBT
    for free in (BUSY, DENIED, UNSENT, UNSENT, BUSY):
        history, step = decide(POLICY, history, Act.UNDEPLOY, free, roll=1.0)
        assert isinstance(step, SendStep)

    assert (history.charged, history.may_have_arrived, history.in_doubt) == (1, True, True)


@pytest.mark.parametrize(
    ("policy", "history", "step"),
    [
        (POLICY, FRESH, SendStep()),
        (ALWAYS, FRESH, LookStep()),
        (POLICY, IN_DOUBT, LookStep()),
        (POLICY, after(FRESH, CONTESTED), LookStep()),
        (POLICY, SETTLED_UP, SendStep()),
        (ONCE, SETTLED_UP, LookStep()),
    ],
)
def test_how_a_session_begins_with_a_target(policy: RetryPolicy, history: TargetHistory, step: Step) -> None:
    """A target whose attempts are spent is looked at: the last session died before it could end it."""
    assert choose_first_step(policy, history) == step


@pytest.mark.promise(7)
def test_a_crash_behind_the_last_look_gives_no_further_attempt() -> None:
    history = replay_all([(Act.UNDEPLOY, DOUBT), (Act.LOOK, UP)])

    assert choose_first_step(ONCE, history) == LookStep()
    spent = decide(ONCE, history, Act.LOOK, UP, roll=1.0)[1]
    assert spent == failed("spent: still deployed after 1 undeploy request", "look")


@pytest.mark.parametrize("look", [UNCLEAR, NOT_OFFERED])
def test_spent_attempts_stay_spent_where_no_look_can_tell(look: Reading) -> None:
    history = replace(replay_all([(Act.UNDEPLOY, DOUBT), (Act.LOOK, UP)]), looks=2)
    step = decide(ONCE, history, Act.LOOK, look, roll=1.0)[1]

    assert isinstance(step, TargetEnd)
    assert step.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("history", "outcome"),
    [
        (FRESH, "not_started"),
        (IN_DOUBT, "unknown"),
        (SETTLED_UP, "not_started"),
        # A refusal that a look was to settle, which has not come: it may have taken effect.
        (after(FRESH, CONTESTED), "unknown"),
        (after(SETTLED_UP, REFUSED), "unknown"),
    ],
)
def test_a_target_that_may_not_go_on_keeps_its_doubt(history: TargetHistory, outcome: str) -> None:
    assert end_blocked(history, "window: shut") == TargetEnd(Outcome(outcome), "window: shut")


@pytest.mark.parametrize("reply", [STRANGE, PARTIAL, CONTESTED])
def test_the_look_that_a_reply_calls_for_waits_for_nothing(reply: Reading) -> None:
    _, step = decide(POLICY, FRESH, Act.UNDEPLOY, reply, roll=1.0)

    assert isinstance(step, LookStep)
    assert step.wait == 0.0


@pytest.mark.parametrize("reply", [CONTESTED, REFUSED, ABSENT])
def test_a_look_that_finds_the_target_deployed_settles_the_doubt_also_where_it_ends_the_target(
    reply: Reading,
) -> None:
    history, end = decide(POLICY, after(IN_DOUBT, reply), Act.LOOK, UP, roll=1.0)

    assert isinstance(end, TargetEnd)
    assert not history.in_doubt


@pytest.mark.promise(7)
def test_the_ceiling_of_the_wait_doubles_up_to_its_bound() -> None:
    waits = [draw_backoff(POLICY, failures, 1.0) for failures in range(1, 12)]

    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0, 30.0]
    assert draw_backoff(POLICY, 10**9, 1.0) == 30.0


@pytest.mark.promise(7)
@given(
    failures=st.integers(1, 10**12),
    roll=st.floats(0, 1, exclude_max=True),
    first=st.floats(1e-3, 86400),
    ceiling=st.floats(1e-3, 86400),
)
def test_the_jitter_is_full_and_never_leaves_its_bounds(
    failures: int, roll: float, first: float, ceiling: float
) -> None:
    policy = RetryPolicy(first=first, ceiling=ceiling)
    wait = draw_backoff(policy, failures, roll)

    assert math.isfinite(wait)
    assert 0.0 <= wait <= ceiling
    assert wait <= draw_backoff(policy, failures + 1, roll) or math.isclose(
        wait, draw_backoff(policy, failures + 1, roll)
    )
    assert draw_backoff(policy, failures, 0.0) == 0.0


@pytest.mark.parametrize(
    ("wait", "in_a_row", "seconds"),
    [(7.0, 1, 7.0), (90.0, 1, 60.0), (0.0, 9, 0.0), (None, 1, 1.0), (None, 4, 4.0)],
)
def test_a_pause_is_as_long_as_the_gateway_asks_for_or_the_longest_backoff(
    wait: float | None, in_a_row: int, seconds: float
) -> None:
    assert choose_pause(POLICY, reading(Verdict.BUSY, wait=wait), in_a_row, most=60.0) == seconds


@pytest.mark.parametrize(
    ("status", "passes"),
    [
        (None, True),
        (408, True),
        (500, True),
        (503, True),
        (499, False),
        (404, False),
        (407, False),
        (409, False),
    ],
)
def test_timeouts_and_faults_of_the_server_may_pass(status: int | None, passes: bool) -> None:
    assert is_passing_fault(status) is passes


def test_attempts_that_another_machine_may_never_have_made_are_not_charged() -> None:
    """The doubt stays."""
    assert uncharge(LAST_DOUBT, 2) == replace(LAST_DOUBT, charged=3)
    assert uncharge(LAST_DOUBT, 0) == LAST_DOUBT


def test_a_fault_that_asks_for_a_wait_is_repeated_no_sooner() -> None:
    patient = replace(DOUBT, wait=9.0)

    assert decide(POLICY, FRESH, Act.UNDEPLOY, patient, roll=1.0)[1] == SendStep(9.0)
    assert decide(POLICY, replace(LAST_DOUBT, charged=4), Act.UNDEPLOY, patient, roll=1.0)[1] == LookStep()


@pytest.mark.promise(10)
def test_an_absurd_wait_of_a_fault_is_bounded() -> None:
    absurd = replace(DOUBT, wait=1e300)
    policy = RetryPolicy(longest_wait=60.0)

    assert decide(policy, FRESH, Act.UNDEPLOY, absurd, roll=1.0)[1] == SendStep(60.0)


def test_looks_at_a_doubt_that_cannot_be_sent_do_not_count() -> None:
    history, waits = IN_DOUBT, list[float]()
    for _ in range(5):
        history, step = decide(POLICY, history, Act.LOOK, UNSENT, roll=1.0)
        assert isinstance(step, LookStep)
        waits.append(step.wait)

    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert (history.looks, history.unsent) == (0, 5)
    history, step = decide(POLICY, history, Act.LOOK, UNCLEAR, roll=1.0)
    assert (history.looks, history.unsent, step) == (1, 0, LookStep(0.5))


@pytest.mark.parametrize("fault", [UNCLEAR, UNSENT])
def test_a_look_before_the_first_undeploy_is_made_once_more_after_a_fault(fault: Reading) -> None:
    history, step = decide(ALWAYS, FRESH, Act.LOOK, fault, roll=1.0)
    assert step == LookStep(0.5)

    assert decide(ALWAYS, history, Act.LOOK, fault, roll=1.0)[1] == SendStep()


def test_requests_that_could_not_be_sent_wait_longer_each_time_until_one_was() -> None:
    history, waits = FRESH, list[float]()
    for _ in range(3):
        history, step = decide(POLICY, history, Act.UNDEPLOY, UNSENT, roll=1.0)
        assert isinstance(step, SendStep)
        waits.append(step.wait)
    assert waits == [0.5, 1.0, 2.0]

    for sent in (BUSY, DENIED, DOUBT, CONTESTED):
        assert decide(POLICY, history, Act.UNDEPLOY, sent, roll=1.0)[0].unsent == 0


def test_a_new_doubt_has_all_of_its_looks() -> None:
    spent = replace(IN_DOUBT, looks=LOOKS_PER_DOUBT - 1)

    for reply in (DOUBT, STRANGE, CONTESTED):
        assert decide(POLICY, spent, Act.UNDEPLOY, reply, roll=1.0)[0].looks == 0


@pytest.mark.parametrize(
    ("fields", "told", "evidence"),
    [
        ({"pods": ("a", "b"), "evidence": "rows"}, "a, b", "rows"),
        ({"pods": ("a",), "more_pods": 1200}, "a and 1,200 more", None),
        ({"message": "half"}, "something that is not named (half)", None),
        ({"pods": ("a",), "facts": LookFacts(pods_active=1)}, "a", "look"),
    ],
)
def test_what_did_not_obey_is_named(fields: dict[str, Any], told: str, evidence: str | None) -> None:
    history = after(FRESH, reading(Verdict.PARTIAL, **fields), may_have_arrived=True, in_doubt=True)

    assert decide(POLICY, history, Act.LOOK, NOT_OFFERED, roll=1.0)[1] == failed(
        f"partial: not everything obeyed: {told}", evidence
    )


def test_a_reply_that_was_refused_without_a_code_is_no_evidence() -> None:
    bare = reading(Verdict.REFUSED, message="no")

    assert decide(POLICY, FRESH, Act.UNDEPLOY, bare, roll=1.0)[1] == failed("refused: no")


def test_a_reading_in_words_is_never_empty() -> None:
    assert describe(reading(Verdict.DOUBT)) == "no reason was given"
    assert describe(reading(Verdict.DOUBT, message="odd")) == "odd"
    assert describe_wrong_place(reading(Verdict.ELSEWHERE, code="E.1")) == "wrong_place: E.1"


def test_a_success_that_a_look_denies_is_told_as_one() -> None:
    policy = RetryPolicy(attempts=1, always_look=True)
    history, step = decide(policy, TargetHistory(), Act.UNDEPLOY, REMOVED, roll=0.0)
    while isinstance(step, LookStep):
        history, step = decide(policy, history, Act.LOOK, UP, roll=0.0)
    told = "spent: still deployed after 1 undeploy request; last: the reply said that it was done"
    assert step == failed(told, "look")


OF_UNDEPLOY = [REMOVED, DOUBT, STRANGE, PARTIAL, CONTESTED, REFUSED, ABSENT, BUSY, DENIED, UNSENT, ELSEWHERE]
OF_LOOK = [UP, DOWN, UNCLEAR, NOT_OFFERED, PARTIAL, ABSENT, BUSY, DENIED]
FREE = {Verdict.BUSY, Verdict.DENIED, Verdict.UNSENT, Verdict.ELSEWHERE}
POLICIES = st.builds(
    RetryPolicy, attempts=st.integers(1, 4), always_look=st.booleans(), absent_ok=st.booleans()
)
Row = tuple[Act, Reading | None]


def act_of(step: Step) -> Act:
    return Act.LOOK if isinstance(step, LookStep) else Act.UNDEPLOY


def play_on(data: st.DataObject, policy: RetryPolicy, rows: list[Row], steps: int) -> Step:
    """One session of at most ``steps`` requests, from what the rows say; appends its own rows."""
    history = replay_all(rows)
    step = choose_first_step(policy, history)
    for _ in range(steps):
        act = act_of(step)
        got = data.draw(st.sampled_from(OF_LOOK if act is Act.LOOK else OF_UNDEPLOY), label=act.value)
        rows.append((act, got))
        history, step = decide(policy, history, act, got, roll=data.draw(st.floats(0, 1, exclude_max=True)))
        if isinstance(step, TargetEnd):
            return step
        again = replay_all(rows)
        assert (again.charged, again.may_have_arrived, again.in_doubt) == (
            history.charged,
            history.may_have_arrived,
            history.in_doubt,
        )
        assert again.exists == history.exists
        if history.in_doubt:
            assert again.unsettled_reply == history.unsettled_reply
    return step


@given(data=st.data(), policy=POLICIES)
def test_the_rows_of_a_session_make_its_past_again(data: st.DataObject, policy: RetryPolicy) -> None:
    """Whatever the replies, a resume knows as much as the session knew that died."""
    rows: list[Row] = []
    play_on(data, policy, rows, steps=25)

    assert replay_all(rows).requests == len(rows)


def charged(rows: list[Row]) -> int:
    return sum(act is Act.UNDEPLOY and (got is None or got.verdict not in FREE) for act, got in rows)


@pytest.mark.promise(7)
@given(data=st.data(), policy=POLICIES, deaths=st.lists(st.integers(0, 6), max_size=4))
def test_attempts_are_bounded_whatever_the_replies_and_however_often_it_dies(
    data: st.DataObject, policy: RetryPolicy, deaths: list[int]
) -> None:
    """A session may die before it keeps its end, and with an intent that has no result."""
    rows: list[Row] = []
    for steps in [*deaths, 40]:
        play_on(data, policy, rows, steps)
        going = choose_first_step(policy, replay_all(rows))
        if data.draw(st.booleans(), label="dies in flight"):
            rows.append((act_of(going), None))

    assert charged(rows) <= policy.attempts


@given(data=st.data(), policy=POLICIES)
def test_looks_at_one_doubt_are_bounded(data: st.DataObject, policy: RetryPolicy) -> None:
    rows: list[Row] = []
    play_on(data, policy, rows, steps=40)
    in_a_row = 0
    for act, got in rows:
        if act is Act.UNDEPLOY:
            in_a_row = 0
        elif got is not None and got.verdict not in (Verdict.DENIED, Verdict.BUSY):
            in_a_row += 1
        assert in_a_row <= LOOKS_PER_DOUBT


def test_sending_again_waits_for_a_look_after_an_intent_without_a_result() -> None:
    history = replay_all([(Act.UNDEPLOY, DOUBT), (Act.UNDEPLOY, None)])

    assert (history.requests, history.charged, history.may_have_arrived, history.in_doubt) == (
        2,
        2,
        True,
        True,
    )
    assert choose_first_step(POLICY, history) == LookStep()


def test_a_resume_knows_the_requests_of_each_step_after_a_deploy() -> None:
    history = replay_all(
        [(Act.DEPLOY, REMOVED), (Act.LOOK, UP)],
        [("PUT /a", DOUBT), ("PUT /a", REMOVED), ("PUT /b", None), ("PUT /c", UNSENT)],
    )

    assert (history.requests, history.charged) == (6, 1)
    assert {via: (step.charged, step.reply) for via, step in history.steps.items()} == {
        "PUT /a": (2, REMOVED),
        "PUT /b": (1, None),
        "PUT /c": (0, None),
    }


@given(data=st.data(), policy=POLICIES)
def test_an_outcome_has_its_cause_among_the_replies(data: st.DataObject, policy: RetryPolicy) -> None:
    """``undeployed`` needs an arrival, and full evidence or a look; ``unknown`` needs a request."""
    rows: list[Row] = []
    end = play_on(data, policy, rows, steps=40)
    if not isinstance(end, TargetEnd):
        return
    sent = {got.verdict for act, got in rows if act is Act.UNDEPLOY and got}
    seen = {got.verdict for act, got in rows if act is Act.LOOK and got}
    may_have_arrived = sent & {Verdict.REMOVED, Verdict.DOUBT, Verdict.STRANGE, Verdict.PARTIAL}
    match end.outcome:
        case Outcome.UNDEPLOYED:
            assert may_have_arrived
            assert Verdict.REMOVED in sent or rows[-1][1] == DOWN
        case Outcome.ALREADY_UNDEPLOYED:
            assert Verdict.ABSENT in sent | seen or (rows[-1][1] == DOWN and not may_have_arrived)
        case Outcome.UNKNOWN:
            # a reply that denies what a look has seen is a contradiction: only another look could settle it
            assert sent & {*may_have_arrived, Verdict.CONTESTED, Verdict.ABSENT}
        case Outcome.NOT_STARTED:
            assert rows[-1] == (Act.UNDEPLOY, ELSEWHERE)
        case Outcome.FAILED:
            assert end.reason


def test_a_look_without_a_result_changes_nothing() -> None:
    assert replay(IN_DOUBT, Act.LOOK, None) == replace(IN_DOUBT, requests=2)
