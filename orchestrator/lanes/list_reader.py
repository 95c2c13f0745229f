"""Reads the lists of one lane's gateway, page by page, each page once.

A list shrinks while it is read: an undeploy of ours may take an entry off. So a list is read from its last
page to its first: an entry only moves to a page that is still to be read. What no page shows is read alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

from orchestrator.lanes.exchange import ExchangeResult, LaneQuestion, count_as_unclear, exchange
from orchestrator.lanes.listed_rows import ListedRows, Rows
from orchestrator.model.features import ListRows, PagedLists
from orchestrator.model.http import Lost
from orchestrator.model.reading import Act, ListPage, Reading, Verdict
from orchestrator.model.target import TargetId
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.retry import describe, draw_backoff

if TYPE_CHECKING:
    from orchestrator.lanes.lane import Lane

MOST_TRIES = 4
"""Requests for one page, refusals to take more included. After these the lane goes without the list."""

MOST_FAULTS = 2
"""Faults of one page after which the lane goes without the list: so the page is asked for once more."""

SHORTER_BY = 10
"""By how much shorter pages are asked for where a page was lost: it may be too large, or come too late."""

SHORTEST_PAGE = 5
"""Entries below which no shorter page is asked for."""

RESTS_FOR = 300.0
"""Seconds for which the lane does not ask again for a list after faults of it."""

MOST_LATE = 2
"""Times in a row that a list may take too long. After these the lane goes without it for the session: all
targets wait for each try."""

LIST_ITSELF = TargetId("(list)")
"""The name under which a list is asked for that no target waits for."""


class ListBounds(NamedTuple):
    """The bounds of one reading of a list. The targets wait meanwhile."""

    pages: int
    entries: int
    first_by: float
    """Monotonic seconds after which no page is asked for, if none has come yet."""
    whole_by: float
    """Monotonic seconds after which no page is asked for."""


class ReadList(NamedTuple, Generic[Rows]):
    """A whole list: its rows, its pages, and what other reads would tell that it stands for."""

    rows: Rows
    pages: int
    spared: Mapping[str, Any]


class _MissingListError(Exception):
    """The list is not to be had now. The lane goes on without it."""


class _NoSuchListError(_MissingListError):
    """The gateway offers no such list, by its ``refusal``."""

    def __init__(self, refusal: Reading) -> None:
        self.refusal = refusal


class _LongListError(_MissingListError):
    """The list has more pages or ``entries`` than the lane takes in."""

    def __init__(self, entries: int) -> None:
        self.entries = entries


class _LateListError(_MissingListError):
    """The list would not be whole in time."""


class _LostPageError(Exception):
    """A page was lost on its way, or could not be read; the text is for people."""

    def __init__(self, detail: str, *, may_be_large: bool, is_late: bool) -> None:
        super().__init__(detail)
        self.may_be_large = may_be_large
        self.is_late = is_late
        """Whether the time for the list was over by then."""


class ListReader:
    """Reads one list of a lane, as often as it is asked to, and keeps how the list is best read."""

    def __init__(self, lane: Lane, feature: PagedLists, name: str) -> None:
        self._lane = lane
        self._feature = feature
        self._name = name
        self._size = feature.page_size
        self._last = 0
        """The offset of the last page, when the list was last read."""
        self._pages = 1
        """Pages of the list, as far as that is known."""
        self._entries = 0
        """Entries of the list, as far as that is known."""
        self._rests_until = 0.0
        self._late = 0
        """Times in a row that the list took too long."""
        self._exists = True
        self._was_read = False

    @property
    def _may_be_shorter(self) -> bool:
        """Whether the list has shorter pages than those that were asked for."""
        return self._feature.has_pages and self._size // SHORTER_BY >= SHORTEST_PAGE

    def is_offered(self, most_pages: int, most_entries: int) -> bool:
        """Whether the list may be asked for now, and is not longer than that as far as is known."""
        rests = self._lane.environment.monotonic() < self._rests_until
        is_short = self._pages <= most_pages and not self.is_longer(most_entries)
        return self._exists and not rests and is_short

    def is_longer(self, entries: int) -> bool:
        """Return whether the list is known to have more entries than that."""
        return self._entries > entries

    @property
    def is_refused(self) -> bool:
        """Whether the gateway was asked for the list, and does not offer it."""
        return not self._exists

    async def read(
        self,
        wanted_by: TargetId,
        earlier: ListRows | None,
        make_rows: Callable[[], Rows],
        bounds: ListBounds,
    ) -> ReadList[Rows] | None:
        """Return the whole list; None where it is not to be had within the bounds.

        While only one target may send, that target may also fetch the list: ``wanted_by`` names it.
        ``make_rows`` makes what takes the rows in, anew for each try.
        """
        most_faults = MOST_FAULTS
        while True:
            rows = make_rows()
            source = _PageSource(
                self._lane, self._name, wanted_by, self._ask(earlier), most_faults, rows, bounds
            )
            try:
                await self._read(source, bounds)
            except _NoSuchListError as missing:
                self._go_without(missing.refusal)
                return None
            except _LongListError as long:
                self._entries = long.entries
                self._tell_length()
                return None
            except _LateListError:
                self._rest("it took too long", is_late=True)
                return None
            except _MissingListError:
                return None
            except _LostPageError as lost:
                if not (lost.may_be_large and self._may_be_shorter):
                    self._rest(str(lost), is_late=lost.is_late)
                    return None
                self._size, self._last, most_faults = self._size // SHORTER_BY, 0, 1
            else:
                self._was_read, self._late = True, 0
                return ReadList(rows, source.pages, source.spared)

    async def _read(self, source: _PageSource, bounds: ListBounds) -> None:
        """Read the page that was the last one, to learn the length of the list; then all pages backwards."""
        first = self._last
        page, _ = await source.fetch(first, self._size)
        total = page.total
        if not page.size and first == 0:
            return
        # Some servers give shorter pages than they are asked for.
        self._size = page.size if 0 < page.size < min(self._size, total - first) else self._size
        self._check_length(total, bounds)
        self._last = offset = _find_last(total, self._size)
        while offset >= 0:
            before = page.total
            # Where the list has changed since, entries may have moved onto the page that was read first.
            if offset != first or before != total:
                page, is_new = await source.fetch(offset, self._size)
                if not page.size and first < offset < page.total:
                    # The total counts entries that this credential does not see: the list ends before.
                    await self._go_forward(source, first, bounds.pages)
                    offset = first + self._size
                elif page.size and not is_new and offset != first and page.total == before:
                    return  # the same page again, whatever the offset
            offset -= self._size

    async def _go_forward(self, source: _PageSource, first: int, most_pages: int) -> None:
        """Read on behind the page at ``first``, until a page names nothing new."""
        self._last, is_new = first, True
        while is_new and source.pages <= most_pages:
            _, is_new = await source.fetch(self._last + self._size, self._size)
            self._last += self._size if is_new else 0

    def _check_length(self, total: int, bounds: ListBounds) -> None:
        """Keep how long the list is. Raises ``_LongListError`` where that is too long."""
        self._entries, self._pages = total, -(-total // self._size)
        if self._pages > bounds.pages or total > bounds.entries:
            raise _LongListError(total)

    def _tell_length(self) -> None:
        text = f"its list, of {self._entries:,} entries by its own word, is too long: each is looked at alone"
        self._lane.announcer.warn_once("long list", text)

    def _go_without(self, refusal: Reading) -> None:
        # As with looks, a list that was once offered stays offered: a refusal now is of another cause.
        if self._was_read:
            self._rest(describe(refusal))
            return
        self._exists = False
        self._lane.announcer.remark(
            f"it has no list of {self._name} for this credential ({describe(refusal)}),"
            " so each target is looked at alone"
        )

    def _rest(self, why: str, *, is_late: bool = False) -> None:
        self._late += is_late
        never = self._late >= MOST_LATE
        self._rests_until = math.inf if never else self._lane.environment.monotonic() + RESTS_FOR
        # Long pages may be had by then: those that were lost may have met an outage.
        self._size, self._last = self._feature.page_size, 0
        text = f"its list of {self._name} could not be read ({why}): each target is looked at alone"
        self._lane.announcer.warn_once("unreadable list", text)
        if never:
            text = f"its list of {self._name} took too long {MOST_LATE} times: this session does without"
            self._lane.announcer.warn_once(f"slow list of {self._name}", text)

    def _ask(self, earlier: ListRows | None) -> Callable[[int, int], LaneQuestion[ListPage]]:
        feature, name = self._feature, self._name
        return lambda offset, size: LaneQuestion(
            Act.LOOK,
            lambda access, now: feature.build_request(name, offset, size, access, now=now),
            lambda reply: feature.read(name, reply, earlier),
        )


class _PageSource:
    """Fetches the pages of one list, and gathers their rows."""

    def __init__(
        self,
        lane: Lane,
        name: str,
        wanted_by: TargetId,
        ask: Callable[[int, int], LaneQuestion[ListPage]],
        most_faults: int,
        rows: ListedRows,
        bounds: ListBounds,
    ) -> None:
        """``most_faults``: so many faults of the first page lose the list; of a later page MOST_FAULTS."""
        self.rows = rows
        self.pages = 0
        self.spared: Mapping[str, Any] = {}
        self._lane = lane
        self._name = name
        self._wanted_by = wanted_by
        self._ask = ask
        self._most_faults = most_faults
        self._ends = bounds.first_by
        self._bounds = bounds

    async def fetch(self, offset: int, size: int) -> tuple[ListPage, bool]:
        """Return one page, and whether it names anything new. An entry that was met before counts once.

        Raises ``_MissingListError`` where the lane admits no request, the run stops, the gateway offers no
        such list, or the time is over; ``_LongListError`` where the pages name too many targets;
        ``_LostPageError`` after so many faults, or refusals to take more.
        """
        faults = tries = 0
        if self._is_late():
            raise _LateListError
        while True:
            exchanged, tries = await self._exchange(offset, size), tries + 1
            found, answer = exchanged.found, exchanged.answer
            if isinstance(found, ListPage):
                self.pages, self._most_faults = self.pages + 1, MOST_FAULTS
                self._ends = self._bounds.whole_by
                self.spared = {**self.spared, **found.spared}
                return found, self._add_rows(found)
            if found.verdict is Verdict.NOT_OFFERED:
                raise _NoSuchListError(found)
            faults += count_as_unclear(found).verdict is Verdict.UNCLEAR
            is_late, is_lost = self._is_late(), isinstance(answer, Lost) and answer.sent
            if is_late or faults >= self._most_faults or tries >= MOST_TRIES:
                may_be_large = is_lost and not is_late
                raise _LostPageError(describe(found), may_be_large=may_be_large, is_late=is_late)
            await self._lane.rest(draw_backoff(self._lane.policy, tries, self._lane.environment.roll()))

    def _add_rows(self, page: ListPage) -> bool:
        """Take in a page; return whether it names anything new."""
        add = self.rows.add
        # Of each entry, though one may be enough to know.
        is_new = [add(parts, row) for parts, row in page.rows]
        if len(self.rows) > self._bounds.entries:
            raise _LongListError(len(self.rows))
        return any(is_new)

    def _is_late(self) -> bool:
        return self._lane.environment.monotonic() >= self._ends

    async def _exchange(self, offset: int, size: int) -> ExchangeResult[ListPage]:
        lane, is_owed = self._lane, self._wanted_by == LIST_ITSELF
        admission = AdmissionRequest(self._wanted_by, Act.LOOK, settling=is_owed, dispensable=True)
        if await lane.admit(admission):
            raise _MissingListError
        lane.announcer.tell_list(f"reads its list of {self._name}, page {self.pages + 1}")
        try:
            exchanged = await exchange(lane, admission, self._ask(offset, size))
        finally:
            lane.announcer.tell_list(None)
        if exchanged.was_ended:
            raise _MissingListError
        return exchanged


def _find_last(total: int, size: int) -> int:
    """Return the offset of a list's last page."""
    return max(0, (total - 1) // size * size)
