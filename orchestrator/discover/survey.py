"""Surveys one gateway: reads all that is live there, through a lane that logs in and pauses as in a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import anyio
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.discover.query_queue import QueryQueue
from orchestrator.lanes.announcer import LaneNews
from orchestrator.lanes.environment import Environment
from orchestrator.lanes.exchange import LaneQuestion, exchange
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.masking import Mask
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.credentials import Access, Material
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request, Send, was_sent
from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.model.search import FoundTarget, QueryResult, SearchQuery, TargetFilter
from orchestrator.model.target import TargetId
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.retry import draw_backoff

LARGEST_REPLY = 64 * 1024 * 1024
"""Bytes of one reply that are read. Some lists of the vendors have long pages, others have no pages."""

MOST_TRIES = 4
"""Requests for one query until it counts as unanswered, without those that the gateway refused for haste."""

MOST_DENIALS = 2
"""Rejections of one query that renew the credential; one more is about the query, not the credential."""

MOST_UNANSWERED = 5
"""Unanswered queries in a row after which the survey gives the gateway up."""

MOST_ASKED = 250_000
"""Queries to one gateway. Lists that lead to more are taken for a mistake of the filters."""

MOST_GAPS = 10_000
"""Gaps of one gateway that are kept by name; further gaps are only counted."""


class SurveyListener(Protocol):
    """Hears how a survey is doing."""

    def on_lane_state(
        self, gateway: str, state: LaneNews, reason: str | None, seconds: float | None, /
    ) -> None:
        """Hear that a gateway's lane has a new state, or a warning; why, and for how many seconds."""
        ...


class SurveyResult(Struct):
    """The findings of a survey so far."""

    seen: int = 0
    deployed: int = 0
    requests: int = 0
    gaps: list[str] = []
    more_gaps: int = 0
    remarks: list[str] = []

    @property
    def whole(self) -> bool:
        """Whether the survey left nothing unseen."""
        return not self.gaps


class GatewaySurvey:
    """Reads all live targets of one gateway."""

    def __init__(
        self,
        gateway: Gateway,
        wanted: TargetFilter,
        environment: Environment,
        listener: SurveyListener,
        keep: Callable[[FoundTarget], None],
    ) -> None:
        """``keep`` takes each target as it is found; it may get the same target more than once."""
        self.gateway = gateway
        self.result = SurveyResult()
        self._wanted = wanted
        self._environment = environment
        self._listener = listener
        self._keep = keep
        self._queries = QueryQueue()
        self._number = 0
        self._unanswered = 0
        self._has_told_busy = False
        self._mask: Callable[[], Mask] = Mask
        self.access: Access | None = None
        """The newest credential, after the survey; None where there is none."""
        self.refusal: str | None = None
        """Why no further read may be sent to the gateway, after the survey."""

    async def run(self, material: Material, send: Send) -> None:
        """Read all live targets; the gaps name the parts that cannot be read. Sends only logins and reads."""
        # Without a window: a window bounds undeploys, and a search may be made at any time.
        lane = Lane(self.gateway, material, send, self._environment, RunGate(), self)
        # Asked for each time: a login adds its token to the masked texts.
        self._mask = lambda: lane.authenticator.mask
        search = self.gateway.search  # ``assign_filters`` has refused a kind without one
        if search is not None:
            self._queries.add((search.start(self._wanted),))
        async with anyio.create_task_group() as group:
            for _ in range(lane.concurrency):
                group.start_soon(self._work, lane)
        self.refusal = lane.refusal(Act.LOOK)
        self.access = lane.authenticator.active.access if lane.authenticator.active else None

    def on_lane_state(self, gateway: str, state: LaneNews, reason: str | None, seconds: float | None) -> None:
        """Pass on how the lane is doing."""
        self._listener.on_lane_state(gateway, state, reason, seconds)

    def on_pace(self, gateway: str, rate: float | None) -> None:
        """Do nothing: a survey sends no undeploys, and tells no pace."""

    def on_probe(self, gateway: str, wait: float, gives_up: float) -> None:
        """Do nothing: no one waits at a screen for a probe of a read."""

    def on_list(self, gateway: str, text: str | None) -> None:
        """Do nothing: a survey asks queries, and no list of a lane."""

    def on_lane_request(self, gateway: str) -> None:  # noqa: ARG002 - a survey has one lane
        """Count a login."""
        self.result.requests += 1

    def on_answer(self, gateway: str, answer: Reply | Lost) -> None:  # noqa: ARG002 - a survey has one lane
        """Count the request of a query, if it was sent."""
        self.result.requests += was_sent(answer)

    async def _work(self, lane: Lane) -> None:
        while (query := await self._queries.take()) is not None:
            try:
                self._take(await self._answer(query, lane))
            finally:
                self._queries.finish()

    def _take(self, answer: QueryResult) -> None:
        result = self.result
        result.seen += answer.seen
        result.deployed += answer.deployed
        for found in answer.found:
            self._keep(found)
        for gap in answer.gaps:
            self.miss(gap)
        result.remarks += [remark for remark in answer.remarks if remark not in result.remarks]
        self._queries.add(answer.queries)

    def miss(self, gap: str) -> None:
        """Keep a part that could not be seen, as a clause for people."""
        if len(self.result.gaps) < MOST_GAPS:
            self.result.gaps.append(self._mask().clean_value(gap))
        else:
            self.result.more_gaps += 1

    def _give_up(self, reason: str) -> QueryResult:
        """Make no further query, and return the gap that this leaves; its parts have no names yet."""
        # Another worker has told this gap already.
        if self._queries.is_closed:
            return QueryResult()
        self._queries.close()
        return QueryResult(gaps=(f"all that was not asked yet: {reason}",))

    async def _answer(self, query: SearchQuery, lane: Lane) -> QueryResult:
        """Return the final result of a query."""
        self._number += 1
        name = TargetId(f"({self._number})")
        try:
            return await self._repeat(query, name, lane)
        finally:
            lane.leave(name)

    async def _repeat(self, query: SearchQuery, name: TargetId, lane: Lane) -> QueryResult:
        """Make a query until its result is final: after a passing fault again, up to ``MOST_TRIES`` times."""
        failures = denials = 0
        while True:
            admission = AdmissionRequest(name, Act.LOOK)
            if (refused := await lane.admit(admission)) is not None:
                return self._give_up(refused)
            if self._number > MOST_ASKED:
                return self._give_up(f"more than {MOST_ASKED:,} reads would be needed; narrow the filters")
            try:
                read = await self._ask(query, admission, lane)
            except ValueError as error:
                return QueryResult(gaps=(f"{query.name}: {error}",))
            if isinstance(read, QueryResult):
                self._unanswered = 0
                return read
            denials += read.verdict is Verdict.DENIED
            # The lane lets the next try wait: for the pause that is asked for, or for a new credential.
            if read.verdict is Verdict.BUSY or (read.verdict is Verdict.DENIED and denials <= MOST_DENIALS):
                continue
            failures += 1
            # The gateway has answered, and would give the same answer again.
            if read.verdict not in (Verdict.UNCLEAR, Verdict.UNSENT):
                self._unanswered = 0
                return _describe_unanswered(query, read)
            if failures >= MOST_TRIES or self._queries.is_closed:
                return self._count_unanswered(query, read)
            await anyio.sleep(draw_backoff(lane.policy, failures, self._environment.roll()))

    def _count_unanswered(self, query: SearchQuery, read: Reading) -> QueryResult:
        self._unanswered += 1
        if self._unanswered < MOST_UNANSWERED:
            return _describe_unanswered(query, read)
        self.miss(f"{query.name}: {describe_fault(read)}")
        return self._give_up(f"{self._unanswered} reads in a row went unanswered")

    def _tell_busy(self, read: Reading) -> None:
        """Tell once that the gateway wants fewer requests, since the wait may be long."""
        if read.verdict is Verdict.BUSY and not self._has_told_busy:
            self._has_told_busy = True
            wait = None if read.wait is None else min(read.wait, self.gateway.park_for)
            self._listener.on_lane_state(self.gateway.name, "paused", describe_fault(read), wait)

    async def _ask(
        self, query: SearchQuery, admission: AdmissionRequest, lane: Lane
    ) -> QueryResult | Reading:
        def build(access: Access, now: float) -> Request:
            return replace(query.request(access, now), largest=LARGEST_REPLY)

        found = (await exchange(lane, admission, LaneQuestion(Act.LOOK, build, query.read))).found
        if isinstance(found, QueryResult):
            return _mask_result(found, lane.authenticator.mask)
        self._tell_busy(found)
        return found


def _mask_result(result: QueryResult, mask: Mask) -> QueryResult:
    """Return a result without the credentials in its texts.

    A target whose name repeats a credential is left out: with the name masked, its id would be wrong.
    """
    found = tuple(each for each in result.found if mask.clean_value(each.parts) == each.parts)
    hidden = len(result.found) - len(found)
    gaps = (f"{hidden} whose names repeat the credential",) if hidden else ()
    return replace(
        result,
        found=tuple(replace(each, notes=tuple(map(mask.clean_text, each.notes))) for each in found),
        gaps=(*result.gaps, *gaps),
        remarks=mask.clean_value(result.remarks),
    )


def _describe_unanswered(query: SearchQuery, read: Reading) -> QueryResult:
    if query.failed is not None:
        return query.failed(read)
    return QueryResult(gaps=(f"{query.name}: {describe_fault(read)}",))


def describe_fault(read: Reading) -> str:
    """Return a fault in the vendor's own words, if there are any."""
    text = " ".join(part for part in (read.code, read.message) if part) or "no reason was given"
    return f"{text}; {read.hint}" if read.hint else text
