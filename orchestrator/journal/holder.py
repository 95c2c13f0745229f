"""The lock of a run or of a state folder, and the entry in it that names the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import socket
import stat
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

import msgspec
from msgspec import Struct

from orchestrator.system.users import find_user_name

_TRIES = 100
_PLAINLY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A lock is a regular file: the program follows no link, and waits for no pipe."""
_MOMENT, _MOMENTS = 0.02, 25
"""Seconds between two looks at an entry that is being written, and how many there are."""


class UnkeptEnding(Struct, frozen=True, kw_only=True):
    """The end of a session that its process could not write into the journal, since the disk was full."""

    session: int
    """The number of the session."""
    state: Literal["stopped", "interrupted"]
    stopped_by: str | None
    exit_status: int


class LockHolder(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The process that works on a run. All is None if a process has the lock and its entry cannot be read."""

    user: str | None = None
    host: str | None = None
    pid: int | None = None
    since: str | None = None
    """When the process took the lock, in ISO 8601 with the offset."""
    unseen: bool = False
    """The lock is free, but the process may be alive: on a network file system this host need not know."""
    engine: str | None = None
    """The lock is free, but the distributed engine at this address may still work on the run."""
    engine_options: str | None = None
    """The options of a command that reaches that engine, as a shell takes them."""
    ending: UnkeptEnding | None = None
    """The lock is free, and its process has ended so; then the entry names no process."""

    @property
    def is_here(self) -> bool:
        """Return whether the process runs on this host, where a signal can reach it."""
        return self.pid is not None and self.host == socket.gethostname()

    def __str__(self) -> str:
        if self.engine is not None:
            return f"at work on {self.engine}, and no process here takes its results over"
        if None in (self.user, self.host, self.pid, self.since):
            return "held by another process"
        return f"held by {self.user} on {self.host}, process {self.pid}, since {self.since}"


class LockHeldError(Exception):
    """Another process has the lock."""

    def __init__(self, holder: LockHolder) -> None:
        super().__init__(str(holder))
        self.holder = holder


class HolderLock:
    """A lock that this process holds. ``before`` is the holder that was killed with it, if there was one.

    The entry keeps the ``ending`` once the lock is free.
    """

    def __init__(self, file: IO[str], before: LockHolder | None) -> None:
        self._file = file
        self.ending = None if before is None else before.ending
        self.before = before if self.ending is None else None
        self.entry = msgspec.json.encode(_describe_process()).decode()
        """The entry that names this process, as JSON."""

    def write_entry(self) -> None:
        """Write the entry. A full disk leaves it empty, but the lock holds all the same."""
        with suppress(OSError):
            self._replace_entry(self.entry)

    def close(self) -> None:
        """Empty the entry, but for an ``ending``, and release the lock.

        So the name of a process in a free lock means that it was killed.
        """
        with suppress(OSError):
            ending = self.ending and msgspec.json.encode(LockHolder(ending=self.ending)).decode()
            self._replace_entry(ending or "")
        self.release()

    def _replace_entry(self, text: str) -> None:
        handle, data = self._file.fileno(), text.encode()
        if data:
            # Past every buffer, so that closing the file writes nothing; and over the entry of before, whose
            # room a full disk has, too. JSON may end in spaces, so a reader finds no rest of that entry.
            os.pwrite(handle, data.ljust(os.fstat(handle).st_size), 0)
        os.ftruncate(handle, len(data))

    def release(self) -> None:
        """Release the lock and leave the entry as it is."""
        self._file.close()


def take_lock(path: Path) -> HolderLock:
    """Take the lock in the file at ``path``, which is made if it is missing. The entry is not written yet.

    The kernel drops a lock with its process, so the lock of a killed process is taken over. Raises
    LockHeldError if a process has the lock, OSError if the file cannot be written.
    """
    handle = _open_lock(path, os.O_RDWR | os.O_CREAT)
    with ExitStack() as stack:
        file = stack.enter_context(os.fdopen(handle, "r+", encoding="utf-8", errors="replace"))
        if not _try_lock(handle):
            raise LockHeldError(_read_entry(file) or LockHolder())
        lock = HolderLock(file, _read_entry(file))
        stack.pop_all()
    return lock


def read_lock(path: Path) -> tuple[LockHolder | None, bool]:
    """Return the holder in the entry at ``path``, and whether a process on this host has the lock.

    Raises OSError if the file cannot be read. A missing file is a free lock.
    """
    try:
        # Shared and for reading: that works on a read-only disk, and two readers do not block each other.
        handle = _open_lock(path, os.O_RDONLY)
        with os.fdopen(handle, encoding="utf-8", errors="replace") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _await_entry(file), True
            return _read_entry(file), False
    except FileNotFoundError:
        return None, False


def _open_lock(path: Path, mode: int) -> int:
    """Open the file of a lock. Raises OSError, also if something else stands in its place."""
    handle = os.open(path, mode | _PLAINLY, 0o600)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError(errno.EINVAL, "lock is no regular file", str(path))


def _await_entry(file: IO[str]) -> LockHolder | None:
    """Return the holder of a held lock; a process that has just taken the lock gets a moment to write."""
    for _ in range(_MOMENTS):
        if entry := _read_entry(file):
            return entry
        time.sleep(_MOMENT)
        file.seek(0)
    return None


def _read_entry(file: IO[str]) -> LockHolder | None:
    """Return the holder in the entry: None if it is empty, a holder without names if it cannot be read."""
    text = file.read()
    # The end of a run empties its entry, so an empty one names no holder that was killed.
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=LockHolder)
    # A full disk or a newer program may have left it so. That some process was here is still true.
    except msgspec.MsgspecError:
        return LockHolder()


def _describe_process() -> LockHolder:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    user = find_user_name(os.getuid()) or str(os.getuid())
    return LockHolder(user=user, host=socket.gethostname(), pid=os.getpid(), since=since)


def _try_lock(handle: int) -> bool:
    """Take the lock, and return whether that was possible: another process may hold it.

    A process that only reads the entry has a share of the lock for an instant. A second share beside a reader
    is possible, beside a holder it is not: so the program tells both apart.
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
            time.sleep(random.random() * 0.02)  # noqa: S311 - two processes that start at once must not go in step
        else:
            return True
    return False
