"""What is still to be done, read from the journal in small batches: nothing holds all targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from orchestrator.journal.database import Database, Row
from orchestrator.journal.record import reading_of
from orchestrator.journal.schema import OPEN_OUTCOME
from orchestrator.model import Act, Outcome, Plan, Reading, Reason, Target, TargetId
from orchestrator.retry import Past, replay_all

BATCH = 500

_OPEN = (
    "SELECT seq, id, wave, description, persistent FROM target"
    " WHERE wave = ? AND gateway = ? AND seq > ? AND outcome IS NULL ORDER BY seq LIMIT ?"
)
_ATTEMPTS = (
    "SELECT seq, act, code, message, verdict, pods FROM attempt"
    " WHERE seq BETWEEN ? AND ? ORDER BY seq, number"
)
KEPT = "('filtered', 'protected', 'skipped')"
WORD = "substr(reason, 1, instr(reason, ':') - 1)"
_PROVISIONAL = (
    "SELECT seq, id, wave FROM target WHERE outcome IN ('unknown', 'not_started')"
    f" AND NOT (outcome = 'not_started' AND {WORD} IN {KEPT})"
)
_REOPEN = (
    "UPDATE target SET outcome = NULL, reason = NULL, evidence = NULL, seconds = NULL, ended = NULL"
    " WHERE seq = ?"
)
_KILLED = f"UPDATE target SET outcome = {OPEN_OUTCOME}, reason = ? WHERE outcome IS NULL"


class Pending:
    """Reads the targets without an outcome. ``resumed`` says whether they may have a past."""

    def __init__(self, database: Database, plan: Plan, *, resumed: bool) -> None:
        self._database = database
        self._names = [gateway.name for gateway in plan.gateways]
        self._resumed = resumed

    def left(self) -> dict[tuple[int, str], int]:
        """Count what is left by wave index and gateway name."""
        query = "SELECT wave, gateway, COUNT(*) FROM target WHERE outcome IS NULL GROUP BY wave, gateway"
        return {(wave, self._names[gateway]): count for wave, gateway, count in self._database.rows(query)}

    def begun(self) -> frozenset[int]:
        """Return the waves in which something was sent before this session."""
        if not self._resumed:
            return frozenset()
        query = "SELECT DISTINCT wave FROM target WHERE seq IN (SELECT seq FROM attempt)"
        return frozenset(wave for (wave,) in self._database.rows(query))

    def targets(self) -> int:
        """Count the whole plan."""
        count: int = self._database.one("SELECT COUNT(*) FROM target")[0]
        return count

    def outcomes(self, wave: int | None = None) -> dict[tuple[Outcome, str], int]:
        """Count what has ended, by outcome and the first word of its reason, in one wave or in all."""
        query = (
            f"SELECT outcome, {WORD}, COUNT(*) FROM target"
            " WHERE outcome IS NOT NULL AND (?1 IS NULL OR wave = ?1) GROUP BY 1, 2"
        )
        return {
            (Outcome(outcome), word or ""): count
            for outcome, word, count in self._database.rows(query, (wave,))
        }

    def batch(self, wave: int, gateway: str, after: int) -> list[tuple[Target, Past]]:
        """Return the next targets of a wave on a gateway behind the one numbered ``after``."""
        values = (wave, self._names.index(gateway), after, BATCH)
        targets = [_target(row, gateway) for row in self._database.rows(_OPEN, values)]
        pasts = self._pasts(targets[0].seq, targets[-1].seq) if targets and self._resumed else {}
        fresh = Past()
        return [(target, pasts.get(target.seq, fresh)) for target in targets]

    def _pasts(self, first: int, last: int) -> dict[int, Past]:
        attempts: dict[int, list[tuple[Act, Reading | None]]] = {}
        for seq, *row in self._database.rows(_ATTEMPTS, (first, last)):
            act = Act(row[0])
            attempts.setdefault(seq, []).append((act, reading_of(act, *row[1:])))
        return {seq: replay_all(entries) for seq, entries in attempts.items()}


class Hold(Struct, frozen=True):
    """Why a target is kept out of a run: the word, and the test that gives the pattern that says so."""

    word: Reason
    test: Callable[[str, int], str | None]
    """Called with a target's id and the index of its wave."""


def hold_back(database: Database, holds: Iterable[Hold]) -> int:
    """Give each open target that a hold matches its outcome; the first hold that matches counts.

    Returns how many were held back.
    """
    holds = list(holds)
    if not holds:
        return 0
    rows: list[tuple[str, int]] = []
    for seq, name, wave in database.rows("SELECT seq, id, wave FROM target WHERE outcome IS NULL"):
        for hold in holds:
            why = hold.test(name, wave)
            if why is not None:
                rows.append((f"{hold.word}: {why}", seq))
                break
    with database.transaction():
        database.run_many("UPDATE target SET outcome = 'not_started', reason = ? WHERE seq = ?", rows)
    return len(rows)


def reopen(database: Database, wanted: Callable[[str, int], bool]) -> int:
    """Make what an earlier session left provisional open again, as far as it is ``wanted``.

    ``wanted`` is called with a target's id and the index of its wave. Returns how many are open now. What a
    killed session left is named so first; what was held back stays so.
    """
    with database.transaction():
        database.run(_KILLED, (f"{Reason.INTERRUPT}: the run was killed",))
        again = [(seq,) for seq, name, wave in database.rows(_PROVISIONAL) if wanted(name, wave)]
        database.run_many(_REOPEN, again)
    return len(again)


def _target(row: Row, gateway: str) -> Target:
    seq, name, wave, description, persistent = row
    return Target(
        seq,
        TargetId(name),
        gateway,
        wave,
        parts_of(name),
        description,
        None if persistent is None else bool(persistent),
    )


def parts_of(target: str) -> tuple[str, ...]:
    """Return the coordinates in a target's id, decoded; the gateway's name is left out."""
    parts = target.split("/")[1:]
    if "%" not in target:
        return tuple(parts)
    return tuple(part.replace("%2F", "/").replace("%25", "%") for part in parts)
