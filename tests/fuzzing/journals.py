"""Journals as inputs: the runs of earlier versions, with bytes and cells changed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from io import StringIO
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from orchestrator.commands.status import render_json
from orchestrator.engine.controller import recall_controls
from orchestrator.errors import JournalError, RunError, UsageError
from orchestrator.journal.audit import audit_journal
from orchestrator.journal.cells import check_cells
from orchestrator.journal.database import Database
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.meta import read_meta, read_plan
from orchestrator.journal.notes import list_paces_and_controls
from orchestrator.journal.pending import START, PendingTargets
from orchestrator.journal.planned import check_planned, digest_planned
from orchestrator.journal.remainder import open_remainder
from orchestrator.journal.restores import find_restores
from orchestrator.journal.session_scope import reopen
from orchestrator.journal.sessions import read_sessions
from orchestrator.report.formats import FORMATS
from orchestrator.report.writing import write_report
from orchestrator.runs.prepare import open_journal
from orchestrator.runs.restore import Choice, build_restoration
from tests.fuzzing.mutator import mutate
from tests.support.recorded import SAMPLES

CELLS = (
    None, 0, -1, 1, 2**62, -(2**63), 1e308, float("inf"), "", "x", "undeployed", "\0", "0", "..", "a/b", "{}",
    "[]", "null", '{"a": 1}', "x" * 5000, b"", b"\xff\xfe", "complete", "2026",
)  # fmt: skip

RESTORED = SAMPLES / "journals/format-2/runs/20261128-134430012-spring-clean-up-4897"
"""The run that the restore among the samples brings back."""
ACCEPTED = frozenset(("new-front-end-id", "unpublished-edits", "missing-history", "lost-bindings"))


def list_earlier_journals() -> list[bytes]:
    """Return the journals of the samples as they are: earlier programs kept no digest of the targets."""
    return [sample.read_bytes() for sample in sorted(SAMPLES.glob("journals/*/runs/*/journal.sqlite"))]


def list_journals(folder: Path) -> list[bytes]:
    """Return the journals of the samples, each with the digest of its targets that it has today."""
    file = folder / "sample.sqlite"
    found = []
    for sample in list_earlier_journals():
        file.write_bytes(sample)
        with closing(Database(file)) as database:
            digest = digest_planned(database)
            database.run("INSERT OR REPLACE INTO meta VALUES ('planned', ?)", (digest,))
        found.append(file.read_bytes())
    return found


def mutate_journal(dice: Random, data: bytes, others: Sequence[bytes], folder: Path) -> bytes:
    """Return a journal with changed bytes or cells, which SQLite takes for sound."""
    if dice.random() < 0.3:
        return mutate(dice, data, others)
    file = folder / "mutated.sqlite"
    file.write_bytes(data)
    with closing(sqlite3.connect(file, isolation_level=None)) as journal, suppress(sqlite3.Error):
        for _ in range(dice.choice((1, 1, 2, 5))):
            _change_cell(dice, journal)
    return file.read_bytes()


def _change_cell(dice: Random, journal: sqlite3.Connection) -> None:
    tables = journal.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
    table = dice.choice(tables)[0]
    column = dice.choice(journal.execute(f"PRAGMA table_info({table})").fetchall())[1]
    keys = journal.execute(f"SELECT {column} FROM {table}").fetchall()
    if not keys:
        return
    old = dice.choice(keys)[0]
    if dice.random() < 0.15:
        journal.execute(f"DELETE FROM {table} WHERE {column} IS ?", (old,))
        return
    fresh = dice.choice(CELLS)
    if isinstance(old, str) and old and dice.random() < 0.4:
        place = dice.randrange(len(old))
        fresh = old[:place] + chr(ord(old[place]) ^ (1 << dice.randrange(7))) + old[place + 1 :]
    journal.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {column} IS ?", (fresh, old))


def read_journal(data: bytes, folder: Path) -> None:
    """Do with a journal all that the commands do that send nothing; it may be refused each time.

    That is its reports, its status, its targets one by one, its line in the list of runs, its audit, its
    remainder, and what a restore and a resume do before their first requests.
    """
    run = folder / "runs" / "20261128-134414024-clean-up-6c6b"
    run.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in run.glob("journal.sqlite*"):
        left.unlink()
    (run / "journal.sqlite").write_bytes(data)
    kept = RunFolder(run)
    for name in FORMATS:
        with suppress(JournalError, RunError), kept.open_source() as source:
            write_report(name, source, StringIO())
    with suppress(JournalError, RunError), closing(kept.open()) as database:
        audit_journal(database)
    with suppress(JournalError, RunError), kept.open_source() as source:
        render_json(source, None)
        for target in source.targets():
            source.read_target(target.id)
    with suppress(JournalError, RunError):
        kept.read_overview(requests=True)
    (run / "plan.yaml").write_text("version: 1\n", encoding="utf-8")
    with suppress(JournalError, RunError, UsageError), TemporaryDirectory(dir=folder) as place:
        build_restoration(kept, Choice(accept=ACCEPTED), Path(place)).forget()
    _read_beside(run)
    # A restore has no remainder, which is a UsageError.
    with suppress(JournalError, RunError, UsageError), open_remainder(kept) as remainder:
        assert remainder is not None
    with suppress(JournalError, RunError, UsageError), closing(open_journal(kept, None)) as database:
        _prepare_resume(database)


def _read_beside(run: Path) -> None:
    """Report the run that a restore brings back, which a restore that cannot be read never prevents."""
    parent = run.with_name(RESTORED.name)
    if not parent.exists():
        parent.mkdir(mode=0o700)
        shutil.copy(RESTORED / "journal.sqlite", parent)
    with RunFolder(parent).open_source(among=find_restores(run.parent)) as source:
        write_report("json", source, StringIO())


def _prepare_resume(database: Database) -> None:
    """Do with a journal what a resume does before its first request."""
    plan = read_plan(database)
    read_meta(database)
    read_sessions(database)
    check_planned(database)
    check_cells(database)
    reopen(database, lambda _name, _wave: True)
    recall_controls(plan.gateways, list_paces_and_controls(database))
    pending = PendingTargets(database, plan, resumed=True)
    pending.refuse_vanishing()
    pending.count_standing()
    pending.list_begun()
    for wave_step, gateway in pending.count_left():
        list(pending.list_prerequisites(wave_step))
        batch, _ = pending.read_batch(wave_step, gateway, START)
        for target, _history in batch:
            pending.read_approved(target.seq)
            pending.read_snapshot(target.seq)
