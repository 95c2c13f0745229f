"""The rows of a chunk on their way to its next dispatch."""

from __future__ import annotations

from orchestrator.distributed.remote_rows import select_rows
from orchestrator.journal.transfer import NamedRow

ENDED, LEFT = 1, 2


def test_the_next_dispatch_gets_all_of_what_is_left_and_the_outcomes_of_the_rest() -> None:
    """Without the outcomes it would send again what has gone down."""
    rows = [
        NamedRow("intent", (ENDED, 1, "undeploy", "", 1.0)),
        NamedRow("intent", (LEFT, 1, "undeploy", "", 1.0)),
        NamedRow("result", (0.5, 204, None, None, "removed", True, None, ENDED, 1)),
        NamedRow("outcome", ("undeployed", None, "204", 0.5, 2.0, ENDED)),
        NamedRow("note", (1, 1.0, "roma", "pace", "2.5")),
    ]

    assert select_rows(rows, frozenset({LEFT})) == [rows[1], rows[3]]
