"""The targets that a search finds, kept in a file as the lines of a plan until all can be sorted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import IO, NamedTuple

from orchestrator.errors import UnfitError
from orchestrator.model.gateway import Gateway
from orchestrator.model.search import FoundTarget
from orchestrator.model.target_id import join_id
from orchestrator.plan.target_shape import check_coordinate
from orchestrator.plan.yaml_text import format_comment, format_flow
from orchestrator.system.temporary import explain_full_place
from orchestrator.text.characters import show_name
from orchestrator.text.names import to_nfc


class _LinePlace(NamedTuple):
    """The place of a target's line in the file. Sorting by it sorts by the target's id."""

    gateway: str
    parts: tuple[str, ...]
    start: int
    size: int


class TargetLines:
    """Takes targets in any order, and gives their lines by wave, in the order of their ids.

    A target that is found twice counts once. The lines are in a file; memory holds only the parts of each
    target's id and the place of its line.
    """

    def __init__(self, file: IO[bytes], protected: Callable[[str], str | None]) -> None:
        """``file`` is empty, to read and write. ``protected`` returns the pattern that protects an id."""
        self.matched: Counter[str] = Counter()
        """How many targets were taken, by gateway."""
        self.protected = 0
        self._file = file
        self._protection = protected
        self._known: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
        self._places: dict[str | None, list[_LinePlace]] = defaultdict(list)
        self._end = 0

    def add(self, gateway: Gateway, found: FoundTarget, group: str | None) -> str | None:
        """Take a target; return why a plan cannot name it, or None where the target is kept.

        Raises UsageError where the file has no room for its line.
        """
        # Two spellings of one name, such as an accent as one character or as two, cannot both be named.
        first = self._known.setdefault((gateway.installation, _fold_parts(found.parts)), found.parts)
        if first is found.parts:
            why = find_naming_fault(gateway, found)
        elif first == found.parts:
            return None
        else:
            why = "its name is that of another target, written with other characters for the same letters"
        if why:
            shown = show_name("/".join(found.parts))
            return f"{shown} is live and left out; it cannot be named in a plan: {why}"
        self._keep(gateway, found, group)
        return None

    def _keep(self, gateway: Gateway, found: FoundTarget, group: str | None) -> None:
        names = [coordinate.name for coordinate in gateway.COORDINATES]
        line = _format_line({"gateway": gateway.name, **dict(zip(names, found.parts, strict=True))}, found)
        data = line.encode()
        with explain_full_place():
            self._file.write(data)
        self._places[group].append(_LinePlace(gateway.name, found.parts, self._end, len(data)))
        self._end += len(data)
        self.matched[gateway.name] += 1
        # A protected target stays in the plan, whose own `protect` holds it back.
        self.protected += self._protection(join_id(gateway.name, found.parts)) is not None

    def list_waves(self) -> list[tuple[str, str | None]]:
        """Return the name of each wave with its group, sorted; no two names are equal."""
        names: dict[str, str | None] = {}
        for group in sorted(self._places, key=str):
            # Groups may differ only in characters that no wave's name may hold.
            plain = to_nfc(format_comment(group or "")).strip() or "unnamed"
            name, number = plain, 1
            while name in names:
                number += 1
                name = f"{plain} ({number})"
            names[name] = group
        return list(names.items())

    def read_lines(self, group: str | None) -> Iterator[str]:
        """Yield the lines of a group's targets, in the order of their ids. Raises UsageError as ``add``."""
        for place in sorted(self._places[group]):
            with explain_full_place():  # to seek writes what is left to write
                self._file.seek(place.start)
                line = self._file.read(place.size)
            yield line.decode()


def _fold_parts(parts: tuple[str, ...]) -> tuple[str, ...]:
    return parts if "".join(parts).isascii() else tuple(map(to_nfc, parts))


def find_naming_fault(gateway: Gateway, found: FoundTarget) -> str | None:
    """Return why a plan cannot name a live target; None where it can."""
    for coordinate, part in zip(gateway.COORDINATES, found.parts, strict=True):
        try:
            check_coordinate(coordinate, part)
        except UnfitError as unfit:
            return f"{coordinate.name} {unfit.message}"
    return None


def _format_line(keys: Mapping[str, str], found: FoundTarget) -> str:
    notes = [*found.notes, *([f"since {found.since}"] if found.since else [])]
    seen = format_comment(", ".join(notes))
    return f"- {format_flow(keys)}{f'  # {seen}' if seen else ''}"
