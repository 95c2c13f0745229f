"""Folders and files that are gone after their use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from orchestrator.errors import UsageError

# tempfile is slow to import, and a command that only lists runs needs none.


@contextmanager
def make_temporary_folder() -> Iterator[Path]:
    """Yield a folder that lasts for the block. Raises UsageError where the system has no place for one."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - see above

    try:
        folder = TemporaryDirectory(prefix="undeploy-")
    except OSError as error:
        raise _explain_no_place(error) from error
    with folder as place:
        yield Path(place)


def open_temporary_file() -> IO[bytes]:
    """Open a file that lasts until it is closed. Raises UsageError as ``make_temporary_folder`` does."""
    from tempfile import TemporaryFile  # noqa: PLC0415 - see above

    try:
        return TemporaryFile()
    except OSError as error:
        raise _explain_no_place(error) from error


def _explain_no_place(error: OSError) -> UsageError:
    return UsageError(
        f"the temporary folder cannot be used: {error}; make room there, or name another folder in TMPDIR"
    )
