"""The digest of what a run was to do: of its plan, and of each target's id, gateway and wave.

SQLite finds a page without its form, but not a letter that a bad disk has changed in an id. A resume would
send to what the changed id names, and a report would tell of it.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import islice

import msgspec

from orchestrator.errors import JournalError
from orchestrator.journal.database import Database

_PLAN = "SELECT value FROM meta WHERE key = 'plan'"
_TARGETS = "SELECT seq, id, gateway, wave FROM target ORDER BY seq"
_KEPT = "SELECT value FROM meta WHERE key = 'planned'"
_BATCH = 1000

_encode = msgspec.msgpack.Encoder().encode


def digest_planned(database: Database) -> str:
    """Return the SHA-256 of the plan and the targets in hexadecimal digits."""
    digest = sha256()
    for query in (_PLAN, _TARGETS):
        rows = database.rows(query)
        while batch := list(islice(rows, _BATCH)):
            digest.update(b"".join(map(_encode, batch)))
    return digest.hexdigest()


def check_planned(database: Database) -> None:
    """Raise JournalError if the plan or the targets are not those with which the run began.

    A journal of an older version keeps no digest, and is not checked.
    """
    kept = next((value for (value,) in database.rows(_KEPT)), None)
    if kept is not None and kept != digest_planned(database):
        raise JournalError(
            f"{database.path}: the journal is damaged (its plan or its targets were changed since the run"
            " began); `undeploy report RUN --verify` tells where; restore it from a copy"
        )
