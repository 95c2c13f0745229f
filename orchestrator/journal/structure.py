"""The structure of a journal's file: whether its tables and indexes are those that the program made.

An audit compares values. What answers the queries for them must then be a table of the program: a view that
somebody put in its place may tell an audit another thing than it tells a report, and a table that lost its
key may hold a row twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.journal.database import Database, Row, create_database
from orchestrator.journal.schema import AFTER_LOADING
from orchestrator.system.temporary import make_temporary_folder
from orchestrator.text.characters import cut_between_letters, make_visible

LONGEST_NAME = 60
"""Characters that a fault quotes of a name."""

_PARTS = "SELECT type, name, tbl_name FROM main.sqlite_master"
_COLUMNS = """
SELECT tables.name, columns.name, columns.type, columns."notnull", columns.pk, columns.hidden
FROM main.sqlite_master AS tables, pragma_table_xinfo(tables.name, 'main') AS columns
WHERE tables.type = 'table'
"""
_FAULTLESS = "ok"


def list_structure_faults(database: Database) -> Iterator[str]:
    """Yield in words what of a journal's structure the program did not make so.

    Reads every page of the file: an index that disagrees with its table is a fault, too.
    """
    with make_temporary_folder() as place:
        model = create_database(place / "model.sqlite")
        try:
            model.run(AFTER_LOADING)
            parts, tables = set(model.rows(_PARTS)), _read_columns(model)
        finally:
            model.close()
    found = set(database.rows(_PARTS))
    yield from (f"the {_name(part)} was removed" for part in sorted(parts - found))
    yield from (f"the {_name(part)} is none of the program's" for part in sorted(found - parts))
    columns = _read_columns(database)
    for table in sorted(tables.keys() & columns.keys()):
        if tables[table] != columns[table]:
            yield f"the columns of the table {table} are not those that the program made"
    for (verdict,) in database.rows("PRAGMA integrity_check(1)"):
        if verdict != _FAULTLESS:
            yield f"the file disagrees with itself: {_quote(verdict)}"


def _read_columns(database: Database) -> Mapping[str, set[Row]]:
    """Return the columns of each table. A journal that was converted has the newest ones at the end."""
    columns: dict[str, set[Row]] = {}
    for table, *column in database.rows(_COLUMNS):
        columns.setdefault(table, set()).add(tuple(column))
    return columns


def _name(part: Row) -> str:
    sort, name, table = map(str, part)
    on = "" if sort in ("table", "view") else f" on {_quote(table)}"
    return f"{_quote(sort)} {_quote(name)}{on}"


def _quote(text: str) -> str:
    shown = make_visible(text)
    return shown if len(shown) <= LONGEST_NAME else f"{cut_between_letters(shown, LONGEST_NAME)}…"
