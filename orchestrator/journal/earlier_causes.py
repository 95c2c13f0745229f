"""The causes of the targets that had an outcome before a session, for the displays of the session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.journal.database import Database
from orchestrator.journal.schema import API_NAME, WORD
from orchestrator.model.causes import NO_CAUSE, OTHER_CAUSES, CauseGroup
from orchestrator.model.outcome import Outcome
from orchestrator.report.causes import CauseCounter, LastAnswers, name_cause

MOST_READ = 20_000
"""Failed and unknown targets that are read one by one; more of them would delay the session's beginning."""

# For each target the newest answer with a code, and the newest of all; see ``LastAnswers``.
_TROUBLE = f"""
SELECT id, {API_NAME.format(seq="target.seq")}, gateway, outcome, reason,
    coded.code, coded.message, last.status, last.message
FROM target
LEFT JOIN attempt AS coded ON coded.seq = target.seq AND coded.number = (
    SELECT MAX(number) FROM attempt WHERE seq = target.seq AND COALESCE(code, '') <> ''
)
LEFT JOIN attempt AS last ON last.seq = target.seq AND last.number = (
    SELECT MAX(number) FROM attempt WHERE seq = target.seq
)
WHERE outcome IN ('failed', 'unknown') ORDER BY target.seq LIMIT ?
"""
_COUNT = "SELECT outcome, COUNT(*) FROM target WHERE outcome IN ('failed', 'unknown') GROUP BY outcome"
# Those that were left out on purpose: many targets, and few reasons.
_NOT_STARTED = f"""
SELECT COALESCE({WORD}, ''), gateway, MIN(reason), MAX(reason), COUNT(*)
FROM target WHERE outcome = 'not_started' GROUP BY 1, 2
"""


def group_earlier_causes(database: Database, gateways: Sequence[str]) -> list[CauseGroup]:
    """Group the targets with an outcome that is not as the run wants it; ``gateways`` are in plan order."""
    counter = CauseCounter()
    left = {Outcome(outcome): count for outcome, count in database.rows(_COUNT)}
    for target, name, gateway, value, reason, *answers in database.rows(_TROUBLE, (MOST_READ,)):
        outcome = Outcome(value)
        label, text = name_cause(outcome, reason, LastAnswers(*answers))
        counter.count_target(outcome, label, text, gateways[gateway], target, name)
        left[outcome] -= 1
    for outcome, count in left.items():
        if count:
            counter.count_group(CauseGroup(outcome=outcome, label=OTHER_CAUSES, text=None, count=count))
    for group in _group_not_started(database, gateways):
        counter.count_group(group)
    return counter.list_groups()


def _group_not_started(database: Database, gateways: Sequence[str]) -> Iterator[CauseGroup]:
    for word, gateway, first, last, count in database.rows(_NOT_STARTED):
        yield CauseGroup(
            outcome=Outcome.NOT_STARTED,
            label=word or NO_CAUSE,
            text=first if first == last else None,
            count=count,
            gateways=(gateways[gateway],),
        )
