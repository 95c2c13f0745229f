"""The figures that were measured last: results.json beside this file, of which docs/benchmarks.md is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.figures import Figure, Sizes
from bench.goals import YARDSTICKS
from bench.machine import Machine

FILE = Path(__file__).parent / "results.json"


class RecordedFigure(Struct, frozen=True):
    """A figure with the session that measured it, and how much it measured."""

    figure: Figure
    session: str
    sizes: Sizes


class Results(Struct, frozen=True):
    """All figures, and the sessions that measured them, by their names."""

    sessions: dict[str, Machine] = {}
    figures: tuple[RecordedFigure, ...] = ()

    def replace_part(self, part: str, machine: Machine, fresh: Sequence[RecordedFigure]) -> Results:
        """Return the results with the figures of one part replaced by fresh ones."""
        kept = [each for each in self.figures if _part_of(each.figure) not in (part, "")]
        figures = sorted([*kept, *fresh], key=lambda each: _ORDER[each.figure.name])
        used = {each.session for each in figures}
        sessions = {**self.sessions, machine.when: machine}
        return Results({name: each for name, each in sessions.items() if name in used}, tuple(figures))


_ORDER = {name: place for place, name in enumerate(YARDSTICKS)}


def _part_of(figure: Figure) -> str:
    """Return the part of a figure, or nothing for one that has no yardstick any more."""
    return YARDSTICKS[figure.name].part if figure.name in YARDSTICKS else ""


def load_results() -> Results:
    """Read the kept results; none where there is no file."""
    try:
        return msgspec.json.decode(FILE.read_bytes(), type=Results)
    except FileNotFoundError:
        return Results()


def save_results(results: Results) -> None:
    """Write the results."""
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
