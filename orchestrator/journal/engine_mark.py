"""The mark in a run's folder that a distributed engine may still work on the run.

It is there from before the engine gets the work until the journal has all results. So a run whose own process
was killed counts as live for as long as its workers may go on.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from orchestrator.errors import DiskError
from orchestrator.system.writing import sync_path, write_regular_file

_NAME = "engine"
_UNREADABLE = "a distributed engine"


class EngineMark(Struct, frozen=True, kw_only=True):
    """The engine that works on a session of a run."""

    address: str
    """As ``--on`` takes it."""
    session: int
    """The number of the session; 0 if the mark cannot be read."""
    options: str = ""
    """The options of a command that reaches the engine, as a shell takes them; empty in older marks."""

    @property
    def to_engine(self) -> str:
        """The options of a command that reaches the engine; of an unreadable mark, what to write there."""
        return self.options or (f"--on {self.address}" if self.session else "--on URL")


def write_engine_mark(folder: Path, mark: EngineMark) -> None:
    """Write the mark, on disk when this function returns. Raises DiskError."""
    try:
        with write_regular_file(folder / _NAME) as out:
            out.write(msgspec.json.encode(mark).decode())
    except OSError as error:
        raise DiskError(f"{folder / _NAME}: {error.strerror or error}") from error


def read_engine_mark(folder: Path) -> EngineMark | None:
    """Return the mark; None if no engine works on the run."""
    try:
        return msgspec.json.decode((folder / _NAME).read_bytes(), type=EngineMark)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError):
        # Work that goes on unseen would be worse than a run that is held for no reason.
        return EngineMark(address=_UNREADABLE, session=0)


def remove_engine_mark(folder: Path) -> None:
    """Remove the mark, if there is one. A mark that cannot be removed stays: a resume removes it."""
    with suppress(OSError):
        (folder / _NAME).unlink(missing_ok=True)
        sync_path(folder)
