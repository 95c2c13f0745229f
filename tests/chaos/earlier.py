"""A journal as an earlier version of the program would have left it, made from one of today."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

STEPS_BACK: Mapping[int, tuple[str, ...]] = {
    4: ("DROP TABLE ledger",),
    3: ("DROP TABLE usage",),
    2: (
        "DROP INDEX target_turn",
        "ALTER TABLE target DROP COLUMN step",
        "ALTER TABLE target DROP COLUMN depth",
        "CREATE INDEX target_turn ON target (wave, gateway, seq)",
        "DROP TABLE dependency",
        "DROP TABLE snapshot",
        "DROP TABLE approved",
        "DELETE FROM note WHERE kind = 'leg'",
    ),
}
"""By format: the statements that make a journal one of the format before."""

OLDEST = 1
_PLAN = "SELECT value FROM meta WHERE key = 'plan'"
_TARGETS = "SELECT seq, id, gateway, wave FROM target ORDER BY seq"


def read_planned(journal: Path, folder: Path) -> list[Any] | None:
    """Return the plan and its targets, which a digest covers today; None if they cannot be read.

    Reads a copy in ``folder``, which does not exist: a reader of the original might repair it.
    """
    folder.mkdir()
    for path in journal.parent.glob("journal.sqlite*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, folder)
    with closing(sqlite3.connect(folder / journal.name)) as connection:
        try:
            return [connection.execute(query).fetchall() for query in (_PLAN, _TARGETS)]
        except (sqlite3.Error, UnicodeError):
            return None


def make_earlier(journal: Path, version: int) -> None:
    """Make a journal, whose run has no process, one of the format ``version``.

    No program of a format before today's knew a digest of the plan and the targets.
    """
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        (today,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("BEGIN")
        connection.execute("DELETE FROM meta WHERE key = 'planned'")
        for later in range(today, version, -1):
            for statement in STEPS_BACK[later]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
