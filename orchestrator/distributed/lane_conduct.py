"""The decisions of a lane's workflow: which chunk is next, and what becomes of one whose worker was lost.

Pure, as ``run_conduct`` is: it has no clock, and knows nothing of Temporal.
"""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.distributed.bounds import CHUNK_SECONDS, CHUNK_TARGETS, FAST_CHUNK_BYTES, FAST_CHUNK_TARGETS
from orchestrator.distributed.payloads import (
    ChunkBeat,
    ChunkEnd,
    ChunkOrder,
    ChunkPlace,
    ChunkReport,
    GoOn,
    LaneInput,
    LaneOver,
    Orders,
)
from orchestrator.distributed.run_news import ZoneAnswers, ZoneSilent
from orchestrator.model.outcome import NO_WORKER, Reason, is_as_wanted
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import format_span

SILENT_AFTER = 5.0
"""Seconds without a worker that takes a chunk, after which people are told."""

PART_BYTES = 20_000_000
"""Compressed bytes after which a part ends between two chunks: Temporal bounds a history to 50 MB."""

ORDER_BYTES = 1_400_000
"""Compressed bytes that a chunk is handed out with at most: base64 adds a third, and Temporal takes 2 MB."""

BROKEN_BYTES = 6
"""Bytes of one number of ``ChunkOrder.broken``, as ``ORDER_BYTES`` counts: eight on the way."""

MOST_FAILURES = 10
"""Dispatches of one chunk in a row that end without a result, or without an ended target."""

LONGEST_WAIT = 30.0
"""Seconds between two such dispatches at most."""

LEAST_WAIT = 1.0
"""Seconds that a worker gets to take a chunk, however short ``park_for`` is."""


class HandedOutChunk(Struct, kw_only=True):
    """The chunk that is handed out until nothing of it is left."""

    place: ChunkPlace
    rows: bytes = b""
    beats: tuple[bytes, ...] = ()
    has_report: bool = False
    """The run knows which of its targets are left."""
    failures: int = 0
    """Dispatches in a row that ended nothing."""


class LaneConduct:
    """Leads one part of a lane through its chunks. Times are Unix seconds."""

    def __init__(self, given: LaneInput, workflow: str) -> None:
        """``workflow`` is the id of the lane's workflow."""
        self.given = given
        self.orders = given.orders
        self.dispatches = 0
        """Chunks that were handed out."""
        self.follows_pace = False
        """Whether a fast lane gets larger chunks; one that an older program began does not."""
        self._workflow = workflow
        self._closes = given.window.closes.timestamp() if given.window and given.window.closes else math.inf
        self._stop = given.stop
        self._carry = given.carry
        self._broken: dict[int, tuple[int, ...]] = {}
        """By the first target of a chunk."""
        self._next = given.place.first
        """Targets before the present chunk, or before the next one if there is none."""
        self._chunk: HandedOutChunk | None = None
        self._sent: Orders = given.orders
        """The orders with which the last chunk was handed out."""
        self._size = CHUNK_TARGETS
        """Targets of the next chunk."""
        self._handed_out_at = 0.0
        self._bytes = 0
        self._silent_since: float | None = None
        self._told_silent = False
        self._refusal: str | None = None
        self._bug: str | None = None
        self._no_credential: str | None = None

    # What follows.

    @property
    def is_over(self) -> bool:
        """Whether no chunk is handed out any more."""
        has_ended = (
            self._refusal or self._bug or self._no_credential or self.orders.stop or self._carry.is_over
        )
        return bool(has_ended) or self._is_done or (self._chunk is None and self._bytes >= PART_BYTES)

    @property
    def _is_done(self) -> bool:
        return self._next >= self.given.place.first + self.given.place.count

    @property
    def is_held(self) -> bool:
        """Whether an operator has paused the run."""
        return self.orders.paused

    @property
    def seconds_until_next(self) -> float:
        """How long to wait before the chunk is handed out again."""
        failures = 0 if self._chunk is None else self._chunk.failures
        # A worker that was lost is no sign that the next one will be: only from the second on it waits.
        return 0.0 if failures < 2 else min(LONGEST_WAIT, 2.0 ** (failures - 2))

    @property
    def is_order_too_large(self) -> bool:
        """Whether the next order would be larger than Temporal takes, by the broken targets that it names."""
        chunk = self._chunk
        broken = len(self.given.broken) + sum(map(len, self._broken.values()))
        given = 0 if chunk is None else len(chunk.rows) + sum(map(len, chunk.beats))
        return given + BROKEN_BYTES * broken > ORDER_BYTES

    def make_order(self, now: float) -> ChunkOrder:
        """Return the chunk that is handed out now: the one that has targets left, or the next one."""
        given = self.given
        chunk = self._chunk = self._chunk or HandedOutChunk(place=self._cut())
        order = ChunkOrder(
            run=given.run,
            session=given.session,
            journal=given.journal,
            place=chunk.place,
            dispatch=self.dispatches,
            act=given.act,
            lane=self._workflow,
            window=given.window,
            stop=self._stop,
            orders=self.orders,
            carry=self._carry,
            first_run=given.first_run,
            past_stop=given.past_stop,
            rows=chunk.rows,
            beats=chunk.beats,
            broken=self._list_broken(),
            undone=given.undone,
            ahead=given.place.first + given.place.count - chunk.place.first - chunk.place.count + given.ahead,
            later=given.later,
            accepted=given.accepted,
            lease=given.lease,
        )
        self.dispatches += 1
        self._bytes += len(chunk.rows) + sum(map(len, chunk.beats))
        self._sent = self.orders
        self._handed_out_at = now
        self._silent_since = self._silent_since or now
        return order

    def _cut(self) -> ChunkPlace:
        place = self.given.place
        count = min(self._size, place.first + place.count - self._next)
        return replace(place, first=self._next, count=count)

    def _list_broken(self) -> tuple[int, ...]:
        own = (number for numbers in self._broken.values() for number in numbers)
        return tuple(sorted({*self.given.broken, *own}))

    def find_patience(self, now: float) -> float:
        """Return how many seconds a worker has to take the chunk: what is left of ``park_for``."""
        silent = self._silent_since or now
        until = min(silent + self.given.park_for, self._closes)
        return max(LEAST_WAIT, until - now)

    def describe_over(self) -> LaneOver:
        """Return what the lane tells at its end."""
        chunk = self._chunk
        first = self._next + (chunk.place.count if chunk is not None and chunk.has_report else 0)
        left = self.given.place.first + self.given.place.count - first
        rest = replace(self.given.place, first=first, count=left) if left else None
        return LaneOver(
            workflow=self._workflow,
            gateway=self.given.place.gateway,
            dispatches=self.dispatches,
            carry=self._carry,
            refusal=self._refusal,
            bug=self._bug,
            no_credential=self._no_credential,
            rest=rest,
        )

    # What has happened.

    def take_orders(self, orders: Orders) -> bool:
        """Obey later orders. Returns whether a chunk that is under way must land and come back for them."""
        if orders.number <= self.orders.number:
            return False
        self.orders = orders
        return self._changes(self._sent, orders)

    def _changes(self, before: Orders, after: Orders) -> bool:
        gateway = self.given.place.gateway
        return (
            before.stop != after.stop
            or before.skips != after.skips
            or (after.paused and not before.paused)
            or before.limits.get(gateway) != after.limits.get(gateway)
        )

    def take_go_on(self, go_on: GoOn) -> None:
        """Take where the run stands."""
        self._stop = go_on.stop
        self.take_orders(go_on.orders)

    def cancel(self, why: str) -> None:
        """Hand out no more chunks: the lane's own workflow was cancelled, or nobody leads it any more."""
        self._refusal = self._refusal or f"{Reason.INTERRUPT}: {why}"

    def take_taken(self, dispatch: int) -> ZoneAnswers | None:
        """Note that a worker has begun a chunk. Returns the news if people were told that none did."""
        if dispatch != self.dispatches - 1:
            return None
        was_told, self._told_silent, self._silent_since = self._told_silent, False, None
        return ZoneAnswers(gateway=self.given.place.gateway, zone=self.given.zone) if was_told else None

    def notice_silence(self) -> ZoneSilent | None:
        """Return the news that nobody takes the chunk, if that is so and people do not know yet."""
        if self._told_silent or self._silent_since is None:
            return None
        self._told_silent = True
        until = min(self._silent_since + self.given.park_for, self._closes)
        return ZoneSilent(gateway=self.given.place.gateway, zone=self.given.zone, until=until)

    def take_end(self, end: ChunkEnd, now: float) -> ChunkReport:
        """Take the result of a chunk. Returns the report to the run."""
        chunk = self._get_chunk()
        if self.follows_pace:
            self._size = _choose_size(end, now - self._handed_out_at)
        self._silent_since = None
        self._carry, self._refusal = end.carry, end.refusal or self._refusal
        self._broken[chunk.place.first] = end.broken
        self._bytes += sum(map(len, end.segments))
        if end.left:
            self._keep_open(chunk, end)
        else:
            self._next += chunk.place.count
            self._chunk = None
        return ChunkReport(
            workflow=self._workflow,
            gateway=self.given.place.gateway,
            dispatch=self.dispatches - 1,
            counts=end.counts,
            breach=end.breach,
            broken=end.broken,
            first=chunk.place.first,
        )

    def _keep_open(self, chunk: HandedOutChunk, end: ChunkEnd) -> None:
        chunk.rows, chunk.beats, chunk.has_report = end.rows, (), True
        # A chunk that came back for orders, or because it was full, has done what it should.
        is_fruitless = not end.counts and not end.segments and not self._changes(self._sent, self.orders)
        self._count_failure(is_fruitless, "came back without a result")

    def take_lost(self, beat: ChunkBeat | None, why: str) -> None:
        """Take what a chunk had told before its worker was lost: it is handed out again with that."""
        chunk = self._get_chunk()
        self._silent_since = None
        if beat is not None and beat.segments:
            chunk.beats += beat.segments
            self._bytes += sum(map(len, beat.segments))
        # A lane that is over by that word may have doubts, which only a chunk that is handed out settles.
        if beat is not None and beat.carry is not None and not beat.carry.is_over:
            self._carry = beat.carry
        if len(chunk.rows) + sum(map(len, chunk.beats)) > ORDER_BYTES:
            self._refuse(
                f"{Reason.PARKED}: its workers were lost again and again, with more results than fit"
            )
        self._count_failure(True, why)

    def _count_failure(self, is_one: bool, why: str) -> None:
        chunk = self._get_chunk()
        chunk.failures = chunk.failures + 1 if is_one else 0
        if chunk.failures >= MOST_FAILURES:
            times = count_noun(chunk.failures, "time", "times")
            self._refuse(
                f"{Reason.PARKED}: the workers of zone {self.given.zone} failed {times} in a row: {why}"
            )

    def take_untaken(self) -> None:
        """Take a chunk back that no worker had begun when it was cancelled."""
        if self.is_held:
            self._silent_since = None

    def give_up_zone(self, now: float) -> None:
        """Give the lane up: no worker of its zone took the chunk in time."""
        nobody = f"{NO_WORKER} {self.given.zone} took its work"
        if now >= self._closes:
            self._refuse(f"{Reason.WINDOW}: {nobody} before it closed")
        else:
            self._refuse(f"{Reason.PARKED}: {nobody} for {format_span(self.given.park_for)}")

    def find_seconds_until_close(self, now: float) -> float | None:
        """Return in how many seconds the window closes, 0 if it has; None if it never does."""
        return None if math.isinf(self._closes) else max(0.0, self._closes - now)

    def close_window(self) -> None:
        """Give the lane up: its window has closed during a pause."""
        self._refuse(f"{Reason.WINDOW}: it closed while the run was paused")

    def park_full(self) -> None:
        """Give the lane up: its workflow has no room for the results of another chunk."""
        self._refuse(f"{Reason.PARKED}: its workflow has no room for further results; a resume goes on")

    def park_broken(self) -> None:
        """Give the lane up: the next order has no room for all broken targets."""
        self._refuse(
            f"{Reason.PARKED}: too many targets that others wait for did not end as wanted; a resume goes on"
        )

    def take_no_credential(self, text: str) -> None:
        """Give the lane up: its worker cannot resolve the credential."""
        self._no_credential = text

    def take_bug(self, text: str) -> None:
        """Give the lane up: the program failed in a worker."""
        self._bug = text

    def _refuse(self, reason: str) -> None:
        self._refusal = self._refusal or reason

    def _get_chunk(self) -> HandedOutChunk:
        assert self._chunk is not None  # noqa: S101 -- only a chunk that was handed out has an end
        return self._chunk


def _choose_size(end: ChunkEnd, seconds: float) -> int:
    """Return the number of targets of the chunk after one that ended so, ``seconds`` after it was handed out.

    Each chunk costs the server and the lane the same, however large it is. But the run judges a chunk when it
    is over, so where a target did not end as wanted, chunks stay small.
    """
    ended = sum(each.count for each in end.counts)
    if not ended or not all(is_as_wanted(each.outcome, each.word) for each in end.counts):
        return CHUNK_TARGETS
    in_time = ended * CHUNK_SECONDS / max(seconds, 0.001)
    in_bytes = ended * FAST_CHUNK_BYTES / max(1, sum(map(len, end.segments)))
    return max(CHUNK_TARGETS, int(min(in_time, in_bytes, FAST_CHUNK_TARGETS)))
