"""How the targets of a run stand, as the first and the last event of a session tell it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from orchestrator.journal.pending import PendingTargets, Standing
from orchestrator.model.events import OutcomeCount
from orchestrator.model.outcome import Outcome, find_word
from orchestrator.model.plan import Plan


def list_outcome_counts(pending: PendingTargets) -> tuple[OutcomeCount, ...]:
    """Return how many targets have which outcome, by the first word of their reasons."""
    return tuple(
        OutcomeCount(outcome=outcome, word=word, count=count)
        for (outcome, word), count in pending.count_outcomes().items()
    )


def describe_standing(plan: Plan, standing: Standing) -> dict[str, dict[str, dict[Outcome, int]]]:
    """Return how many targets have which outcome, by the names of their wave and their gateway."""
    return {
        plan.waves[index].name: {name: drop_open(counts) for name, counts in here.items()}
        for index, here in standing.items()
    }


def list_final_counts(
    pending: PendingTargets, standing: Standing, reason: str | None
) -> Iterator[OutcomeCount]:
    """Yield how many targets have which outcome at the end, by the first word of their reasons.

    ``reason`` is that of the targets to which the journal could give no outcome.
    """
    told = Counter[Outcome]()
    for entry in list_outcome_counts(pending):
        told[entry.outcome] += entry.count
        yield entry
    for outcome, count in _sum_outcomes(standing).items():
        if more := count - told[outcome]:
            yield OutcomeCount(outcome=outcome, word=find_word(outcome, reason), count=more)


def _sum_outcomes(standing: Standing) -> Counter[Outcome]:
    sums = Counter[Outcome]()
    for here in standing.values():
        for counts in here.values():
            sums.update(drop_open(counts))
    return sums


def drop_open(counts: Mapping[Outcome | None, int]) -> dict[Outcome, int]:
    """Return the counts of the targets that have an outcome."""
    return {outcome: count for outcome, count in counts.items() if outcome is not None}
