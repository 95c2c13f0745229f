"""The restores of a run that have begun, and the targets that they have brought back.

A restore is a run of its own, which names the runs that it brings back. The program finds it in the journals
beside that of the run, and writes nothing into the run itself. So a restore that was killed at any instant is
found like one that ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from orchestrator.errors import JournalError
from orchestrator.journal.cells import is_time
from orchestrator.journal.database import Database, open_database
from orchestrator.journal.holder import read_lock
from orchestrator.journal.meta import read_meta, read_plan
from orchestrator.journal.schema import IN_DOUBT
from orchestrator.model.outcome import DEPLOYED_IN_PART
from orchestrator.model.plan import RunId

if TYPE_CHECKING:
    from orchestrator.model.gateway import Gateway

# Logins and lists are notes. An intent that never left has `sent` 0. A damaged time tells all the same that
# the restore has begun.
_BEGUN = f"""
SELECT MIN(CASE WHEN {is_time("at")} THEN at ELSE 0.0 END) FROM (
    SELECT started AS at FROM attempt WHERE sent IS NOT 0
    UNION ALL SELECT at FROM note WHERE kind = 'request'
)
"""
_STATE = "SELECT state FROM session ORDER BY number DESC LIMIT 1"
# A target that lacks something is up all the same, although the restore calls it failed.
_UP = f"(outcome IN ('restored', 'already_deployed') OR reason LIKE '{DEPLOYED_IN_PART}%')"
_AT = f"CASE WHEN {is_time('ended')} THEN ended END"
_BROUGHT_BACK = f"SELECT id, {_AT} FROM target WHERE {_UP}"
_TOUCHED = f"SELECT id, {_AT} FROM target WHERE {_UP} OR {IN_DOUBT}"
# `at` is when the last restore of a target ended with it; NULL where that is not known.
_PLACES = "CREATE TEMP TABLE {table} (id TEXT PRIMARY KEY, at REAL) WITHOUT ROWID"
_PLACE = "INSERT INTO {table} VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET at = MAX(at, excluded.at)"
_CHANGED_SINCE = (
    "DELETE FROM up_again WHERE id IN (SELECT id FROM target JOIN up_again USING (id) WHERE ended > at)"
)


class Restore(Struct, frozen=True, kw_only=True):
    """One restore of a run, by its own journal."""

    id: RunId
    journal: Path
    brings_back: tuple[RunId, ...]
    """The runs that the restore brings back: one, or those of a chain."""
    begun: float | None
    """Unix seconds of its first request; None if it sent none."""
    live: bool
    """A process works on it now."""
    whole: bool
    """The restore has reached its end."""


def find_restores(runs: Path) -> tuple[Restore, ...]:
    """Return the restores in the folder ``runs`` that can be read, the oldest first."""
    return tuple(restore for restore in map(_read_restore, _list_folders(runs)) if restore is not None)


def find_unreadable(runs: Path, mark: str) -> Iterator[tuple[RunId, JournalError]]:
    """Yield the runs in the folder ``runs`` whose names hold ``mark`` and that cannot be read, and why."""
    for folder in _list_folders(runs):
        journal = folder / "journal.sqlite"
        if mark not in folder.name or not journal.exists():
            continue
        try:
            with closing(open_database(journal, write=False, whole=False)) as database:
                read_meta(database)
        except JournalError as error:
            yield RunId(folder.name), error


def _list_folders(runs: Path) -> list[Path]:
    try:
        return sorted(path for path in runs.iterdir() if not path.name.startswith("."))
    except OSError:  # the folder is missing, or another user's
        return []


def select_restores(run: RunId, restores: Iterable[Restore]) -> tuple[Restore, ...]:
    """Return the restores that bring back ``run`` and have begun or are about to."""
    return tuple(
        each for each in restores if run in each.brings_back and (each.begun is not None or each.live)
    )


def _read_restore(folder: Path) -> Restore | None:
    journal = folder / "journal.sqlite"
    opened = suppress(JournalError, OSError)
    with opened, closing(open_database(journal, write=False, whole=False)) as database:
        meta = read_meta(database)
        if meta.act != "restore":
            return None
        return Restore(
            id=RunId(folder.name),
            journal=journal,
            brings_back=meta.restored_runs,
            begun=database.one(_BEGUN)[0],
            live=_is_live(folder),
            whole=any(state == "complete" for (state,) in database.rows(_STATE)),
        )
    return None


def _is_live(folder: Path) -> bool:
    try:
        return read_lock(folder / "lock")[1]
    except OSError:
        return False


def collect_up_again(database: Database, gateways: Iterable[Gateway], restores: Iterable[Restore]) -> None:
    """Make the temporary table ``up_again``: the targets that ``restores`` have brought back, and when.

    ``database`` is the run's journal, ``gateways`` are those of its plan.
    """
    _collect(database, "up_again", _BROUGHT_BACK, gateways, restores)


def drop_changed_since(database: Database) -> None:
    """Take out of ``up_again`` the targets whose outcome in ``database`` is newer than their restore.

    Only a chain has such targets: a resume leaves alone what a restore of its run has brought back.
    """
    with database.translate_errors():
        database.run(_CHANGED_SINCE)


def collect_touched_again(
    database: Database, gateways: Iterable[Gateway], restores: Iterable[Restore]
) -> None:
    """Make the temporary table ``touched_again``: also the targets that a deploy may have reached."""
    _collect(database, "touched_again", _TOUCHED, gateways, restores)


def read_restored_outcome(
    restore: Restore, gateways: Iterable[Gateway], name: str
) -> tuple[str | None, str | None] | None:
    """Return the outcome and the reason that a restore has for the target ``name`` of its run.

    None if the restore does not touch the target, or if its journal cannot be read.
    """
    ours, _, parts = name.partition("/")
    installation = {gateway.name: gateway.installation for gateway in gateways}[ours]
    with suppress(JournalError), closing(open_database(restore.journal, write=False, whole=False)) as theirs:
        named = [known for known, place in _read_installations(theirs).items() if place == installation]
        for known in named:
            query = "SELECT outcome, reason FROM target WHERE id = ?"
            for outcome, reason in theirs.rows(query, (f"{known}/{parts}",)):
                return outcome, reason
    return None


def _read_installations(database: Database) -> dict[str, str]:
    """Return the installation of each gateway of a journal's plan, by its name."""
    return {gateway.name: gateway.installation for gateway in read_plan(database).gateways}


def _collect(
    database: Database,
    table: str,
    query: str,
    gateways: Iterable[Gateway],
    restores: Iterable[Restore],
) -> None:
    names: dict[str, list[str]] = {}
    for gateway in gateways:
        names.setdefault(gateway.installation, []).append(gateway.name)
    with database.translate_errors():
        database.run(_PLACES.format(table=table))
    for restore in restores:
        # A restore that cannot be read must not keep the run's own report from being made.
        with suppress(JournalError):
            database.run_many(_PLACE.format(table=table), _list_places(restore, query, names))


def _list_places(
    restore: Restore, query: str, names: Mapping[str, list[str]]
) -> Iterator[tuple[str, float | None]]:
    """Yield the rows that ``query`` gives of a restore, with the names that the run has for its gateways."""
    with closing(open_database(restore.journal, write=False, whole=False)) as database:
        theirs = _read_installations(database)
        for name, at in database.rows(query):
            # No digest was checked: a damaged id may be no text, or name no gateway.
            gateway, _, parts = str(name).partition("/")
            # The plan of the run may have two names for the installation, and each of them has ids.
            for ours in names.get(theirs.get(gateway, ""), ()):
                yield f"{ours}/{parts}", at
