"""What a run did not finish, read from its journal as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from orchestrator.errors import RunError, UsageError
from orchestrator.journal.database import Database, Row
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.meta import read_meta
from orchestrator.journal.pending import WORD
from orchestrator.journal.report_source import JournalReportSource
from orchestrator.model.outcome import Outcome, Reason
from orchestrator.model.plan import Plan
from orchestrator.model.target import Target, TargetId
from orchestrator.model.target_id import decode_parts
from orchestrator.report.values import Report

_WORDS = ", ".join(f"'{word}'" for word in Reason)
_DOWN = f"('{Outcome.UNDEPLOYED}', '{Outcome.ALREADY_UNDEPLOYED}')"

# `rest` is what is left; `edge` what comes first there and is not down; `stuck` comes after something that is
# neither down nor left, directly or not: `needs` is what it waits for.
_GATHER = (
    "CREATE TEMP TABLE rest (seq INTEGER PRIMARY KEY)",
    f"""
    INSERT INTO rest SELECT seq FROM ended WHERE outcome NOT IN {_DOWN}
    AND NOT (outcome = '{Outcome.NOT_STARTED}' AND {WORD} IS '{Reason.PROTECTED}')
    AND id NOT IN (SELECT id FROM up_again)
    """,
    "CREATE TEMP TABLE edge (seq INTEGER, needs INTEGER, PRIMARY KEY (seq, needs)) WITHOUT ROWID",
    f"""
    INSERT INTO edge SELECT dependency.seq, needs FROM dependency JOIN rest USING (seq)
    JOIN ended AS first ON first.seq = needs WHERE first.outcome NOT IN {_DOWN}
        OR first.id IN (SELECT id FROM up_again)
    """,
    "CREATE INDEX temp.edge_needs ON edge (needs)",
    "CREATE TEMP TABLE stuck (seq INTEGER PRIMARY KEY, needs INTEGER)",
    """
    INSERT OR IGNORE INTO stuck WITH RECURSIVE bound (seq, needs) AS (
        SELECT seq, needs FROM edge WHERE needs NOT IN (SELECT seq FROM rest)
        UNION SELECT edge.seq, edge.needs FROM bound CROSS JOIN edge ON edge.needs = bound.seq
    ) SELECT seq, needs FROM bound
    """,
    "DELETE FROM rest WHERE seq IN (SELECT seq FROM stuck)",
)
_GROUPS = f"""
SELECT outcome, COUNT(*), reason, CASE WHEN {WORD} IN ({_WORDS}) THEN {WORD} ELSE '' END AS word, MIN(seq)
FROM rest CROSS JOIN ended USING (seq) GROUP BY outcome, word ORDER BY MIN(seq)
"""
_WAVES = "SELECT wave, COUNT(*) FROM rest CROSS JOIN target USING (seq) GROUP BY wave"
_LEFT = """
SELECT seq, target.id, target.gateway, target.wave, description, persistent, ended.outcome, ended.reason
FROM rest CROSS JOIN target USING (seq) CROSS JOIN ended USING (seq) ORDER BY rest.seq
"""
_AFTER = """
SELECT edge.seq, first.id FROM edge CROSS JOIN rest USING (seq) CROSS JOIN target AS first
ON first.seq = edge.needs ORDER BY edge.seq, edge.needs
"""
_STUCK = """
SELECT target.id, first.id FROM stuck CROSS JOIN target USING (seq)
CROSS JOIN target AS first ON first.seq = stuck.needs ORDER BY stuck.seq
"""


class RemainingTarget(NamedTuple):
    """A target that a run did not finish, why, and which others that are left go before it."""

    target: Target
    outcome: Outcome
    reason: str | None
    after: tuple[TargetId, ...]


class RemainderCause(NamedTuple):
    """How many targets are left for one cause, and the reason of the first of them."""

    outcome: Outcome
    targets: int
    reason: str | None


class Remainder:
    """What a run that is not at work has left: not started, failed and unknown, without what is protected.

    What comes after a target that is protected, and so never down, is held out as well: see ``stuck``.
    """

    def __init__(self, database: Database, account: JournalReportSource, folder: str) -> None:
        self._database = database
        self.plan: Plan = account.plan
        self.report: Report = account.report
        self.folder = Path(folder)
        """Where relative paths of the plan start."""
        with database.translated():
            for statement in _GATHER:
                database.run(statement)
        self.by_wave: dict[int, int] = dict(database.rows(_WAVES))
        self.stuck_count: int = database.one("SELECT COUNT(*) FROM stuck")[0]

    @property
    def count(self) -> int:
        """How many targets are left."""
        return sum(self.by_wave.values())

    def groups(self) -> Iterator[RemainderCause]:
        """Yield why they are left, in the order in which the causes first appear."""
        for outcome, count, reason, *_ in self._database.rows(_GROUPS):
            yield RemainderCause(Outcome(outcome), count, reason)

    def targets(self) -> Iterator[RemainingTarget]:
        """Yield what is left in the plan's order."""
        names = [gateway.name for gateway in self.plan.gateways]
        before = _PrerequisiteStream(self._database)
        for seq, name, gateway, wave, description, persistent, outcome, reason in self._database.rows(_LEFT):
            flag = None if persistent is None else bool(persistent)
            target = Target(seq, TargetId(name), names[gateway], wave, decode_parts(name), description, flag)
            yield RemainingTarget(target, Outcome(outcome), reason, before.of(seq))

    def stuck(self) -> Iterator[tuple[str, str]]:
        """Yield the ids of what is held out, each with the id of what it comes after."""
        return ((name, needs) for name, needs in self._database.rows(_STUCK))


class _PrerequisiteStream:
    """What goes before each of a stream of targets, read alongside: both come in the order of ``seq``."""

    def __init__(self, database: Database) -> None:
        self._rows = database.rows(_AFTER)
        self._next: Row | None = next(self._rows, None)

    def of(self, seq: int) -> tuple[TargetId, ...]:
        found: list[TargetId] = []
        while self._next is not None and self._next[0] == seq:
            found.append(TargetId(self._next[1]))
            self._next = next(self._rows, None)
        return tuple(found)


@contextmanager
def open_remainder(folder: RunFolder) -> Iterator[Remainder]:
    """Open the journal of a run for what it has left.

    Raises RunError where the run is going on, and UsageError where it is none whose rest could be undeployed.
    """
    database = folder.open()
    try:
        meta = read_meta(database)
        if meta.rehearsal:
            raise UsageError(
                f"run {folder.id} was a rehearsal: what it left was never up; run the plan itself"
            )
        if meta.act != "undeploy":
            raise UsageError(f"run {folder.id} was a {meta.act}, which has no remainder to undeploy")
        account = JournalReportSource(database, folder.id, held=False, restores=folder.list_restores())
        # Asked once the moment that is read is fixed: whoever begins later changes nothing of it.
        if holder := folder.describe_holder():
            raise RunError(
                f"run {folder.id} is going on ({holder}): what it leaves is known once it has ended"
            )
        yield Remainder(database, account, meta.folder)
    finally:
        database.close()
