"""How much targets were used before their undeploys, as a run has kept it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from orchestrator.journal.cells import JsonCells
from orchestrator.journal.database import Database
from orchestrator.model.outcome import Outcome, Reason
from orchestrator.model.target import TargetId
from orchestrator.model.usage import Usage
from orchestrator.report.values import UseCounts, UsedTarget, UseReport

MOST_USED = 200
"""Targets that a report of the use can name."""

_COUNTS = """
SELECT COUNT(*), COUNT(NULLIF(calls, 0)), COALESCE(SUM(calls), 0), COUNT(*) - COUNT(calls) FROM usage
"""
_ANY = "SELECT value FROM usage LIMIT 1"
_LEFT_ALONE = f"""
SELECT COUNT(*) FROM ended WHERE reason LIKE '{Reason.IN_USE}:%' AND id NOT IN (SELECT id FROM up_again)
"""
# Of two that were called alike the plan's order decides. Those with 0 calls are of no interest here.
_MOST = """
SELECT id, value, outcome FROM usage CROSS JOIN ended USING (seq) WHERE calls IS NULL OR calls > 0
ORDER BY calls IS NULL, calls DESC, seq LIMIT ?
"""
_ONE = "SELECT taken, value FROM usage WHERE seq = ?"


_USAGE = JsonCells("the use of a target", Usage)


class KeptUsage(NamedTuple):
    """The use of one target, and the Unix time at which it was read."""

    taken: float
    usage: Usage


def read_usage(database: Database, seq: int) -> KeptUsage | None:
    """Return the use of the target with the number ``seq``; None where the run did not ask."""
    rows = database.rows(_ONE, (seq,))
    return next((KeptUsage(taken, decode_usage(value)) for taken, value in rows), None)


def report_use(database: Database) -> UseReport | None:
    """Return the use of a run's targets; None where the run has asked for none.

    ``database`` has the view ``ended`` and the table ``up_again``.
    """
    newest = next((decode_usage(value) for (value,) in database.rows(_ANY)), None)
    if newest is None:
        return None
    targets, in_use, calls, not_told = database.one(_COUNTS)
    return UseReport(
        counts=UseCounts(hours=newest.hours, targets=targets, in_use=in_use, calls=calls, not_told=not_told),
        left_alone=database.one(_LEFT_ALONE)[0],
        most_used=tuple(_list_most_used(database)),
    )


def _list_most_used(database: Database) -> Iterator[UsedTarget]:
    for name, value, outcome in database.rows(_MOST, (MOST_USED,)):
        yield UsedTarget(id=TargetId(name), usage=decode_usage(value), outcome=Outcome(outcome))


def decode_usage(value: str) -> Usage:
    """Return the use that a row of ``usage`` holds."""
    return _USAGE.decode(value)
