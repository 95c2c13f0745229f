"""The targets that a run took down, with their snapshots: the start of a restore."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from orchestrator.journal.cells import SNAPSHOTS
from orchestrator.journal.database import Database, Value
from orchestrator.journal.schema import IN_DOUBT
from orchestrator.model.obstacles import LOST_BINDINGS
from orchestrator.model.reading import Snapshot, Verdict
from orchestrator.model.target import TargetId
from orchestrator.report.values import RestoreOutlook, UnrestorableTargets
from orchestrator.text.counting import count_noun

if TYPE_CHECKING:
    from orchestrator.model.gateway import Gateway

# If some pods obeyed and others did not, the manager may call the target deployed all the same. And a target
# that was still up after one undeploy may have gone down by the next, even if that was refused.
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
SELECT seq, id, gateway, wave, persistent, value, (
    SELECT MAX(pods ->> '$[1]') FROM attempt WHERE attempt.seq = target.seq AND act = 'undeploy'
) FROM target JOIN snapshot USING (seq)
WHERE snapshot.verdict = 'up' AND {_REACHED} ORDER BY seq DESC
"""
_UNSEEN = f"""
SELECT COUNT(*) FROM target LEFT JOIN snapshot USING (seq)
WHERE snapshot.verdict IS NOT 'up' AND {_REACHED}
"""
# From the view `ended`, without the targets that a restore has brought back.
_WAY_BACK = f"""
SELECT outcome = 'undeployed' AS taken, snapshot.verdict,
    COALESCE(value ->> 'code', ''), COALESCE(value ->> 'message', ''), COUNT(*)
FROM ended AS target LEFT JOIN snapshot USING (seq)
WHERE {_REACHED} AND id NOT IN (SELECT id FROM up_again) GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC
"""
_STILL_DOWN = f"""
SELECT id, gateway FROM ended AS target JOIN snapshot USING (seq)
WHERE snapshot.verdict = 'up' AND {_REACHED} AND id NOT IN (SELECT id FROM up_again)
"""
_WANTS = f"""
SELECT obstacle.value, COUNT(*)
FROM ended AS target JOIN snapshot USING (seq), json_each(snapshot.value, '$.obstacles') AS obstacle
WHERE snapshot.verdict = 'up' AND {_REACHED} AND target.id NOT IN (SELECT id FROM up_again)
GROUP BY 1 ORDER BY 1
"""
_OF_EARLIER = f"""
SELECT gateway, value FROM ended AS target JOIN snapshot USING (seq)
WHERE snapshot.verdict = 'up' AND {_REACHED} AND target.id NOT IN (SELECT id FROM up_again)
    AND value ->> '$.bindings' IS NULL AND gateway IN (SELECT value FROM json_each(?))
"""
"""The snapshots that an earlier version made, in which a restore finds obstacles that it did not know."""
_CAUSES = 5
"""So many causes are named one by one."""
_SNAPSHOT = "INSERT INTO snapshot (seq, taken, verdict, value) VALUES (?, 0, 'up', ?)"
_COMING = "SELECT value FROM snapshot JOIN target USING (seq) WHERE gateway = ? AND outcome IS NULL"
_LEFT = "UPDATE target SET outcome = 'not_started', reason = ? WHERE seq = ?"


class TakenDown(NamedTuple):
    """A target that was deployed before the run, and that an undeploy of the run may have reached."""

    seq: int
    id: TargetId
    gateway: int
    """Index into the plan, as is ``wave``."""
    wave: int
    persistent: bool | None
    snapshot: Snapshot


def list_taken_down(database: Database) -> Iterator[TakenDown]:
    """Yield the targets that the run took down, or may have, the last one first."""
    for seq, name, gateway, wave, persistent, value, pods in database.rows(_TAKEN):
        keeps = None if persistent is None else bool(persistent)
        snapshot = _count_pods(SNAPSHOTS.decode(value), pods or 0)
        yield TakenDown(seq, TargetId(name), gateway, wave, keeps, snapshot)


def _count_pods(snapshot: Snapshot, named: int) -> Snapshot:
    """Return a snapshot that counts as many pods as the replies to the undeploys have ``named``.

    Most snapshots ask no pods, and yet a target is up again only where none of its pods is missing.
    """
    facts = snapshot.facts
    if named <= (facts.pods_responded or 0):
        return snapshot
    return replace(snapshot, facts=replace(facts, pods_responded=named))


def count_unseen(database: Database) -> int:
    """Count the targets that the run took down although no snapshot had seen them deployed."""
    count: int = database.one(_UNSEEN)[0]
    return count


def list_order(database: Database) -> Iterator[tuple[int, int]]:
    """Yield the numbers of each target that went after another, and of that other one."""
    return ((after, first) for after, first in database.rows("SELECT seq, needs FROM dependency"))


def assess_restore(database: Database, mode: str, gateways: Sequence[Gateway]) -> RestoreOutlook:
    """Return how many targets a restore of the run could bring back, and why not the others.

    ``database`` has the view ``ended`` and the table ``up_again``; ``mode`` is the plan's ``snapshot``, and
    ``gateways`` are its gateways.
    """
    counts: Counter[tuple[bool, bool]] = Counter()
    lost: Counter[str] = Counter()
    for taken, verdict, code, message, count in database.rows(_WAY_BACK):
        kept = verdict == Verdict.UP.value
        counts[bool(taken), kept] += count
        if not kept:
            # Without a code of the vendor, the version of the gateway has no look, whatever its message says.
            bare = verdict == Verdict.NOT_OFFERED.value and not code
            lost[_explain_missing_snapshot(verdict, "" if bare else f"{code} {message}".strip(), mode)] += (
                count
            )
    return RestoreOutlook(
        undeployed=counts[True, True] + counts[True, False],
        restorable=counts[True, True],
        doubtful=counts[False, True] + counts[False, False],
        doubtful_restorable=counts[False, True],
        to_accept=_count_obstacles(database, gateways),
        unrestorable=tuple(_group_causes(lost)),
    )


def _count_obstacles(database: Database, gateways: Sequence[Gateway]) -> dict[str, int]:
    """Count the targets by the obstacles that a restore would find today, in the order of their words."""
    counts: Counter[str] = Counter(dict(database.rows(_WANTS)))
    keep_bindings = [index for index, gateway in enumerate(gateways) if LOST_BINDINGS in gateway.OBSTACLES]
    for index, value in database.rows(_OF_EARLIER, (json.dumps(keep_bindings),)):
        kept = SNAPSHOTS.decode(value)
        counts.update(set(gateways[index].restore.adapt_snapshot(kept).obstacles) - set(kept.obstacles))
    return dict(sorted(counts.items()))


def list_still_down(database: Database) -> Iterator[tuple[str, int]]:
    """Yield the id and gateway index of each target that only a restore by this journal would bring back.

    ``database`` is as for ``assess_restore``.
    """
    return ((name, gateway) for name, gateway in database.rows(_STILL_DOWN))


def _explain_missing_snapshot(verdict: str | None, text: str, mode: str) -> str:
    """Return as a clause why a target has no snapshot that brings it back."""
    match verdict:
        case None if mode == "off":
            return "the plan keeps no snapshots (snapshot: off)"
        case None:
            return "no look was made before the undeploy"
        case Verdict.NOT_OFFERED.value if not text:
            return "this version of the gateway offers no look"
        case Verdict.UNCLEAR.value | Verdict.NOT_OFFERED.value:
            return f"the look before the undeploy could not tell: {text or 'no reason was given'}"
        case _:
            return "the look before the undeploy did not see it deployed in full"


def _group_causes(lost: Counter[str]) -> Iterator[UnrestorableTargets]:
    ranked = lost.most_common()
    yield from (UnrestorableTargets(since, count) for since, count in ranked[:_CAUSES])
    if more := sum(count for _, count in ranked[_CAUSES:]):
        others = count_noun(len(ranked) - _CAUSES, "other cause")
        yield UnrestorableTargets(f"the looks before the undeploy met {others}", more)


def keep_snapshots(database: Database, snapshots: Iterable[tuple[int, Snapshot]]) -> None:
    """Insert the snapshots of the parent into a restore's journal, by the numbers of the restore."""
    rows: list[tuple[Value, ...]] = [
        (seq, msgspec.json.encode(snapshot).decode()) for seq, snapshot in snapshots
    ]
    with database.translate_errors():
        database.run_many(_SNAPSHOT, rows)


def list_coming(database: Database, gateway: int) -> Iterator[Snapshot]:
    """Yield the snapshots of the targets that a restore brings back at a gateway, by its index."""
    return (SNAPSHOTS.decode(value) for (value,) in database.rows(_COMING, (gateway,)))


def leave_out(database: Database, left: Iterable[tuple[int, str]]) -> None:
    """Write why targets are left out of a restore."""
    with database.transaction():
        database.run_many(_LEFT, [(reason, seq) for seq, reason in left])
