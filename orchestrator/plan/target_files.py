"""Read the files of targets that a plan names with ``from_file``: CSV with a header, or JSON lines."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UnfitError
from orchestrator.model.gateway import Gateway
from orchestrator.model.target import TargetId
from orchestrator.plan.collectors import TargetCollector
from orchestrator.plan.dependencies import add_needed_id
from orchestrator.plan.gateways import NamedGateway
from orchestrator.plan.nodes import ScalarNode
from orchestrator.plan.problems import FilePosition, Problems, UnreadableError
from orchestrator.plan.source import Fingerprint, is_within, open_list, read_lines
from orchestrator.plan.table_header import (
    find_meant,
    find_separator,
    is_nearly_known,
    name_separator,
    suggest_column,
    suggest_cut,
)
from orchestrator.plan.target_shape import TargetShape, make_shape
from orchestrator.text.characters import quote_text, trim_spaces, why_not_prose
from orchestrator.text.counting import count_noun

if TYPE_CHECKING:
    from _csv import Reader

MOST_COLUMNS = 50
"""No kind of gateway has as many keys, so a line with more columns is no header."""

_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)
"""The line that spreadsheets write, and read, before the header."""
_RETYPED = re.compile(
    r"[0-9](?:[.,][0-9]+)?E[+-][0-9]+|=.*|#(?:REF!|N/A|NAME\?|VALUE!|DIV/0!|NUM!|NULL!|SPILL!|#+)"
    r"|[0-9]{4,}\.0|[0-9]{1,2}-[A-Z][a-z]{2}(?:-[0-9]{2,4})?|[0-9]{1,2}([./])[0-9]{1,2}\1[0-9]{4}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}(?: 00:00(?::00)?)?"
)
"""An id after a spreadsheet took it for a number, a date or a formula."""
_RETYPED_BEGINS = frozenset("0123456789=#")
_QUOTES = frozenset("\"'")
_RETYPE_HINT = "in a spreadsheet, make the column text and fill it in again"


class TargetFiles:
    """Reads the files that the plan at ``plan`` names. ``fingerprints`` has one for each file, in order."""

    def __init__(self, plan: Path, problems: Problems) -> None:
        self.fingerprints: list[Fingerprint] = []
        self._folder = plan.parent
        self._problems = problems

    def read(
        self,
        name: ScalarNode,
        gateway: str,
        kind: type[Gateway],
        path: str,
        collector: TargetCollector,
        gateways: Mapping[str, NamedGateway],
    ) -> None:
        """Put the targets of the file into ``collector``; add problems with the lines of that file.

        The targets belong to ``gateway``, and may come after targets of any of the ``gateways``.
        """
        try:
            file = self._find_file(name.text)
            stream = open_list(file)
        except UnfitError as unfit:
            self._problems.add(name.at, path, f"{quote_text(name.text)} {unfit.message}", unfit.hint)
            return
        index = self._problems.add_file(str(file))
        self.fingerprints.append(Fingerprint())
        table = _TargetFileReader(index, str(file), gateway, kind, collector, gateways, self._problems)
        try:
            with stream:
                table.read(
                    read_lines(stream, index, self.fingerprints[-1]), is_csv=file.suffix.lower() == ".csv"
                )
        except UnreadableError as error:
            self._problems.add(error.position, error.path, error.message, error.hint)
        except OSError as error:
            self._problems.add(name.at, path, f"{quote_text(name.text)} cannot be read: {error.strerror}")

    def _find_file(self, name: str) -> Path:
        if not name or (why := why_not_prose(name)):
            raise UnfitError(f"is not the path of a file{f': it {why}' if name else ''}")
        if not name.lower().endswith((".csv", ".jsonl")):
            raise UnfitError("is of no kind that can be read", "its name ends in .csv or .jsonl")
        try:
            path = Path(name).expanduser()
        except RuntimeError:
            raise UnfitError("begins with the home folder of a user who has none here") from None
        if not path.is_absolute() and not is_within(self._folder, name):
            raise UnfitError("leaves the plan's folder", "write an absolute path if that is meant")
        return self._folder / path


class _TargetFileReader:
    def __init__(
        self,
        file: int,
        name: str,
        gateway: str,
        kind: type[Gateway],
        collector: TargetCollector,
        gateways: Mapping[str, NamedGateway],
        problems: Problems,
    ) -> None:
        self._file_index = file
        self._name = name
        self._gateway = gateway
        self._kind = kind
        self._put = collector.put
        self._add_dependency = collector.add_dependency
        self._gateways = gateways
        self._problems = problems
        self._rows = 0
        self._shapes: dict[tuple[str, ...], TargetShape] = {}

    def read(self, text: Iterator[str], *, is_csv: bool) -> None:
        if is_csv:
            self._read_csv(text)
        else:
            self._read_json_lines(text)
        if not self._rows:
            self._add_problem(0, "", "the file names no target")

    def _add_problem(self, line: int, key: str, message: str, hint: str = "") -> None:
        self._problems.add(FilePosition(self._file_index, line, min(line, 1)), key, message, hint)

    def _read_csv(self, text: Iterator[str]) -> None:
        first = next(text, "")
        # Without strict, a stray quote would silently swallow the rows that follow.
        table = csv.reader(chain([first], text), strict=True)
        ended = 0
        try:
            columns = self._read_header(table)
            if columns is None or self._is_separated_otherwise(columns, table.line_num):
                return
            if self._is_no_header(columns, table.line_num):
                return
            ended = table.line_num
            after = columns.index("after") if columns.count("after") == 1 else None
            flag = columns.index("persistent") if columns.count("persistent") == 1 else None
            shape = self._make_shape(columns, after, ended)
            for row in table:
                # A cell in quotes may hold line breaks, so a row may have several lines.
                begun, ended = ended + 1, table.line_num
                if (cells := self._trim_row(row, columns, begun)) == columns:
                    self._rows += 1
                    self._add_problem(begun, "", "the header stands here once more", "take this line out")
                elif cells:
                    # Spreadsheets write TRUE and FALSE in capitals.
                    if flag is not None and flag < len(cells) and cells[flag].lower() in {"true", "false"}:
                        cells[flag] = cells[flag].lower()
                    self._read_cells(shape, cells, len(columns), after, begun)
        except csv.Error as error:
            # Of cells in quotes the reader takes no other sign than a comma behind the first one.
            head = [cell.strip(' "\r\n') for cell in first.split(",")]
            if table.line_num == 1 and self._is_separated_otherwise(head, 1):
                return
            raise self._explain_csv_error(error, ended + 1, table.line_num) from None

    def _explain_csv_error(self, error: csv.Error, begun: int, line: int) -> UnreadableError:
        """Return why the reader stops at ``line``, in the row that begins at the line ``begun``."""
        if "unexpected end of data" in str(error):
            hint = f"the row that begins at line {begun} has a double quote that nothing closes"
            return UnreadableError(
                FilePosition(self._file_index, line, 1), f"cannot be read as CSV: {error}", hint
            )
        is_closed_early = "expected after" in str(error)
        hint = 'commas separate the columns, and a " inside a cell is written ""' if is_closed_early else ""
        return UnreadableError(
            FilePosition(self._file_index, line, 1), f"cannot be read as CSV: {error}", hint
        )

    def _read_header(self, table: Reader) -> list[str] | None:
        """Return the names of the columns; None if the file has none. Skips empty rows before the header."""
        filled = (row for row in table if any(map(trim_spaces, row)))
        first: list[str] = next(filled, [])
        if first and first[0].lower() in ("sep=", "sep=,") and not any(first[1:]):
            first = next(filled, [])
        if not first:
            return None
        if found := _SEPARATOR.fullmatch(first[0]):
            hint = "separate the columns with commas, and take this line out"
            self._add_other_separator(table.line_num, found[1], hint)
            return None
        return self._trim_row(first, [], table.line_num)

    def _is_separated_otherwise(self, columns: list[str], line: int) -> bool:
        """Return whether something else than commas separates the columns; add the one problem of that."""
        wanted = [item.name for item in self._kind.COORDINATES]
        sign = find_separator(columns, wanted)
        if sign:
            hint = suggest_cut(",".join(columns), sign, wanted, self._name)
            self._add_other_separator(line, sign, hint)
        return bool(sign)

    def _is_no_header(self, first: list[str], line: int) -> bool:
        """Return whether the first row names no column at all; add the one problem of that.

        Else each of its cells would be an unknown column, which no one means to take out.
        """
        wanted = [item.name for item in self._kind.COORDINATES]
        known = [*wanted, *self._kind.OPTIONS, "after", "gateway"]
        if len(first) > MOST_COLUMNS or any(is_nearly_known(name, first, wanted, known) for name in first):
            return False
        is_comment = first[0].startswith("#")
        hint = (
            "no row is a comment: take it out"
            if is_comment
            else f"write a line before it: {','.join(wanted)}"
        )
        self._add_problem(line, "", f"the first line names none of the columns {', '.join(wanted)}", hint)
        self._rows += 1  # the file has rows, which nobody can read
        return True

    def _add_other_separator(self, line: int, sign: str, hint: str) -> None:
        self._add_problem(line, "", f"the columns are separated by {name_separator(sign)}", hint)
        self._rows += 1  # the file has rows, which nobody can read

    def _trim_row(self, row: list[str], columns: list[str], line: int) -> list[str]:
        """Return the cells of a row without the spaces at their ends; an empty list if all cells are empty.

        Leaves out empty cells behind the last column, too: a spreadsheet pads rows to its widest one.
        """
        # Nearly all cells are letters and digits, and to test that is cheaper than to trim.
        cells = [cell if cell.isalnum() else trim_spaces(cell) for cell in row]
        if cells != row:
            index = next(i for i, cell in enumerate(cells) if cell != row[i])
            key = columns[index] if index < len(columns) else ""
            if any(cells):
                self._add_warning(line, key, f"the spaces at an end of {quote_text(row[index])} are left out")
        while len(cells) > len(columns) and not cells[-1]:
            del cells[-1]
        return cells if any(cells) else []

    def _add_warning(self, line: int, key: str, message: str, hint: str = "") -> None:
        self._problems.warn(FilePosition(self._file_index, line, min(line, 1)), key, message, hint)

    def _make_shape(self, columns: list[str], after: int | None, line: int) -> TargetShape | None:
        own = [name for index, name in enumerate(columns) if index != after]
        shape = make_shape(self._gateway, self._kind, own, blank=True)
        if shape is None:
            self._check_columns(line, columns, "column")
        return shape

    def _check_columns(self, line: int, found: Sequence[str], what: str) -> None:
        names = [item.name for item in self._kind.COORDINATES]
        known = [*names, *self._kind.OPTIONS, "after"]
        if len(found) > MOST_COLUMNS:
            self._add_problem(
                line, "", f"found {len(found):,} {what}s", f"the {what}s are {', '.join(known)}"
            )
            return
        for index, name in enumerate(found):
            if name in found[:index]:
                self._add_problem(line, "", f"the {what} {quote_text(name)} is given twice")
            elif name not in {*known, "gateway"}:
                hint = suggest_column(name, found, names, known, what)
                self._add_problem(line, "", f"unknown {what} {quote_text(name)}", hint)
        for name in names:
            if name not in found and not find_meant(name, found, names, known):
                self._add_problem(line, "", f"the {what} {name} is missing")

    def _read_cells(
        self, shape: TargetShape | None, cells: list[str], width: int, after: int | None, line: int
    ) -> None:
        self._rows += 1
        if len(cells) != width:
            hint = "a text that holds a comma stands in double quotes" if len(cells) > width else ""
            found = f"found {count_noun(len(cells), 'cell')} under {count_noun(width, 'column')}"
            self._add_problem(line, "", found, hint)
        elif shape is not None:
            self._warn_of_spoilt(cells, line)
            needs = cells.pop(after) if after is not None else ""
            self._put_row(shape, cells, line, [needs] if needs else ())

    def _warn_of_spoilt(self, cells: Sequence[str], line: int) -> None:
        if cells[0].startswith("#") and not _RETYPED.fullmatch(cells[0]):
            found = f"{quote_text(cells[0])} is read as a name: no row of a table is a comment"
            self._add_warning(line, "", found, "take the row out if it is not meant")
        for cell in cells:
            # A quote behind a space is a letter of its cell, and so is one that was doubled.
            if cell[:1] in _QUOTES and len(cell) > 2 and cell[-1] == cell[0]:
                found = f"{quote_text(cell)} stands in quotes, which belong to it"
                self._add_warning(line, "", found, "take them out, with a space before them, if not")
            if cell[:1] in _RETYPED_BEGINS and _RETYPED.fullmatch(cell):
                self._add_warning(
                    line,
                    "",
                    f"{quote_text(cell)} looks like what a spreadsheet has made of a text",
                    _RETYPE_HINT,
                )

    def _put_row(
        self, shape: TargetShape, texts: Sequence[str], line: int, after: Sequence[str] = ()
    ) -> None:
        row = shape.read_row(texts)
        if row is None:
            for key, unfit in shape.find_faults(texts):
                is_retyped = _RETYPED.fullmatch(texts[shape.keys.index(key)])
                self._add_problem(line, key, unfit.message, _RETYPE_HINT if is_retyped else unfit.hint)
        else:
            self._put(self._gateway, *row, FilePosition(self._file_index, line, 1))
        for needs in self._read_needs(after, line) if after else ():
            if row is not None:
                self._add_dependency(needs, FilePosition(self._file_index, line, 1))

    def _read_needs(self, after: Sequence[str], line: int) -> list[TargetId]:
        found: dict[TargetId, FilePosition] = {}
        for text in after:
            try:
                add_needed_id(text, FilePosition(self._file_index, line, 1), self._gateways, found)
            except UnfitError as unfit:
                self._add_problem(line, "after", unfit.message, unfit.hint)
        return list(found)

    def _read_json_lines(self, text: Iterator[str]) -> None:
        for number, line in enumerate(text, 1):
            if line.isspace():
                continue
            self._rows += 1
            try:
                self._read_object(json.loads(line, object_pairs_hook=_refuse_twins), number)
            except UnfitError as unfit:
                self._add_problem(number, "", unfit.message, unfit.hint)
            except json.JSONDecodeError as error:
                if self._rows == 1:
                    self._refuse_whole_json(line.strip(), number)
                is_list_item = line.rstrip().endswith("},") and error.msg == "Extra data"
                self._problems.add(
                    FilePosition(self._file_index, number, error.colno),
                    "",
                    f"cannot be read as JSON: {error.msg}",
                    "take the comma behind the object out" if is_list_item else "",
                )
            # Python limits the digits of a number, and the depth of a nesting, with errors of their own.
            except (ValueError, RecursionError):
                self._add_problem(number, "", "cannot be read as JSON: a number or a nesting without end")

    def _refuse_whole_json(self, first: str, number: int) -> None:
        """Raise ``UnreadableError`` where the first line shows that the file is one JSON text.

        Otherwise each of its lines would be a problem, and none would tell the remedy.
        """
        found, each = ("one list", ".[]") if first.startswith("[") else ("objects of several lines", ".")
        if first.startswith("[") or first == "{":
            command = f"jq -c {shlex.quote(each)} {shlex.quote(self._name)} > targets.jsonl"
            raise UnreadableError(
                FilePosition(self._file_index, number, 1),
                f"found {found}, expected an object a line",
                f"write one object a line: {command}",
            )

    def _read_object(self, value: object, line: int) -> None:
        if not isinstance(value, dict):
            raise UnfitError("found no JSON object", 'write one object a line: {"key": "text"}')
        after = _read_ids(value.pop("after")) if "after" in value else ()
        keys = tuple(value)
        shape = self._shapes.get(keys) or make_shape(self._gateway, self._kind, keys)
        if shape is None:
            self._check_columns(line, keys, "key")
            return
        self._shapes[keys] = shape
        self._put_row(shape, [_read_text(key, item) for key, item in value.items()], line, after)


def _refuse_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise UnfitError("a key is given twice in one object")
    return value


def _read_ids(value: object) -> Sequence[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UnfitError("after is no list of texts", 'write it as ["gateway/part"]')
    return value


def _read_text(key: str, value: object) -> str:
    if key == "persistent":
        if not isinstance(value, bool):
            raise UnfitError("persistent is neither true nor false", "write true or false, without quotes")
        return "true" if value else "false"
    if not isinstance(value, str):
        raise UnfitError(f"the value of {quote_text(key)} is no text", "write it in double quotes")
    return value
