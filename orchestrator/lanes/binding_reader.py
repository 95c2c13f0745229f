"""The cheaper side of bindings: the few things that are bound, each with its targets, read once for many.

A lane reads each type of bindings from that side where it costs fewer requests than a read for each target.
A gateway may hide from a credential what belongs to others, so this side is compared with single reads now
and then, and is given up where it showed less.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import anyio
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.lanes.list_reader import ListBounds, ListReader, ReadList
from orchestrator.lanes.listed_rows import WholeRows
from orchestrator.model.credentials import Access
from orchestrator.model.features import BindingFeature, BindingPlace, ListRows
from orchestrator.model.http import Reply, Request
from orchestrator.model.reading import Act, ListPage, Operation, Reading, Verdict
from orchestrator.model.search import MOST_LISTED
from orchestrator.model.target import Target, TargetId

if TYPE_CHECKING:
    from orchestrator.lanes.lane import Lane

BELIEVED_FOR = 300.0
"""Seconds for which this side is believed, from its first request on."""

LONGEST_READ = 240.0
"""Seconds in which one type must be whole."""

RESTS_FOR = 300.0
"""Seconds for which a type is not tried again that could not be read."""

MOST_FAILURES = 2
"""Times after which such a type is not tried any more: each may have cost as many requests as the targets."""

WORTH_ASKING = 3
"""Targets that a lane must have ahead: the comparison reads one of them alone all the same.

Those of the next steps count: what one step has read serves them, too, for as long as it is believed."""

MOST_AT_ONCE = 2
"""Things whose targets are read side by side. Each may have 100,000, which are in memory twice meanwhile."""

MOST_PLACES = 200_000
"""Places of one type that are held: a list of front ends has half as many, and each may be in two places."""

LARGEST_ROWS = 32 * 1024 * 1024
"""Bytes of the rows of one type. Of those on one page, equal ones count once."""

MOST_TRIES = 2
"""Requests for a place that is to be compared."""

COMPARED_AFTER = 100
COMPARED_TIMES = 10
"""One target is compared before any goes by this side; later the 100th, the 1,000th, and so on."""


class BindingCosts(Struct, frozen=True):
    """The requests by which a type of bindings was read from this side; zeros where it was not asked."""

    name: str
    owner_pages: int = 0
    owners: int = 0
    place_pages: int = 0
    """0 where the places were not read: single reads cost less, or the gateway did not let us."""


_TOO_LARGE = Reading(verdict=Verdict.UNCLEAR, message="its settings are too large to be held for all targets")

ReadAlone: TypeAlias = Callable[[Operation], Awaitable[Reading | None]]
"""Sends one read of a target; returns its reading, or None where none may be sent."""


class _BoundRows:
    """What is bound where, of one type: for each place the kind's own rows.

    Nearly all of a place is the id of its target, which the lane's lists have as well: so that text alone is
    the key, below the rest of the place. A key for each whole place would take twice the memory.
    """

    def __init__(self) -> None:
        self.places = 0
        self._rows: dict[tuple[str, ...], dict[str, tuple[Any, ...]]] = {}
        self._shared: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        """Each set of rows once: most places have what many others have."""

    def find(self, place: tuple[str, ...]) -> tuple[Any, ...]:
        """Return the rows of a place."""
        return self._rows.get(place[1:], {}).get(place[0], ())

    def add(self, found: WholeRows) -> None:
        """Take in where one thing is bound."""
        for place, rows in found.by_target.items():
            known = self._rows.setdefault(place[1:], {})
            self.places += place[0] not in known
            joined = (*known.get(place[0], ()), *rows)
            known[place[0]] = self._shared.setdefault(joined, joined)


class _HeldType(NamedTuple):
    """One type as it was read."""

    rows: _BoundRows
    read_at: float
    """Monotonic seconds of the first request."""


class BindingReader:
    """Reads the bindings of one lane from the side of the things that are bound."""

    def __init__(self, lane: Lane) -> None:
        feature = lane.gateway.bindings
        names = feature.names if feature is not None else ()
        self._feature = feature
        self._types = {name: _TypeReader(lane, feature, name) for name in names if feature is not None}

    def find_place(self, operation: Operation) -> BindingPlace | None:
        """Return the place whose bindings an operation begins to read; None for any other operation."""
        return None if self._feature is None else self._feature.find_place(operation)

    async def answer(
        self, target: Target, operation: Operation, seen: Mapping[str, Reading], read_alone: ReadAlone
    ) -> dict[str, Reading]:
        """Return, by ``via``, the readings that reads of bindings would give, as far as this side tells them.

        An ``operation`` that begins to read a place is answered with those of all types at that place, but
        for those in ``seen``; what is left out is to be read alone. ``read_alone`` sends a read of the
        target, to be compared.
        """
        place = self.find_place(operation)
        if place is None or self._feature is None:
            return {}
        readings: dict[str, Reading] = {}
        for name, via in self._feature.list_reads(place.parts):
            if via in seen:
                continue
            if told := await self._types[name].answer(target.id, via, place.parts, read_alone):
                readings[via] = told
        return readings

    def measure(self) -> tuple[BindingCosts, ...]:
        """Return what each type has cost when it was read last."""
        return tuple(each.costs for each in self._types.values())


class _TypeReader:
    """Reads one type of bindings."""

    def __init__(self, lane: Lane, feature: BindingFeature, name: str) -> None:
        self.costs = BindingCosts(name)
        self._lane = lane
        self._feature = feature
        self._name = name
        self._pages = _OwnerPages(feature, name)
        self._owners = ListReader(lane, self._pages, feature.describe_owners(name))
        self._held: _HeldType | None = None
        self._lock = anyio.Lock()
        self._rests_until = -math.inf
        self._is_distrusted = False
        self._failures = 0
        self._answered = 0
        """Targets that were answered, in all."""
        self._served = 0
        """Targets that the held rows have answered."""
        self._compare_at = COMPARED_AFTER

    async def answer(
        self, target: TargetId, via: str, place: tuple[str, ...], read_alone: ReadAlone
    ) -> Reading | None:
        """Return the reading for one place, or None where it is to be read alone."""
        if self._is_due and (told := await self._read_if_due(target, via, place, read_alone)):
            self._answered, self._served = self._answered + 1, self._served + 1
            return told
        held = self._held
        if held is None or self._age > BELIEVED_FOR:
            return None
        self._answered, self._served = self._answered + 1, self._served + 1
        if self._answered >= self._compare_at:
            self._compare_at *= COMPARED_TIMES
            return await self._compare(held, target, via, place, read_alone)
        return self._feature.read_place(held.rows.find(place))

    async def _compare(
        self, held: _HeldType, target: TargetId, via: str, place: tuple[str, ...], read_alone: ReadAlone
    ) -> Reading | None:
        """Return the reading of a place that is read alone. Where it shows more, give this side up."""
        alone = None
        for _ in range(MOST_TRIES):
            alone = await read_alone(Operation(Act.LOOK, via))
            if alone is None or alone.verdict is Verdict.TOLD:
                break
        if alone is not None and alone.verdict is Verdict.TOLD:
            if self._feature.covers(held.rows.find(place), alone):
                self._held = held
                return alone
            self._is_distrusted = True
            self._warn_of_gap(target)
        else:
            self._rest()
        self._held = None
        return alone if self._is_distrusted else None

    def _warn_of_gap(self, target: TargetId) -> None:
        before = f"; {self._served - 1:,} targets went by it before" if self._served > 1 else ""
        listed = self._feature.describe_owners(self._name)
        self._lane.announcer.warn(
            f"its list of {listed} leaves out what hangs on {target}{before}:"
            " the credential may lack some grants, so what hangs on each front end is read alone"
        )

    @property
    def _age(self) -> float:
        return math.inf if self._held is None else self._lane.environment.monotonic() - self._held.read_at

    async def _read_if_due(
        self, target: TargetId, via: str, place: tuple[str, ...], read_alone: ReadAlone
    ) -> Reading | None:
        """Read the type, and return the reading of this place, which is read alone to be compared.

        The other targets wait meanwhile, so that none goes by the type before.
        """
        held = self._held
        async with self._lock:
            if self._held is not held or not self._is_due:
                return None
            self._held = None  # old rows, which need not be in memory beside the new ones
            self._served = 0
            found = await self._read(target)
            return None if found is None else await self._compare(found, target, via, place, read_alone)

    @property
    def _is_due(self) -> bool:
        """Whether the type is to be read now: it is not held, or too old, and single reads cost more."""
        if self._held is not None and self._age <= BELIEVED_FOR:
            return False
        now, ahead = self._lane.environment.monotonic(), self._lane.ahead
        least = self.costs.owner_pages + max(self.costs.owners, self.costs.place_pages)
        if self._is_distrusted or now < self._rests_until or ahead < max(WORTH_ASKING, least):
            return False
        # At a slow gateway few targets go by before the rows are too old: then single reads are cheaper.
        return self._held is None or least <= self._served

    async def _read(self, wanted_by: TargetId) -> _HeldType | None:
        """Read the whole type; None where that is not to be had, or costs more than single reads."""
        lane, name = self._lane, self._name
        started = lane.environment.monotonic()
        budget, ends = lane.ahead, started + LONGEST_READ
        self._pages.totals.clear()
        bounds = ListBounds(budget, MOST_LISTED, ends, ends)
        owners = await self._owners.read(wanted_by, None, WholeRows, bounds)
        if owners is None or not self._pages.is_whole(owners):
            self._rest()
            return None
        self.costs = BindingCosts(name, owners.pages, len(owners.rows))
        budget -= owners.pages
        if len(owners.rows) > budget:
            return None
        gathering = _Gathering(lane, self._feature, name, wanted_by, budget, ends)
        await gathering.read([(parts, rows[0]) for parts, rows in owners.rows.by_target.items()])
        if gathering.has_gap:
            self._rest()
            return None
        self.costs = replace(self.costs, place_pages=gathering.pages)
        return _HeldType(gathering.rows, started)

    def _rest(self) -> None:
        self._failures += 1
        never = self._failures >= MOST_FAILURES
        self._rests_until = math.inf if never else self._lane.environment.monotonic() + RESTS_FOR


class _Gathering:
    """Gathers what is bound where, thing by thing; a few of them side by side."""

    def __init__(
        self,
        lane: Lane,
        feature: BindingFeature,
        name: str,
        wanted_by: TargetId,
        most_pages: int,
        ends: float,
    ) -> None:
        self.rows = _BoundRows()
        self.pages = 0
        self.has_gap = False
        self._room = _Room()
        self._lane = lane
        self._feature = feature
        self._name = name
        self._wanted_by = wanted_by
        self._most_pages = most_pages
        self._ends = ends

    async def read(self, owners: Sequence[tuple[tuple[str, ...], Any]]) -> None:
        """Read all things, until one of them cannot be read in whole."""
        left = iter(owners)
        async with anyio.create_task_group() as group:
            for _ in range(min(MOST_AT_ONCE, self._lane.concurrency, len(owners))):
                group.start_soon(self._work, left)

    async def _work(self, left: Iterator[tuple[tuple[str, ...], Any]]) -> None:
        for parts, row in left:
            if not self.has_gap:
                await self._read_owner(parts, row)

    async def _read_owner(self, parts: tuple[str, ...], row: Any) -> None:
        pages = _BoundPages(self._feature, self._name, parts, row, self._room)
        reader = ListReader(self._lane, pages, self._feature.describe_owner(self._name, parts, row))
        most = self._most_pages - self.pages
        bounds = ListBounds(most, MOST_LISTED, self._ends, self._ends)
        found = await reader.read(self._wanted_by, None, WholeRows, bounds) if most > 0 else None
        self.pages += found.pages if found is not None else 1
        if found is None or not pages.is_whole(found):
            self.has_gap = True
            return
        self.rows.add(found.rows)
        self.has_gap = self.has_gap or self.rows.places > MOST_PLACES


class _Room:
    """The memory that is left for the rows of one type."""

    def __init__(self) -> None:
        self._left = LARGEST_ROWS

    def take(self, page: ListPage) -> bool:
        """Take in the rows of a page; return whether there was room for them."""
        self._left -= sum(map(len, {row for _, row in page.rows}))
        return self._left >= 0


class _Pages:
    """The pages of one list as a ``ListReader`` asks for them; with the totals that they told."""

    has_pages = True

    def __init__(self, feature: BindingFeature, name: str) -> None:
        self.feature = feature
        self.name = name
        self.page_size = feature.page_size
        self.totals: list[int] = []

    def is_whole(self, found: ReadList[WholeRows]) -> bool:
        """Return whether the list surely lacks nothing that was there when its reading began.

        A thing that is added meanwhile may move others to a page that was read before. A total that counts
        more than is shown counts what this credential does not see.
        """
        has_grown = any(after > before for before, after in pairwise(self.totals))
        return not has_grown and sum(map(len, found.rows.by_target.values())) >= min(self.totals, default=0)

    def keep_total(self, page: ListPage | Reading) -> ListPage | Reading:
        if isinstance(page, ListPage):
            self.totals.append(page.total)
        return page


class _OwnerPages(_Pages):
    """The things of one type."""

    def build_request(self, name: str, offset: int, size: int, access: Access, *, now: float) -> Request:  # noqa: ARG002
        return self.feature.build_owners(self.name, offset, size, access, now=now)

    def read(self, name: str, reply: Reply, earlier: ListRows | None) -> ListPage | Reading:  # noqa: ARG002
        return self.keep_total(self.feature.read_owners(self.name, reply))


class _BoundPages(_Pages):
    """The places where one thing is bound."""

    def __init__(
        self, feature: BindingFeature, name: str, owner: tuple[str, ...], row: Any, room: _Room
    ) -> None:
        super().__init__(feature, name)
        self.owner = owner
        self.row = row
        self.room = room

    def build_request(self, name: str, offset: int, size: int, access: Access, *, now: float) -> Request:  # noqa: ARG002
        return self.feature.build_places(self.name, self.owner, offset, size, access, now=now)

    def read(self, name: str, reply: Reply, earlier: ListRows | None) -> ListPage | Reading:  # noqa: ARG002
        page = self.keep_total(self.feature.read_places(self.name, self.owner, self.row, reply))
        return page if isinstance(page, Reading) or self.room.take(page) else _TOO_LARGE
