"""What a program writes to a descriptor that somebody reads, or does not: it never waits for them in vain.

A pipe whose reader has stopped, or a terminal that hangs, takes nothing more, and a write would wait for
ever. Here it waits in a thread, and what follows is kept until it is taken, or is too much.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
import time
from collections import deque
from contextlib import suppress
from threading import Condition, Thread
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

SAFE = 4096
"""Bytes that a pipe which is ready takes at once (Linux's PIPE_BUF)."""

MOST = 16 * 1024 * 1024
"""Bytes that are kept for a reader who takes none."""

MOMENT = 0.2
"""Seconds that a terminal gets for one write, before it counts as one that hangs."""

PATIENCE = 10.0
"""Seconds at the end of a program in which a reader must take something, or it gets no more."""


class WriteError(OSError):
    """The descriptor takes no more, as a full disk does."""


class Outlet(io.RawIOBase):
    """A descriptor to write to.

    With ``strict``, the write after which nothing is written any more raises BrokenPipeError where the reader
    has gone, else WriteError. Otherwise nothing raises.
    """

    def __init__(self, descriptor: int, *, strict: bool, most: int = MOST) -> None:
        self._descriptor = descriptor
        self._strict = strict
        self._most = most
        self._terminal = os.isatty(descriptor)
        self._blocks = _blocks(descriptor)
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._changed = Condition()
        self._thread: Thread | None = None
        self._hangs = False
        self._error: OSError | None = None
        self._told = False

    @property
    def name(self) -> str:
        """The descriptor, as Python calls it."""
        return {1: "<stdout>", 2: "<stderr>"}.get(self._descriptor, str(self._descriptor))

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._terminal

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Take ``data``; return its length."""
        given = bytes(data)
        with self._changed:
            if self._error is None:
                self._take(given)
            self._tell()
        return len(given)

    def drain(self, patience: float = PATIENCE) -> None:
        """Return when all is written, or nothing was taken for so many seconds."""
        with self._changed:
            left, since = self._size, time.monotonic()
            while self._size and self._error is None and time.monotonic() - since < patience:
                self._changed.wait(0.1)
                if self._size < left:
                    left, since = self._size, time.monotonic()

    def _take(self, data: bytes) -> None:
        if not self._blocks:
            self._write(data)
            return
        rest = data if self._waiting or self._terminal else self._at_once(data)
        if rest and self._error is None:
            self._keep(rest)

    def _at_once(self, data: bytes) -> bytes:
        """Write what is sure not to block; return the rest."""
        while data and self._error is None and _ready(self._descriptor):
            self._write(data[:SAFE])
            data = data[SAFE:]
        return data

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            self._error = error

    def _keep(self, data: bytes) -> None:
        """Hand it to the thread; a terminal is waited for a moment, so that lines keep their order."""
        if self._size + len(data) > self._most:
            if self._strict:
                self._error = OSError(errno.ENOBUFS, "nobody reads them")
            return
        self._waiting.append(data)
        self._size += len(data)
        if self._thread is None:
            self._thread = Thread(target=self._work, name=f"outlet {self._descriptor}", daemon=True)
            self._thread.start()
        self._changed.notify_all()
        if self._terminal and not self._hangs:
            self._hangs = not self._changed.wait_for(lambda: not self._size or self._error, MOMENT)

    def _work(self) -> None:
        while self._send_next():
            pass

    def _send_next(self) -> bool:
        """Write some of what waits; False where that cannot be written any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            data = self._waiting[0]
        try:
            count = os.write(self._descriptor, data[:SAFE])
        except OSError as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()
            return False
        with self._changed:
            self._written(data, count)
            self._changed.notify_all()
        return True

    def _written(self, data: bytes, count: int) -> None:
        self._size -= count
        if count < len(data):
            self._waiting[0] = data[count:]
        else:
            self._waiting.popleft()
        self._hangs = self._hangs and self._size > 0

    def _tell(self) -> None:
        if self._strict and self._error is not None and not self._told:
            self._told = True
            if isinstance(self._error, BrokenPipeError):
                raise self._error
            raise WriteError(self._error.errno, self._error.strerror)


def _blocks(descriptor: int) -> bool:
    """Whether a write may wait for somebody who reads."""
    mode = os.fstat(descriptor).st_mode
    return os.isatty(descriptor) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _ready(descriptor: int) -> bool:
    asked = select.poll()
    asked.register(descriptor, select.POLLOUT)
    return bool(asked.poll(0))


def hold_descriptors() -> None:
    """Have descriptors 0 to 2 be there: one that is closed is /dev/null from now on.

    Otherwise the next file that is opened would take its place, and be written to as the standard output.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free: this one
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for good
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


class Standard:
    """The standard streams of a program, from now to its end: stdout says once that it cannot be written,
    stderr never does."""

    def __init__(self) -> None:
        self._outlets = (Outlet(1, strict=True), Outlet(2, strict=False))
        sys.stdout = _stream(self._outlets[0], sys.stdout)
        sys.stderr = _stream(self._outlets[1], sys.stderr)

    def drain(self, patience: float = PATIENCE) -> None:
        """Write what is left, as ``Outlet.drain`` does; raises OSError where stdout cannot be written."""
        try:
            sys.stdout.flush()
        finally:
            with suppress(OSError):
                sys.stderr.flush()
            for outlet in self._outlets:
                outlet.drain(patience)


def _stream(outlet: Outlet, before: TextIO) -> io.TextIOWrapper:
    assert isinstance(before, io.TextIOWrapper)  # noqa: S101 - it is what Python has made of the descriptor
    before.flush()
    # Without a buffer between: one that is interrupted in a write would write the same again.
    return io.TextIOWrapper(
        outlet,
        encoding=before.encoding,
        errors=before.errors,
        line_buffering=before.line_buffering,
    )
