"""The targets that a run did not finish, read from its journal as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from orchestrator.errors import RunError, UsageError
from orchestrator.journal.database import Database, Row
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.meta import read_meta
from orchestrator.journal.report_source import JournalReportSource
from orchestrator.journal.schema import WORD
from orchestrator.model.outcome import Outcome, Reason
from orchestrator.model.plan import Plan
from orchestrator.model.target import Target, TargetId
from orchestrator.model.target_id import decode_parts
from orchestrator.report.values import Report

_WORDS = ", ".join(f"'{word}'" for word in Reason)
_DOWN = f"('{Outcome.UNDEPLOYED}', '{Outcome.ALREADY_UNDEPLOYED}')"

# `rest` has the targets that are left, `edge` the pairs of them and of targets that come before and are not
# down. A target in `stuck` comes, directly or not, after a target that is neither down nor left: `needs`.
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
    """A target that a run did not finish, the reason, and the remaining targets that go before it."""

    target: Target
    outcome: Outcome
    reason: str | None
    after: tuple[TargetId, ...]


class RemainderCause(NamedTuple):
    """The number of targets that are left for one cause, and the reason of the first of them."""

    outcome: Outcome
    targets: int
    reason: str | None


class Remainder:
    """The targets that an ended run left: not started, failed and unknown, without the protected ones.

    A target that comes after a protected target could never go. It is left out as well: see ``list_stuck``.
    """

    def __init__(self, database: Database, source: JournalReportSource, folder: str) -> None:
        self._database = database
        self.plan: Plan = source.plan
        self.report: Report = source.report
        self.folder = Path(folder)
        """The folder where relative paths of the plan begin."""
        with database.translate_errors():
            for statement in _GATHER:
                database.run(statement)
        self.by_wave: dict[int, int] = dict(database.rows(_WAVES))
        self.stuck_count: int = database.one("SELECT COUNT(*) FROM stuck")[0]

    @property
    def count(self) -> int:
        """The number of targets that are left."""
        return sum(self.by_wave.values())

    def list_causes(self) -> Iterator[RemainderCause]:
        """Yield the causes for which targets are left, in the order of their first targets."""
        for outcome, count, reason, *_ in self._database.rows(_GROUPS):
            yield RemainderCause(Outcome(outcome), count, reason)

    def list_targets(self) -> Iterator[RemainingTarget]:
        """Yield the remaining targets in the plan's order."""
        names = [gateway.name for gateway in self.plan.gateways]
        before = _PrerequisiteStream(self._database)
        for seq, name, gateway, wave, description, persistent, outcome, reason in self._database.rows(_LEFT):
            flag = None if persistent is None else bool(persistent)
            target = Target(seq, TargetId(name), names[gateway], wave, decode_parts(name), description, flag)
            yield RemainingTarget(target, Outcome(outcome), reason, before.of(seq))

    def list_stuck(self) -> Iterator[tuple[str, str]]:
        """Yield the ids of the targets that are left out, each with the id of the one that it comes after."""
        return ((name, needs) for name, needs in self._database.rows(_STUCK))


class _PrerequisiteStream:
    """The targets that go before those of a stream, read alongside: both come in the order of ``seq``."""

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
    """Open the journal of a run for its remainder.

    Raises RunError if a process works on the run, and UsageError for a restore and for a rehearsal.
    """
    database = folder.open(checked=True)
    try:
        meta = read_meta(database)
        if meta.rehearsal:
            raise UsageError(
                f"run {folder.id} was a rehearsal: what it left was never up; run the plan itself"
            )
        if meta.act != "undeploy":
            raise UsageError(f"run {folder.id} was a {meta.act}, which has no remainder to undeploy")
        ending, restores = folder.find_unkept_ending(database), folder.list_restores()
        source = JournalReportSource(database, folder.id, held=False, ending=ending, restores=restores)
        # After the transaction began: a process that begins later changes nothing that is read here.
        if holder := folder.describe_holder():
            raise RunError(
                f"run {folder.id} is going on ({holder}): what it leaves is known once it has ended"
            )
        yield Remainder(database, source, meta.folder)
    finally:
        database.close()
