"""What follows a deploy until a restored target is whole: steps that bring back what else belonged to it.

A restore looks at what is there, sends a step for each missing part, and looks again. So a step is never
repeated before a look, and a target is whole only by a look. Pure, as ``retry`` is: no clock, no dice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.model.outcome import ACCEPTED_LOSS, DEPLOYED_IN_PART, Outcome, Reason
from orchestrator.model.reading import Completeness, MissingPart, Operation, Reading, Verdict
from orchestrator.rules.retry import (
    LOOKS_PER_DOUBT,
    LookStep,
    RetryPolicy,
    TargetEnd,
    TargetHistory,
    describe,
    draw_backoff,
)
from orchestrator.rules.step_history import WITHOUT_EFFECT, StepHistory

MOST_NAMED = 10
"""Missing parts that a reason names one by one: thousands of callers may hang on one target."""


class SendSteps(Struct, frozen=True):
    """Send these steps, one after the other, after ``wait`` seconds."""

    operations: tuple[Operation, ...]
    wait: float = 0.0


CompletionStep: TypeAlias = SendSteps | LookStep | None
"""None: what the look has found is final."""


def plan_completion(
    policy: RetryPolicy,
    steps: Mapping[str, StepHistory],
    looks: int,
    found: Completeness | Reading,
    *,
    roll: float,
) -> CompletionStep:
    """Return what follows a look at what a deployed target lacks; a reading is one that could not tell.

    ``steps`` are those that were sent, by ``via``; ``looks`` counts the looks since the last of them, or
    the faults in a row of one read. Each step has the policy's attempts for itself.
    """
    if isinstance(found, Reading):
        if found.verdict is Verdict.UNSENT:  # only looks that were sent count; the lane bounds the others
            return LookStep(draw_backoff(policy, looks + 1, roll))
        is_final = found.verdict is Verdict.NOT_OFFERED or looks >= LOOKS_PER_DOUBT
        return None if is_final else LookStep(draw_backoff(policy, looks, roll))
    missing = [part.step for part in found.missing if part.step is not None]
    if looks < LOOKS_PER_DOUBT and any(map(_is_confirmed, _find_histories(steps, missing))):
        # The vendor said that it was done, and its reads may lag: the full backoff, as after a deploy.
        return LookStep(draw_backoff(policy, looks, 1.0))
    due = tuple(step for step in missing if _may_send(policy, steps.get(step.via)))
    tries = max((each.charged for each in _find_histories(steps, due)), default=0)
    return SendSteps(due, draw_backoff(policy, tries, roll) if tries else 0.0) if due else None


def _find_histories(
    steps: Mapping[str, StepHistory], operations: list[Operation] | tuple[Operation, ...]
) -> list[StepHistory]:
    return [steps[each.via] for each in operations if each.via in steps]


def _is_confirmed(step: StepHistory) -> bool:
    return step.reply is not None and step.reply.verdict is Verdict.REMOVED


def _may_send(policy: RetryPolicy, step: StepHistory | None) -> bool:
    """Return whether a step that a look found undone may be sent, again or for the first time."""
    if step is None:
        return True
    is_refused = step.reply is not None and step.reply.verdict in WITHOUT_EFFECT
    return step.charged < policy.attempts and not is_refused


def end_completion(
    end: TargetEnd,
    history: TargetHistory,
    found: Completeness | Reading,
    *,
    accepted: Collection[str] = (),
) -> TargetEnd:
    """Return how a target ends that is deployed (``end``), by the last look at what it lacks.

    ``accepted`` are the words of the obstacles that a person accepted.
    """
    if isinstance(found, Reading):
        reason = f"{Reason.SPENT}: it is deployed, and the looks could not tell what it lacks: "
        return _leave_open(end, history, reason + describe(found))
    if found.missing:
        lacks = _list_missing(found.missing, history.steps)
        is_accepted = all(part.obstacle in accepted for part in found.missing)
        deployed = f"{ACCEPTED_LOSS}, without" if is_accepted else f"{DEPLOYED_IN_PART}, but without"
        return TargetEnd(Outcome.FAILED, f"{deployed} {lacks}", "look")
    if end.outcome is Outcome.ALREADY_DEPLOYED and _has_sent(history):
        return replace(end, outcome=Outcome.RESTORED)
    return end


def end_incomplete(end: TargetEnd, history: TargetHistory, refused: str) -> TargetEnd:
    """End a deployed target that may not go on, for a reason of the run or of its lane: a resume does."""
    return _leave_open(end, history, f"{refused}; it is deployed, and may lack what belonged to it")


def _leave_open(end: TargetEnd, history: TargetHistory, reason: str) -> TargetEnd:
    """End a target provisionally: not started only if no request of ours may have changed anything."""
    is_touched = end.outcome is Outcome.RESTORED or _has_sent(history)
    return TargetEnd(Outcome.UNKNOWN if is_touched else Outcome.NOT_STARTED, reason)


def _has_sent(history: TargetHistory) -> bool:
    return any(step.may_have_arrived for step in history.steps.values())


def _list_missing(missing: Sequence[MissingPart], steps: Mapping[str, StepHistory]) -> str:
    lacks = ", ".join(_describe_missing(part, steps) for part in missing[:MOST_NAMED])
    more = len(missing) - MOST_NAMED
    return f"{lacks} and {more:,} more" if more > 0 else lacks


def _describe_missing(part: MissingPart, steps: Mapping[str, StepHistory]) -> str:
    step = None if part.step is None else steps.get(part.step.via)
    return part.name if step is None or step.reply is None else f"{part.name} ({describe(step.reply)})"
