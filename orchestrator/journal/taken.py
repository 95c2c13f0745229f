"""What a run took down, as its journal knows it: where a restore begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from orchestrator.journal.database import Database, Value
from orchestrator.journal.schema import IN_DOUBT
from orchestrator.model import Snapshot, TargetId

# Where some pods obeyed and others did not, the manager may call it deployed all the same. And what was still
# up after one undeploy may have gone down by the next, be that refused.
_REACHED = f"""(
    outcome IN ('undeployed', 'unknown') OR {IN_DOUBT} OR EXISTS (
        SELECT 1 FROM attempt AS a WHERE a.seq = target.seq AND a.act <> 'look' AND (
            a.verdict = 'partial' OR a.verdict IN ('doubt', 'strange', 'removed') AND (
                SELECT b.verdict FROM attempt AS b
                WHERE b.seq = a.seq AND b.number > a.number AND b.act = 'look' ORDER BY b.number DESC LIMIT 1
            ) = 'down'
        )
    )
)"""
_TAKEN = f"""
SELECT seq, id, gateway, wave, persistent, value FROM target JOIN snapshot USING (seq)
WHERE snapshot.verdict = 'up' AND {_REACHED} ORDER BY seq DESC
"""
_UNSEEN = f"""
SELECT COUNT(*) FROM target LEFT JOIN snapshot USING (seq)
WHERE snapshot.verdict IS NOT 'up' AND {_REACHED}
"""
_COUNT = f"SELECT COUNT(*) FROM target JOIN snapshot USING (seq) WHERE snapshot.verdict = 'up' AND {_REACHED}"
_SNAPSHOT = "INSERT INTO snapshot (seq, taken, verdict, value) VALUES (?, 0, 'up', ?)"
_LEFT = "UPDATE target SET outcome = 'not_started', reason = ? WHERE seq = ?"


class Taken(NamedTuple):
    """A target that was deployed before the run, and that an undeploy of the run may have reached."""

    seq: int
    id: TargetId
    gateway: int
    """Index into the plan, as is ``wave``."""
    wave: int
    persistent: bool | None
    snapshot: Snapshot


def taken_down(database: Database) -> Iterator[Taken]:
    """Yield what the run took down, or may have, the last one first."""
    for seq, name, gateway, wave, persistent, value in database.rows(_TAKEN):
        keeps = None if persistent is None else bool(persistent)
        snapshot = msgspec.json.decode(value, type=Snapshot)
        yield Taken(seq, TargetId(name), gateway, wave, keeps, snapshot)


def unseen(database: Database) -> int:
    """Count what the run took down although no snapshot had seen it deployed."""
    count: int = database.one(_UNSEEN)[0]
    return count


def order_of(database: Database) -> Iterator[tuple[int, int]]:
    """Yield who went after whom, by their numbers."""
    return ((after, first) for after, first in database.rows("SELECT seq, needs FROM dependency"))


def count_taken(database: Database) -> int:
    """Count what a restore of the run could bring back."""
    count: int = database.one(_COUNT)[0]
    return count


def keep(database: Database, snapshots: Iterable[tuple[int, Snapshot]]) -> None:
    """Keep in a restore's journal what its parent saw, by the numbers of the restore."""
    rows: list[tuple[Value, ...]] = [
        (seq, msgspec.json.encode(snapshot).decode()) for seq, snapshot in snapshots
    ]
    with database.translated():
        database.run_many(_SNAPSHOT, rows)


def leave(database: Database, left: Iterable[tuple[int, str]]) -> None:
    """Keep why targets are left out of a restore."""
    with database.transaction():
        database.run_many(_LEFT, [(reason, seq) for seq, reason in left])
