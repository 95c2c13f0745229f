"""Folders and files that are gone after their use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from orchestrator.errors import UsageError

# tempfile is slow to import, and a command that only lists runs needs none.


@contextmanager
def make_temporary_folder() -> Iterator[Path]:
    """Yield a folder that lasts for the block. Raises UsageError where the system has no place for one."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - see above

    with explain_full_place():
        folder = TemporaryDirectory(prefix="undeploy-")
    with folder as place:
        yield Path(place)


@contextmanager
def open_temporary_file() -> Iterator[IO[bytes]]:
    """Yield a file that lasts for the block. Raises UsageError as ``make_temporary_folder`` does.

    Whoever writes or reads it does so within ``explain_full_place``.
    """
    from tempfile import TemporaryFile  # noqa: PLC0415 - see above

    with explain_full_place():
        file = TemporaryFile()  # noqa: SIM115 - closed below
    try:
        yield file
    finally:
        with suppress(OSError):  # bytes that found no room are of no use any more
            file.close()


@contextmanager
def explain_full_place() -> Iterator[None]:
    """Raise UsageError if the block meets an OSError: a temporary file has no room, or cannot be read."""
    try:
        yield
    except OSError as error:
        raise _explain_no_place(error) from error


def _explain_no_place(error: OSError) -> UsageError:
    return UsageError(
        f"the temporary folder cannot be used: {error}; make room there, or name another folder in TMPDIR"
    )
