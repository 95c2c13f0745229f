"""The targets of a journal as its plan names them, whatever their outcomes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from orchestrator.journal.database import Database
from orchestrator.journal.schema import KEPT, WORD
from orchestrator.model.target import Target, TargetId
from orchestrator.model.target_id import decode_parts
from orchestrator.rules.followers import Followers

_IDS = "SELECT id, wave FROM target"
_SEQ = "SELECT seq FROM target WHERE id = ?"
_SEQ_ALIKE = "SELECT seq FROM target WHERE nfc(id) = nfc(?)"
_FIRST_OPEN = "SELECT id FROM target WHERE outcome IS NULL ORDER BY wave, seq LIMIT ?"
_COUNTS = "SELECT gateway, COUNT(*) FROM target GROUP BY gateway"
_HELD_FIRST = (
    "SELECT DISTINCT needs FROM dependency JOIN target AS first ON first.seq = dependency.needs"
    f" WHERE first.outcome = 'not_started' AND {WORD} IN {KEPT}"
)
_DEPENDENCIES = "SELECT seq, needs FROM dependency"
_OPEN_PAIR = """
SELECT after.id, first.id FROM target AS after JOIN target AS first ON first.seq = ?2
WHERE after.seq = ?1 AND after.outcome IS NULL
"""
_NTH = "SELECT seq, id, wave FROM target WHERE gateway = ? ORDER BY seq LIMIT 1 OFFSET ?"


def find_seq(database: Database, name: str) -> int | None:
    """Return the number of the target with the id ``name``; None if there is none.

    A person may type an accent as a part of its letter where the plan has a character of its own.
    """
    found = next(database.rows(_SEQ, (name,)), None)
    if found is None and not name.isascii():
        found = next(database.rows(_SEQ_ALIKE, (name,)), None)
    return None if found is None else int(found[0])


def list_ids(database: Database) -> Iterator[tuple[TargetId, int]]:
    """Yield the id of each target, and the index of its wave."""
    return ((TargetId(name), wave) for name, wave in database.rows(_IDS))


def list_first_open(database: Database, count: int) -> list[TargetId]:
    """Return the ids of the first ``count`` targets without an outcome, in the order in which they go."""
    return [TargetId(name) for (name,) in database.rows(_FIRST_OPEN, (count,))]


def list_stuck(database: Database) -> Iterator[tuple[TargetId, TargetId]]:
    """Yield each open target that can never go, and the target before it that is held back.

    It comes after that one, directly or not. The order is the plan's.
    """
    held = [seq for (seq,) in database.rows(_HELD_FIRST)]
    if not held:
        return
    followers = Followers(database.rows(_DEPENDENCIES))
    behind = {seq: seq for seq in held}
    waiting = deque(held)
    while waiting:
        earlier = waiting.popleft()
        for seq in followers[earlier]:
            if seq not in behind:
                behind[seq] = behind[earlier]
                waiting.append(seq)
    for pair in sorted(behind.items()):
        for name, needs in database.rows(_OPEN_PAIR, pair):
            yield TargetId(name), TargetId(needs)


def count_by_gateway(database: Database) -> dict[int, int]:
    """Return how many targets each gateway has, by its index in the plan; one without any is left out."""
    return dict(database.rows(_COUNTS))


def read_nth(database: Database, gateway: int, name: str, place: int) -> Target:
    """Return the target at a place, from 0, among those of a gateway: its index in the plan, and its name."""
    seq, text, wave = database.one(_NTH, (gateway, place))
    return Target(seq, TargetId(text), name, wave, decode_parts(text))
