"""Files of targets that a plan names with ``from_file``: CSV with a header, or JSON lines."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UnfitError
from orchestrator.model.gateway import Gateway
from orchestrator.model.target import TargetId
from orchestrator.plan.after import take
from orchestrator.plan.header import NamedGateway
from orchestrator.plan.intake import TargetCollector
from orchestrator.plan.nodes import Scalar
from orchestrator.plan.problems import Problems, UnreadableError, nearest
from orchestrator.plan.shape import Shape, make_shape
from orchestrator.plan.source import Fingerprint, is_within, lines, open_list
from orchestrator.plan.targets import Place
from orchestrator.text.characters import quote_text, trim_spaces, why_not_prose
from orchestrator.text.counting import count_noun

if TYPE_CHECKING:
    from _csv import Reader

MOST_COLUMNS = 50
"""No kind has as many keys; a line with more is no header."""

_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)
"""What spreadsheets write, and read, before the header."""
_SPOILT = re.compile(
    r"[0-9](?:[.,][0-9]+)?E[+-][0-9]+|=.*|#(?:REF!|N/A|NAME\?|VALUE!|DIV/0!|NUM!|NULL!|SPILL!|#+)"
    r"|[0-9]{4,}\.0|[0-9]{1,2}-[A-Z][a-z]{2}(?:-[0-9]{2,4})?|[0-9]{1,2}([./])[0-9]{1,2}\1[0-9]{4}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}(?: 00:00(?::00)?)?"
)
"""What a spreadsheet makes of an id that it takes for a number or a date, or leaves of a formula."""
_SPOILT_BEGINS = frozenset("0123456789=#")
_RETYPED = "in a spreadsheet, make the column text and fill it in again"


class Includes:
    """Reads the files that the plan ``plan`` names; ``fingerprints`` holds one for each, in order."""

    def __init__(self, plan: Path, problems: Problems) -> None:
        self.fingerprints: list[Fingerprint] = []
        self._folder = plan.parent
        self._problems = problems

    def read(
        self,
        name: Scalar,
        gateway: str,
        kind: type[Gateway],
        path: str,
        collector: TargetCollector,
        gateways: Mapping[str, NamedGateway],
    ) -> None:
        """Put the targets of the file into ``collector``; what is wrong is told with that file's own lines.

        They are of ``gateway`` and may come after targets of any of the ``gateways``.
        """
        try:
            file = self._file(name.text)
            stream = open_list(file)
        except UnfitError as unfit:
            self._problems.add(name.at, path, f"{quote_text(name.text)} {unfit.message}", unfit.hint)
            return
        index = self._problems.file(str(file))
        self.fingerprints.append(Fingerprint())
        table = _Table(index, gateway, kind, collector, gateways, self._problems)
        try:
            with stream:
                table.read(lines(stream, index, self.fingerprints[-1]), is_csv=file.suffix.lower() == ".csv")
        except UnreadableError as error:
            self._problems.add(error.place, error.path, error.message, error.hint)
        except OSError as error:
            self._problems.add(name.at, path, f"{quote_text(name.text)} cannot be read: {error.strerror}")

    def _file(self, name: str) -> Path:
        if not name or (why := why_not_prose(name)):
            raise UnfitError(f"is not the path of a file{f': it {why}' if name else ''}")
        if not name.lower().endswith((".csv", ".jsonl")):
            raise UnfitError("is of no kind that can be read", "its name ends in .csv or .jsonl")
        if not Path(name).is_absolute() and not is_within(self._folder, name):
            raise UnfitError("leaves the plan's folder", "write an absolute path if that is meant")
        return self._folder / name


class _Table:
    def __init__(
        self,
        file: int,
        gateway: str,
        kind: type[Gateway],
        collector: TargetCollector,
        gateways: Mapping[str, NamedGateway],
        problems: Problems,
    ) -> None:
        self._file = file
        self._gateway = gateway
        self._kind = kind
        self._put = collector.put
        self._require = collector.require
        self._gateways = gateways
        self._problems = problems
        self._rows = 0
        self._shapes: dict[tuple[str, ...], Shape] = {}

    def read(self, text: Iterator[str], *, is_csv: bool) -> None:
        if is_csv:
            self._csv(text)
        else:
            self._json_lines(text)
        if not self._rows:
            self._tell(0, "", "the file names no target")

    def _tell(self, line: int, key: str, message: str, hint: str = "") -> None:
        self._problems.add(Place(self._file, line, min(line, 1)), key, message, hint)

    def _csv(self, text: Iterator[str]) -> None:
        table = csv.reader(text, strict=True)
        ended = 0
        try:
            columns = self._header(table)
            if columns is None:
                return
            ended = table.line_num
            after = columns.index("after") if columns.count("after") == 1 else None
            flag = columns.index("persistent") if columns.count("persistent") == 1 else None
            shape = self._columns(columns, after, ended)
            for row in table:
                ended = table.line_num
                if (cells := self._trimmed(row, columns, ended)) == columns:
                    self._rows += 1
                    self._tell(ended, "", "the header stands here once more", "take this line out")
                elif cells:
                    if flag is not None and flag < len(cells) and cells[flag].lower() in {"true", "false"}:
                        cells[flag] = cells[flag].lower()
                    self._cells(shape, cells, len(columns), after, ended)
        except csv.Error as error:
            raise self._unreadable(error, ended + 1, table.line_num) from None

    def _unreadable(self, error: csv.Error, begun: int, line: int) -> UnreadableError:
        """Say what ends the reading of a row that begins at the line ``begun``, at ``line``."""
        if "unexpected end of data" in str(error):
            hint = f"the row that begins at line {begun} has a double quote that nothing closes"
            return UnreadableError(Place(self._file, line, 1), f"cannot be read as CSV: {error}", hint)
        return UnreadableError(Place(self._file, line, 1), f"cannot be read as CSV: {error}")

    def _header(self, table: Reader) -> list[str] | None:
        """Return the names of the columns; None where the file has none. Rows with nothing in them may stand
        before."""
        filled = (row for row in table if any(map(trim_spaces, row)))
        first: list[str] = next(filled, [])
        if first and first[0].lower() in ("sep=", "sep=,") and not any(first[1:]):
            first = next(filled, [])
        if not first:
            return None
        if found := _SEPARATOR.fullmatch(first[0]):
            hint = "separate the columns with commas, and take this line out"
            self._tell(table.line_num, "", f"the columns are separated by {quote_text(found[1])}", hint)
            self._rows += 1
            return None
        return self._trimmed(first, [], table.line_num)

    def _trimmed(self, row: list[str], columns: list[str], line: int) -> list[str]:
        """Return the cells of a row without the spaces at their ends; none where all of them are empty.

        Empty ones behind the last column are left out, too: a spreadsheet writes them for its widest row.
        """
        cells = [cell if cell.isalnum() else trim_spaces(cell) for cell in row]
        if cells != row:
            index = next(i for i, cell in enumerate(cells) if cell != row[i])
            key = columns[index] if index < len(columns) else ""
            if any(cells):
                self._warn(line, key, f"the spaces at an end of {quote_text(row[index])} are left out")
        while len(cells) > len(columns) and not cells[-1]:
            del cells[-1]
        return cells if any(cells) else []

    def _warn(self, line: int, key: str, message: str, hint: str = "") -> None:
        self._problems.warn(Place(self._file, line, min(line, 1)), key, message, hint)

    def _columns(self, columns: list[str], after: int | None, line: int) -> Shape | None:
        own = [name for index, name in enumerate(columns) if index != after]
        shape = make_shape(self._gateway, self._kind, own, blank=True)
        if shape is None:
            self._tell_columns(line, columns, "column")
        return shape

    def _tell_columns(self, line: int, found: Sequence[str], what: str) -> None:
        names = [item.name for item in self._kind.COORDINATES]
        known = [*names, *self._kind.OPTIONS, "after"]
        if len(found) > MOST_COLUMNS:
            self._tell(line, "", f"found {len(found):,} {what}s", f"the {what}s are {', '.join(known)}")
            return
        for index, name in enumerate(found):
            if name in found[:index]:
                self._tell(line, "", f"the {what} {quote_text(name)} is given twice")
            elif name not in {*known, "gateway"}:
                hint = nearest(name, known) or f"the {what}s are {', '.join(known)}"
                if any(mark in name for mark in ";\t|"):
                    hint = "separate the columns with commas"
                self._tell(line, "", f"unknown {what} {quote_text(name)}", hint)
        for name in names:
            if name not in found:
                self._tell(line, "", f"the {what} {name} is missing")

    def _cells(self, shape: Shape | None, cells: list[str], width: int, after: int | None, line: int) -> None:
        self._rows += 1
        if len(cells) != width:
            hint = "a text that holds a comma stands in double quotes" if len(cells) > width else ""
            found = f"found {count_noun(len(cells), 'cell')} under {count_noun(width, 'column')}"
            self._tell(line, "", found, hint)
        elif shape is not None:
            self._warn_of_spoilt(cells, line)
            needs = cells.pop(after) if after is not None else ""
            self._row(shape, cells, line, [needs] if needs else ())

    def _warn_of_spoilt(self, cells: Sequence[str], line: int) -> None:
        if cells[0].startswith("#") and not _SPOILT.fullmatch(cells[0]):
            found = f"{quote_text(cells[0])} is read as a name: no row of a table is a comment"
            self._warn(line, "", found, "take the row out if it is not meant")
        for cell in cells:
            if cell[:1] in _SPOILT_BEGINS and _SPOILT.fullmatch(cell):
                self._warn(
                    line, "", f"{quote_text(cell)} looks like what a spreadsheet has made of a text", _RETYPED
                )

    def _row(self, shape: Shape, texts: Sequence[str], line: int, after: Sequence[str] = ()) -> None:
        row = shape.row(texts)
        if row is None:
            for key, unfit in shape.faults(texts):
                spoilt = _SPOILT.fullmatch(texts[shape.keys.index(key)])
                self._tell(line, key, unfit.message, _RETYPED if spoilt else unfit.hint)
        else:
            self._put(self._gateway, *row, Place(self._file, line, 1))
        for needs in self._needs(after, line) if after else ():
            if row is not None:
                self._require(needs, Place(self._file, line, 1))

    def _needs(self, after: Sequence[str], line: int) -> list[TargetId]:
        found: dict[TargetId, Place] = {}
        for text in after:
            try:
                take(text, Place(self._file, line, 1), self._gateways, found)
            except UnfitError as unfit:
                self._tell(line, "after", unfit.message, unfit.hint)
        return list(found)

    def _json_lines(self, text: Iterator[str]) -> None:
        for number, line in enumerate(text, 1):
            if line.isspace():
                continue
            self._rows += 1
            try:
                self._object(json.loads(line, object_pairs_hook=_unique), number)
            except UnfitError as unfit:
                self._tell(number, "", unfit.message, unfit.hint)
            except json.JSONDecodeError as error:
                self._problems.add(
                    Place(self._file, number, error.colno), "", f"cannot be read as JSON: {error.msg}"
                )
            except (ValueError, RecursionError):
                self._tell(number, "", "cannot be read as JSON: a number or a nesting without end")

    def _object(self, value: object, line: int) -> None:
        if not isinstance(value, dict):
            raise UnfitError("found no JSON object", 'write one object a line: {"key": "text"}')
        after = _ids(value.pop("after")) if "after" in value else ()
        keys = tuple(value)
        shape = self._shapes.get(keys) or make_shape(self._gateway, self._kind, keys)
        if shape is None:
            self._tell_columns(line, keys, "key")
            return
        self._shapes[keys] = shape
        self._row(shape, [_text(key, item) for key, item in value.items()], line, after)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise UnfitError("a key is given twice in one object")
    return value


def _ids(value: object) -> Sequence[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UnfitError("after is no list of texts", 'write it as ["gateway/part"]')
    return value


def _text(key: str, value: object) -> str:
    if key == "persistent":
        if not isinstance(value, bool):
            raise UnfitError("persistent is neither true nor false", "write true or false, without quotes")
        return "true" if value else "false"
    if not isinstance(value, str):
        raise UnfitError(f"the value of {quote_text(key)} is no text", "write it in double quotes")
    return value
