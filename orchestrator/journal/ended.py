"""The view ``ended``: each target with an outcome, also where its run has not given it one yet."""

from __future__ import annotations

from orchestrator.journal.database import Database
from orchestrator.journal.schema import OPEN_OUTCOME
from orchestrator.model.outcome import Reason

KILLED = f"{Reason.INTERRUPT}: the run was killed"
"""The reason of a target that a killed run did not come to."""

EVERY = "1"
"""The condition on the view that every target meets."""

_VIEW = """
CREATE TEMP VIEW ended AS SELECT seq, id, gateway, wave, evidence, seconds, ended,
    COALESCE(outcome, {open_outcome}) AS outcome,
    CASE WHEN outcome IS NULL THEN {reason} ELSE reason END AS reason
FROM target
"""


def create_ended_view(database: Database, reason: str | None) -> None:
    """Make the view for one connection. ``reason`` is given to the targets that have no outcome yet."""
    # A view takes no parameters.
    quoted = "NULL" if reason is None else "'{}'".format(reason.replace("'", "''"))
    with database.translate_errors():
        database.run(_VIEW.format(open_outcome=OPEN_OUTCOME, reason=quoted))
