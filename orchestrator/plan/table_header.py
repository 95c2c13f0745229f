"""Say what to do about the header of a table of targets that does not name the columns of a target."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence

from orchestrator.plan.problems import find_misspelt, suggest_nearest

_SEPARATORS = ";\t|"
_NAMES = {";": '";"', "\t": "tabs", "|": '"|"'}


def find_separator(found: Sequence[str], known: Collection[str]) -> str:
    """Return the sign that separates the columns in place of commas; an empty text if none does."""
    if any(name in known for name in found):
        return ""
    header = ",".join(found)
    return max(_SEPARATORS, key=header.count) if any(sign in header for sign in _SEPARATORS) else ""


def name_separator(sign: str) -> str:
    """Return how a message names the sign that separates columns."""
    return _NAMES.get(sign, f'"{sign}"')


def suggest_cut(header: str, sign: str, wanted: Sequence[str], file: str) -> str:
    """Return how to make a table with commas of ``file``: the columns ``wanted``, without the others.

    Excel separates columns with semicolons where the comma belongs to numbers, as in Turkish and German.
    """
    columns = [cell.strip(' "') for cell in header.split(sign)]
    numbers = [_find_column(columns, name, sole=len(wanted) == 1) for name in wanted]
    unknown = "" if all(numbers) else " (N: the number of a column)"
    fields = ",".join(str(number) for number in sorted(filter(None, numbers))) if all(numbers) else ""
    fields = fields or ",".join("N" for _ in wanted)
    delimiter = "" if sign == "\t" else f" -d{shlex.quote(sign)}"
    # A message shows a tab as an escape that tr does not know.
    written = "'\\t'" if sign == "\t" else shlex.quote(sign)
    to_commas = "" if len(wanted) == 1 else f" | tr {written} ,"
    command = f"cut{delimiter} -f{fields} {shlex.quote(file)}{to_commas} > targets.csv"
    return f"separate the columns with commas: {command}{unknown}"


def _find_column(columns: Sequence[str], name: str, *, sole: bool) -> int:
    """Return the number, from 1, of the column that is or means ``name``; 0 if none does."""
    meant = [number for number, one in enumerate(columns, 1) if one == name or _suggests(one, name)]
    if not meant and sole:
        meant = [number for number, one in enumerate(columns, 1) if _is_id(one)]
    return meant[0] if len(meant) == 1 else 0


def _suggests(column: str, name: str) -> bool:
    return name in re.split(r"[ _.-]", column.casefold()) or bool(suggest_nearest(column, (name,)))


def _is_id(column: str) -> bool:
    """Return whether people call a column of ids so: ``id``, ``API_ID``, ``Api Id``."""
    return re.fullmatch(r"(?:.*[ _.-])?id|(?:ld)?apiid", column, re.IGNORECASE) is not None


def suggest_column(
    name: str, found: Sequence[str], wanted: Sequence[str], known: Sequence[str], what: str
) -> str:
    """Return what to do about the unknown column ``name`` of those ``found``; ``wanted`` must be there.

    ``what`` is the word for a column, which may also be a key of an object.
    """
    if near := suggest_nearest(name, known):
        return near
    if _means_only_id(name, found, wanted):
        return f'did you mean "{wanted[0]}"?'
    return f"the {what}s are {', '.join(known)}; take the {what} out"


def find_meant(missing: str, found: Sequence[str], wanted: Sequence[str], known: Sequence[str]) -> str:
    """Return the unknown column that stands for the ``missing`` one; an empty text without one."""
    near = find_misspelt(missing, found, [*known, "gateway"])
    return near or next((name for name in found if _means_only_id(name, found, wanted)), "")


def is_nearly_known(name: str, found: Sequence[str], wanted: Sequence[str], known: Sequence[str]) -> bool:
    """Return whether ``name`` is one of the ``known`` columns, looks like one, or stands for one."""
    return name in known or bool(suggest_nearest(name, known)) or _means_only_id(name, found, wanted)


def _means_only_id(name: str, found: Sequence[str], wanted: Sequence[str]) -> bool:
    """Return whether ``name`` is the one column of ids where a target is one id, which no column names."""
    return len(wanted) == 1 and wanted[0] not in found and [one for one in found if _is_id(one)] == [name]
