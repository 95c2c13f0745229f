"""A journal before its run begins: the targets of a plan stream into it while the plan is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from msgspec.structs import replace

from orchestrator.journal.database import Row, Value, create_database
from orchestrator.journal.ledger import begin_ledger
from orchestrator.journal.meta import RunMeta, insert_meta, insert_plan
from orchestrator.journal.planned import digest_planned
from orchestrator.journal.repeats import RepeatDetector
from orchestrator.journal.schema import AFTER_LOADING
from orchestrator.model.credentials import Secret
from orchestrator.model.plan import Plan
from orchestrator.model.target import Target, TargetId
from orchestrator.plan.cycles import find_cycles, list_depths
from orchestrator.plan.problems import FilePosition
from orchestrator.plan.target_sink import MOST_SUGGESTED, DependencyFault, DuplicateTarget
from orchestrator.rules.precheck import StateAtApproval
from orchestrator.text.counting import count_noun
from orchestrator.text.names import to_nfc

# Nearly no target has options, and to bind them all the same takes two fifths of the time.
_INSERT = "INSERT INTO target (seq, id, gateway, wave, file, line, column) VALUES (?, ?, ?, ?, ?, ?, ?)"
_SET_OPTIONS = "UPDATE target SET description = ?, persistent = ? WHERE seq = ?"
# Names are compared in NFC. If every id is ASCII, `nfc` is left out of these statements: it costs time.
_DUPLICATES = """
    SELECT again.id, again.file, again.line, again.column, first.id, first.file, first.line, first.column
    FROM (
        SELECT seq, MIN(seq) OVER (PARTITION BY place.installation, nfc(substr(id, instr(id, '/')))) AS first
        FROM target JOIN place USING (gateway)
    ) AS same
    JOIN target AS first ON first.seq = same.first
    JOIN target AS again ON again.seq = same.seq
    WHERE same.seq > same.first ORDER BY same.seq
"""
# The ids that targets need, in NFC, and the targets with those ids: of an id that stands twice, the first.
_REQUIREMENTS = (
    "CREATE TEMP TABLE requirement (seq INTEGER, needs TEXT, file INTEGER, line INTEGER, column INTEGER)",
    "CREATE TEMP TABLE wanted (id TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TEMP TABLE needed (id TEXT PRIMARY KEY, seq INTEGER, wave INTEGER) WITHOUT ROWID",
)
_REQUIRE = "INSERT INTO requirement VALUES (?, ?, ?, ?, ?)"
_FIND = (
    "INSERT INTO wanted SELECT DISTINCT needs FROM requirement",
    """
    INSERT INTO needed SELECT wanted.id, MIN(target.seq), target.wave
    FROM target CROSS JOIN wanted ON wanted.id = nfc(target.id) GROUP BY wanted.id
    """,
    "CREATE INDEX temp.requirement_place ON requirement (seq, needs)",
)
_JOINED = """
    FROM requirement CROSS JOIN target ON target.seq = requirement.seq
    LEFT JOIN needed ON needed.id = requirement.needs
"""
_FAULT = """CASE
    WHEN needed.seq IS NULL THEN 'unknown'
    WHEN needed.id = nfc(target.id) THEN 'itself'
    WHEN needed.wave > target.wave THEN 'later'
END"""
_ASTRAY = f"""
    SELECT DISTINCT {_FAULT} AS why, needs, requirement.file, requirement.line, requirement.column
    {_JOINED} WHERE why IS NOT NULL
"""
_DEPEND = f"INSERT OR IGNORE INTO dependency SELECT target.seq, needed.seq {_JOINED} WHERE {_FAULT} IS NULL"
_DEPENDENCIES = "SELECT seq, needs FROM dependency"
# A target that needs others has a depth, unless it is in a cycle or comes after one.
_HAS_CYCLE = "SELECT EXISTS (SELECT 1 FROM dependency CROSS JOIN target USING (seq) WHERE depth = 0)"
_REQUIRED_AT = """
    SELECT requirement.file, requirement.line, requirement.column
    FROM requirement JOIN target ON nfc(target.id) = requirement.needs
    WHERE requirement.seq = ? AND target.seq = ?
"""
# These rows have a table of their own, since `target` has no index on its ids.
_SEEN = "CREATE TEMP TABLE seen (id TEXT PRIMARY KEY, state TEXT, revision TEXT, since TEXT) WITHOUT ROWID"
_SAW = "INSERT INTO seen VALUES (?, ?, ?, ?)"
_APPROVE = (
    "INSERT OR REPLACE INTO approved SELECT target.seq, state, revision, since"
    " FROM target CROSS JOIN seen USING (id)"
)
_BATCH = 1000


def _decode_duplicate(row: Row) -> DuplicateTarget:
    again, first = row[:4], row[4:]
    return DuplicateTarget(_decode_place(first), TargetId(first[0]), _decode_place(again), TargetId(again[0]))


def _decode_place(row: Row) -> FilePosition:
    return FilePosition(*row[1:])


class Draft:
    """Takes the targets from the plan reader, and writes them batch by batch to a journal without a run.

    Nothing is durable before ``finish`` and the folder's fsync. A crash leaves a file to throw away.
    """

    def __init__(self, path: Path) -> None:
        self.database = create_database(path)
        self._count = 0
        self._batch: list[tuple[Value, ...]] = []
        self._options: list[tuple[Value, ...]] = []
        self._gateways: dict[str, int] = {}
        self._required: list[tuple[Value, ...]] = []
        self._requires = False
        self._is_ascii = True
        self._repeats = RepeatDetector()
        self._settled = False
        self._circles: list[list[int]] = []
        self.database.run("BEGIN")

    def tell_count(self) -> str:
        """Return in words how many targets there are so far."""
        return count_noun(self._count, "target")

    def add(self, target: Target, place: FilePosition) -> None:
        """Add one more target."""
        self._count += 1
        gateway = self._gateways.setdefault(target.gateway, len(self._gateways))
        self._batch.append(
            (
                target.seq,
                target.id,
                gateway,
                target.wave,
                place.file,
                place.line,
                place.column,
            )
        )
        if target.description is not None or target.persistent is not None:
            self._options.append((target.description, target.persistent, target.seq))
        if len(self._batch) >= _BATCH:
            self._write()

    def add_dependency(self, seq: int, needs: TargetId, place: FilePosition) -> None:
        """Add that the target with the number ``seq`` comes after the target ``needs``."""
        self._required.append((seq, needs, place.file, place.line, place.column))
        if len(self._required) >= _BATCH:
            self._write_required()

    def find_dependency_faults(self) -> Iterator[DependencyFault]:
        """Yield the requirements that cannot be met, one for each place."""
        self._settle()
        if not self._requires:
            return
        # One more than a hint compares with, which tells whether there are too many.
        few = self.database.rows("SELECT id FROM target LIMIT ?", (MOST_SUGGESTED + 1,))
        among = tuple(TargetId(name) for (name,) in few)
        for why, needs, *place in self.database.rows(self._choose_comparison(_ASTRAY)):
            near = among if why == "unknown" and len(among) <= MOST_SUGGESTED else ()
            yield DependencyFault(FilePosition(*place), why, (TargetId(needs),), near)
        for cycle in self._circles:
            at = FilePosition(*self.database.one(self._choose_comparison(_REQUIRED_AT), cycle[:2]))
            yield DependencyFault(at, "cycle", tuple(map(self._read_id, cycle)))

    def _choose_comparison(self, statement: str) -> str:
        return statement.replace("nfc(", "(") if self._is_ascii else statement

    def _read_id(self, seq: int) -> TargetId:
        return TargetId(self.database.one("SELECT id FROM target WHERE seq = ?", (seq,))[0])

    def count_dependents(self) -> int:
        """Count the targets that come after another."""
        self._settle()
        count: int = self.database.one("SELECT COUNT(DISTINCT seq) FROM dependency")[0]
        return count

    def _settle(self) -> None:
        """Turn the requirements that can be met into dependencies and depths, once."""
        self._write()
        self._write_required()
        if self._settled or not self._requires:
            return
        self._settled = True
        with self.database.translate_errors():
            for statement in (*_FIND, _DEPEND):
                self.database.run(self._choose_comparison(statement))
        depths = list_depths(self.database.rows(_DEPENDENCIES))
        self.database.run_many(
            "UPDATE target SET depth = ? WHERE seq = ?", ((depth, seq) for seq, depth in depths)
        )
        if self.database.one(_HAS_CYCLE)[0]:
            self._circles = self._find_circles()

    def _find_circles(self) -> list[list[int]]:
        needs: dict[int, list[int]] = {}
        for seq, before in self.database.rows(_DEPENDENCIES):
            needs.setdefault(seq, []).append(before)
        return list(find_cycles(needs))

    def _write_required(self) -> None:
        if not self._required:
            return
        with self.database.translate_errors():
            for statement in () if self._requires else _REQUIREMENTS:
                self.database.run(statement)
            self.database.run_many(_REQUIRE, self._required)
        self._requires = True
        self._required.clear()

    def find_duplicates(self, installations: Mapping[str, str]) -> Iterator[DuplicateTarget]:
        """Yield every target that stands twice, also if two names of one installation hide that."""
        self._write()
        if not self._may_repeat(installations):
            return
        with self.database.translate_errors():
            self.database.run("CREATE TEMP TABLE place (gateway INTEGER PRIMARY KEY, installation TEXT)")
            self.database.run_many(
                "INSERT INTO place VALUES (?, ?)",
                [(index, installations.get(name, name)) for name, index in self._gateways.items()],
            )
        for row in self.database.rows(self._choose_comparison(_DUPLICATES)):
            yield _decode_duplicate(row)

    def _may_repeat(self, installations: Mapping[str, str]) -> bool:
        """Return whether a target may stand twice. Nearly no plan has one, and the query for them is slow."""
        places = [installations.get(name, name) for name in self._gateways]
        return len(set(places)) < len(places) or self._repeats.may_repeat()

    def _write(self) -> None:
        names = [cast("str", row[1]) for row in self._batch]
        if "".join(names).isascii():
            self._repeats.add(names)
        else:
            self._is_ascii = False
            self._repeats.add(map(to_nfc, names))
        with self.database.translate_errors():
            self.database.run_many(_INSERT, self._batch)
            self.database.run_many(_SET_OPTIONS, self._options)
        self._batch.clear()
        self._options.clear()

    def finish(self, plan: Plan, meta: RunMeta) -> None:
        """Number the gateways as the plan does, insert the plan and ``meta``, and commit."""
        self._settle()
        names = [gateway.name for gateway in plan.gateways]
        # The draft numbers gateways as targets name them; the plan's order is known only at the end.
        order = [(names.index(name), index) for name, index in self._gateways.items()]
        with self.database.translate_errors():
            if any(new != old for new, old in order):
                cases = " ".join(f"WHEN {old} THEN {new}" for new, old in order)
                self.database.run(f"UPDATE target SET gateway = CASE gateway {cases} END")
            insert_plan(self.database, plan)
            insert_meta(self.database, replace(meta, planned=digest_planned(self.database)))
            self.database.run(AFTER_LOADING)
            self.database.run("COMMIT")

    def keep(self, meta: RunMeta) -> None:
        """Insert the keys of ``meta`` that are not at their default. The draft is finished before."""
        with self.database.transaction():
            insert_meta(self.database, meta)

    def begin_ledger(self, key: Secret | None) -> None:
        """Enter all that the draft holds into its ledger, signed with the ``key`` if there is one.

        Nothing may be kept in the draft afterwards.
        """
        with self.database.transaction():
            begin_ledger(self.database, key)

    def approve(self, approved: Iterable[tuple[str, StateAtApproval]]) -> None:
        """Insert the approved state of each target, by its id. The draft is finished before."""
        rows = [(name, one.state, one.revision, one.since) for name, one in approved]
        with self.database.transaction():
            self.database.run(_SEEN)
            self.database.run_many(_SAW, rows)
            self.database.run(_APPROVE)
            self.database.run("DROP TABLE seen")

    def close(self) -> None:
        """Close the database; safe to call twice."""
        self.database.close()
