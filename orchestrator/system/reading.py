"""Read the files that a person names, so that no file can block the program or fill its memory.

A path may lead to anything: a pipe without a writer, a device without an end, five gigabytes. This module
refuses anything but a regular file before opening it. Where a pipe may stand for a file, its writer has a
limited time.
"""

from __future__ import annotations

import errno
import os
import selectors
import stat
import time
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

LARGEST = 64 << 20
"""Bytes of a plan, a protect file, an approval, certificates, or a list of targets out of a pipe."""

PATIENCE = 30.0
"""Seconds in which a pipe's writer must deliver everything."""

_BLOCK = 1 << 16
# Another file may take this one's place before it is opened: opening a pipe must not wait then, and a
# terminal must not become the terminal of this process.
_READ_ONLY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class FileRefusedError(Exception):
    """A file cannot be read, or must not be. ``message`` says why, as a clause that follows the file's name.

    ``system`` is the operating system's own message; empty where the reason is this program's.
    """

    def __init__(self, message: str, hint: str = "", *, system: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message = message
        self.hint = hint
        self.system = system

    def __str__(self) -> str:
        """Return the reason as one clause, in the system's words where there are any."""
        return f"cannot be read: {self.system}" if self.system else super().__str__()


def open_regular(path: Path, *, largest: int = LARGEST) -> BinaryIO:
    """Open a regular file of at most ``largest`` bytes. Raises ``FileRefusedError``.

    The file may grow while it is read, so a caller that reads it in pieces must count the bytes.
    """
    try:
        _refuse_other(path.stat().st_mode, pipes=False)
        handle = os.open(path, _READ_ONLY)
    except OSError as error:
        raise _explain_open_error(error) from None
    stream = os.fdopen(handle, "rb")
    try:
        _refuse_opened(os.fstat(handle), largest)
    except BaseException:
        stream.close()
        raise
    return stream


def _refuse_opened(found: os.stat_result, largest: int) -> None:
    _refuse_other(found.st_mode, pipes=False)  # another file may have taken its place since the first look
    if found.st_size > largest:
        raise make_too_large_error(largest)


def read_regular(path: Path, *, largest: int = LARGEST) -> bytes:
    """Return all of a regular file of at most ``largest`` bytes. Raises ``FileRefusedError``."""
    with open_regular(path, largest=largest) as stream:
        return _read_bounded(stream, largest)


def read_any(path: Path, *, largest: int = LARGEST, patience: float = PATIENCE) -> bytes:
    """Return all bytes of a regular file or a pipe, at most ``largest``.

    A pipe may take ``patience`` seconds in all. Raises ``FileRefusedError``.
    """
    if not is_pipe(path):
        return read_regular(path, largest=largest)
    try:
        handle = os.open(path, _READ_ONLY)
    except OSError as error:
        raise _explain_open_error(error) from None
    with closing(os.fdopen(handle, "rb", buffering=0)):
        _refuse_other(os.fstat(handle).st_mode, pipes=True)
        return read_handle(handle, largest=largest, patience=patience)


def is_pipe(path: Path) -> bool:
    """Return whether a path leads to a pipe, such as a shell's ``<(...)``. Opens nothing."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False


def read_handle(handle: int, *, largest: int = LARGEST, patience: float = PATIENCE) -> bytes:
    """Return all bytes behind an open descriptor: of a file, a pipe, a socket or a terminal.

    Leaves the descriptor open and in its mode. Raises ``FileRefusedError``.
    """
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        with os.fdopen(handle, "rb", closefd=False) as stream:
            return _read_bounded(stream, largest)
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(handle)):
        raise FileRefusedError("is neither a file nor a pipe")
    try:
        return _read_to_end(handle, largest, patience)
    except OSError as error:
        raise FileRefusedError("cannot be read", system=error.strerror or "no reason given") from None


def _read_to_end(handle: int, largest: int, patience: float) -> bytes:
    data = bytearray()
    ends = time.monotonic() + patience
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while selector.select(max(0.0, ends - time.monotonic())):
            more = os.read(handle, _BLOCK)
            if not more:
                return bytes(data)
            data += more
            if len(data) > largest:
                raise make_too_large_error(largest)
    raise FileRefusedError(f"has not come to its end within {patience:g} seconds")


def _read_bounded(stream: BinaryIO, largest: int) -> bytes:
    try:
        data = stream.read(largest + 1)
    except OSError as error:
        raise FileRefusedError("cannot be read", system=error.strerror or "no reason given") from None
    if len(data) > largest:
        raise make_too_large_error(largest)
    return data


def make_too_large_error(largest: int) -> FileRefusedError:
    """Return the refusal of a file of more than ``largest`` bytes."""
    size = f"{largest >> 20} MB" if largest >= 1 << 20 else f"{largest} bytes"
    return FileRefusedError(f"is larger than {size}")


def _explain_open_error(error: OSError) -> FileRefusedError:
    system = error.strerror or "no reason given"
    if isinstance(error, FileNotFoundError):
        return FileRefusedError("does not exist", system=system)
    return FileRefusedError(f"cannot be opened: {system}", system=system)


def _refuse_other(mode: int, *, pipes: bool) -> None:
    if stat.S_ISDIR(mode):
        raise FileRefusedError("is a directory, not a file", system=os.strerror(errno.EISDIR))
    if stat.S_ISREG(mode) or (pipes and stat.S_ISFIFO(mode)):
        return
    raise FileRefusedError("is not a regular file", "save it to one first")
