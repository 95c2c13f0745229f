"""Where a plan is written: a file that gets its name once it is whole, and never in another one's place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from orchestrator.errors import UsageError


def place_of(output: Path, *, force: bool) -> Path:
    """Return where the file goes, links followed; raises ``UsageError`` where it could not be written."""
    place = Path(os.path.realpath(output))
    if not place.parent.is_dir():
        raise UsageError(f"cannot write {output}: there is no folder {output.parent}")
    if place.is_dir() or (place.exists() and not place.is_file()):
        raise UsageError(f"cannot write {output}: it is no regular file")
    if place.exists() and not force:
        raise _exists(output)
    if not os.access(place.parent, os.W_OK):
        raise UsageError(f"cannot write {output}: the folder cannot be written to")
    return place


def _exists(output: Path) -> UsageError:
    return UsageError(f"{output} exists and is left as it is; --force overwrites it")


@contextmanager
def writing(place: Path, *, force: bool) -> Iterator[IO[str]]:
    """Give what takes the text; the file has its name when the block has ended well, and is on disk then.

    Raises ``UsageError`` where it cannot be written; what was there before is there still.
    """
    draft = place.with_name(f".{place.name[:200]}.{os.getpid()}")
    try:
        with draft.open("x", encoding="utf-8") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        if force:
            draft.replace(place)
        else:
            _link(draft, place)
    except OSError as error:
        raise UsageError(f"cannot write {place}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            draft.unlink()


def _link(draft: Path, place: Path) -> None:
    """Give the draft its name, unless somebody has taken that meanwhile."""
    try:
        place.hardlink_to(draft)
    except FileExistsError:
        raise _exists(place) from None
    except OSError:  # a file system without hard links
        draft.replace(place)
