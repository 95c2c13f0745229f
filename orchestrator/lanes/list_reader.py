"""Reads the lists of one lane's gateway, page by page, each page once.

A list shrinks while it is read: an undeploy of ours may take an entry off. So a list is read from its last
page to its first: an entry only moves to a page that is still to be read. What no page shows is read alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from orchestrator.lanes.exchange import LaneQuestion, count_as_unclear, exchange
from orchestrator.model.features import ListFeature, ListRows
from orchestrator.model.reading import Act, ListPage, Reading, Verdict
from orchestrator.model.search import MOST_LISTED
from orchestrator.model.target import TargetId
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.retry import describe, draw_backoff

if TYPE_CHECKING:
    from orchestrator.lanes.lane import Lane

MOST_TRIES = 4
"""Requests for one page, refusals to take more included. After these the lane goes without the list."""

MOST_FAULTS = 2
"""Faults of one page after which the lane goes without the list: so the page is asked for once more."""

RESTS_FOR = 300.0
"""Seconds for which the lane does not ask again for a list after faults of it."""

LIST_ITSELF = TargetId("(list)")
"""The name under which a list is asked for that no target waits for."""

PageRows = dict[tuple[str, ...], tuple[Any, ...]]


class ReadList(NamedTuple):
    """A whole list: its rows by the parts of a target, and its pages."""

    rows: PageRows
    pages: int


class _MissingList(Exception):  # noqa: N818 - no error: the lane goes on without this list
    """The list is not to be had now; ``for_good``: nor later, by the ``refusal`` where there was one."""

    def __init__(
        self, *, for_good: bool = False, rests: bool = False, refusal: Reading | None = None
    ) -> None:
        self.for_good = for_good
        self.rests = rests
        self.refusal = refusal


class ListReader:
    """Reads one list of a lane, as often as it is asked to, and keeps how the list is best read."""

    def __init__(self, lane: Lane, feature: ListFeature, name: str) -> None:
        self._lane = lane
        self._feature = feature
        self._name = name
        self._size = feature.page_size
        self._last = 0
        """The offset of the last page, when the list was last read."""
        self._rests_until = 0.0
        self._is_offered = True
        self._was_read = False

    @property
    def is_offered(self) -> bool:
        """Whether the list may be asked for now: the gateway offers it, and it is not given up."""
        return self._is_offered and self._lane.environment.monotonic() >= self._rests_until

    async def read(self, wanted_by: TargetId, earlier: ListRows | None, most_pages: int) -> ReadList | None:
        """Return the whole list; None where it is not to be had.

        While only one target may send, that target may also fetch the list: ``wanted_by`` names it. A list
        of more than ``most_pages`` costs more than it spares, and is not asked for again.
        """
        try:
            found = await self._read(_PageSource(self._lane, wanted_by, self._ask(earlier)), most_pages)
        except _MissingList as missing:
            self._go_without(missing)
            return None
        self._was_read = True
        return found

    def _go_without(self, missing: _MissingList) -> None:
        # As with looks, a list that was once offered stays offered: a refusal now is of another cause.
        self._is_offered = self._was_read or not missing.for_good
        if missing.rests or missing.for_good:
            self._rests_until = self._lane.environment.monotonic() + RESTS_FOR
        if missing.refusal is not None and not self._is_offered:
            self._lane.announcer.remark(
                f"it has no list of {self._name} for this credential ({describe(missing.refusal)}),"
                " so each target is looked at alone"
            )

    async def _read(self, source: _PageSource, most_pages: int) -> ReadList:
        rows: PageRows = {}
        first = self._last
        page = await source.fetch(first, self._size)
        _add_rows(rows, page)
        total, pages = page.total, 1
        if not page.size and first == 0:
            return ReadList(rows, pages)
        # Some servers give shorter pages than they are asked for.
        self._size = page.size if 0 < page.size < min(self._size, total - first) else self._size
        self._check_length(total, most_pages)
        self._last = offset = _find_last(total, self._size)
        while offset >= 0:
            # Where the list has changed since, entries may have moved onto the page that was read first.
            if offset == first and page.total == total:
                offset -= self._size
                continue
            before, page, pages = page.total, await source.fetch(offset, self._size), pages + 1
            if not page.size and first < offset < page.total:
                # The total counts entries that this credential does not see: the list ends before.
                pages += await self._go_forward(source, rows, first, most_pages)
                offset = first
                continue
            if not _add_rows(rows, page) and page.size and offset != first and page.total == before:
                break  # the same page again, whatever the offset
            offset -= self._size
        return ReadList(rows, pages)

    async def _go_forward(self, source: _PageSource, rows: PageRows, first: int, most_pages: int) -> int:
        """Read on behind the page at ``first`` until one names nothing new; return the number of pages."""
        pages, self._last = 0, first
        while pages < most_pages:
            page, pages = await source.fetch(self._last + self._size, self._size), pages + 1
            if not _add_rows(rows, page):
                break
            self._last += self._size
        return pages

    def _check_length(self, total: int, most_pages: int) -> None:
        if total <= min(MOST_LISTED, most_pages * self._size):
            return
        self._lane.announcer.warn_once(
            "long list",
            f"its list, of {total:,} entries by its own word, is too long: each is looked at alone",
        )
        raise _MissingList(for_good=True)

    def _ask(self, earlier: ListRows | None) -> Callable[[int, int], LaneQuestion[ListPage]]:
        feature, name = self._feature, self._name
        return lambda offset, size: LaneQuestion(
            Act.LOOK,
            lambda access, now: feature.build_request(name, offset, size, access, now=now),
            lambda reply: feature.read(name, reply, earlier),
        )


class _PageSource:
    """Fetches the pages of one list."""

    def __init__(
        self, lane: Lane, wanted_by: TargetId, ask: Callable[[int, int], LaneQuestion[ListPage]]
    ) -> None:
        self._lane = lane
        self._wanted_by = wanted_by
        self._ask = ask

    async def fetch(self, offset: int, size: int) -> ListPage:
        """Return one page. Raises ``_MissingList`` where it is not to be had."""
        faults = 0
        for failures in range(1, MOST_TRIES + 1):
            found = await self._exchange(offset, size)
            if isinstance(found, ListPage):
                return found
            if found.verdict is Verdict.NOT_OFFERED:
                raise _MissingList(for_good=True, refusal=found)
            faults += found.verdict is Verdict.UNCLEAR
            if faults >= MOST_FAULTS:
                break
            if failures < MOST_TRIES:
                wait = draw_backoff(self._lane.policy, failures, self._lane.environment.roll())
                await anyio.sleep(wait)
        raise _MissingList(rests=True)

    async def _exchange(self, offset: int, size: int) -> ListPage | Reading:
        lane, is_owed = self._lane, self._wanted_by == LIST_ITSELF
        admission = AdmissionRequest(self._wanted_by, Act.LOOK, settling=is_owed, dispensable=True)
        # A list that precedes undeploys is useless once no undeploy may start any more.
        is_needless = not is_owed and lane.refusal(lane.policy.act)
        if is_needless or await lane.admit(admission):
            raise _MissingList
        lane.announcer.tell_request()
        found = (await exchange(lane, admission, self._ask(offset, size))).found
        return count_as_unclear(found) if isinstance(found, Reading) else found


def _find_last(total: int, size: int) -> int:
    """Return the offset of a list's last page."""
    return max(0, (total - 1) // size * size)


def _add_rows(rows: PageRows, page: ListPage) -> bool:
    """Take in a page; return whether it names anything new. An entry that was met before counts once."""
    is_new = False
    alone: dict[int, tuple[Any, ...]] = {}
    for parts, row in page.rows:
        known = rows.get(parts, ())
        if row not in known:
            # Entries of one state may share one row; then they share what holds it as well.
            rows[parts] = (*known, row) if known else alone.setdefault(id(row), (row,))
            is_new = True
    return is_new
