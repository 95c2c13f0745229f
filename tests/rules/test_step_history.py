"""The past of one step after a deploy, made again from its requests."""

from __future__ import annotations

import pytest

from orchestrator.model.reading import Reading, Verdict
from orchestrator.rules.step_history import StepHistory, take_in_step


def take_in(*verdicts: Verdict | None) -> StepHistory:
    """Return the past of a step whose requests were answered so; None is an intent without a result."""
    history = StepHistory()
    for verdict in verdicts:
        history = take_in_step(history, verdict and Reading(verdict=verdict))
    return history


@pytest.mark.promise(7)
@pytest.mark.parametrize("free", [Verdict.BUSY, Verdict.DENIED, Verdict.UNSENT, Verdict.ELSEWHERE])
def test_what_could_take_no_effect_changes_nothing(free: Verdict) -> None:
    assert take_in(Verdict.DOUBT, free) == take_in(Verdict.DOUBT)
    assert (take_in(free).charged, take_in(free).may_have_arrived, take_in(free).reply) == (0, False, None)


@pytest.mark.parametrize("refusal", [Verdict.REFUSED, Verdict.CONTESTED, Verdict.ABSENT])
def test_a_refusal_costs_an_attempt_and_ends_no_doubt(refusal: Verdict) -> None:
    assert take_in(refusal) == StepHistory(charged=1, may_have_arrived=False, reply=Reading(verdict=refusal))
    assert take_in(Verdict.DOUBT, refusal) == StepHistory(
        charged=2, may_have_arrived=True, reply=Reading(verdict=refusal)
    )


@pytest.mark.parametrize("verdict", [Verdict.REMOVED, Verdict.DOUBT, Verdict.STRANGE, Verdict.PARTIAL, None])
def test_everything_else_may_have_arrived(verdict: Verdict | None) -> None:
    """Also an intent without a result: the session died before the reply was kept."""
    assert take_in(verdict) == StepHistory(
        charged=1, may_have_arrived=True, reply=verdict and Reading(verdict=verdict)
    )
