"""Reads how much the targets of one lane are used: shared reads once for all, then each target's own.

A read is made once, and once more after a passing fault. After the faults of several targets in a row the
targets wait for a while, if the run cannot go on without their use, and then are not asked about: so dead
statistics hold a run up once, and not for ever.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import anyio

from orchestrator.lanes.exchange import LaneQuestion, count_as_unclear, exchange
from orchestrator.lanes.traffic_store import ask_store
from orchestrator.model.features import SharedUsageRead
from orchestrator.model.http import Lost
from orchestrator.model.reading import Act, Operation, Reading, Snapshot, Verdict
from orchestrator.model.target import Target, TargetId
from orchestrator.model.usage import Usage
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.retry import describe, draw_backoff, is_passing_fault
from orchestrator.rules.usage_outage import RESTS_FOR, UsageOutage

if TYPE_CHECKING:
    from orchestrator.lanes.lane import Lane

FRESH_FOR = 300.0
"""Seconds for which the use of a target is believed before its undeploy leaves."""

SHARED_FOR = FRESH_FOR / 2
"""Seconds for which a shared read is believed, so that a target has time left before its undeploy."""

LONGEST_SHARED = 240.0
"""Seconds after which shared reads are given up: each target would find them too old, and make them anew."""

MOST_TRIES = 4
"""Requests for one read, refusals to take more included."""

MOST_SHARED = 200
"""Shared reads in a row. A gateway with more pages does not tell the use of its targets."""


class UsageAnswer(NamedTuple):
    """The reading of one read about a target, and the HTTP status of its reply; None where none came."""

    reading: Reading
    status: int | None


AskAboutUse: TypeAlias = Callable[[Operation], Awaitable[UsageAnswer | str]]
"""Sends one read about a target; returns its answer, or why the lane admits no read."""


class _SharedAnswer(NamedTuple):
    """What a shared read told, or its fault; None where it cannot be had, and the others not without it."""

    found: Any
    requests: int
    is_passing: bool = False
    """Whether it could not tell for a cause that may be over in some minutes."""
    is_refused: bool = False
    """Whether the lane let no request of the target leave that wanted the read, or the run has ended it."""


class UsageReader:
    """The use of the targets of one lane in the last hours. Times are monotonic seconds."""

    def __init__(self, lane: Lane, hours: int, patience: float = 0.0) -> None:
        """``patience``: seconds that targets wait for the end of an outage of these reads, once."""
        self.hours = hours
        self.shared_requests = 0
        """The most requests that the shared reads have taken in one go."""
        self._lane = lane
        self._environment = lane.environment
        self._feature = lane.gateway.traffic
        self._told: dict[str, Any] = {}
        self._told_at = -math.inf
        self._refused: dict[str, Reading] = {}
        """The shared reads that are not for this credential: they are not asked for again."""
        self._lacking: dict[str, str] = {}
        self._offered: set[str] = set()
        self._outage = UsageOutage(patience)
        self._shared_outage = UsageOutage(patience, 1)
        """That of the shared reads: one fault of theirs hides the calls of many targets."""
        self._waits = patience > 0.0
        """Whether the run cannot go on without the use of its targets."""
        self._is_shared_faulty = False
        """Some shared read that is believed could not tell, for a cause that may be over in some minutes."""
        self._is_probing = False
        """One target asks for the end of an outage, and the others wait for what it finds."""
        self._shared_rests_until = -math.inf
        self._lock = anyio.Lock()

    async def read(self, target: Target, snapshot: Snapshot | None, ask: AskAboutUse) -> Usage | str:
        """Return the use of a target as far as it can be told; or why the lane admits no read of it.

        ``snapshot`` is of the target as it is now; None where it could not be read.
        """
        if self._feature is None:
            return Usage(hours=self.hours, why="its gateway does not tell it")
        while True:
            if not self._outage.is_waiting(self._environment.monotonic()):
                found = await self._read_once(target, snapshot, ask)
                if found is not None:
                    return found
            if refused := await self._wait_for_turn(target.id):
                return refused
            self._is_probing = True
            try:
                found = await self._probe(target, snapshot, ask)
            finally:
                self._is_probing = False
                self._lane.wake_all()
            if found is not None:
                return found

    async def _wait_for_turn(self, target: TargetId) -> str | None:
        """Wait until no other target asks for the end of an outage; return why this one waits no more."""
        while (refused := self._lane.find_change_refusal(target)) is None and self._is_probing:
            await self._lane.wait_for_change()
        return refused

    async def _probe(self, target: Target, snapshot: Snapshot | None, ask: AskAboutUse) -> Usage | str | None:
        """Ask about one target until its use is told or hopeless; None once there is no outage any more."""
        while (outage := self._find_outage(now := self._environment.monotonic())) is not None:
            # One target after the other would wait here still, though nothing may start any more.
            if refused := self._lane.find_change_refusal(target.id):
                return refused
            self._lane.announcer.tell_list("waits for the reads of its use")
            try:
                await self._lane.rest(outage.next_wait(now))
            finally:
                self._lane.announcer.tell_list(None)
            # Also where the time is over by now: this process may have stood still for most of it.
            if (found := await self._ask_about(target, snapshot, ask, anew=True)) is not None:
                return found
        return None

    def _find_outage(self, now: float) -> UsageOutage | None:
        """Return the outage whose end targets wait for."""
        return next((each for each in (self._outage, self._shared_outage) if each.is_waiting(now)), None)

    async def _read_once(
        self, target: Target, snapshot: Snapshot | None, ask: AskAboutUse
    ) -> Usage | str | None:
        """Return the use of a target; None where it is to wait for the end of an outage."""
        if why := self._outage.explain(self._environment.monotonic()):
            return Usage(hours=self.hours, why=why)
        return await self._ask_about(target, snapshot, ask)

    async def _ask_about(
        self, target: Target, snapshot: Snapshot | None, ask: AskAboutUse, *, anew: bool = False
    ) -> Usage | str | None:
        """Make the reads that tell the use of a target; ``anew``: also shared ones that met a fault."""
        await self._share(target.id, anew=anew)
        assert self._feature is not None  # noqa: S101 - read() has returned without one
        seen: dict[str, Reading] = {}
        is_faulty = False
        while True:
            found = self._feature.next_read(target, snapshot, self._told, seen, self._lacking, self.hours)
            if isinstance(found, Usage):
                found = self._lane.authenticator.mask.clean_value(found)
                return None if self._must_wait(found, is_faulty=is_faulty) else found
            answer = await self._ask(found, ask)
            if isinstance(answer, str):
                return answer
            seen[found.via] = self._learn(found.via, answer.reading)
            is_faulty = is_faulty or _is_repeatable(answer)

    def _must_wait(self, usage: Usage, *, is_faulty: bool) -> bool:
        """Take in what was told of a target; return whether the target is to ask again later.

        ``is_faulty``: a read of this target met a fault.
        """
        now = self._environment.monotonic()
        outage = self._shared_outage if self._is_shared_faulty and not is_faulty else self._outage
        is_hidden = usage.calls is None and (is_faulty or self._is_shared_faulty)
        why = (usage.why or "no reason was given") if is_hidden else None
        # What is told in spite of a fault of a shared read says nothing of that read.
        if (is_hidden or outage is self._outage) and outage.take_in(now, why):
            text = f"how much its targets are used is not told: {why}"
            self._lane.announcer.warn_once("no usage", text)
        return is_hidden and outage.is_waiting(now)

    @property
    def read_at(self) -> float:
        """When the newest shared reads were begun; infinite where none is believed now."""
        return self._told_at if self._told else math.inf

    async def _ask(self, operation: Operation, ask: AskAboutUse) -> UsageAnswer | str:
        """Make one read of a target, and once more after a passing fault."""
        faults = tries = 0
        while True:
            answer = await ask(operation)
            if isinstance(answer, str):
                return answer
            tries += 1
            if not _is_repeatable(answer) or tries >= MOST_TRIES:
                return answer
            if _is_passing(answer):
                faults += 1
                if faults > 1:
                    return answer
                await self._lane.rest(draw_backoff(self._lane.policy, 1, self._environment.roll()))

    def _learn(self, via: str, reading: Reading) -> Reading:
        """Take in which reads are offered; return the reading as the target is to take it."""
        key = via.partition("/")[0]
        reading = count_as_unclear(reading)
        if reading.verdict is Verdict.TOLD:
            self._offered.add(key)
        elif reading.verdict is Verdict.NOT_OFFERED and key not in self._offered:
            self._lacking.setdefault(key, describe(reading))
        return reading

    async def _share(self, wanted_by: TargetId, *, anew: bool) -> None:
        """Make the shared reads if they were not made yet, or are too old; one worker for all.

        ``anew``: also if one of them met a fault, whose end a target waits for.
        """
        if not self._is_due(anew=anew):
            return
        told_at = self._told_at
        async with self._lock:
            if self._told_at == told_at and self._is_due(anew=anew):
                await self._read_shared(wanted_by)

    def _is_due(self, *, anew: bool) -> bool:
        now = self._environment.monotonic()
        is_old = now - self._told_at > SHARED_FOR or (anew and self._is_shared_faulty)
        return is_old and now >= self._shared_rests_until

    async def _read_shared(self, wanted_by: TargetId) -> None:
        began, sent = self._environment.monotonic(), 0
        told: dict[str, Any] = dict(self._refused)
        is_faulty = False
        assert self._feature is not None  # noqa: S101 - read() has returned without one
        for _ in range(MOST_SHARED):
            read = self._feature.next_shared_read(told, self.hours)
            if read is None:
                self._told, self._told_at = told, began
                self._is_shared_faulty = is_faulty and self._waits
                if not is_faulty:
                    self._shared_outage.take_in(self._told_at, None)
                return
            ask = self._ask_store if read.of_store else partial(self._exchange_shared, wanted_by)
            answer = await ask(read)
            sent += answer.requests
            is_faulty = is_faulty or (answer.is_passing and read.tells_calls)
            self.shared_requests = max(self.shared_requests, sent)
            if answer.found is None:
                self._forget_shared(rests=not answer.is_refused)
                return
            told[read.name] = answer.found
            if isinstance(answer.found, Reading) and answer.found.verdict is Verdict.NOT_OFFERED:
                self._refused[read.name] = answer.found
            if self._environment.monotonic() - began > LONGEST_SHARED:
                self._warn_of_slowness()
                break
        self._forget_shared()

    def _forget_shared(self, *, rests: bool = True) -> None:
        """Believe nothing of shared reads that did not come to their end.

        They may lack a page that tells of some target. ``rests``: no target asks for them for a while.
        """
        self._told, self._told_at, self._is_shared_faulty = {}, -math.inf, False
        # A lane that lets one target send nothing, since that is skipped, may let the next one ask; and a
        # worker that was called back goes on with the lane.
        if rests:
            self._shared_rests_until = self._environment.monotonic() + RESTS_FOR

    def _warn_of_slowness(self) -> None:
        text = (
            f"the reads that tell the use of all its targets took more than {LONGEST_SHARED:.0f} s: given up"
        )
        self._lane.announcer.warn_once("slow usage", text)

    async def _ask_store(self, read: SharedUsageRead) -> _SharedAnswer:
        self._lane.announcer.tell_list(f"reads its {read.name}")
        try:
            answer = await ask_store(self._lane, read)
        finally:
            self._lane.announcer.tell_list(None)
        found = None if answer.is_refused else answer.found
        return _SharedAnswer(found, answer.requests, answer.is_passing, answer.is_refused)

    async def _exchange_shared(self, wanted_by: TargetId, read: SharedUsageRead) -> _SharedAnswer:
        """Make one shared read, as often as that may help."""
        lane = self._lane
        question: LaneQuestion[Any] = LaneQuestion(Act.LOOK, read.build, read.read)
        number = 0
        while True:
            number += 1
            # The probe of a parked lane may need the read itself, or it could not go on to its undeploy.
            admission = AdmissionRequest(wanted_by, Act.LOOK, dispensable=True, may_probe=self._waits)
            if await lane.admit(admission):
                return _SharedAnswer(None, number - 1, is_refused=True)
            lane.announcer.tell_list(f"reads its {read.name}")
            try:
                exchanged = await exchange(lane, admission, question)
            finally:
                lane.announcer.tell_list(None)
            if exchanged.was_ended:
                return _SharedAnswer(None, number, is_refused=True)
            found = exchanged.found
            if not isinstance(found, Reading) or found.verdict is Verdict.NOT_OFFERED:
                return _SharedAnswer(found, number)
            status = None if isinstance(exchanged.answer, Lost) else exchanged.answer.status
            answer = UsageAnswer(count_as_unclear(found), status)
            is_repeatable = _is_repeatable(answer)
            if not is_repeatable or (_is_passing(answer) and number > 1) or number == MOST_TRIES:
                return _SharedAnswer(found if read.is_alone else None, number, is_repeatable)
            await lane.rest(draw_backoff(lane.policy, number, self._environment.roll()))


def _is_repeatable(answer: UsageAnswer) -> bool:
    return answer.reading.verdict in (Verdict.BUSY, Verdict.DENIED) or _is_passing(answer)


def _is_passing(answer: UsageAnswer) -> bool:
    """Return whether a read could not tell for a cause that may be over in a moment."""
    verdict = answer.reading.verdict
    return verdict is Verdict.UNSENT or (verdict is Verdict.UNCLEAR and is_passing_fault(answer.status))
