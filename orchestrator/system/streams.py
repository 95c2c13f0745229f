"""Write to standard output and standard error without ever waiting for a reader that has stopped.

A pipe whose reader has stopped takes nothing more, and neither does a terminal that hangs: a plain write
would wait for ever, and the run with it. Here a thread waits instead. Later output stays in memory until the
reader takes it, or until there is too much of it.
"""

from __future__ import annotations

import codecs
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
"""Bytes kept in memory for a reader that takes none."""

MOMENT = 0.2
"""Seconds for one write to a terminal, before the terminal counts as hanging."""

PATIENCE = 10.0
"""Seconds at the end of the program in which a reader must take something, or else gets no more."""


class WriteError(OSError):
    """The descriptor takes no more bytes, as on a full disk."""


class PatientOutput(io.RawIOBase):
    """A descriptor whose ``write`` never blocks.

    With ``strict``, the first write that is lost raises: BrokenPipeError if the reader has gone, otherwise
    WriteError. Without ``strict`` no write raises.
    """

    def __init__(self, descriptor: int, *, strict: bool, most: int = MOST) -> None:
        self._descriptor = descriptor
        self._strict = strict
        self._most = most
        self._terminal = os.isatty(descriptor)
        # The descriptor keeps its mode, which belongs to the shell and to all others on the terminal, too.
        self._blocks = _may_block(descriptor)
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._changed = Condition()
        self._thread: Thread | None = None
        self._hangs = False
        self._error: OSError | None = None
        self._has_raised = False

    @property
    def name(self) -> str:
        """The descriptor, as Python calls it."""
        return {1: "<stdout>", 2: "<stderr>"}.get(self._descriptor, str(self._descriptor))

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether the descriptor is a terminal."""
        return self._terminal

    def writable(self) -> bool:
        """Return True, as io.RawIOBase wants it."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Take ``data``; return its length."""
        given = bytes(data)
        with self._changed:
            if self._error is None:
                self._accept(given)
            self._raise_error()
        return len(given)

    @property
    def is_behind(self) -> bool:
        """Return whether the reader has not yet taken all."""
        return self._size > 0

    def drain(self, patience: float = PATIENCE) -> None:
        """Wait until all is written, or until the reader has taken nothing for ``patience`` seconds."""
        with self._changed:
            left, since = self._size, time.monotonic()
            while self._size and self._error is None and time.monotonic() - since < patience:
                self._changed.wait(0.1)
                if self._size < left:
                    left, since = self._size, time.monotonic()

    def _accept(self, data: bytes) -> None:
        if not self._blocks:
            self._write(data)
            return
        rest = data if self._waiting or self._terminal else self._write_what_fits(data)
        if rest and self._error is None:
            self._enqueue(rest)

    def _write_what_fits(self, data: bytes) -> bytes:
        """Write as much as is sure not to block; return the rest."""
        while data and self._error is None and _is_ready(self._descriptor):
            left = self._write(data[:SAFE])
            data = left + data[SAFE:]
            if left:
                break
        return data

    def _write(self, data: bytes) -> bytes:
        """Write all of ``data``; return what a descriptor that never blocks does not take now."""
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except BlockingIOError:
            return data
        except OSError as error:
            self._error = error
        return b""

    def _enqueue(self, data: bytes) -> None:
        """Leave ``data`` to the thread. Wait a moment for a terminal, so that its lines keep their order."""
        if self._size + len(data) > self._most:
            if self._strict:
                self._error = OSError(errno.ENOBUFS, "nobody reads them")
            return
        self._waiting.append(data)
        self._size += len(data)
        if self._thread is None:
            # A daemon, since the end of the program must not wait for a reader.
            self._thread = Thread(target=self._write_queue, name=f"output {self._descriptor}", daemon=True)
            self._thread.start()
        self._changed.notify_all()
        if self._terminal and not self._hangs:
            self._hangs = not self._changed.wait_for(lambda: not self._size or self._error, MOMENT)

    def _write_queue(self) -> None:
        while self._send_next():
            pass

    def _send_next(self) -> bool:
        """Write some of the queue; return False once the descriptor takes no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            data = self._waiting[0]
        try:
            count = os.write(self._descriptor, data[:SAFE])
        except BlockingIOError:
            # Another program has set this mode, which all of a terminal's programs share: so wait by hand.
            _wait_until_ready(self._descriptor)
            return True
        except OSError as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()
            return False
        with self._changed:
            self._drop_written(data, count)
            self._changed.notify_all()
        return True

    def _drop_written(self, data: bytes, count: int) -> None:
        self._size -= count
        if count < len(data):
            self._waiting[0] = data[count:]
        else:
            self._waiting.popleft()
        self._hangs = self._hangs and self._size > 0

    def _raise_error(self) -> None:
        if self._strict and self._error is not None and not self._has_raised:
            self._has_raised = True
            if isinstance(self._error, BrokenPipeError):
                raise self._error
            raise WriteError(self._error.errno, self._error.strerror)


def _may_block(descriptor: int) -> bool:
    """Return whether a write may wait for a reader."""
    mode = os.fstat(descriptor).st_mode
    return os.isatty(descriptor) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _is_ready(descriptor: int) -> bool:
    return bool(_ask_for_room(descriptor).poll(0))


def _wait_until_ready(descriptor: int) -> None:
    _ask_for_room(descriptor).poll()


def _ask_for_room(descriptor: int) -> select.poll:
    asked = select.poll()
    asked.register(descriptor, select.POLLOUT)
    return asked


def is_behind(stream: TextIO) -> bool:
    """Return whether the reader of a standard stream has not yet taken all that was written to it."""
    output = getattr(stream, "buffer", None)
    return isinstance(output, PatientOutput) and output.is_behind


def hold_descriptors() -> None:
    """Open /dev/null on each of the descriptors 0 to 2 that is closed.

    Otherwise the next file that the program opens would get that number, and standard output would go into
    that file: the journal, for example.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(
                os.open(os.devnull, os.O_RDWR), True
            )  # open() takes the lowest free number: this one
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for good
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


class StandardStreams:
    """The program's standard streams, to its end. A failing stdout raises once; a failing stderr never."""

    def __init__(self) -> None:
        self._outputs = (PatientOutput(1, strict=True), PatientOutput(2, strict=False))
        if isinstance(sys.stdin, io.TextIOWrapper):
            # What is typed in another character set is no answer, and must not end a run that asks.
            sys.stdin.reconfigure(errors="replace")
        sys.stdout = _wrap_stream(self._outputs[0], sys.stdout)
        sys.stderr = _wrap_stream(self._outputs[1], sys.stderr)

    def drain(self, patience: float = PATIENCE) -> None:
        """Write the rest, as ``PatientOutput.drain`` does. Raises OSError if stdout cannot be written."""
        try:
            sys.stdout.flush()
        finally:
            with suppress(OSError):
                sys.stderr.flush()
            for output in self._outputs:
                output.drain(patience)


def _wrap_stream(output: PatientOutput, before: TextIO) -> io.TextIOWrapper:
    assert isinstance(before, io.TextIOWrapper)  # noqa: S101 - Python makes no other kind
    before.flush()
    # A name in another script must not end a run because the terminal's character set lacks its letters.
    is_complete = codecs.lookup(before.encoding).name.startswith("utf")
    # No buffer in between: if a signal interrupts its write, a buffer writes the same bytes again.
    return io.TextIOWrapper(
        output,
        encoding=before.encoding,
        errors=before.errors if is_complete else "backslashreplace",
        line_buffering=before.line_buffering,
    )
