"""How a journal of an older format becomes one of the next format.

To change the format: raise ``schema.FORMAT``, add the statements that lead to it here, and keep a run folder
of the new format in ``tests/samples/journals``, beside those of the older ones.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.journal.schema import AFTER_LOADING

MIGRATIONS: Mapping[int, tuple[str, ...]] = {
    # Format 1 knew no steps, no dependencies, no snapshots and no approved states.
    1: (
        "ALTER TABLE target ADD COLUMN step INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE target ADD COLUMN depth INTEGER NOT NULL DEFAULT 0",
        """
        CREATE TABLE dependency (
            seq INTEGER NOT NULL, needs INTEGER NOT NULL, PRIMARY KEY (seq, needs)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE snapshot (
            seq INTEGER PRIMARY KEY, taken REAL NOT NULL, verdict TEXT NOT NULL, value TEXT NOT NULL
        )
        """,
        "CREATE TABLE approved (seq INTEGER PRIMARY KEY, state TEXT NOT NULL, revision TEXT, since TEXT)",
        "DROP INDEX IF EXISTS target_turn",
        AFTER_LOADING,
        # It kept no note when a wave began: a wave had begun once a request for one of its targets was kept.
        """
        INSERT INTO note (session, at, kind, text)
        SELECT 1, MIN(started), 'leg', wave || ' 0' FROM attempt JOIN target USING (seq)
        GROUP BY wave ORDER BY wave
        """,
    ),
    # Format 2 did not ask how much a target is used.
    2: (
        """
        CREATE TABLE usage (
            seq INTEGER PRIMARY KEY, taken REAL NOT NULL, calls INTEGER, value TEXT NOT NULL
        )
        """,
    ),
    # Format 3 had no ledger. The conversion of a file enters all that it finds: see ``database``.
    3: (
        """
        CREATE TABLE ledger (
            number INTEGER PRIMARY KEY, hash BLOB NOT NULL, mac BLOB, entries BLOB NOT NULL
        )
        """,
    ),
}
"""By the format that a journal has: the statements that make it one of the next format."""
