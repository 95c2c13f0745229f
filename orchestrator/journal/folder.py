"""The folder of a run: its files, its lock, and what its journal says of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from orchestrator.errors import JournalError, RunError
from orchestrator.journal.cells import check_cells, check_sessions
from orchestrator.journal.database import Database, open_database
from orchestrator.journal.engine_mark import read_engine_mark
from orchestrator.journal.holder import (
    HolderLock,
    LockHeldError,
    LockHolder,
    UnkeptEnding,
    read_lock,
    take_lock,
)
from orchestrator.journal.meta import read_meta, read_plan_header, read_plan_name
from orchestrator.journal.mounts import find_network_file_system
from orchestrator.journal.ownership import check_run
from orchestrator.journal.planned import check_planned
from orchestrator.journal.report_source import JournalReportSource
from orchestrator.journal.restores import Restore, find_restores, select_restores
from orchestrator.journal.run_report import RunOverview, SessionEnding
from orchestrator.journal.sessions import read_sessions
from orchestrator.model.plan import PlannedNotification, RunId
from orchestrator.system.state_folder import REHEARSALS, format_state_option, runs_folder

RunState = Literal["running", "complete", "stopped", "interrupted", "killed"]


class RunFolder:
    """``<state>/runs/<run id>/``. Holds no file open by itself.

    ``ending`` is the newest session's end as its own process knows it, if the journal could not be told.
    ``network`` returns the type of the network file system that a folder is on, None for a local one.
    """

    def __init__(
        self,
        path: Path,
        *,
        ending: SessionEnding | None = None,
        network: Callable[[Path], str | None] = find_network_file_system,
    ) -> None:
        self.path = path
        self.remarks: tuple[str, ...] = ()
        """Remarks for people on the lock that this process took, one line each."""
        self._ending = ending
        self._network = network
        self._lock: HolderLock | None = None

    @property
    def id(self) -> RunId:
        """The run's id: the folder's name."""
        return RunId(self.path.name)

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.path / "journal.sqlite"

    def read_journal_stamp(self) -> tuple[tuple[int, int], ...]:
        """Return what another write to the journal changes: the times and the sizes of its files.

        The newest rows of a run that was killed stand in a file of their own, where the next session adds
        to them. Raises FileNotFoundError without a journal.
        """
        files = [self.journal.stat()]
        with suppress(FileNotFoundError):
            files.append(self.journal.with_name(f"{self.journal.name}-wal").stat())
        # Whoever reads may leave that file behind without a row in it.
        return tuple((file.st_mtime_ns, file.st_size) for file in files if file.st_size)

    @property
    def plan(self) -> Path:
        """The plan as it was run."""
        return self.path / "plan.yaml"

    @property
    def state_option(self) -> str:
        """`` --state DIR`` as a command about this run needs it; empty where it needs none."""
        runs = self.path.parent
        state = runs.parent
        is_kept = runs in (runs_folder(state), runs_folder(state, rehearsal=True))
        return format_state_option(state) if is_kept else ""

    @property
    def is_rehearsal(self) -> bool:
        """Whether it is kept with the rehearsals: it was sent to no real gateway."""
        return self.path.resolve().parent.name == REHEARSALS

    def find_state_folder(self, otherwise: Path) -> Path:
        """Return the state folder that the run is kept in; ``otherwise`` if it lies outside of any."""
        runs = self.path.resolve().parent
        return runs.parent if runs == runs_folder(runs.parent) else otherwise

    @property
    def act(self) -> str:
        """The act of the run: ``undeploy`` or ``restore``; the first if that cannot be read."""
        return self._read(lambda database: read_meta(database).act) or "undeploy"

    @property
    def plan_name(self) -> str:
        """The name of its plan; empty if that cannot be read."""
        return self._read(read_plan_name)

    def read_notifications(self) -> tuple[tuple[PlannedNotification, ...], Path]:
        """Return the notifications that its plan asks for, and the folder of their relative paths."""
        check_run(self.path)
        with closing(open_database(self.journal, write=False, whole=False)) as database:
            return read_plan_header(database).notify, Path(read_meta(database).folder)

    def _read(self, read: Callable[[Database], str]) -> str:
        check_run(self.path)
        opened = suppress(JournalError)
        with opened, closing(open_database(self.journal, write=False, whole=False)) as database:
            return read(database)
        return ""

    def list_restores(self, *, among: Iterable[Restore] | None = None) -> tuple[Restore, ...]:
        """Return the restores of this run that have begun or are about to, the oldest first.

        ``among`` are the restores beside the run's folder; without them this method reads the folders there.
        """
        return select_restores(self.id, find_restores(self.path.resolve().parent) if among is None else among)

    def open(self, *, write: bool = False, whole: bool = True, checked: bool = False) -> Database:
        """Open the journal. Raises JournalError if that fails, RunError if the folder is another user's.

        ``whole`` is as for ``open_database``. ``checked`` also looks whether the plan and the targets are
        those with which the run began, and whether the program can have written all cells.
        """
        check_run(self.path)
        database = open_database(self.journal, write=write, whole=whole)
        try:
            if checked:
                check_planned(database)
                check_cells(database)
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def open_source(
        self, *, among: Iterable[Restore] | None = None, whole: bool = True, ours: bool = False
    ) -> Iterator[JournalReportSource]:
        """Open the journal for a report. A run that goes on meanwhile is shown as it is at this moment.

        ``among`` is as in ``list_restores``, ``whole`` as for ``open_database``. All that is read whole is
        checked as ``open`` does, unless it is ``ours``: this process has just written it. Else the sessions
        are checked, which are few.
        """
        database = self.open(whole=whole, checked=whole and not ours)
        try:
            check_sessions(database)
            held = self.describe_holder() is not None
            restores = self.list_restores(among=among)
            ending = self._ending or (None if held else self.find_unkept_ending(database))
            yield JournalReportSource(database, self.id, held=held, ending=ending, restores=restores)
        finally:
            database.close()

    def find_unkept_ending(self, database: Database) -> SessionEnding | None:
        """Return how the newest session ended, if its process could not write that into the journal."""
        kept = None
        with suppress(OSError):  # whoever asks for the holder is told of it
            entry, _ = read_lock(self.path / "lock")
            kept = None if entry is None else entry.ending
        # A later session that has begun has an end of its own, or was killed.
        newest = max((session.number for session in read_sessions(database)), default=1)
        if kept is None or kept.session != newest:
            return None
        return SessionEnding(kept.state, kept.stopped_by, kept.exit_status)

    @property
    def earlier_ending(self) -> UnkeptEnding | None:
        """The end of an earlier session that the journal does not have, while this process holds the lock."""
        return None if self._lock is None else self._lock.ending

    def keep_ending(self, ending: UnkeptEnding | None) -> None:
        """Have the entry of the lock that this process holds keep an end which the journal does not have."""
        if self._lock is not None:
            self._lock.ending = ending

    def read_overview(self, *, among: Iterable[Restore] | None = None, requests: bool = False) -> RunOverview:
        """Return the run with its counts, as a list of many runs shows it.

        A damaged page is found only where the counts are read. ``among`` is as in ``list_restores``;
        ``requests`` counts the requests as well.
        """
        with self.open_source(among=among, whole=False) as source:
            return source.read_overview(requests=requests)

    def read_state(self) -> RunState:
        """Return the state of the run."""
        return self.read_overview().run.state

    def describe_holder(self) -> str | None:
        """Return in words who holds the run's lock (user, host, process, since when), or None."""
        holding = self.read_holder()
        return None if holding is None else str(holding)

    def read_holder(self) -> LockHolder | None:
        """Return the process that holds the run's lock, or None.

        On a network file system a process of another host counts although the lock is free. So does a
        distributed engine that may still work on the run.
        """
        check_run(self.path)
        try:
            entry, held = read_lock(self.path / "lock")
        except OSError as error:
            raise RunError(f"{self.path}: who holds the run cannot be read: {error.strerror}") from error
        if held:
            return entry or LockHolder()
        return self._find_unseen_holder(entry) or self._find_engine()

    def _find_engine(self) -> LockHolder | None:
        mark = read_engine_mark(self.path)
        # A process that was killed at its very end has left the mark, and an end in the journal.
        if mark is None or self._read(_read_newest_end):
            return None
        return LockHolder(engine=mark.address, engine_options=mark.to_engine)

    @contextmanager
    def lock(self) -> Iterator[str]:
        """Hold the run's lock for the block; yields the entry of this process as JSON.

        The kernel drops the lock with its process, so the lock of a killed process is taken over, and the
        ``remarks`` say so. Raises RunError if another process holds the lock, or if it cannot be written.
        """
        check_run(self.path)
        try:
            lock = take_lock(self.path / "lock")
        except LockHeldError as error:
            raise RunError(
                f"run {self.id} is going on: {error.holder};"
                f" `undeploy status {self.id}{self.state_option}` tells how it stands"
            ) from None
        except OSError as error:
            raise RunError(f"{self.path}: the run cannot be locked: {error.strerror}") from error
        unseen = self._find_unseen_holder(lock.before)
        if unseen:
            lock.release()
            raise RunError(f"run {self.id} may be going on: {unseen}. {self.explain_unseen_end(unseen)}")
        with closing(lock):
            lock.write_entry()
            self.remarks = tuple(self._list_remarks(lock.before))
            self._lock = lock
            try:
                yield lock.entry
            finally:
                self._lock = None

    def explain_unseen_end(self, holder: LockHolder) -> str:
        """Say why this host cannot see the end of ``holder``, and name the remedy."""
        kind = self._network(self.path)
        return (
            f"The folder is on a network file system ({kind}), where the end of a process on another host"
            f" cannot be seen from this one. End it there, or remove {self.path / 'lock'} if {holder.host} is"
            " gone"
        )

    def _find_unseen_holder(self, entry: LockHolder | None) -> LockHolder | None:
        """Return the process in the entry of a free lock, if it may be at work all the same."""
        if entry is None or entry.host in (None, socket.gethostname()) or not self._network(self.path):
            return None
        # flock may not reach another host there, so a free lock proves the end of our own processes only.
        return replace(entry, unseen=True)

    def _list_remarks(self, before: LockHolder | None) -> Iterator[str]:
        if before is not None:
            yield f"the run was {before}, which has ended"
        if kind := self._network(self.path):
            yield (
                f"{self.path} is on a network file system ({kind}): the lock and the journal hold between"
                " processes of one host only, so do not start or resume runs kept here from another one"
            )

    def remove(self) -> None:
        """Delete the folder. Raises RunError if a process works on the run."""
        import shutil  # noqa: PLC0415 - slow to import, and a list of runs needs none

        # Locked, so that no resume can begin on a run that is being removed.
        with self.lock():
            shutil.rmtree(self.path)


def _read_newest_end(database: Database) -> str:
    """Return how the newest session ended; empty if it has no end."""
    newest = next(reversed(read_sessions(database)), None)
    return "" if newest is None else newest.state or ""
