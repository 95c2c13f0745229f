"""Inputs that make a reader fail: found, made shorter, kept as samples."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import FrameType

from msgspec import Struct

from tests.fuzzing.aims import AIMS, ROOT
from tests.support.recorded import SAMPLES

CRASHES = SAMPLES / "crashes"

LONGEST = 20.0
"""Seconds after which a reader counts as stuck with one input."""

MOST_TRIES = 400
"""Shorter inputs that are tried in the place of one that was found."""


class Finding(Struct, frozen=True):
    """An input that made a reader fail. Findings with the same ``place`` are one."""

    aim: str
    place: str
    """The error, and the innermost line of the program that it went through."""
    data: bytes

    @property
    def name(self) -> str:
        """The name of its file."""
        return sha256(self.data).hexdigest()[:12]


class StuckError(Exception):
    """A reader has not come to an end with an input."""


def try_input(aim: str, data: bytes) -> Finding | None:
    """Give an input to the reader of an aim; return what came of it if that is a finding."""
    try:
        with _end_when_stuck():
            AIMS[aim].read(data)
    except Exception as error:  # noqa: BLE001 - whatever is not documented is a finding
        return Finding(aim, _describe_place(error), data)
    return None


def _describe_place(error: Exception) -> str:
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "/orchestrator/" in frame.filename
    ]
    words = str(error).split("\n")[0][:80] if isinstance(error, AssertionError) else ""
    if not frames:
        return f"{type(error).__name__} {words}".strip()
    where = Path(frames[-1].filename)
    inside = where.relative_to(ROOT) if where.is_relative_to(ROOT) else where.name
    return f"{type(error).__name__} {words} at {inside}:{frames[-1].name}".replace("  ", " ")


@contextmanager
def _end_when_stuck() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise StuckError(f"it has not ended within {LONGEST:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def shorten(finding: Finding) -> Finding:
    """Return a shorter input that fails in the same place, if one is found soon."""
    data, tries, piece = finding.data, 0, max(1, len(finding.data) // 2)
    while piece and tries < MOST_TRIES:
        at = 0
        while at < len(data) and tries < MOST_TRIES:
            shorter = data[:at] + data[at + piece :]
            again = try_input(finding.aim, shorter)
            tries += 1
            if again is not None and again.place == finding.place:
                data = shorter
            else:
                at += piece
        piece //= 2
    return Finding(finding.aim, finding.place, data)


def keep(finding: Finding, folder: Path = CRASHES) -> Path:
    """Write the input into the folder of its aim; return its path."""
    path = folder / finding.aim / finding.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(finding.data)
    return path
