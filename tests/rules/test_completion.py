"""What follows a deploy: the steps that bring back what else belonged to a target, as pure rules."""

from __future__ import annotations

import pytest

from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act, Completeness, MissingPart, Operation, Reading, Verdict
from orchestrator.rules.completion import (
    MOST_NAMED,
    SendSteps,
    end_completion,
    end_incomplete,
    plan_completion,
)
from orchestrator.rules.retry import (
    LOOKS_PER_DOUBT,
    LookStep,
    RetryPolicy,
    TargetEnd,
    TargetHistory,
    add_step,
    replay_all,
)
from orchestrator.rules.step_history import StepHistory

RESTORE = RetryPolicy(attempts=3, first=1.0, always_look=True, act=Act.DEPLOY)
B, C = Operation(Act.PUBLISH, "front/b"), Operation(Act.PUBLISH, "front/c")
LACKS_B = Completeness((MissingPart("environment b", B),))
LACKS_BOTH = Completeness((*LACKS_B.missing, MissingPart("environment c", C)))
WHOLE = Completeness()
RESTORED = TargetEnd(Outcome.RESTORED, evidence="look")
ALREADY = TargetEnd(Outcome.ALREADY_DEPLOYED, evidence="look")


def reading(verdict: Verdict) -> Reading:
    return Reading(verdict=verdict, code="X.1", message="vendor")


def sent(*verdicts: Verdict | None, operation: Operation = B) -> TargetHistory:
    """A history in which a publish was answered so, one request after the other."""
    history = TargetHistory()
    for verdict in verdicts:
        history = add_step(history, operation.via, verdict and reading(verdict))
    return history


def plan(history: TargetHistory, found: Completeness | Reading, looks: int = 1) -> object:
    return plan_completion(RESTORE, history.steps, looks, found, roll=1.0)


def test_each_missing_part_is_sent_and_then_looked_at() -> None:
    assert plan(TargetHistory(), LACKS_BOTH) == SendSteps((B, C))
    assert plan(sent(Verdict.REMOVED), WHOLE) is None


def test_a_doubt_is_repeated_after_a_look_that_shows_it_undone() -> None:
    assert plan(sent(Verdict.DOUBT), LACKS_B) == SendSteps((B,), 1.0)
    assert plan(sent(Verdict.DOUBT, Verdict.STRANGE), LACKS_B) == SendSteps((B,), 2.0)
    assert plan(sent(None), LACKS_B) == SendSteps((B,), 1.0)  # killed before its result


def test_steps_that_go_together_wait_as_long_as_the_one_that_was_tried_most() -> None:
    history = sent(Verdict.DOUBT, Verdict.DOUBT)
    history = add_step(history, C.via, reading(Verdict.DOUBT))

    assert plan(history, LACKS_BOTH) == SendSteps((B, C), 2.0)


@pytest.mark.promise(7)
def test_a_step_has_the_attempts_of_the_policy_for_itself() -> None:
    spent = sent(*[Verdict.DOUBT] * RESTORE.attempts)

    assert plan(spent, LACKS_B) is None
    assert plan(spent, LACKS_BOTH) == SendSteps((C,))


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.CONTESTED])
def test_a_refusal_that_a_look_confirms_is_final(verdict: Verdict) -> None:
    assert plan(sent(verdict), LACKS_B) is None


@pytest.mark.parametrize("verdict", [Verdict.BUSY, Verdict.DENIED, Verdict.UNSENT, Verdict.ELSEWHERE])
def test_what_could_not_take_effect_is_not_charged(verdict: Verdict) -> None:
    assert sent(verdict).steps == {B.via: StepHistory()}


def test_a_success_that_a_read_does_not_show_yet_is_looked_at_again() -> None:
    for looks in range(1, LOOKS_PER_DOUBT):
        assert plan(sent(Verdict.REMOVED), LACKS_B, looks) == LookStep(float(looks))
    assert plan(sent(Verdict.REMOVED), LACKS_B, LOOKS_PER_DOUBT) == SendSteps((B,), 1.0)


def test_looks_that_cannot_tell_are_bounded() -> None:
    unclear = reading(Verdict.UNCLEAR)

    assert plan(TargetHistory(), unclear, 1) == LookStep(1.0)
    assert plan(TargetHistory(), unclear, LOOKS_PER_DOUBT) is None
    assert plan(TargetHistory(), reading(Verdict.NOT_OFFERED), 1) is None
    assert plan(TargetHistory(), reading(Verdict.UNSENT), LOOKS_PER_DOUBT) == LookStep(8.0)


@pytest.mark.promise(11)
def test_a_target_that_lacks_something_has_failed_and_names_it() -> None:
    nothing = Completeness((MissingPart("environment d", None),))

    assert end_completion(RESTORED, sent(Verdict.REFUSED), LACKS_BOTH) == TargetEnd(
        Outcome.FAILED, "partial: deployed, but without environment b (X.1 vendor), environment c", "look"
    )
    assert end_completion(ALREADY, TargetHistory(), nothing).outcome is Outcome.FAILED


def test_a_loss_counts_as_accepted_only_where_a_person_accepted_all_of_it() -> None:
    lost = MissingPart("its plug-ins, which were never read", None, obstacle="lost-bindings")
    alone, among = Completeness((lost,)), Completeness((lost, *LACKS_B.missing))

    def end(found: Completeness, *accepted: str) -> str | None:
        return end_completion(RESTORED, TargetHistory(), found, accepted=accepted).reason

    assert end(alone, "lost-bindings") == (
        "partial: deployed as accepted, without its plug-ins, which were never read"
    )
    for reason in (end(alone), end(alone, "missing-history"), end(among, "lost-bindings")):
        assert reason is not None
        assert reason.startswith("partial: deployed, but without its plug-ins")


def test_a_reason_names_so_many_parts_and_counts_the_others() -> None:
    def explain(number: int) -> str:
        parts = tuple(MissingPart(f"application {each}", None) for each in range(number))
        return end_completion(RESTORED, TargetHistory(), Completeness(parts)).reason or ""

    assert explain(MOST_NAMED).endswith(", application 9")
    assert explain(MOST_NAMED + 1).endswith(", application 9 and 1 more")
    assert explain(MOST_NAMED + 2000).endswith(", application 9 and 2,000 more")
    assert explain(MOST_NAMED + 2000).count("application") == MOST_NAMED


@pytest.mark.promise(11)
def test_what_was_up_and_lacked_something_is_restored() -> None:
    assert end_completion(ALREADY, TargetHistory(), WHOLE) == ALREADY
    assert end_completion(ALREADY, sent(Verdict.REFUSED), WHOLE) == ALREADY
    assert end_completion(ALREADY, sent(Verdict.DOUBT), WHOLE).outcome is Outcome.RESTORED
    assert end_completion(ALREADY, sent(None), WHOLE).outcome is Outcome.RESTORED
    assert end_completion(RESTORED, TargetHistory(), WHOLE) == RESTORED


def test_what_may_have_changed_something_is_never_not_started() -> None:
    untold = reading(Verdict.UNCLEAR)

    assert end_completion(ALREADY, TargetHistory(), untold).outcome is Outcome.NOT_STARTED
    assert end_completion(ALREADY, sent(Verdict.DOUBT), untold).outcome is Outcome.UNKNOWN
    assert end_incomplete(RESTORED, TargetHistory(), "interrupt: x") == TargetEnd(
        Outcome.UNKNOWN, "interrupt: x; it is deployed, and may lack what belonged to it"
    )
    assert end_incomplete(ALREADY, TargetHistory(), "interrupt: x").outcome is Outcome.NOT_STARTED


@pytest.mark.promise(2)
def test_a_resume_knows_the_steps_of_earlier_sessions() -> None:
    deployed = [(Act.LOOK, reading(Verdict.UP)), (Act.DEPLOY, reading(Verdict.REMOVED))]
    history = replay_all(deployed, [(B.via, reading(Verdict.STRANGE)), (B.via, None)])

    assert (history.requests, history.charged) == (4, 1)
    assert history.steps == {B.via: StepHistory(charged=2, may_have_arrived=True)}
