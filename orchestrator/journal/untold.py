"""Targets that a distributed engine had and told nothing of, before it was lost: each is in doubt."""

from __future__ import annotations

from orchestrator.journal.database import Database
from orchestrator.journal.schema import IN_DOUBT, INSERT_INTENT, UPDATE_RESULT
from orchestrator.journal.sessions import SessionRow
from orchestrator.model.reading import Operation, Verdict

UNTOLD = "untold"
"""The ``via`` of an attempt that another machine may have made. It counts as no request of the run."""

# What was seen down before the run, or by the run before its undeploy, no request of the run took down. In a
# restore, whose snapshots are those of its parent, a down target is what it begins with.
_UNTOLD = f"""
SELECT seq, (SELECT COALESCE(MAX(number), 0) + 1 FROM attempt WHERE attempt.seq = target.seq)
FROM target LEFT JOIN snapshot USING (seq) LEFT JOIN approved USING (seq)
WHERE outcome IS NULL AND NOT {IN_DOUBT}
  AND snapshot.verdict IS NOT 'down' AND approved.state IS NOT 'down'
"""


def doubt_untold(database: Database, session: SessionRow, change: Operation) -> int:
    """Note of each open target that ``session`` may have sent a request for it that nobody told of.

    So a look that says down makes it ``undeployed``. Returns how many targets there are.
    """
    engine = session.options.engine if session.options is not None else None
    told = (
        f"{engine or 'an engine'} had this target in session {session.number}, and was lost; it is not known"
        " whether a request was sent"
    )
    rows = list(database.rows(_UNTOLD))
    with database.transaction():
        database.change_many(
            INSERT_INTENT,
            [(seq, number, str(change.act), UNTOLD, session.started) for seq, number in rows],
        )
        database.change_many(
            UPDATE_RESULT,
            [(None, None, None, told, Verdict.DOUBT.value, False, None, seq, number) for seq, number in rows],
        )
    return len(rows)
