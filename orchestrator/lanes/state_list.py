"""One look for many targets: a gateway's whole lists, read once for all targets that want a read.

The lane believes a list for a minute, and in a look before an undeploy its "deployed" at any age. A target
that is not on the list is read alone, since a credential without all grants gets a list with gaps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from orchestrator.lanes.list_reader import LIST_ITSELF, ListBounds, ListReader, ReadList
from orchestrator.lanes.listed_rows import ListedRows, StateRows, TargetNumbers, WholeRows
from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.model.target import Target, TargetId

if TYPE_CHECKING:
    from orchestrator.lanes.lane import Lane

FRESH_FOR = 60.0
"""Seconds for which a list is believed."""

PATIENCE = FRESH_FOR / 3
"""Seconds after which no list is asked for, if none has come yet: all targets wait, and may be read alone."""

LONGEST_LOOK = 5 * FRESH_FOR
"""Seconds in which a list must be whole that tells looks before undeploys what is up, at any age of it."""

DUE_BEFORE = 5.0
"""Seconds before the end of that time from which one worker reads the lists again, at least."""

WORTH_LISTING = 50
"""Targets that a lane must have ahead, for a list to be cheaper than a look at each target.

Those of the next steps count: a list that one step has read serves the next one, while the list is fresh."""

MOST_STATES = 1_000_000
"""Entries of a list that is read for its states: 30 bytes each. A longer one is a mistake, or an attack."""

MOST_WHOLE = 100_000
"""Entries of a list that snapshots want: more could not be read in the minute for which they hold."""

MOST_DEFERRED = 2000
"""Targets that may wait for the next list, before the lane reads one in the middle of a wave; or half of the
entries of the list, if these are more."""

MOST_DEFERRED_DEPLOYS = 200
"""The same in a restore, where no target that waits counts as restored yet; or a twentieth of the entries."""


class _HeldLists(NamedTuple):
    """The lists as they were read, and what reading them has cost."""

    lists: Mapping[str, ReadList[ListedRows]]
    is_whole: bool
    """Whether the rows hold what a snapshot needs, and not only the states."""
    read_at: float
    """Monotonic seconds at which the first page was asked for: the lists are as old as their beginning."""
    took: float
    """Seconds from then until all pages were read."""

    @property
    def pages(self) -> int:
        return sum(each.pages for each in self.lists.values())

    def find_rows(self, target: Target) -> dict[str, Sequence[Any]]:
        return {name: each.rows.get(target.parts, ()) for name, each in self.lists.items()}


class StateList:
    """The newest lists of one lane, and the targets that wait for the next. Times are monotonic seconds."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._environment = lane.environment
        self._held: _HeldLists | None = None
        self._served = 0
        """Targets that have gone by the held lists."""
        self._left_then = 0
        """Targets that the lane had left when the last of them did."""
        self._owed_from = -math.inf
        """Looks that were put off want a list from this moment on."""
        self._lock = anyio.Lock()
        self._feature = lane.gateway.listing
        self._readers: dict[str, ListReader] = {}
        self._numbers = TargetNumbers()
        """Of the targets that the lists name: a list that is read again names nearly the same."""
        self._serves_snapshots = False
        self._has_told_gap = False
        if self._feature is not None and lane.policy.always_look:
            self._add_readers(self._feature.state_names)

    def serve_snapshots(self) -> None:
        """Read the lists that a snapshot needs, too, whatever the plan says of looks."""
        if self._feature is not None:
            self._serves_snapshots = True
            self._add_readers(self._feature.names)

    def _add_readers(self, names: tuple[str, ...]) -> None:
        if self._feature is not None:
            self._readers = {name: ListReader(self._lane, self._feature, name) for name in names}

    @property
    def is_useful(self) -> bool:
        """Whether targets may wait for a list: the gateway offers one, and the lane has enough targets."""
        return self._held is not None or (self._is_offered and self._lane.ahead >= WORTH_LISTING)

    @property
    def _is_offered(self) -> bool:
        return self._may_read(self._bound_pages())

    def _may_read(self, most_pages: int) -> bool:
        if not (self._lane.policy.always_look or self._may_be_whole()):
            return False
        return any(reader.is_offered(most_pages, MOST_STATES) for reader in self._readers.values())

    def _bound_entries(self, *, is_whole: bool) -> int:
        """Return how many entries a list may have, of which snapshots want all or looks the states."""
        feature = self._feature
        tells_more = is_whole and feature is not None and feature.names != feature.state_names
        return MOST_WHOLE if tells_more else MOST_STATES

    def _may_be_whole(self) -> bool:
        """Return whether no list is known to be too long for what snapshots want.

        Otherwise each snapshot is read alone, and only the looks go by the states.
        """
        longest = self._bound_entries(is_whole=True)
        return not any(reader.is_longer(longest) for reader in self._readers.values())

    def _bound_pages(self) -> int:
        """Return how many pages of a list cost no more than the single reads in their place."""
        return max(WORTH_LISTING, self._lane.ahead)

    @property
    def most_deferred(self) -> int:
        """How many targets may wait for a list before one is due in the middle of a wave."""
        # It grows with the list: a bound alone would have a long list read for each few of its entries.
        if self._lane.policy.act is Act.UNDEPLOY:
            return max(MOST_DEFERRED, self._count_entries() // 2)
        return max(MOST_DEFERRED_DEPLOYS, self._count_entries() // 20)

    def measure_lists(self) -> list[tuple[int, int, bool]]:
        """Return of each list that was asked for its pages, its entries, and whether it tells states.

        A list that the gateway does not offer has one page without an entry.
        """
        held = {} if self._held is None else self._held.lists
        refused = [
            (1, 0, self._tells_state(name)) for name, reader in self._readers.items() if reader.is_refused
        ]
        return [
            *((each.pages, len(each.rows), self._tells_state(name)) for name, each in held.items()),
            *refused,
        ]

    @property
    def spared(self) -> Mapping[str, Any]:
        """What the lists tell in place of other reads about many targets, by the names of these."""
        lists = () if self._held is None else self._held.lists.values()
        return {name: found for each in lists for name, found in each.spared.items()}

    def _count_entries(self) -> int:
        return 0 if self._held is None else max(len(each.rows) for each in self._held.lists.values())

    @property
    def defers_looks(self) -> bool:
        """Whether the look at a target that was just changed may wait for the other targets.

        Undeploys go first, since a window may close. In a restore a look waits only if a list spares it.
        """
        return self._lane.policy.act is Act.UNDEPLOY or self.is_useful

    async def read_before_look(self, target: Target) -> dict[str, Reading]:
        """Return the readings, by ``via``, that a look before the change may believe off the lists.

        A list may lag behind, and then still show as deployed what the run before a restore took down. So a
        restore reads alone what a list calls deployed.
        """
        await self._read_if_due(target.id, for_look=True)
        is_restore = self._lane.policy.act is Act.DEPLOY
        return _leave_out(Verdict.UP if is_restore else None, self._find_readings(target))

    async def read_before_snapshot(self, target: Target, *, with_state: bool = True) -> dict[str, Reading]:
        """Return the readings, by ``via``, that a snapshot may believe off the lists.

        ``with_state``: those that tell the target's state, too. An approval wants that read of each target
        just before its undeploy.
        """
        if not with_state and all(map(self._tells_state, self._readers)):
            return {}
        await self._read_if_due(target.id)
        if self._held is None or not self._held.is_whole or self._age > FRESH_FOR:
            return {}
        readings = self._find_readings(target)
        if with_state:
            return readings
        return {via: reading for via, reading in readings.items() if reading.verdict is Verdict.TOLD}

    def read_owed(self, target: Target) -> dict[str, Reading]:
        """Return the readings, by ``via``, off lists that were read since looks were put off; else none.

        A list may lag behind the change, so it can confirm the change and not contradict it: what it shows as
        before is read alone.
        """
        if self._held is None or self._held.read_at < self._owed_from:
            return {}
        contrary = Verdict.UP if self._lane.policy.act is Act.UNDEPLOY else Verdict.DOWN
        return _leave_out(contrary, self._find_readings(target))

    @property
    def _age(self) -> float:
        return math.inf if self._held is None else self._environment.monotonic() - self._held.read_at

    def _find_readings(self, target: Target) -> dict[str, Reading]:
        """Return the readings that the lists stand for, as far as the lists are new enough."""
        if self._held is None or self._feature is None:
            return {}
        readings = self._feature.read_target(target, self._held.find_rows(target))
        if readings:
            self._served, self._left_then = self._served + 1, self._lane.left
        mask, is_fresh = self._lane.authenticator.mask, self._age <= FRESH_FOR
        # A restore believes neither state for longer: a target that somebody deploys meanwhile must not be
        # deployed again.
        is_undeploy = self._lane.policy.act is Act.UNDEPLOY
        return {
            via: mask.clean_reading(reading)
            for via, reading in readings.items()
            if is_fresh or (is_undeploy and reading.verdict is Verdict.UP)
        }

    def note_single_look(self, target: Target, reading: Reading) -> str | None:
        """Take in a look at one target; return a warning, once, if the list leaves that target out."""
        why = self._feature.omission if self._feature is not None else None
        if why is None or self._has_told_gap or reading.verdict not in (Verdict.UP, Verdict.DOWN):
            return None
        if self._names(target):
            return None
        self._has_told_gap = True
        return (
            f"the list leaves out {target.id}, which exists: {why},"
            " so what is not on the list is looked at one by one"
        )

    def _names(self, target: Target) -> bool:
        """Return whether the list of states names a target; true as well where there is no such list."""
        if self._held is None or self._feature is None:
            return True
        listed = [self._held.lists[name] for name in self._feature.state_names if name in self._held.lists]
        return not listed or any(each.rows.get(target.parts) for each in listed)

    async def renew(self, waiting: int) -> None:
        """Read the lists of states again for so many looks that were put off, if that is cheaper.

        Without that no list serves them: each is older than their undeploys.
        """
        self._owed_from = self._environment.monotonic()
        most_pages = max(waiting, self._lane.left)
        if self._may_renew(most_pages) and (self.is_useful or waiting >= WORTH_LISTING):
            async with self._lock:
                await self._collect(LIST_ITSELF, most_pages)

    def _may_renew(self, most_pages: int) -> bool:
        states = (reader for name, reader in self._readers.items() if self._tells_state(name))
        return any(reader.is_offered(most_pages, MOST_STATES) for reader in states)

    async def _read_if_due(self, wanted_by: TargetId, *, for_look: bool = False) -> None:
        """Read the lists if they were not read yet, or are about to be too old.

        The workers who wait for the lock go by the lists that the first of them has read. While the lists
        are still believed, only one worker reads them again, and the others go on with them.
        """
        held = self._held
        if not self._is_due(for_look=for_look) or (self._age <= FRESH_FOR and self._lock.locked()):
            return
        async with self._lock:
            if self._held is held and self._is_due(for_look=for_look):
                await self._collect(wanted_by, self._bound_pages())

    def _is_due(self, *, for_look: bool) -> bool:
        held, ahead = self._held, self._lane.ahead
        if not self._is_offered:
            return False
        if not (for_look or self._may_be_whole()):
            return False
        if held is None or not (held.is_whole or for_look):
            return ahead >= WORTH_LISTING
        # Lists that are old before they are whole would be read again for each target, which waits for them.
        if held.took > FRESH_FOR / 2:
            return False
        # An old list still tells a look before an undeploy what is up, and that is nearly all.
        if for_look and self._lane.policy.act is Act.UNDEPLOY:
            return False
        due = max(FRESH_FOR / 2, FRESH_FOR - max(DUE_BEFORE, 2 * held.took))
        return self._age > due and held.pages <= min(ahead, self._expect_served())

    def _expect_served(self) -> int:
        """Return how many targets will go by the lists, if read again now, before these are too old.

        At a slow gateway their pages may cost more than they spare.
        """
        # The pace of an earlier step tells nothing: it may have been a canary, with a pause behind it.
        is_new_step = self._lane.left > self._left_then
        return max(self._lane.left, self._served) if is_new_step else self._served

    async def _collect(self, wanted_by: TargetId, most_pages: int) -> None:
        """Read every page before the lane believes any of them: a change meanwhile may shift the entries."""
        started = self._environment.monotonic()
        if len(self._numbers) > MOST_STATES:
            self._numbers = TargetNumbers()
        is_whole = self._serves_snapshots and not self._is_last(wanted_by) and self._may_be_whole()
        lists = await self._read_lists(wanted_by, most_pages, started, is_whole=is_whole)
        if lists:
            self._held = _HeldLists(lists, is_whole, started, self._environment.monotonic() - started)
            self._served = 0
        elif self._held is not None and self._held.read_at < self._owed_from:
            self._held = None

    async def _read_lists(
        self, wanted_by: TargetId, most_pages: int, started: float, *, is_whole: bool
    ) -> dict[str, ReadList[ListedRows]]:
        # What most of these lists are wanted for, they tell only while they are fresh.
        may_age = not is_whole and wanted_by != LIST_ITSELF and self._lane.policy.act is Act.UNDEPLOY
        longest = LONGEST_LOOK if may_age else FRESH_FOR
        most_entries = self._bound_entries(is_whole=is_whole)
        lists: dict[str, ReadList[ListedRows]] = {}
        for name, reader in self._readers.items():
            if not reader.is_offered(most_pages, most_entries) or not (is_whole or self._tells_state(name)):
                continue
            earlier = {known: each.rows for known, each in lists.items()} if is_whole else None
            first_by = started + (longest if lists else PATIENCE)
            bounds = ListBounds(most_pages, most_entries, first_by, started + longest)
            make_rows = partial(self._make_rows, name, most_entries)
            if found := await reader.read(wanted_by, earlier, make_rows, bounds):
                lists[name] = found
        return lists

    def _make_rows(self, name: str, most_entries: int) -> ListedRows:
        if most_entries == MOST_STATES:
            return StateRows(self._numbers)
        held = None if self._held is None else self._held.lists.get(name)
        return WholeRows(held.rows if held else None)

    def _is_last(self, wanted_by: TargetId) -> bool:
        """Return whether only looks that are owed want the lists, and hardly a snapshot any more."""
        # Once their pages are known, fewer targets may be worth them.
        worth = WORTH_LISTING if self._held is None else min(WORTH_LISTING, self._held.pages)
        return wanted_by == LIST_ITSELF and self._lane.ahead < worth

    def _tells_state(self, name: str) -> bool:
        return self._feature is not None and name in self._feature.state_names


def _leave_out(verdict: Verdict | None, readings: Mapping[str, Reading]) -> dict[str, Reading]:
    """Return the readings without those of a verdict."""
    return {via: reading for via, reading in readings.items() if reading.verdict is not verdict}
