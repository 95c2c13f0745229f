"""The files that are written where a person names them: for their user alone (mode 0600), and never through a
link, behind which somebody may have put another file.

A whole file takes its name once all of it is on disk. Our own descriptors (``/dev/stdout``, ``/dev/fd/3``),
a pipe that somebody reads and a device such as ``/dev/null`` are written to as they are.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import TextIO

from orchestrator.errors import UsageError

_OURS = re.compile(r"/dev/(?:stdout|stderr|fd/(\d+))|/proc/self/fd/(\d+)")
_NAMED = {"/dev/stdout": 1, "/dev/stderr": 2}


def check_place(path: Path, *, replace: bool = True, streams: bool = True) -> None:
    """Raise UsageError where a file could not be written to ``path``, before anything is done for it.

    ``replace`` says whether a file that is there may be replaced, ``streams`` whether it may be a pipe or a
    device.
    """
    mode = _mode(path)
    if mode is not None and _is_stream(path, mode):
        if not streams:
            raise _unwritable(path, "it is no regular file")
    elif mode is None:
        _check_folder(path)
    elif stat.S_ISLNK(mode):
        raise _unwritable(path, "it is a link, and none is written through; name the file itself")
    elif not stat.S_ISREG(mode):
        raise _unwritable(path, "it is no regular file")
    elif not replace:
        raise UsageError(f"{path} exists and is left as it is; --force replaces it")
    else:
        _check_folder(path)


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise _unwritable(path, os.strerror(errno.ENOENT))
    if not os.access(path.parent, os.W_OK):
        raise _unwritable(path, "its folder cannot be written to")


@contextmanager
def whole_file(path: Path, *, replace: bool = True, streams: bool = True) -> Iterator[TextIO]:
    """Give what takes the text of a file, which is there when the block has ended well: whole, and on disk.

    Raises UsageError where it cannot be written; what was there before is there still.
    """
    check_place(path, replace=replace, streams=streams)
    mode = _mode(path)
    try:
        if mode is not None and _is_stream(path, mode):
            with os.fdopen(_opened(path), "w", encoding="utf-8", newline="\n") as out:
                yield out
        else:
            with written(path, replace=replace) as out:
                yield out
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


@contextmanager
def written(path: Path, *, replace: bool = True) -> Iterator[TextIO]:
    """Give what takes the text of a regular file, as ``whole_file`` does; a link in its place is replaced.

    Raises OSError.
    """
    handle, name = mkstemp(prefix=f".{path.name[:200]}.", dir=path.parent)  # made with mode 0600
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        if replace:
            draft.replace(path)
        else:
            _link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _sync(path.parent)


def _link(draft: Path, path: Path) -> None:
    """Give the draft its name, unless somebody has taken that meanwhile."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        draft.replace(path)


def appended(path: Path) -> int:
    """Open a file to write at its end; return its descriptor. Raises UsageError where that cannot be done."""
    mode = _mode(path)
    if mode is not None:
        check_place(path)
    try:
        handle = _opened(path)
        if mode is not None and stat.S_ISREG(mode):
            os.fchmod(handle, 0o600)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise _unwritable(path, "nobody reads this pipe") from error
        raise _unwritable(path, error.strerror or str(error)) from error
    return handle


def _opened(path: Path) -> int:
    """Open to append, for our own descriptors another one beside it; nothing is waited for."""
    if ours := _OURS.fullmatch(str(path)):
        return os.dup(int(_NAMED.get(str(path)) or ours[1] or ours[2]))
    how = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    handle = os.open(path, how, 0o600)
    os.set_blocking(handle, True)
    return handle


def check_folder(path: Path) -> None:
    """Raise UsageError where reports could not be written to the folder ``path``, which need not be there."""
    mode = _mode(path)
    if mode is not None and stat.S_ISLNK(mode):
        raise _unwritable(path, "it is a link, and none is written through; name the folder itself")
    if mode is not None and not stat.S_ISDIR(mode):
        raise _unwritable(path, "it is no folder")
    there = next(
        folder for folder in (path.absolute(), *path.absolute().parents) if _mode(folder) is not None
    )
    if not there.is_dir():
        raise _unwritable(path, f"{there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise _unwritable(path, f"the folder {there} cannot be written to")


def _is_stream(path: Path, mode: int) -> bool:
    return _OURS.fullmatch(str(path)) is not None or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _mode(path: Path) -> int | None:
    """Return what kind of file is at ``path`` itself, None where there is none."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return path.lstat().st_mode
    return None


def _sync(folder: Path) -> None:
    """Make a file's name itself durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(path: Path, why: str) -> UsageError:
    return UsageError(f"cannot write {path}: {why}")
