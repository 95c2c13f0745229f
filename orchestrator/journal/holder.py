"""A lock that a process holds, and the entry in it that says who: of one run, or of a state folder."""

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
from typing import IO

import msgspec
from msgspec import Struct

from orchestrator.system.users import find_user_name

_TRIES = 100
_PLAINLY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A lock is a file: a link is not followed, and a pipe holds nobody up."""
_MOMENT, _MOMENTS = 0.02, 25
"""Seconds between two looks at an entry that is being written, and how many there are."""


class LockHolder(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who works on a run. All is None where a process has the lock and its entry cannot be read."""

    user: str | None = None
    host: str | None = None
    pid: int | None = None
    since: str | None = None
    """When it took the lock, in ISO 8601 with the offset."""
    unseen: bool = False
    """The lock is free, but on a network file system it need not be known on this host: it may live."""

    @property
    def is_here(self) -> bool:
        """Whether the process runs on this host, where a signal can reach it."""
        return self.pid is not None and self.host == socket.gethostname()

    def __str__(self) -> str:
        if None in (self.user, self.host, self.pid, self.since):
            return "held by another process"
        return f"held by {self.user} on {self.host}, process {self.pid}, since {self.since}"


class LockHeldError(Exception):
    """A process has the lock."""

    def __init__(self, holder: LockHolder) -> None:
        super().__init__(str(holder))
        self.holder = holder


class HolderLock:
    """A lock that this process holds. ``before`` is the holder that was killed with it, if there was one."""

    def __init__(self, file: IO[str], before: LockHolder | None) -> None:
        self._file = file
        self.before = before
        self.entry = msgspec.json.encode(_describe_process()).decode()
        """We ourselves, as the entry that stands in the file."""

    def name_us(self) -> None:
        """Write our entry; a full disk keeps us from naming ourselves, not from holding the lock."""
        with suppress(OSError):
            os.ftruncate(self._file.fileno(), 0)
            os.pwrite(self._file.fileno(), self.entry.encode(), 0)  # past every buffer: close writes nothing

    def close(self) -> None:
        """Empty the entry, so that one that is left means a holder who was killed, and let go."""
        with suppress(OSError):
            os.ftruncate(self._file.fileno(), 0)
        self.leave()

    def leave(self) -> None:
        """Let go, and leave the entry as it is."""
        self._file.close()


def take_lock(path: Path) -> HolderLock:
    """Take the lock that the file at ``path`` is; it is made where it is missing. Names nobody in it yet.

    The kernel drops a lock with its process, so a dead holder's is taken over. Raises HeldError where a
    process has it, OSError where the file cannot be written.
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
    """Return whom the entry at ``path`` names, and whether a process of this host's kernel has the lock.

    Raises OSError where the file cannot be read; a missing one is a lock that nobody has.
    """
    try:
        # Shared and for reading: a read-only disk lets us, and two who ask do not meet each other.
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
    """Open the file that is a lock. Raises OSError, also where something else stands in its place."""
    handle = os.open(path, mode | _PLAINLY, 0o600)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError(errno.EINVAL, "lock is no regular file", str(path))


def _await_entry(file: IO[str]) -> LockHolder | None:
    """Return whom the entry of a held lock names; one who has just taken it gets a moment to write there."""
    for _ in range(_MOMENTS):
        if entry := _read_entry(file):
            return entry
        time.sleep(_MOMENT)
        file.seek(0)
    return None


def _read_entry(file: IO[str]) -> LockHolder | None:
    """Return whom the entry names: None where it is empty, nobody known where it cannot be read."""
    text = file.read()
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=LockHolder)
    except msgspec.MsgspecError:
        return LockHolder()


def _describe_process() -> LockHolder:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    user = find_user_name(os.getuid()) or str(os.getuid())
    return LockHolder(user=user, host=socket.gethostname(), pid=os.getpid(), since=since)


def _try_lock(handle: int) -> bool:
    """Take the lock; False where somebody works under it.

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
