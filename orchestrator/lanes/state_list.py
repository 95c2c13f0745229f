"""One look for many targets: a gateway's whole list, read once for all that want a look.

The lane believes a list's "deployed" at any age, and its "not deployed" for a minute. A target that is not on
the list is looked at alone, since a credential without all grants gets a list with gaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import anyio
from msgspec.structs import replace

from orchestrator.lanes.exchange import LaneQuestion, count_as_unclear, exchange
from orchestrator.model.http import Reply
from orchestrator.model.reading import Act, Reading, StatePage, Verdict
from orchestrator.model.search import MOST_LISTED
from orchestrator.model.target import Target, TargetId
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.retry import TargetHistory, draw_backoff

if TYPE_CHECKING:
    from orchestrator.lanes.lane import Lane

FRESH_FOR = 60.0
"""Seconds for which a list's "not deployed" is believed."""

WORTH_LISTING = 50
"""Targets that a lane must have left, for a list to be cheaper than a look at each target."""

MOST_DEFERRED = 2000
"""Targets that may wait for the next list, before the lane reads one in the middle of a wave."""

MOST_DEFERRED_DEPLOYS = 200
"""The same in a restore: there, no target that waits counts as restored yet."""

LARGEST_ENTRY = 16 * 1024
"""Bytes of a list's entry up to which the entry itself is kept; of a larger one only the state is."""

MOST_TRIES = 4
"""Requests for one page, refusals to take more included. After these the lane gives the list up, and looks at
each target alone."""

MOST_FAULTS = 2
"""Faults of one page after which the lane gives the list up: so the page is asked for once more."""

GIVEN_UP_FOR = 300.0
"""Seconds for which the lane does not ask again for a list that it gave up."""


class DeferredTarget(NamedTuple):
    """A target with the vendor's full evidence, whose look is still owed."""

    target: Target
    history: TargetHistory
    began: float
    """Monotonic seconds at which a worker took the target."""


class StateList:
    """The newest list of one lane, and the targets that wait for the next. Times are monotonic seconds."""

    def __init__(self, lane: Lane) -> None:
        self._keeps: frozenset[tuple[str, ...]] = frozenset()
        self._entries: dict[tuple[str, ...], Reading] = {}
        self._lane = lane
        self._environment = lane.environment
        self._states: dict[tuple[str, ...], Verdict] = {}
        self._read_at: float | None = None
        self._given_up_until = -math.inf
        self._lock = anyio.Lock()
        self._offered = lane.policy.always_look and lane.gateway.listing is not None
        self._deferred: list[DeferredTarget] = []
        self._has_told_gap = self._has_told_length = False
        self._spares = WORTH_LISTING
        """How many looks the next list spares: a list of more pages is not worth reading."""

    def keep_entries(self, targets: Iterable[Target]) -> None:
        """Keep the entries of these targets as reads of them, whatever the plan says of looks."""
        self._keeps = frozenset(target.parts for target in targets)
        self._offered = self._lane.gateway.listing is not None

    @property
    def is_useful(self) -> bool:
        """Whether looks may wait for a list: the gateway offers one, and the lane has enough targets."""
        if not self._offered or self._environment.monotonic() < self._given_up_until:
            return False
        return self._read_at is not None or self._lane.left >= WORTH_LISTING

    def is_worth_reading(self, waiting: int) -> bool:
        """Return whether a list is cheaper than a look at each of so many targets that wait."""
        rests = self._environment.monotonic() < self._given_up_until
        return self.is_useful or (self._offered and not rests and waiting >= WORTH_LISTING)

    @property
    def is_full(self) -> bool:
        """Whether so many targets wait that the next list is due before the wave ends."""
        most = MOST_DEFERRED if self._lane.policy.act is Act.UNDEPLOY else MOST_DEFERRED_DEPLOYS
        return len(self._deferred) >= most

    @property
    def defers_looks(self) -> bool:
        """Whether the look at a target that was just changed may wait for the other targets.

        Undeploys go first, since a window may close. In a restore a look waits only if a list spares it.
        """
        return self._lane.policy.act is Act.UNDEPLOY or self.is_useful

    def defer(self, waiting: DeferredTarget) -> None:
        """Let a target wait for the next list."""
        self._deferred.append(waiting)

    def take_deferred(self) -> list[DeferredTarget]:
        """Return the targets that wait, and forget them."""
        waiting, self._deferred = self._deferred, []
        self._spares = len(waiting)
        return waiting

    async def read_before_undeploy(self, target: Target) -> Reading | None:
        """Return what the list says of a target for which nothing was sent; None if the list cannot say."""
        if not self.is_useful:
            return None
        async with self._lock:
            if self._read_at is None and self.is_useful:
                # The workers who waited for this lock go by the list that the first of them has read.
                self._spares = self._lane.left
                await self._collect(target.id)
        return self.peek(target)

    def peek(self, target: Target) -> Reading | None:
        """Return UP or DOWN as the newest list says; None if the list cannot tell."""
        if self._read_at is None:
            return None
        verdict = self._states.get(target.parts)
        if verdict is Verdict.UNCLEAR:
            return None
        # A restore believes neither state for longer: a target that somebody deploys meanwhile must not be
        # deployed again.
        lasts = verdict is Verdict.UP and self._lane.policy.act is Act.UNDEPLOY
        if not lasts and self._environment.monotonic() - self._read_at > FRESH_FOR:
            return None
        return None if verdict is None else Reading(verdict=verdict, evidence="look")

    def take_entry(self, target: Target) -> Reading | None:
        """Return the list's entry of a target, once, if ``peek`` would believe the list."""
        if self.peek(target) is None:
            return None
        entry = self._entries.pop(target.parts, None)
        return entry and self._lane.authenticator.mask.clean_reading(entry)

    def note_single_look(self, target: Target, reading: Reading) -> str | None:
        """Take in a look at one target; return a warning, once, if the list leaves that target out."""
        gap = self._read_at is not None and target.parts not in self._states
        if self._has_told_gap or not gap or reading.verdict not in (Verdict.UP, Verdict.DOWN):
            return None
        self._has_told_gap = True
        return (
            f"the list leaves out {target.id}, which exists: the credential may lack the grants for some"
            " applications, so what is not on the list is looked at one by one"
        )

    async def renew(self) -> None:
        """Read the list again."""
        async with self._lock:
            await self._collect(_LIST_ITSELF)

    async def _collect(self, wanted_by: TargetId) -> None:
        """Read every page before the lane believes any of them: a change meanwhile may shift the entries.

        While only one target may send, that target may also fetch the list: ``wanted_by`` names it. A page
        that names nothing new ends the list. A list of more pages than it spares looks is given up.
        """
        started = self._environment.monotonic()
        states: dict[tuple[str, ...], Verdict] = {}
        offset = pages = 0
        while (page := await self._fetch_page(offset, wanted_by)) is not None:
            known, pages = len(states), pages + 1
            self._take_page(page, states)
            offset += page.size
            if len(states) == known or offset >= page.total:
                # As old as its beginning: the first page may have changed while the last one was read.
                self._states, self._read_at = states, started
                return
            if pages >= max(WORTH_LISTING, self._spares) or max(offset, page.total) > MOST_LISTED:
                self._give_up(page.total)
                break
        self._read_at = None

    def _take_page(self, page: StatePage, states: dict[tuple[str, ...], Verdict]) -> None:
        """Take in a page. An entry that two pages show in two states has an unknown state."""
        for parts, verdict in page.states.items():
            states[parts] = verdict if states.get(parts, verdict) is verdict else Verdict.UNCLEAR
        self._entries.update((parts, entry) for parts, entry in page.entries.items() if parts in self._keeps)

    def _give_up(self, total: int) -> None:
        """Use no list of this gateway any more: reading it costs more than the looks that it spares."""
        self._offered = False
        if not self._has_told_length:
            self._has_told_length = True
            self._lane.announcer.warn(
                f"its list, of {total:,} entries by its own word, is too long: each is looked at alone"
            )

    async def _fetch_page(self, offset: int, wanted_by: TargetId) -> StatePage | None:
        """Return one page; None if the list is not to be had."""
        faults = 0
        for failures in range(1, MOST_TRIES + 1):
            admission = AdmissionRequest(
                wanted_by, Act.LOOK, settling=wanted_by == _LIST_ITSELF, dispensable=True
            )
            # A list that precedes undeploys is useless once no undeploy may start any more.
            is_needless = wanted_by != _LIST_ITSELF and self._lane.refusal(self._lane.policy.act)
            if is_needless or await self._lane.admit(admission):
                return None
            found = await self._ask(admission, offset)
            if isinstance(found, StatePage):
                return found
            if found.verdict is Verdict.NOT_OFFERED:
                self._offered = False
                return None
            faults += found.verdict is Verdict.UNCLEAR
            if faults >= MOST_FAULTS:
                break
            if failures < MOST_TRIES:
                await anyio.sleep(draw_backoff(self._lane.policy, failures, self._environment.roll()))
        self._given_up_until = self._environment.monotonic() + GIVEN_UP_FOR
        return None

    async def _ask(self, admission: AdmissionRequest, offset: int) -> StatePage | Reading:
        listing = self._lane.gateway.listing
        if listing is None:
            return Reading(verdict=Verdict.NOT_OFFERED)
        question = LaneQuestion(
            Act.LOOK,
            lambda access, now: listing.build_request(offset, access, now=now),
            listing.read,
        )
        self._lane.announcer.tell_request()
        exchanged = await exchange(self._lane, admission, question)
        found, answer = exchanged.found, exchanged.answer
        if isinstance(found, Reading):
            return count_as_unclear(found)
        is_large = isinstance(answer, Reply) and len(answer.body) > LARGEST_ENTRY * max(1, found.size)
        return replace(found, entries={}) if is_large else found


_LIST_ITSELF = TargetId("(list)")
