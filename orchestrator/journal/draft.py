"""A journal in the making: the targets of a plan stream into it while the plan is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.journal.database import Row, Value, create
from orchestrator.journal.schema import AFTER_LOADING
from orchestrator.model import Target, TargetId
from orchestrator.plan.targets import Duplicate, Place

_INSERT = (
    "INSERT INTO target (seq, id, gateway, wave, file, line, column, description, persistent)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_DUPLICATES = """
    SELECT again.id, again.file, again.line, again.column, first.id, first.file, first.line, first.column
    FROM (
        SELECT seq, MIN(seq) OVER (PARTITION BY place.installation, substr(id, instr(id, '/'))) AS first
        FROM target JOIN place USING (gateway)
    ) AS same
    JOIN target AS first ON first.seq = same.first
    JOIN target AS again ON again.seq = same.seq
    WHERE same.seq > same.first ORDER BY same.seq
"""
_BATCH = 1000


def _duplicate(row: Row) -> Duplicate:
    again, first = row[:4], row[4:]
    return Duplicate(_place(first), TargetId(first[0]), _place(again), TargetId(again[0]))


def _place(row: Row) -> Place:
    return Place(*row[1:])


class Draft:
    """The plan reader's sink that holds a batch at a time and writes the rest to a journal nobody runs yet.

    Nothing in it is durable before ``finish`` and the folder's fsync: a crash leaves a file to throw away.
    """

    def __init__(self, path: Path) -> None:
        self.database = create(path)
        self._batch: list[tuple[Value, ...]] = []
        self._gateways: dict[str, int] = {}
        self.database.run("BEGIN")

    def add(self, target: Target, place: Place) -> None:
        """Take one more target."""
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
                target.description,
                target.persistent,
            )
        )
        if len(self._batch) >= _BATCH:
            self._write()

    def duplicates(self, installations: Mapping[str, str]) -> Iterator[Duplicate]:
        """Yield every target that stands twice, also under two names of one installation."""
        self._write()
        with self.database.translated():
            self.database.run("CREATE TEMP TABLE place (gateway INTEGER PRIMARY KEY, installation TEXT)")
            self.database.run_many(
                "INSERT INTO place VALUES (?, ?)",
                [(index, installations.get(name, name)) for name, index in self._gateways.items()],
            )
        for row in self.database.rows(_DUPLICATES):
            yield _duplicate(row)

    def _write(self) -> None:
        with self.database.translated():
            self.database.run_many(_INSERT, self._batch)
        self._batch.clear()

    def finish(self, gateways: tuple[str, ...], meta: Mapping[str, Value]) -> None:
        """Number the gateways as the plan does, keep ``meta``, and commit."""
        self._write()
        order = [(gateways.index(name), index) for name, index in self._gateways.items()]
        with self.database.translated():
            if any(new != old for new, old in order):
                cases = " ".join(f"WHEN {old} THEN {new}" for new, old in order)
                self.database.run(f"UPDATE target SET gateway = CASE gateway {cases} END")
            self.database.run_many("INSERT INTO meta VALUES (?, ?)", list(meta.items()))
            self.database.run(AFTER_LOADING)
            self.database.run("COMMIT")

    def keep(self, meta: Mapping[str, Value]) -> None:
        """Keep more about the run, once it is finished."""
        with self.database.transaction():
            self.database.run_many("INSERT INTO meta VALUES (?, ?)", list(meta.items()))

    def close(self) -> None:
        """Close the database; safe to call twice."""
        self.database.close()
