"""The keys of targets in one order: made once, then used for every target with these keys.

This is the innermost loop of the reader. A plan of a million targets has a handful of shapes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from orchestrator.errors import UnfitError
from orchestrator.model.gateway import Coordinate, Gateway
from orchestrator.plan.scalars import check_prose
from orchestrator.text.characters import quote_text, why_not_prose
from orchestrator.text.names import is_name, why_no_name

_FLAGS = {"true": True, "false": False}

ListedTarget: TypeAlias = tuple[tuple[str, ...], str | None, bool | None]
"""A target in a plan: its parts, its description, and whether the vendor keeps its record for good."""


def make_test(coordinate: Coordinate) -> Callable[[str], object]:
    """Return a function that tests whether a text may be the ``coordinate``."""
    return is_name if coordinate.form is None else re.compile(coordinate.form.pattern).fullmatch


def check_coordinate(coordinate: Coordinate, text: str) -> None:
    """Raise ``UnfitError`` with the reason if ``text`` may not be the ``coordinate``."""
    if make_test(coordinate)(text):
        return
    if not text:
        raise UnfitError("is empty; a text is expected")
    if coordinate.form is not None:
        coordinate.form.check(text)
    raise UnfitError(f"{quote_text(text)} {why_no_name(text)}")


def check_flag(text: str) -> None:
    """Raise ``UnfitError`` unless ``text`` is true or false."""
    if text not in _FLAGS:
        raise UnfitError(f"{quote_text(text)} is neither true nor false")


class TargetShape:
    """Targets of one gateway whose ``keys`` stand in one order.

    With ``blank``, an option with an empty text counts as not given: in a table every row has every column.
    """

    def __init__(self, gateway: str, kind: type[Gateway], keys: Sequence[str], *, blank: bool) -> None:
        self.keys = list(keys)
        self.gateway = gateway
        self._coordinates = {item.name: item for item in kind.COORDINATES}
        self._places = tuple([keys.index(item.name) for item in kind.COORDINATES])
        self._tests = tuple([make_test(item) for item in kind.COORDINATES])
        self._gateway = keys.index("gateway") if "gateway" in keys else None
        self._description = keys.index("description") if "description" in keys else None
        self.persistent = keys.index("persistent") if "persistent" in keys else None
        self._blank = blank
        self.read_row: Callable[[Sequence[str]], ListedTarget | None] = self._read_row
        """Returns the parts and the options of a target; None if ``find_faults`` finds a fault."""
        # Nearly all targets of ROMA are one id without options, and a plan may have a million of them.
        if len(self._tests) == 1 and set(keys) <= {"gateway", *self._coordinates}:
            self.read_row = self._read_single

    def _read_single(self, texts: Sequence[str]) -> ListedTarget | None:
        text = texts[self._places[0]]
        if self._gateway is not None and texts[self._gateway] != self.gateway:
            return None
        return ((text,), None, None) if self._tests[0](text) else None

    def _read_row(self, texts: Sequence[str]) -> ListedTarget | None:
        parts = tuple([texts[position] for position in self._places])
        for test, part in zip(self._tests, parts):  # noqa: B905 - of one length, and this is where time goes
            if not test(part):
                return None
        if self._gateway is not None and texts[self._gateway] != self.gateway:
            return None
        if self._description is None and self.persistent is None:
            return parts, None, None
        return self._add_options(parts, texts)

    def _add_options(self, parts: tuple[str, ...], texts: Sequence[str]) -> ListedTarget | None:
        description = None if self._description is None else texts[self._description]
        flag = None if self.persistent is None else texts[self.persistent]
        if self._blank:
            description, flag = description or None, flag or None
        if description is not None and (not description or why_not_prose(description)):
            return None
        if flag is not None and flag not in _FLAGS:
            return None
        return parts, description, None if flag is None else _FLAGS[flag]

    def find_faults(self, texts: Sequence[str]) -> list[tuple[str, UnfitError]]:
        """Return each key whose text is wrong, with the reason."""
        found: list[tuple[str, UnfitError]] = []
        for key, text in zip(self.keys, texts, strict=True):
            try:
                self._check(key, text)
            except UnfitError as unfit:
                found.append((key, unfit))
        return found

    def _check(self, key: str, text: str) -> None:
        if key in self._coordinates:
            check_coordinate(self._coordinates[key], text)
        elif key == "gateway":
            if text != self.gateway:
                raise UnfitError(
                    f"{quote_text(text)} is not {quote_text(self.gateway)}, which the entry in the plan names"
                )
        elif text or not self._blank:
            (check_prose if key == "description" else check_flag)(text)


def make_shape(
    gateway: str, kind: type[Gateway], keys: Sequence[str], *, blank: bool = False
) -> TargetShape | None:
    """Return the shape of targets with exactly these ``keys``; None if these keys do not make a target."""
    names = {item.name for item in kind.COORDINATES}
    given = set(keys)
    if len(given) != len(keys) or not names <= given or not given <= {"gateway", *names, *kind.OPTIONS}:
        return None
    return TargetShape(gateway, kind, keys, blank=blank)
