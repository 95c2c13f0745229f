"""The rules of one target in a restore: the same as for an undeploy, with what a look says turned round."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from orchestrator.gateways.roma.gateway import Roma
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.model.settings import Auth, CredentialReference, Retry
from orchestrator.model.target import TargetId
from orchestrator.rules.admission import (
    AdmissionDelayed,
    AdmissionGranted,
    AdmissionRequest,
    LaneState,
)
from orchestrator.rules.parking import FAULTY_TARGETS, FIRST_PROBE
from orchestrator.rules.retry import (
    LOOKS_PER_DOUBT,
    LookStep,
    RetryPolicy,
    SendStep,
    Step,
    TargetEnd,
    TargetHistory,
    choose_first_step,
    decide,
    mirror_reading,
    replay_all,
    restore_outcome,
)

RESTORE = RetryPolicy(attempts=3, always_look=True, act=Act.DEPLOY)
UNDEPLOY = RetryPolicy(attempts=3)


def reading(verdict: Verdict, **fields: object) -> Reading:
    return Reading(verdict=verdict, **fields)  # type: ignore[arg-type]


def told(history: TargetHistory, *answers: tuple[Act, Verdict]) -> tuple[TargetHistory, Step]:
    """Take in what a gateway answered, as it said it."""
    step: Step = choose_first_step(RESTORE, history)
    for act, verdict in answers:
        assert isinstance(step, LookStep if act is Act.LOOK else SendStep), step
        history, step = decide(
            RESTORE, history, act, mirror_reading(RESTORE, act, reading(verdict, message="vendor")), roll=1.0
        )
    return history, step


UP, DOWN, UNCLEAR = ((Act.LOOK, verdict) for verdict in (Verdict.UP, Verdict.DOWN, Verdict.UNCLEAR))
NOT_OFFERED, HALF = (Act.LOOK, Verdict.NOT_OFFERED), (Act.LOOK, Verdict.PARTIAL)
DEPLOYED, DOUBT = (Act.DEPLOY, Verdict.REMOVED), (Act.DEPLOY, Verdict.DOUBT)
STRANGE, CONTESTED = (Act.DEPLOY, Verdict.STRANGE), (Act.DEPLOY, Verdict.CONTESTED)
REFUSED, GONE = (Act.DEPLOY, Verdict.REFUSED), (Act.DEPLOY, Verdict.ABSENT)
BUSY, UNSENT = (Act.DEPLOY, Verdict.BUSY), (Act.DEPLOY, Verdict.UNSENT)


@pytest.mark.parametrize(
    ("act", "said", "taken"),
    [
        (Act.LOOK, Verdict.UP, Verdict.DOWN),
        (Act.LOOK, Verdict.DOWN, Verdict.UP),
        (Act.LOOK, Verdict.PARTIAL, Verdict.PARTIAL),
        (Act.LOOK, Verdict.ABSENT, Verdict.ABSENT),
        (Act.LOOK, Verdict.UNCLEAR, Verdict.UNCLEAR),
        (Act.DEPLOY, Verdict.DOUBT, Verdict.STRANGE),
        (Act.DEPLOY, Verdict.STRANGE, Verdict.STRANGE),
        (Act.DEPLOY, Verdict.REMOVED, Verdict.REMOVED),
        (Act.DEPLOY, Verdict.BUSY, Verdict.BUSY),
        (Act.DEPLOY, Verdict.UNSENT, Verdict.UNSENT),
    ],
)
def test_only_up_down_and_doubt_are_taken_otherwise(act: Act, said: Verdict, taken: Verdict) -> None:
    was = reading(said, code="X", message="text")

    assert mirror_reading(RESTORE, act, was) == reading(taken, code="X", message="text")
    assert mirror_reading(UNDEPLOY, act, was) == was


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Outcome.UNDEPLOYED, Outcome.RESTORED),
        (Outcome.ALREADY_UNDEPLOYED, Outcome.ALREADY_DEPLOYED),
        *((same, same) for same in (Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_STARTED)),
    ],
)
def test_an_end_is_told_in_the_words_of_a_restore(outcome: Outcome, word: Outcome) -> None:
    assert restore_outcome(RESTORE, TargetEnd(outcome, "why", "look")) == TargetEnd(word, "why", "look")
    assert restore_outcome(UNDEPLOY, TargetEnd(outcome)) == TargetEnd(outcome)


@pytest.mark.parametrize(
    ("answers", "outcome", "begins"),
    [
        ((UP,), "already_deployed", None),
        ((DOWN, DEPLOYED, UP), "restored", None),
        ((HALF, DEPLOYED, UP), "restored", None),
        ((DOWN, DOUBT, UP), "restored", None),
        ((DOWN, DOUBT, DOWN, DEPLOYED, UP), "restored", None),
        ((DOWN, STRANGE, UP), "restored", None),
        ((DOWN, BUSY, DEPLOYED, UP), "restored", None),
        ((DOWN, UNSENT, DEPLOYED, UP), "restored", None),
        ((DOWN, CONTESTED, UP), "already_deployed", None),
        ((DOWN, CONTESTED, DOWN), "failed", "refused: vendor"),
        ((DOWN, REFUSED), "failed", "refused: vendor"),
        ((DOWN, GONE, (Act.LOOK, Verdict.ABSENT)), "failed", "absent: vendor"),
        ((DOWN, GONE, DOWN), "failed", "absent: vendor; but a look says that it is not deployed, and exists"),
        ((DOWN, GONE, UP), "already_deployed", None),
        ((NOT_OFFERED, GONE), "failed", "absent: vendor"),
        (((Act.LOOK, Verdict.ABSENT),), "failed", "absent: vendor"),
        ((DOWN, DOUBT, DOWN, DOUBT, DOWN, DOUBT, DOWN), "failed", "spent: still not deployed after 3 deploy"),
        (
            (DOWN, DOUBT, UNCLEAR, UNCLEAR, UNCLEAR),
            "unknown",
            "spent: 1 deploy request, and the looks could not",
        ),
        (
            (DOWN, DEPLOYED, UNCLEAR, UNCLEAR, UNCLEAR),
            "unknown",
            "spent: 1 deploy request, and the looks could",
        ),
        ((UNCLEAR, UNCLEAR, UNCLEAR), "not_started", "spent: the looks could not tell: vendor"),
        ((NOT_OFFERED, DEPLOYED, NOT_OFFERED), "restored", None),
        ((NOT_OFFERED, DOUBT, NOT_OFFERED), "unknown", "spent: 1 deploy request, and this version offers no"),
    ],
)
def test_a_restore_of_one_target(
    answers: tuple[tuple[Act, Verdict], ...], outcome: str, begins: str | None
) -> None:
    _, step = told(TargetHistory(), *answers)

    assert isinstance(step, TargetEnd)
    assert step.outcome == outcome
    assert (step.reason or "").startswith(begins or "")
    assert (step.reason is None) == (begins is None)


def test_a_look_comes_before_the_first_deploy_and_before_each_repeat() -> None:
    assert isinstance(choose_first_step(RESTORE, TargetHistory()), LookStep)
    assert isinstance(told(TargetHistory(), DOWN)[1], SendStep)
    for doubt in (DOUBT, STRANGE):
        assert isinstance(told(TargetHistory(), DOWN, doubt)[1], LookStep)


def test_pods_that_follow_slowly_get_some_looks_and_then_another_deploy() -> None:
    history, step = told(TargetHistory(), DOWN, DEPLOYED, *[HALF] * (LOOKS_PER_DOUBT - 1))
    assert isinstance(step, LookStep)
    history, step = decide(RESTORE, history, Act.LOOK, reading(Verdict.PARTIAL), roll=1.0)

    assert isinstance(step, SendStep)
    assert history.in_doubt  # half of it is up: nobody may call it not started


def test_where_the_other_deploy_may_not_follow_the_doubt_has_all_of_its_looks_again() -> None:
    history, step = told(TargetHistory(), DOWN, DEPLOYED, *[HALF] * LOOKS_PER_DOUBT)
    assert isinstance(step, SendStep)  # which the lane or the run may refuse: then a look goes in its place

    steps = []
    for _ in range(LOOKS_PER_DOUBT):
        history, step = decide(RESTORE, history, Act.LOOK, reading(Verdict.UNCLEAR), roll=1.0)
        steps.append(type(step))

    assert steps == [*[LookStep] * (LOOKS_PER_DOUBT - 1), TargetEnd]


def test_pods_that_never_obey_are_named_in_the_end() -> None:
    history = TargetHistory(
        charged=3,
        may_have_arrived=True,
        in_doubt=True,
        looks=LOOKS_PER_DOUBT - 1,
        unsettled_reply=reading(Verdict.REMOVED),
    )
    half = reading(Verdict.PARTIAL, pods=("pod-2",), message="1 of 2 pods serve it")
    _, step = decide(RESTORE, history, Act.LOOK, half, roll=1.0)

    assert step == TargetEnd(Outcome.FAILED, "partial: not everything obeyed: pod-2 (1 of 2 pods serve it)")


@pytest.mark.parametrize(
    ("attempts", "doubt"),
    [
        ([(Act.LOOK, Verdict.UP), (Act.DEPLOY, None)], True),
        ([(Act.LOOK, Verdict.UP), (Act.DEPLOY, Verdict.STRANGE)], True),
        ([(Act.DEPLOY, Verdict.STRANGE), (Act.LOOK, Verdict.TOLD)], True),  # half a look settles nothing
        ([(Act.DEPLOY, Verdict.STRANGE), (Act.LOOK, Verdict.PARTIAL)], True),
        ([(Act.DEPLOY, Verdict.STRANGE), (Act.LOOK, Verdict.UP)], False),
        ([(Act.LOOK, Verdict.UP), (Act.DEPLOY, Verdict.BUSY)], False),
    ],
)
def test_a_resume_knows_what_is_in_doubt(attempts: list[tuple[Act, Verdict | None]], doubt: bool) -> None:
    """The journal keeps verdicts as they were taken: ``up`` is "not yet as it should be"."""
    history = replay_all((act, verdict and reading(verdict)) for act, verdict in attempts)

    assert history.in_doubt is doubt
    assert isinstance(choose_first_step(RESTORE, history), LookStep)


@pytest.mark.parametrize(
    ("act", "settling", "state"),
    [(Act.DEPLOY, False, "parked"), (Act.DEPLOY, True, "open"), (Act.UNDEPLOY, False, "open")],
)
def test_only_looks_before_a_deploy_speak_for_the_breaker(act: Act, settling: bool, state: str) -> None:
    lane = LaneState(RetryPolicy(act=act), 600.0)
    for number in range(FAULTY_TARGETS):
        turn = AdmissionRequest(TargetId(f"gw/{number}"), Act.LOOK, settling=settling)
        lane.observe(turn, reading(Verdict.UNCLEAR), 1.0, began=0.0, left=100, within_reach=8)

    assert lane.state == state


def test_a_look_that_probes_makes_room_for_the_next_probe_only_when_that_is_due() -> None:
    lane = LaneState(RESTORE, 600.0)
    for number in range(FAULTY_TARGETS):
        turn = AdmissionRequest(TargetId(f"gw/{number}"), Act.LOOK)
        lane.observe(turn, reading(Verdict.UNCLEAR), 0.0, began=0.0, left=100, within_reach=8)
    probe, other = AdmissionRequest(TargetId("gw/8"), Act.LOOK), AdmissionRequest(TargetId("gw/9"), Act.LOOK)

    assert lane.admit(probe, FIRST_PROBE) == AdmissionGranted()
    lane.observe(probe, reading(Verdict.UNCLEAR), FIRST_PROBE, began=FIRST_PROBE, left=95, within_reach=8)
    assert lane.admit(other, FIRST_PROBE) == AdmissionDelayed(2 * FIRST_PROBE)
    assert lane.admit(other, 3 * FIRST_PROBE) == AdmissionGranted()
    lane.observe(other, reading(Verdict.DOWN), 3 * FIRST_PROBE, began=0.0, left=95, within_reach=8)
    assert lane.state == "parked"  # a look alone opens nothing
    deploy = AdmissionRequest(TargetId("gw/9"), Act.DEPLOY)
    assert lane.admit(deploy, 3 * FIRST_PROBE) == AdmissionGranted()
    lane.observe(deploy, reading(Verdict.REMOVED), 3 * FIRST_PROBE, began=0.0, left=95, within_reach=8)
    assert lane.state == "open"


def test_a_restore_always_looks_and_never_takes_absence_for_done() -> None:
    entry = Roma(
        name="r",
        url="https://r.example",
        auth=Auth(token=CredentialReference(env="T")),
        project_id="p",
        instance_id="i",
        absent="ok",
    )

    policy = RetryPolicy.of(entry, Act.DEPLOY)
    assert (policy.always_look, policy.absent_ok, policy.act) == (True, False, Act.DEPLOY)
    assert RetryPolicy.of(entry) == RetryPolicy(
        attempts=5, first=0.5, ceiling=30.0, always_look=False, absent_ok=True, act=Act.UNDEPLOY
    )
    retry = Retry(attempts=3, first=1.0, ceiling=9.0)
    looking = replace(entry, look="always", absent="fail", park_for=60.0, retry=retry)
    assert RetryPolicy.of(looking) == RetryPolicy(
        attempts=3, first=1.0, ceiling=9.0, longest_wait=60.0, always_look=True
    )
