"""How the targets of a run stand, as the first and the last event of a session tell it."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.journal.pending import PendingTargets
from orchestrator.model.events import OutcomeCount
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan


def list_outcome_counts(pending: PendingTargets) -> tuple[OutcomeCount, ...]:
    """Return how many targets have which outcome, by the first word of their reasons."""
    return tuple(
        OutcomeCount(outcome=outcome, word=word, count=count)
        for (outcome, word), count in pending.count_outcomes().items()
    )


def name_outcomes(pending: PendingTargets, plan: Plan) -> dict[str, dict[str, dict[Outcome, int]]]:
    """Return how many targets have which outcome, by the names of their wave and their gateway."""
    return {
        plan.waves[index].name: {name: drop_open(counts) for name, counts in here.items()}
        for index, here in pending.count_standing().items()
    }


def drop_open(counts: Mapping[Outcome | None, int]) -> dict[Outcome, int]:
    """Return the counts of the targets that have an outcome."""
    return {outcome: count for outcome, count in counts.items() if outcome is not None}
