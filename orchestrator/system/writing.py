"""Write the files that a person names: for that user alone (mode 0600), and never through a link.

Another user may have put a link in a shared folder, to have this program overwrite the file behind it. A
whole file takes its name once all of it is on disk. The program's own descriptors (``/dev/stdout``,
``/dev/fd/3``), pipes with a reader and devices such as ``/dev/null`` are written to as they are.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from orchestrator.errors import UsageError

_OURS = re.compile(r"/dev/(?:stdout|stderr|fd/(\d{1,9}))|/proc/self/fd/(\d{1,9})")
_NAMED = {"/dev/stdout": 1, "/dev/stderr": 2}
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})
"""The errors of a file system that has no fsync for such a file."""


def check_place(path: Path, *, replace: bool = True, streams: bool = True) -> None:
    """Raise UsageError if ``path`` cannot take a file, before the program does any work for that file.

    ``replace`` says whether an existing file may be replaced, ``streams`` whether ``path`` may be a pipe or
    a device.
    """
    mode = _get_mode(path)
    if mode is not None and _is_stream(path, mode):
        if not streams:
            raise _make_unwritable_error(path, "it is no regular file")
    elif mode is None:
        _check_folder(path)
    elif stat.S_ISLNK(mode):
        raise _make_unwritable_error(path, "it is a link, and none is written through; name the file itself")
    elif not stat.S_ISREG(mode):
        raise _make_unwritable_error(path, "it is no regular file")
    elif not replace:
        raise UsageError(f"{path} exists and is left as it is; --force replaces it")
    else:
        _check_folder(path)


def _check_folder(path: Path) -> None:
    if not os.path.isdir(path.parent):  # noqa: PTH112 - Path.is_dir raises for a folder that cannot be seen
        raise _make_unwritable_error(path, os.strerror(errno.ENOENT))
    if not os.access(path.parent, os.W_OK):
        raise _make_unwritable_error(path, "its folder cannot be written to")


@contextmanager
def write_whole_file(path: Path, *, replace: bool = True, streams: bool = True) -> Iterator[TextIO]:
    """Yield a stream for the text of a file. The file appears, whole and on disk, when the block ends well.

    Raises UsageError if the file cannot be written; an older file at ``path`` then stays as it was.
    """
    check_place(path, replace=replace, streams=streams)
    mode = _get_mode(path)
    try:
        if mode is not None and _is_stream(path, mode):
            with os.fdopen(_open_or_duplicate(path), "w", encoding="utf-8", newline="\n") as out:
                yield out
        else:
            with write_regular_file(path, replace=replace) as out:
                yield out
    except OSError as error:
        raise _make_unwritable_error(path, error.strerror or str(error)) from error


@contextmanager
def write_regular_file(path: Path, *, replace: bool = True) -> Iterator[TextIO]:
    """Yield a stream for the text of a regular file, which appears as in ``write_whole_file``.

    Replaces a link at ``path`` instead of following it. Raises OSError.
    """
    from tempfile import mkstemp  # noqa: PLC0415 - slow to import, and commands that only read need none

    handle, name = mkstemp(prefix=f".{path.name[:60]}.", dir=path.parent)  # with mode 0600
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as out:
            yield out
            # Sync before the rename: after a crash the name must not lead to an empty file.
            out.flush()
            os.fsync(out.fileno())
        if replace:
            draft.replace(path)
        else:
            _link_draft(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    # The rename itself survives a crash only once the folder is on disk.
    sync_path(path.parent)


def _link_draft(draft: Path, path: Path) -> None:
    """Give the draft its name. Raises FileExistsError if another process has taken the name meanwhile."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        draft.replace(path)


def open_to_append(path: Path, begins: bytes) -> int:
    """Open a file to write lines at its end; return the descriptor. Raises UsageError if that is impossible.

    A file that is there must begin as such a file does, or be empty: a slip must not spoil another one. A
    last line that a crash has cut off gets its end.
    """
    mode = _get_mode(path)
    if mode is not None:
        check_place(path)
    try:
        is_file = mode is not None and stat.S_ISREG(mode)
        is_cut = is_file and _is_cut_off(path, begins)
        handle = _open_or_duplicate(path)
        if is_file:
            os.fchmod(handle, 0o600)
        if is_cut:
            os.write(handle, b"\n")
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise _make_unwritable_error(path, "nobody reads this pipe") from error
        raise _make_unwritable_error(path, error.strerror or str(error)) from error
    return handle


def _is_cut_off(path: Path, begins: bytes) -> bool:
    """Return whether a regular file ends within a line. Raises UsageError if it does not begin as it must."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size and file.read(len(begins)) != begins[:size]:
            raise _make_unwritable_error(path, "it holds something else; name a new file")
        file.seek(max(0, size - 1))
        return size > 0 and file.read() != b"\n"


def _open_or_duplicate(path: Path) -> int:
    """Open ``path`` to append; duplicate a descriptor of this program's own. Never waits for a reader."""
    if ours := _OURS.fullmatch(str(path)):
        return os.dup(int(_NAMED.get(str(path)) or ours[1] or ours[2]))
    # O_NONBLOCK makes opening a pipe without a reader fail at once. Later writes may block.
    how = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    handle = os.open(path, how, 0o600)
    os.set_blocking(handle, True)
    return handle


def check_folder(path: Path) -> None:
    """Raise UsageError if the folder ``path`` cannot take reports. The folder need not exist yet."""
    mode = _get_mode(path)
    if mode is not None and stat.S_ISLNK(mode):
        raise _make_unwritable_error(
            path, "it is a link, and none is written through; name the folder itself"
        )
    if mode is not None and not stat.S_ISDIR(mode):
        raise _make_unwritable_error(path, "it is no folder")
    there = next(
        folder for folder in (path.absolute(), *path.absolute().parents) if _get_mode(folder) is not None
    )
    if not os.path.isdir(there):  # noqa: PTH112 - as in _check_folder
        raise _make_unwritable_error(path, f"{there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise _make_unwritable_error(path, f"the folder {there} cannot be written to")


def _is_stream(path: Path, mode: int) -> bool:
    return _OURS.fullmatch(str(path)) is not None or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _get_mode(path: Path) -> int | None:
    """Return the kind of the file at ``path`` itself, not behind a link; None where there is no file.

    Raises UsageError where that cannot be told: a name is too long, or a folder may not be looked into.
    """
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _make_unwritable_error(path, error.strerror or str(error)) from error


def sync_path(path: Path) -> None:
    """Make a file durable, or the names in a folder as far as its file system can. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems cannot sync a folder (vboxsf, older CIFS). A file that is in place there must not
        # be told as unwritten.
        if error.errno not in _NO_SYNC or not stat.S_ISDIR(os.fstat(handle).st_mode):
            raise
    finally:
        os.close(handle)


def _make_unwritable_error(path: Path, why: str) -> UsageError:
    return UsageError(f"cannot write {path}: {why}")
