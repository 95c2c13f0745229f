"""The files that a person names: opened so that none of them can hold us up, and read up to a bound.

A path may lead to anything: a pipe that nobody writes to, a device without end, five gigabytes. What is no
regular file is refused before it is opened; where a pipe may stand for one, it has so many seconds.
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
"""Seconds that a pipe may take to give all that it has."""

_BLOCK = 1 << 16


class FileRefusedError(Exception):
    """A file cannot be read, or is not to be. ``message`` says why, as a clause that follows its name.

    ``system`` is what the system says of it, where it says something.
    """

    def __init__(self, message: str, hint: str = "", *, system: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message = message
        self.hint = hint
        self.system = system

    def __str__(self) -> str:
        """As one clause, in the system's words where there are any."""
        return f"cannot be read: {self.system}" if self.system else super().__str__()


def open_regular(path: Path, *, largest: int = LARGEST) -> BinaryIO:
    """Open a regular file of at most ``largest`` bytes. Raises ``FileRefusedError``.

    It may grow while it is read: whoever reads it in pieces counts them.
    """
    try:
        _refuse_other(path.stat().st_mode, pipes=False)
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise _not_opened(error) from None
    stream = os.fdopen(handle, "rb")
    try:
        _refuse_opened(os.fstat(handle), largest)
    except BaseException:
        stream.close()
        raise
    return stream


def _refuse_opened(found: os.stat_result, largest: int) -> None:
    _refuse_other(found.st_mode, pipes=False)  # it may have taken another one's place meanwhile
    if found.st_size > largest:
        raise too_large(largest)


def read_regular(path: Path, *, largest: int = LARGEST) -> bytes:
    """Return all of a regular file of at most ``largest`` bytes. Raises ``FileRefusedError``."""
    with open_regular(path, largest=largest) as stream:
        return _bounded(stream, largest)


def read_any(path: Path, *, largest: int = LARGEST, patience: float = PATIENCE) -> bytes:
    """Return all that a regular file or a pipe gives, of at most ``largest`` bytes.

    A pipe may take ``patience`` seconds in all. Raises ``FileRefusedError``.
    """
    if not is_pipe(path):
        return read_regular(path, largest=largest)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise _not_opened(error) from None
    with closing(os.fdopen(handle, "rb", buffering=0)):
        _refuse_other(os.fstat(handle).st_mode, pipes=True)
        return read_handle(handle, largest=largest, patience=patience)


def is_pipe(path: Path) -> bool:
    """Say whether a path leads to a pipe, such as ``<(...)`` of a shell; nothing is opened."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False


def read_handle(handle: int, *, largest: int = LARGEST, patience: float = PATIENCE) -> bytes:
    """Return all that an open file descriptor gives: of a file, a pipe, a socket or a terminal.

    It is left open, and as it was. Raises ``FileRefusedError``.
    """
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        with os.fdopen(handle, "rb", closefd=False) as stream:
            return _bounded(stream, largest)
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(handle)):
        raise FileRefusedError("is neither a file nor a pipe")
    try:
        return _until_end(handle, largest, patience)
    except OSError as error:
        raise FileRefusedError("cannot be read", system=error.strerror or "no reason given") from None


def _until_end(handle: int, largest: int, patience: float) -> bytes:
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
                raise too_large(largest)
    raise FileRefusedError(f"has not come to its end within {patience:g} seconds")


def _bounded(stream: BinaryIO, largest: int) -> bytes:
    try:
        data = stream.read(largest + 1)
    except OSError as error:
        raise FileRefusedError("cannot be read", system=error.strerror or "no reason given") from None
    if len(data) > largest:
        raise too_large(largest)
    return data


def too_large(largest: int) -> FileRefusedError:
    """Return the refusal of a file of more than ``largest`` bytes."""
    size = f"{largest >> 20} MB" if largest >= 1 << 20 else f"{largest} bytes"
    return FileRefusedError(f"is larger than {size}")


def _not_opened(error: OSError) -> FileRefusedError:
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
