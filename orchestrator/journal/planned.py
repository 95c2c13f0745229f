"""The digest of what a run was to do: of its plan, and of each target's id, gateway and wave.

SQLite finds a page without its form, but not a letter that a bad disk has changed in an id, or in an index.
A resume would send to what the changed id names, or leave out what the index lacks.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import islice

import msgspec

from orchestrator.errors import make_damage_error
from orchestrator.journal.database import Database
from orchestrator.journal.meta import read_plan

COVERED = frozenset(("seq", "id", "gateway", "wave"))
"""The columns of ``target`` that the digest covers."""

_PLAN = "SELECT value FROM meta WHERE key = 'plan'"
_TARGETS = "SELECT seq, id, gateway, wave FROM target ORDER BY seq"
_KEPT = "SELECT value FROM meta WHERE key = 'planned'"
_STRANGE = """
SELECT EXISTS (SELECT 1 FROM target WHERE (
    typeof(wave) = 'integer' AND wave BETWEEN 0 AND ?1 - 1
    AND typeof(id) = 'text' AND length(CAST(id AS BLOB)) - length(CAST(replace(id, '/', '') AS BLOB)) = (
        SELECT value ->> 1 FROM json_each(?2)
        WHERE key = target.gateway AND instr(target.id, value ->> 0) = 1
    )
) IS NOT TRUE)
"""
"""Whether a target is of no gateway or wave of the plan, or its id is none of its gateway's."""
_DISAGREEMENT = "PRAGMA integrity_check(target)"
"""Whether the index of the targets has each of them: from it is read which ones are left to be done."""
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

    A journal of an older version keeps no digest: in it, the targets must be such as this plan may have. The
    index of the targets must have them all, too, in any version.
    """
    kept = next((value for (value,) in database.rows(_KEPT)), None)
    is_strange = _has_strange_targets(database) if kept is None else kept != digest_planned(database)
    if is_strange:
        what = "its plan or its targets were changed since the run began"
        raise make_damage_error(what, database.path)
    if (verdict := database.one(_DISAGREEMENT)[0]) != "ok":
        raise make_damage_error(f"its targets disagree with their index: {verdict}", database.path)


def has_digest(database: Database) -> bool:
    """Return whether a journal keeps the digest."""
    return any(True for _ in database.rows(_KEPT))


def _has_strange_targets(database: Database) -> bool:
    plan = read_plan(database)
    kinds = [(f"{gateway.name}/", len(gateway.COORDINATES)) for gateway in plan.gateways]
    values = (len(plan.waves), msgspec.json.encode(kinds).decode())
    return bool(database.one(_STRANGE, values)[0])
