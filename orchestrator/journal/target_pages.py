"""The targets of a run in pages, for a viewer who looks while the run goes on.

What went wrong comes first, then what has not ended, then what is as wanted; in the plan's order within.
Each page is a read of its own: a target that ends between two pages may be in both, or in none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from orchestrator.journal.database import Database, Row, Value
from orchestrator.journal.ended import create_ended_view
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.meta import read_plan
from orchestrator.journal.schema import API_NAME
from orchestrator.journal.target_reports import stream_targets
from orchestrator.journal.targets import find_seq
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan
from orchestrator.report.values import TargetReport
from orchestrator.text.characters import make_visible
from orchestrator.text.names import fold_for_search

MOST_ROWS = 200
"""Targets of the longest page."""
LONGEST_FILTER = 200
LONGEST_READ = 10.0
"""Seconds after which the read of a page is given up."""

OPEN = "open"
"""The word of a query for the targets that have no outcome yet."""

_GROUPS: Sequence[tuple[str, str]] = (
    (Outcome.FAILED, "outcome = 'failed'"),
    (Outcome.UNKNOWN, "outcome = 'unknown'"),
    (Outcome.NOT_STARTED, "outcome = 'not_started'"),
    (OPEN, "outcome IS NULL"),
    (Outcome.UNDEPLOYED, "outcome = 'undeployed'"),
    (Outcome.RESTORED, "outcome = 'restored'"),
    (Outcome.ALREADY_UNDEPLOYED, "outcome = 'already_undeployed'"),
    (Outcome.ALREADY_DEPLOYED, "outcome = 'already_deployed'"),
)
"""The groups in the order of the pages: the word of a query, and the condition."""

# A group is read by the table's own order from its last target on: no sort, and no index of its own.
_PAGE = """
SELECT seq, id, gateway, wave, outcome, reason, seconds, ended,
    (SELECT COUNT(*) FROM attempt WHERE attempt.seq = target.seq AND sent IS NOT 0), {name}
FROM target WHERE {group} AND seq > ? AND {where} ORDER BY seq LIMIT ?
"""
_COUNT = "SELECT COUNT(*) FROM target WHERE {groups} AND {where}"
# Most ids are ASCII, and only for another text Python is asked.
_HOLDS = "{column} LIKE ? ESCAPE '\\' OR {column} GLOB '*[^ -~]*' AND fold({column}) LIKE ? ESCAPE '\\'"
_PAGE_END = re.compile(r"[0-9]{1,2}-[0-9]{1,18}")


class TargetQuery(Struct, frozen=True, kw_only=True):
    """What a viewer asks for. Empty texts ask for all."""

    filter: Annotated[str, Meta(max_length=LONGEST_FILTER)] = ""
    """A part of the id, the reason or the name; neither case nor accents count."""
    outcome: Annotated[str, Meta(max_length=200)] = ""
    """Outcomes with commas between them; ``open`` stands for none yet."""
    gateway: str = ""
    wave: str = ""
    after: str = ""
    """The ``next`` of the page before; empty for the first page."""
    n: Annotated[int, Meta(ge=1, le=MOST_ROWS)] = 100

    def __post_init__(self) -> None:
        if strange := self.outcomes - {word for word, _ in _GROUPS}:
            raise ValueError(f"there is no outcome {min(strange)!r}")
        if self.after and _PAGE_END.fullmatch(self.after) is None:
            raise ValueError("after is not the next of a page of targets")

    @property
    def outcomes(self) -> frozenset[str]:
        """The outcomes that are asked for; empty for all."""
        return frozenset(filter(None, self.outcome.split(",")))


class TargetRow(Struct, frozen=True, kw_only=True):
    """One target as a list shows it. ``outcome`` is None while the target has none."""

    id: str
    gateway: str
    wave: str
    outcome: str | None
    reason: str | None
    attempts: int
    seconds: float | None
    ended: float | None
    """Unix time."""
    name: str | None = None
    """The name that people know, where a snapshot told one and the id does not hold it."""


class TargetPage(Struct, frozen=True, kw_only=True):
    """A page of targets; ``next`` is None at the end. ``total`` counts all that match, on the first page."""

    rows: tuple[TargetRow, ...]
    next: str | None
    total: int | None


class _PagePosition(NamedTuple):
    """How far the pages came: the index of a group, and the number of its last target."""

    group: int
    seq: int


def read_target_page(folder: RunFolder, query: TargetQuery) -> TargetPage:
    """Return one page. Reads the journal without changing it. Raises JournalError and RunError."""
    with closing(folder.open(whole=False)) as database, database.translate_errors():
        database.limit_time(LONGEST_READ)
        database.run("BEGIN")  # one moment of a run that goes on
        return _PageReader(database, read_plan(database), query).read()


def read_target_report(folder: RunFolder, name: str) -> TargetReport | None:
    """Return the target with the id ``name`` and its attempts; None if the run has none. Raises likewise."""
    with closing(folder.open(whole=False)) as database, database.translate_errors():
        database.limit_time(LONGEST_READ)
        database.run("BEGIN")
        create_ended_view(database, None)
        seq = find_seq(database, name)
        if seq is None:
            return None
        return next(stream_targets(database, read_plan(database), f"seq = {seq}"), None)


def _escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


class _PageReader:
    def __init__(self, database: Database, plan: Plan, query: TargetQuery) -> None:
        self._database = database
        self._gateways = [gateway.name for gateway in plan.gateways]
        self._waves = [wave.name for wave in plan.waves]
        self._query = query
        self._where, self._values = self._make_condition()

    def _make_condition(self) -> tuple[str, tuple[Value, ...]]:
        query = self._query
        conditions, values = ["1"], list[Value]()
        for column, wanted, names in (
            ("gateway", query.gateway, self._gateways),
            ("wave", query.wave, self._waves),
        ):
            if wanted:
                # Two waves may have one name; and a viewer knows a name as it is shown.
                shown = enumerate(map(make_visible, names))
                indices = [str(index) for index, name in shown if name == make_visible(wanted)]
                conditions.append(f"{column} IN ({', '.join(indices)})")
        if query.filter:
            columns = ("id", "reason", API_NAME.format(seq="target.seq"))
            conditions.append(f"({' OR '.join(_HOLDS.format(column=column) for column in columns)})")
            texts = query.filter, fold_for_search(query.filter)
            values += [f"%{_escape_like(text)}%" for text in texts] * len(columns)
        return " AND ".join(conditions), tuple(values)

    def read(self) -> TargetPage:
        rows: list[TargetRow] = []
        group, seq = self._parse_place()
        wanted = self._list_groups()
        for index in [index for index in wanted if index >= group]:
            room = self._query.n - len(rows)
            found = self._read_group(index, seq if index == group else 0, room)
            rows += [row for _, row in found]
            if len(found) == room:
                return self._make_page(rows, f"{index}-{found[-1][0]}")
        return self._make_page(rows, None)

    def _parse_place(self) -> _PagePosition:
        group, _, seq = self._query.after.partition("-")
        return _PagePosition(int(group), int(seq)) if seq else _PagePosition(0, 0)

    def _list_groups(self) -> list[int]:
        wanted = self._query.outcomes
        return [index for index, (word, _) in enumerate(_GROUPS) if not wanted or word in wanted]

    def _read_group(self, index: int, after: int, most: int) -> list[tuple[int, TargetRow]]:
        statement = _PAGE.format(
            group=_GROUPS[index][1], where=self._where, name=API_NAME.format(seq="target.seq")
        )
        rows = self._database.rows(statement, (after, *self._values, most))
        return [(row[0], self._decode(row)) for row in rows]

    def _decode(self, row: Row) -> TargetRow:
        _, name, gateway, wave, outcome, reason, seconds, ended, attempts, known_as = row
        return TargetRow(
            id=name,
            gateway=self._gateways[gateway],
            wave=self._waves[wave],
            outcome=outcome,
            reason=reason,
            attempts=attempts,
            seconds=seconds,
            ended=ended,
            name=known_as,
        )

    def _make_page(self, rows: list[TargetRow], following: str | None) -> TargetPage:
        total = None if self._query.after else self._count()
        return TargetPage(rows=tuple(rows), next=following, total=total)

    def _count(self) -> int:
        # Every target is in one of the groups. All of them are counted from an index, not from the table.
        groups = " OR ".join(_GROUPS[index][1] for index in self._list_groups()) if self._query.outcome else 1
        statement = _COUNT.format(groups=f"({groups})", where=self._where)
        count: int = self._database.one(statement, self._values)[0]
        return count
