"""The lists of the backend APIs and of the front-end APIs of a simulated ROMA Connect, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from orchestrator.simulator import roma_replies as say
from orchestrator.simulator.exchange import CallResult, json_answer
from orchestrator.simulator.pages import KeptLists, cut_page, parse_query
from orchestrator.simulator.roma_fixture import RomaFixture
from orchestrator.simulator.roma_replies import SimulatedBackend

_Entry = TypeVar("_Entry")
_FRONT_FILTERS = frozenset(
    {
        "id",
        "name",
        "group_id",
        "req_protocol",
        "req_method",
        "req_uri",
        "auth_type",
        "env_id",
        "roma_app_id",
    }
)


class RomaLists:
    """Answers the lists. ``describe`` writes a backend API at a Unix time; ``show_front`` one of its front
    ends, by its index."""

    def __init__(
        self,
        fixture: RomaFixture,
        backends: Mapping[str, SimulatedBackend],
        describe: Callable[[SimulatedBackend, float], object],
        show_front: Callable[[SimulatedBackend, int], Mapping[str, object]],
    ) -> None:
        self._fixture = fixture
        self._unlisted = frozenset(fixture.unlisted)
        self._backends = backends
        self._describe = describe
        self._show_front = show_front
        self._kept = KeptLists()
        self._pages = 0
        """Pages of the list of backend APIs that were sent so far."""
        self._changes = self._deletions = 0

    def note_change(self) -> None:
        """Note that a backend API, or a front end of it, is not as it was."""
        self._changes += 1

    def list_fronts(self, query: str) -> CallResult:
        """Answer a page of the front-end APIs that are published now."""
        asked = parse_query(query)
        filters = {key: text for key, text in asked.items() if key in _FRONT_FILTERS}
        key = ("fronts", *sorted(filters.items()), asked.get("precise_search"))
        found = self._kept.find(key, self._changes, lambda: self._select_fronts(filters, asked))
        return self._send_page(found, asked, len(found), lambda entry: self._show_front(*entry))

    def _select_fronts(
        self, filters: Mapping[str, str], asked: Mapping[str, str]
    ) -> list[tuple[SimulatedBackend, int]]:
        return [
            (row, index)
            for row in self._list_visible()
            for index in range(say.count_fronts(row))
            if not filters or _matches_front(self._show_front(row, index), filters, asked)
        ]

    def _list_visible(self) -> Iterator[SimulatedBackend]:
        """Yield each backend API that the lists show to this user."""
        rows = self._backends.items()
        return (row for key, row in rows if not row.deleted and key not in self._unlisted)

    def list_backends(self, query: str, now: float) -> CallResult:
        """Answer a page of the backend APIs, deployed or not."""
        asked = parse_query(query)
        filters = {key: asked.get(key) for key in ("status", "name", "precise_search")}
        # Without a filter for the status a list stays the same, whatever is deployed or not.
        state = self._changes if filters["status"] else self._deletions
        found = self._kept.find(
            ("backends", *filters.values()),
            state,
            lambda: [row for row in self._list_visible() if _matches(row, asked)],
        )
        total = len(found) + self._fixture.miscount
        page = self._send_page(found, asked, total, lambda row: self._describe(row, now))
        self._pages += 1
        if found and self._pages <= self._fixture.shifts:
            found[0].deleted = True
            self._changes += 1
            self._deletions += 1
        return page

    def _send_page(
        self, found: Sequence[_Entry], asked: Mapping[str, str], total: int, show: Callable[[_Entry], object]
    ) -> CallResult:
        """Answer one page of ``found``, each entry as ``show`` writes it."""
        page = cut_page(found, asked, self._fixture.longest_page)
        if isinstance(page, str):
            return CallResult(say.invalid(page))
        shown = [show(entry) for entry in page]
        return CallResult(json_answer(200, {"size": len(shown), "total": total, "apis": shown}))


def _matches(row: SimulatedBackend, asked: Mapping[str, str]) -> bool:
    if asked.get("status", str(row.status)) != str(row.status):
        return False
    if (name := asked.get("name")) is None:
        return True
    return row.name == name if "name" in asked.get("precise_search", "").split(",") else name in row.name


def _matches_front(
    fields: Mapping[str, object], filters: Mapping[str, str], asked: Mapping[str, str]
) -> bool:
    precise = asked.get("precise_search", "").split(",")
    for key, wanted in filters.items():
        value = str(fields["run_env_id" if key == "env_id" else key])
        is_part = key in ("name", "req_uri", "env_id") and key not in precise
        if not (wanted in value if is_part else wanted == value):
            return False
    return True
