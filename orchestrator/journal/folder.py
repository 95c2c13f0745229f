"""The folder of a run: its files, its lock, and how it is found."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import random
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from orchestrator.errors import JournalError, RunError
from orchestrator.journal.account import Ending, JournalAccount
from orchestrator.journal.database import Database, open_database
from orchestrator.model import RunId

State = Literal["running", "complete", "stopped", "interrupted", "killed"]

_TRIES = 100


class RunFolder:
    """``<state>/runs/<run id>/``. Holds nothing open by itself.

    ``ending`` is what its own process knows about the newest session's end, for a journal that does not.
    """

    def __init__(self, path: Path, *, ending: Ending | None = None) -> None:
        self.path = path
        self._ending = ending

    @property
    def id(self) -> RunId:
        """The run's id: the folder's name."""
        return RunId(self.path.name)

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.path / "journal.sqlite"

    @property
    def plan(self) -> Path:
        """The plan as it was run."""
        return self.path / "plan.yaml"

    def open(self, *, write: bool = False) -> Database:
        """Open the journal. Raises JournalError where that cannot be done."""
        return open_database(self.journal, write=write)

    @contextmanager
    def account(self) -> Iterator[JournalAccount]:
        """Open the journal for a report. A run that goes on meanwhile is shown as it is at this moment."""
        database = self.open()
        try:
            held = self.holder() is not None
            yield JournalAccount(database, self.id, held=held, ending=self._ending)
        finally:
            database.close()

    def state(self) -> State:
        """Say how the run stands."""
        with self.account() as account:
            return account.report.run.state

    def holder(self) -> str | None:
        """Return who holds the run's lock (user, host, process, since when), or None."""
        try:
            # Shared and for reading: a read-only disk lets us, and two who ask do not meet each other.
            with (self.path / "lock").open(encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return _describe(file.read())
        except FileNotFoundError:
            pass
        return None

    @contextmanager
    def locked(self) -> Iterator[str]:
        """Hold the run's lock for the block; yields our own entry as JSON.

        The kernel drops the lock with the process, so a dead holder's is taken over. Raises RunError
        where somebody holds it, or where nothing can be written.
        """
        try:
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RunError(f"{self.path}: the run cannot be locked: {error.strerror}") from error
        with os.fdopen(handle, "r+", encoding="utf-8") as file:
            if not _take(handle):
                raise RunError(f"run {self.id} is going on: {_describe(file.read())}")
            entry = json.dumps(_ourselves())
            with suppress(OSError):  # a full disk keeps us from naming ourselves, not from holding the lock
                file.truncate()
                file.write(entry)
                file.flush()
            yield entry

    def remove(self) -> None:
        """Delete the folder. Raises RunError where the run is going on."""
        with self.locked():
            shutil.rmtree(self.path)


def runs_folder(state: Path, *, rehearsal: bool = False) -> Path:
    """Return where the runs (or rehearsals) of a state folder are kept."""
    return state / ("rehearsals" if rehearsal else "runs")


def list_runs(state: Path, *, rehearsals: bool = False) -> list[RunFolder]:
    """Return the runs kept in a state folder, newest first."""
    folder = runs_folder(state, rehearsal=rehearsals)
    if not folder.is_dir():
        return []
    found = (RunFolder(path) for path in folder.iterdir() if not path.name.startswith("."))
    return sorted((run for run in found if run.journal.is_file()), key=lambda run: run.id, reverse=True)


def find_run(state: Path, ref: str) -> RunFolder:
    """Return the run that ``ref`` means: an id, a folder, or ``latest`` (no rehearsal). Raises RunError."""
    if ref == "latest":
        runs = list_runs(state)
        if not runs:
            raise RunError(f"there is no run in {runs_folder(state)}; --state names another state folder")
        return runs[0]
    candidates = [runs_folder(state) / ref, runs_folder(state, rehearsal=True) / ref, Path(ref)]
    for path in candidates:
        if (path / "journal.sqlite").is_file():
            return RunFolder(path)
    raise RunError(f"there is no run {ref!r} in {state}; `undeploy runs` lists what there is")


def new_folder(state: Path, *, name: str, suffix: str, at: float, rehearsal: bool = False) -> Path:
    """Return the path of a new run's folder, whose id sorts by time; the folder is not made."""
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%d-%H%M%S%f")[:18]
    return runs_folder(state, rehearsal=rehearsal) / f"{stamp}-{name}-{suffix}"


def publish(draft: Path, folder: Path) -> RunFolder:
    """Move a finished draft to where runs are kept; durable when it returns.

    Raises JournalError where that cannot be done; then nothing of it is left there.
    """
    made = waiting = folder.with_name(f".{folder.name}")
    try:
        _make_private(folder.parent)
        shutil.move(draft, waiting)
        for path in waiting.iterdir():
            path.chmod(0o600)
            _sync(path)
        waiting.chmod(0o700)
        _sync(waiting)
        made = waiting.rename(folder)
        _sync(folder.parent)
    except OSError as error:
        shutil.rmtree(made, ignore_errors=True)
        why = error.strerror or error
        place = folder if folder.parent.is_dir() else folder.parent
        raise JournalError(f"{place}: runs cannot be kept here: {why}") from error
    return RunFolder(folder)


def _make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, for nobody else, whatever the umask says."""
    if not folder.is_dir():
        _make_private(folder.parent)
        with suppress(FileExistsError):  # another run was faster
            folder.mkdir()
            folder.chmod(0o700)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _ourselves() -> dict[str, str | int]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"user": _user(), "host": socket.gethostname(), "pid": os.getpid(), "since": since}


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _take(handle: int) -> bool:
    """Take the lock; False where somebody works on the run.

    One who asks for the holder has a share of the lock for an instant. To have a share beside them is
    possible, beside a holder it is not: so they are told apart, and not mistaken for one.
    """
    for _ in range(_TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            fcntl.flock(handle, fcntl.LOCK_UN)
            time.sleep(random.random() * 0.02)  # noqa: S311 - two who start at once must not go in step
        else:
            return True
    return False


def _describe(entry: str) -> str:
    try:
        held = json.loads(entry)
        return "held by {user} on {host}, process {pid}, since {since}".format(**held)
    except (ValueError, KeyError, TypeError):
        return "held by another process"
