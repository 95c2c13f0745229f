"""One gateway's catalog, read through a lane: the logins, the pace and the pauses are those of a run.

Depth first, so that what is still to be asked is a handful of iterators, however many targets there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import anyio
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.lanes.environment import Environment
from orchestrator.lanes.exchange import Question, exchange
from orchestrator.lanes.lane import Lane, LaneStatus
from orchestrator.lanes.masking import Mask
from orchestrator.lanes.run_gate import RunGate
from orchestrator.lanes.wakeup import Wakeup
from orchestrator.model.credentials import Material
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Send
from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.model.search import FoundTarget, QueryResult, SearchQuery, TargetFilter
from orchestrator.model.target import TargetId
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.retry import draw_backoff

MOST_TRIES = 4
"""Requests for one query, before it counts as unanswered; those that were refused for haste do not count."""

MOST_DENIALS = 2
"""Rejections of the credential to one query, for which it is renewed; one more is about the query."""

MOST_UNANSWERED = 5
"""Queries in a row that may go unanswered, before a gateway is given up on."""

MOST_ASKED = 250_000
"""Queries to one gateway: lists that name more than that are believed to be a mistake."""

MOST_GAPS = 10_000
"""Gaps of one gateway that are kept by name; the others are counted."""


class SurveyListener(Protocol):
    """Who is told how a survey is doing."""

    def on_lane_state(
        self, gateway: str, state: LaneStatus, reason: str | None, seconds: float | None, /
    ) -> None:
        """Hear that a gateway's lane has a new state, or a warning; why, and for how many seconds."""
        ...


class SurveyResult(Struct):
    """What a survey has come to."""

    seen: int = 0
    deployed: int = 0
    requests: int = 0
    gaps: list[str] = []
    more_gaps: int = 0
    remarks: list[str] = []

    @property
    def whole(self) -> bool:
        """Whether nothing was left unseen."""
        return not self.gaps


class GatewaySurvey:
    """Reads the catalog of one gateway."""

    def __init__(
        self,
        gateway: Gateway,
        wanted: TargetFilter,
        environment: Environment,
        tell: SurveyListener,
        keep: Callable[[FoundTarget], None],
    ) -> None:
        """``keep`` takes each target as it is found; it may be told of one more than once."""
        self.gateway = gateway
        self.tally = SurveyResult()
        self._wanted = wanted
        self._environment = environment
        self._tell = tell
        self._keep = keep
        self._left: list[Iterator[SearchQuery]] = []
        self._asking = 0
        self._taken = 0
        self._unanswered = 0
        self._given_up = False
        self._told_busy = False
        self._changed = Wakeup()
        self._mask: Callable[[], Mask] = Mask

    async def run(self, material: Material, send: Send) -> None:
        """Read all of it; what cannot be read is among the gaps. Sends nothing but logins and reads."""
        lane = Lane(self.gateway, material, send, self._environment, RunGate(), self)
        self._mask = lambda: lane.authenticator.mask
        search = self.gateway.search  # the filters have refused a kind without one
        self._left = [] if search is None else [iter((search.start(self._wanted),))]
        async with anyio.create_task_group() as group:
            for _ in range(lane.concurrency):
                group.start_soon(self._work, lane)

    def on_lane_state(
        self, gateway: str, state: LaneStatus, reason: str | None, seconds: float | None
    ) -> None:
        """Pass on how the lane is doing."""
        self._tell.on_lane_state(gateway, state, reason, seconds)

    def on_pace(self, gateway: str, rate: float | None) -> None:
        """Do nothing: a survey sends no undeploys, and tells no pace."""

    def on_lane_request(self, gateway: str) -> None:  # noqa: ARG002 - a survey has one lane
        """Count a login."""
        self.tally.requests += 1

    def on_answer(self, gateway: str, answer: Reply | Lost) -> None:  # noqa: ARG002 - a survey has one lane
        """Count the request of a query."""
        self.tally.requests += 1

    async def _work(self, lane: Lane) -> None:
        while (query := await self._next()) is not None:
            try:
                part = await self._answer(query, lane)
                self._take(part)
            finally:
                self._asking -= 1
                self._changed.ring()

    async def _next(self) -> SearchQuery | None:
        """Return the next query, as soon as there is one; None where no more will come."""
        while True:
            while self._left and not self._given_up:
                query = next(self._left[-1], None)
                if query is not None:
                    self._asking += 1
                    return query
                self._left.pop()
            if not self._asking:
                return None
            await self._changed.wait()

    def _take(self, part: QueryResult) -> None:
        tally = self.tally
        tally.seen += part.seen
        tally.deployed += part.deployed
        for found in part.found:
            self._keep(found)
        for gap in part.gaps:
            self.miss(gap)
        tally.remarks += [remark for remark in part.remarks if remark not in tally.remarks]
        self._left.append(iter(part.queries))

    def miss(self, gap: str) -> None:
        """Keep what could not be seen."""
        if len(self.tally.gaps) < MOST_GAPS:
            self.tally.gaps.append(self._mask().clean_value(gap))
        else:
            self.tally.more_gaps += 1

    def _give_up(self, reason: str) -> QueryResult:
        """Ask nothing more. What was still to be asked is not known by name."""
        if self._given_up:
            return QueryResult()
        self._given_up = True
        return QueryResult(gaps=(f"all that was not asked yet: {reason}",))

    async def _answer(self, query: SearchQuery, lane: Lane) -> QueryResult:
        """Return what a query gave in the end."""
        self._taken += 1
        name = TargetId(f"({self._taken})")
        try:
            return await self._tried(query, name, lane)
        finally:
            lane.leave(name)

    async def _tried(self, query: SearchQuery, name: TargetId, lane: Lane) -> QueryResult:
        failures = denials = 0
        while True:
            turn = AdmissionRequest(name, Act.LOOK)
            if (refused := await lane.admit(turn)) is not None:
                return self._give_up(refused)
            if self._taken > MOST_ASKED:
                return self._give_up(f"more than {MOST_ASKED:,} reads would be needed; narrow the filters")
            try:
                read = await self._ask(query, turn, lane)
            except ValueError as error:
                return QueryResult(gaps=(f"{query.name}: {error}",))
            if isinstance(read, QueryResult):
                self._unanswered = 0
                return read
            denials += read.verdict is Verdict.DENIED
            if read.verdict is Verdict.BUSY or (read.verdict is Verdict.DENIED and denials <= MOST_DENIALS):
                continue
            failures += 1
            if read.verdict not in (Verdict.UNCLEAR, Verdict.UNSENT):
                self._unanswered = 0
                return _describe_unanswered(query, read)
            if failures >= MOST_TRIES or self._given_up:
                return self._unheard(query, read)
            await anyio.sleep(draw_backoff(lane.policy, failures, self._environment.roll()))

    def _unheard(self, query: SearchQuery, read: Reading) -> QueryResult:
        self._unanswered += 1
        if self._unanswered < MOST_UNANSWERED:
            return _describe_unanswered(query, read)
        self.miss(f"{query.name}: {describe_fault(read)}")
        return self._give_up(f"{self._unanswered} reads in a row went unanswered")

    def _tell_busy(self, read: Reading) -> None:
        """Say once that the gateway wants fewer requests: it may be waited for long."""
        if read.verdict is Verdict.BUSY and not self._told_busy:
            self._told_busy = True
            wait = None if read.wait is None else min(read.wait, self.gateway.park_for)
            self._tell.on_lane_state(self.gateway.name, "paused", describe_fault(read), wait)

    async def _ask(self, query: SearchQuery, turn: AdmissionRequest, lane: Lane) -> QueryResult | Reading:
        found = (await exchange(lane, turn, Question(Act.LOOK, query.request, query.read))).found
        if isinstance(found, QueryResult):
            return _mask_part(found, lane.authenticator.mask)
        self._tell_busy(found)
        return found


def _mask_part(part: QueryResult, mask: Mask) -> QueryResult:
    """Return a part as it may be shown. A name that repeats a credential is left out: no id is blotted."""
    found = tuple(each for each in part.found if mask.clean_value(each.parts) == each.parts)
    hidden = len(part.found) - len(found)
    gaps = (f"{hidden} whose names repeat the credential",) if hidden else ()
    return replace(
        part,
        found=tuple(replace(each, notes=tuple(map(mask.clean_text, each.notes))) for each in found),
        gaps=(*part.gaps, *gaps),
        remarks=mask.clean_value(part.remarks),
    )


def _describe_unanswered(query: SearchQuery, read: Reading) -> QueryResult:
    if query.failed is not None:
        return query.failed(read)
    return QueryResult(gaps=(f"{query.name}: {describe_fault(read)}",))


def describe_fault(read: Reading) -> str:
    """Return what a fault is, in the vendor's own words where there are any."""
    text = " ".join(part for part in (read.code, read.message) if part) or "no reason was given"
    return f"{text}; {read.hint}" if read.hint else text
