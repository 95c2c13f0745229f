"""The targets that a run has still to do, read in batches: a journal may hold more than fit into memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from orchestrator.errors import JournalError, UnfitError
from orchestrator.journal.cells import SNAPSHOTS, JsonCells
from orchestrator.journal.database import Database, Row
from orchestrator.journal.earlier_causes import group_earlier_causes
from orchestrator.journal.notes import list_begun
from orchestrator.journal.record import decode_reading
from orchestrator.journal.schema import COUNTED, OPEN_OUTCOME, SNAPSHOT_NAME, WORD
from orchestrator.journal.sessions import measure_until_last_end
from orchestrator.journal.untold import UNTOLD
from orchestrator.model.bindings import Bindings
from orchestrator.model.causes import CauseGroup
from orchestrator.model.outcome import Outcome, Reason
from orchestrator.model.plan import Plan, WaveStep
from orchestrator.model.reading import CHANGES, Act, Reading, Snapshot
from orchestrator.model.target import Target, TargetId
from orchestrator.model.target_id import decode_parts, split_id
from orchestrator.rules.dependencies import Prerequisite
from orchestrator.rules.precheck import StateAtApproval
from orchestrator.rules.retry import TargetHistory, replay_all, uncharge
from orchestrator.text.characters import show_name
from orchestrator.text.names import why_vanishing

BATCH = 500
STRETCH = 4000
"""How many numbers of targets one part of ``list_untouched`` covers."""

_NEXT = (
    "SELECT seq, id, wave, description, persistent,"
    f" value ->> 'deploy', value ->> '$.facts.pods_responded', {SNAPSHOT_NAME}, value -> 'bindings', depth"
    " FROM target LEFT JOIN snapshot USING (seq)"
    " WHERE wave = ?1 AND step = ?2 AND gateway = ?3 AND {behind} AND outcome IS NULL"
    " ORDER BY depth, seq LIMIT ?6"
)
# Two ranges of the index target_turn. SQLite begins a comparison of pairs, (depth, seq) > (?, ?), at the
# first target of that depth for each batch: a step of n targets would cost n * n / BATCH rows.
_OPEN = (
    f"SELECT * FROM ({_NEXT.format(behind='depth = ?4 AND seq > ?5')})"
    f" UNION ALL SELECT * FROM ({_NEXT.format(behind='depth > ?4')}) LIMIT ?6"
)
_AGAIN = (
    "SELECT seq, id, wave, description, persistent,"
    f" value ->> 'deploy', value ->> '$.facts.pods_responded', {SNAPSHOT_NAME}, value -> 'bindings'"
    " FROM target LEFT JOIN snapshot USING (seq) WHERE seq IN (SELECT value FROM json_each(?))"
)
_NEEDS = """
SELECT dependency.seq, first.seq, first.id, first.gateway, first.outcome, first.reason,
    first.wave = after.wave AND first.step = after.step
FROM dependency JOIN target AS after USING (seq) JOIN target AS first ON first.seq = dependency.needs
WHERE after.wave = ? AND after.step = ? AND after.outcome IS NULL
"""
_CROSSING = """
SELECT DISTINCT after.wave, after.step
FROM dependency JOIN target AS after USING (seq) JOIN target AS first ON first.seq = dependency.needs
WHERE after.outcome IS NULL AND first.outcome IS NULL
  AND first.wave = after.wave AND first.step = after.step AND first.gateway <> after.gateway
"""
_DEPTHS = (
    "SELECT depth, gateway, COUNT(*) FROM target WHERE wave = ? AND step = ? AND outcome IS NULL"
    " GROUP BY depth, gateway ORDER BY depth, gateway"
)
_UNTOUCHED = (
    "SELECT seq, id, wave, step, gateway FROM target WHERE seq BETWEEN ? AND ? AND outcome IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM attempt WHERE seq = target.seq AND act <> 'look')"
)
_ATTEMPTS = (
    "SELECT seq, act, via, code, message, verdict, pods FROM attempt"
    " WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq, number"
)
# A name that could vanish holds one of these. Few names do, and so the query reads few rows.
_COULD_VANISH = (
    "SELECT id FROM target WHERE outcome IS NULL"
    " AND (id GLOB '*[%.;\\]*' OR instr(id, '//') OR substr(id, -1) = '/')"
)


Cursor = tuple[int, int]
"""How far a step of a wave was read: the depth and the number of the last target."""

START: Cursor = (-1, 0)

Standing = dict[int, dict[str, dict[Outcome | None, int]]]
"""Numbers of targets by the wave's index, the gateway's name and the outcome; None for the open ones."""


def _explain_no_target(name: str) -> str | None:
    try:
        _, parts = split_id(name)
    except UnfitError as unfit:
        return unfit.message
    return next((f'"{show_name(part)}" {why}' for part in parts if (why := why_vanishing(part))), None)


class UntouchedTarget(NamedTuple):
    """An open target for which no undeploy was sent."""

    seq: int
    id: TargetId
    wave_step: WaveStep
    gateway: int
    """The index of its gateway in the plan."""


class PendingTargets:
    """Reads the targets without an outcome. ``resumed``: an earlier session may have sent requests."""

    def __init__(self, database: Database, plan: Plan, *, resumed: bool) -> None:
        self._database = database
        self._names = [gateway.name for gateway in plan.gateways]
        self._evidence = {gateway.name: gateway.EVIDENCE for gateway in plan.gateways}
        self._resumed = resumed
        self._has_approval: bool | None = None

    def count_left(self) -> dict[tuple[WaveStep, str], int]:
        """Count the open targets by step of a wave and gateway name, in the order of the steps."""
        query = (
            "SELECT wave, step, gateway, COUNT(*) FROM target WHERE outcome IS NULL"
            " GROUP BY wave, step, gateway ORDER BY wave, step, gateway"
        )
        return {
            (WaveStep(wave, step), self._names[gateway]): count
            for wave, step, gateway, count in self._database.rows(query)
        }

    def count_standing(self, *, at_end: bool = False) -> Standing:
        """Count all targets of the plan by wave, gateway and outcome.

        ``at_end``: with the outcome that a report gives to those that have none, since the disk was full.
        """
        outcome = f"COALESCE(outcome, {OPEN_OUTCOME})" if at_end else "outcome"
        query = f"SELECT wave, gateway, {outcome}, COUNT(*) FROM target GROUP BY 1, 2, 3 ORDER BY 1, 2"
        standing: Standing = {}
        for wave, gateway, outcome, count in self._database.rows(query):
            here = standing.setdefault(wave, {}).setdefault(self._names[gateway], {})
            here[None if outcome is None else Outcome(outcome)] = count
        return standing

    def count_left_in(self, wave_step: WaveStep) -> dict[str, int]:
        """Count the open targets of a step of a wave by gateway name."""
        query = (
            "SELECT gateway, COUNT(*) FROM target WHERE wave = ? AND step = ? AND outcome IS NULL"
            " GROUP BY gateway ORDER BY gateway"
        )
        return {self._names[gateway]: count for gateway, count in self._database.rows(query, wave_step)}

    def count_steps(self, wave: int) -> int:
        """Return the number of steps of a wave."""
        count: int = self._database.one(
            "SELECT COALESCE(MAX(step), 0) + 1 FROM target WHERE wave = ?", (wave,)
        )[0]
        return count

    def list_begun(self) -> frozenset[WaveStep]:
        """Return the steps of waves that had begun before this session."""
        if not self._resumed:
            return frozenset()
        return frozenset(list_begun(self._database))

    def list_prerequisites(self, wave_step: WaveStep) -> Iterator[Prerequisite]:
        """Yield the targets that the open targets of a step of a wave wait for."""
        for seq, needs, name, gateway, outcome, reason, beside in self._database.rows(_NEEDS, wave_step):
            ended = None if outcome is None else Outcome(outcome)
            yield Prerequisite(seq, needs, TargetId(name), self._names[gateway], ended, reason, bool(beside))

    def list_crossed(self) -> frozenset[WaveStep]:
        """Return the steps of waves in which an open target waits for an open one of another gateway."""
        return frozenset(WaveStep(wave, step) for wave, step in self._database.rows(_CROSSING))

    def count_by_depth(self, wave_step: WaveStep) -> dict[int, dict[str, int]]:
        """Count the open targets of a step of a wave by depth, the least first, and gateway name."""
        counts: dict[int, dict[str, int]] = {}
        for depth, gateway, count in self._database.rows(_DEPTHS, wave_step):
            counts.setdefault(depth, {})[self._names[gateway]] = count
        return counts

    def list_untouched(self) -> Iterator[list[UntouchedTarget]]:
        """Yield each open target for which no undeploy was sent.

        They come in parts, each of which is read in a few milliseconds however many targets have ended: so
        a caller can let others work in between.
        """
        last: int = self._database.one("SELECT COALESCE(MAX(seq), 0) FROM target")[0]
        for first in range(1, last + 1, STRETCH):
            found = self._database.rows(_UNTOUCHED, (first, first + STRETCH - 1))
            yield [
                UntouchedTarget(seq, TargetId(name), WaveStep(wave, step), gateway)
                for seq, name, wave, step, gateway in found
            ]

    def refuse_vanishing(self) -> None:
        """Raise JournalError for an open target whose name could turn into the address of something else.

        No plan gives such a name, so the journal was changed from outside.
        """
        for (name,) in self._database.rows(_COULD_VANISH):
            if why := _explain_no_target(name):
                raise JournalError(
                    f"{self._database.path}: it names {show_name(name)}: {why}; nothing was sent"
                )

    @property
    def has_approvals(self) -> bool:
        """Whether any target of the run has a state that was approved."""
        # Most runs have none, so that is asked once and not for each target.
        if self._has_approval is None:
            self._has_approval = bool(self._database.one("SELECT EXISTS (SELECT 1 FROM approved)")[0])
        return self._has_approval

    def read_approved(self, seq: int) -> StateAtApproval | None:
        """Return the approved state of the target with the number ``seq``; None without an approval."""
        if not self.has_approvals:
            return None
        rows = self._database.rows("SELECT state, revision, since FROM approved WHERE seq = ?", (seq,))
        return next(
            (StateAtApproval(state=state, revision=revision, since=since) for state, revision, since in rows),
            None,
        )

    def read_snapshot(self, seq: int) -> Snapshot | None:
        """Return the snapshot of the target with the number ``seq``; None where none was kept."""
        rows = self._database.rows("SELECT value FROM snapshot WHERE seq = ?", (seq,))
        return next((SNAPSHOTS.decode(value) for (value,) in rows), None)

    def measure_work(self, session: int, before: float) -> float:
        """Return how many seconds a session of several processes took, to its last target ``before``."""
        return measure_until_last_end(self._database, session, before)

    def count_targets(self) -> int:
        """Count all targets of the plan."""
        count: int = self._database.one("SELECT COUNT(*) FROM target")[0]
        return count

    def count_outcomes(self, wave_step: WaveStep | None = None) -> dict[tuple[Outcome, str], int]:
        """Count the ended targets by outcome and first word of the reason, in a step of a wave or in all."""
        where = "" if wave_step is None else " AND wave = ? AND step = ?"
        query = (
            f"SELECT outcome, {COUNTED}, COUNT(*) FROM target WHERE outcome IS NOT NULL{where} GROUP BY 1, 2"
        )
        return {
            (Outcome(outcome), word or ""): count
            for outcome, word, count in self._database.rows(query, wave_step or ())
        }

    def group_causes(self) -> list[CauseGroup]:
        """Group by cause the targets that have an outcome, but those that are as the run wants them."""
        return group_earlier_causes(self._database, self._names)

    def count_not_started(self, word: Reason) -> dict[str, int]:
        """Count by gateway name the targets that were not started for a reason that begins with ``word``."""
        query = (
            f"SELECT gateway, COUNT(*) FROM target WHERE outcome = 'not_started' AND {WORD} = ?"
            " GROUP BY gateway ORDER BY gateway"
        )
        return {self._names[gateway]: count for gateway, count in self._database.rows(query, (word.value,))}

    def read_batch(
        self, wave_step: WaveStep, gateway: str, after: Cursor
    ) -> tuple[list[tuple[Target, TargetHistory]], Cursor]:
        """Return the next targets of a step of a wave on a gateway behind ``after``, and how far they reach.

        A target comes after those that it waits for. Apart from that the targets come in the plan's order.
        """
        values = (*wave_step, self._names.index(gateway), *after, BATCH)
        rows = list(self._database.rows(_OPEN, values))
        if not rows:
            return [], after
        targets = [_decode_target(row[:-1], gateway) for row in rows]
        pasts = (
            self._read_histories([target.seq for target in targets], self._evidence[gateway])
            if self._resumed
            else {}
        )
        fresh = TargetHistory()
        return [(target, pasts.get(target.seq, fresh)) for target in targets], (rows[-1][-1], rows[-1][0])

    def read_again(self, seqs: Sequence[int], gateway: str) -> list[tuple[Target, TargetHistory]]:
        """Return targets of a gateway by their numbers, with their histories up to the newest row on disk."""
        rows = self._database.rows(_AGAIN, (_encode_numbers(seqs),))
        targets = {row[0]: _decode_target(row, gateway) for row in rows}
        pasts = self._read_histories(seqs, self._evidence[gateway])
        fresh = TargetHistory()
        return [(targets[seq], pasts.get(seq, fresh)) for seq in seqs]

    def _read_histories(self, seqs: Sequence[int], evidence: str) -> dict[int, TargetHistory]:
        attempts: dict[int, list[tuple[Act, Reading | None]]] = {}
        steps: dict[int, list[tuple[str, Reading | None]]] = {}
        untold: Counter[int] = Counter()
        for seq, name, via, *row in self._database.rows(_ATTEMPTS, (_encode_numbers(seqs),)):
            act = Act(name)
            reading = decode_reading(act, *row, evidence=evidence)
            if act is Act.LOOK or act in CHANGES:
                attempts.setdefault(seq, []).append((act, reading))
                untold[seq] += via == UNTOLD
            else:
                steps.setdefault(seq, []).append((via, reading))
        return {
            seq: uncharge(replay_all(entries, steps.get(seq, ())), untold[seq])
            for seq, entries in attempts.items()
        }


def _encode_numbers(seqs: Sequence[int]) -> str:
    return msgspec.json.encode(list(seqs)).decode()


_BINDINGS = JsonCells("a snapshot", Bindings)


def _decode_target(row: Row, gateway: str) -> Target:
    seq, name, wave, description, persistent, deploy, pods, known_as, bindings = row
    return Target(
        seq,
        TargetId(name),
        gateway,
        wave,
        decode_parts(name),
        description,
        None if persistent is None else bool(persistent),
        deploy,
        pods or 0,
        known_as,
        None if bindings in (None, "null") else _BINDINGS.decode(bindings),
    )
