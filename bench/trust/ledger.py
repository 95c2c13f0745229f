"""The trials that were kept: a file for each kind, to which the command of that kind adds."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bench.machine import read_commit

FOLDER = Path(__file__).parent / "figures"


class Trial(Struct, frozen=True, kw_only=True):
    """One session in which one thing was tried.

    ``of`` names what was tried, and trials of the same name add up. ``counts`` are whole numbers by their
    names, for people. ``broke`` names each case that broke a promise, or, of mutants, each that nothing
    noticed.
    """

    of: str
    when: str
    commit: str
    counts: dict[str, int]
    broke: tuple[str, ...] = ()
    span: tuple[int, int] | None = None
    """The first and the last number that were played, where the cases are numbered."""


def make_trial(of: str, counts: dict[str, int], *, broke: tuple[str, ...] = ()) -> Trial:
    """Return a trial of this tree, at this moment."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Trial(of=of, when=when, commit=read_commit(), counts=counts, broke=broke)


def add_trials(kept: Trial, fresh: Trial) -> Trial:
    """Return two parts of one session as one trial, under the first one's time."""
    names = dict.fromkeys((*kept.counts, *fresh.counts))
    counts = {name: kept.counts.get(name, 0) + fresh.counts.get(name, 0) for name in names}
    spans = [each.span for each in (kept, fresh) if each.span is not None]
    span = (spans[0][0], spans[-1][1]) if spans else None
    return replace(kept, counts=counts, broke=kept.broke + fresh.broke, span=span)


def _share_numbers(one: Trial, other: Trial) -> bool:
    """Return whether a number was played in both trials."""
    if one.of != other.of or one.span is None or other.span is None:
        return False
    return max(one.span[0], other.span[0]) <= min(one.span[1], other.span[1])


class Ledger:
    """The trials of one kind, in the order in which they were made.

    ``folder`` is another one in tests.
    """

    def __init__(self, kind: str, folder: Path = FOLDER) -> None:
        self._file = folder / f"{kind}.json"

    def read(self) -> tuple[Trial, ...]:
        """Return all trials; none where there is no file."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=tuple[Trial, ...])
        except FileNotFoundError:
            return ()

    def keep(self, trial: Trial) -> None:
        """Add a trial, or put it in the place of the same one as it was a while ago.

        Raises ``ValueError`` if another command has kept some of its numbers meanwhile: none counts twice.
        """
        same = (trial.of, trial.when)
        with self._hold():
            others = [each for each in self.read() if (each.of, each.when) != same]
            if any(_share_numbers(each, trial) for each in others):
                first, last = trial.span or (0, 0)
                raise ValueError(f"some of {trial.of} {first} to {last} were kept by another command")
            self._write([*others, trial])

    def replace(self, trial: Trial) -> None:
        """Keep a trial in the place of all earlier ones of its name."""
        with self._hold():
            self._write([*(each for each in self.read() if each.of != trial.of), trial])

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """Keep other commands from the figures: two of them may try different things at the same time."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(self._file.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _write(self, trials: Sequence[Trial]) -> None:
        """Write the file whole or not at all: whoever tries for hours may be cut off here, too."""
        fresh = self._file.with_suffix(".part")
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(trials), indent=1) + b"\n")
        fresh.replace(self._file)

    def find_next(self, of: str) -> int:
        """Return the first number that was not played yet under the name ``of``; numbers begin with 1."""
        spans = (each.span for each in self.read() if each.of == of)
        return 1 + max((span[1] for span in spans if span is not None), default=0)
