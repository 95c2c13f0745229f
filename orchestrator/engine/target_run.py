"""One target to its outcome: admit, keep the intent, send, read, keep the result, decide, wait.

The rules are elsewhere: what a reply means is the gateway's, what follows is ``retry.decide``, whether
anything may leave is the lane's. tenacity drives the repeats, and is entered only after a first step that
did not end the target.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace
from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from orchestrator.engine.resources import RunResources
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.state_list import StateList
from orchestrator.model.events import AttemptEnded, AttemptStarted, RetryPlanned, SnapshotMissed
from orchestrator.model.http import Lost, Reply
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act, Operation, Reading, Snapshot, Verdict
from orchestrator.model.target import Target
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.precheck import judged, unseen
from orchestrator.rules.retry import (
    LOOKS_PER_DOUBT,
    End,
    Look,
    Send,
    Step,
    TargetHistory,
    backoff,
    blocked,
    decide,
    first_step,
    mirror_reading,
    passing,
)


class Wait(Struct, frozen=True):
    """The target has the vendor's full evidence, and waits for the look at the end of its wave."""


class TargetRun:
    """The way of one target through a session."""

    def __init__(
        self,
        target: Target,
        history: TargetHistory,
        lane: Lane,
        tools: RunResources,
        *,
        state_list: StateList | None = None,
        last_look: bool = False,
    ) -> None:
        """``state_list``: the list of the lane, if looks may be shared; ``last_look``: the look after it."""
        self.target = target
        self.history = history
        self._lane = lane
        self._environment = tools.environment
        self._run_gate = tools.run_gate
        self._record = tools.record
        self._emit = tools.emit
        self._note = tools.note
        self._tools = tools
        self._step: Step = first_step(lane.policy, history)
        self._state_list = state_list
        self._last_look = last_look
        self._status: int | None = None
        """The HTTP status of the newest reply; None where none came."""
        self._held: str | None = None
        """Why the newest doubt may not be repeated, so that a look alone can settle it."""

    async def run(self) -> End | Wait:
        """Take the target to its outcome, or to where this session must leave it; or to the shared look."""
        if over := await self._portray():
            return over
        step = await self._advance()
        if isinstance(step, End | Wait):
            return step
        await self._run_gate.sleep(step.wait)
        repeat = AsyncRetrying(retry=retry_if_result(_goes_on), wait=_wanted_wait, sleep=self._run_gate.sleep)
        end: End | Wait = await repeat(self._advance)
        return end

    async def _advance(self) -> Step | Wait:
        """Do one step; return the next one, before which the caller waits."""
        act = self._act_of(self._step)
        turn = self._turn(act)
        refused = await self._lane.admit(turn)
        if refused is None:
            reading = await (self._look(turn) if act is Act.LOOK else self._undeploy(turn))
            roll = self._environment.roll()
            self.history, self._step = decide(self._lane.policy, self.history, act, reading, roll=roll)
            if self._may_wait(reading):
                return Wait()
            refused = self._plan_next()
        if refused is not None:
            self._step = self._without(refused)
        return self._step

    def _act_of(self, step: Step) -> Act:
        return Act.LOOK if isinstance(step, Look) else self._lane.policy.act

    def _turn(self, act: Act) -> AdmissionRequest:
        begun = self.history.charged > 0
        if act is Act.LOOK:
            last = self.history.looks >= LOOKS_PER_DOUBT - 1
            return AdmissionRequest(self.target.id, act, settling=begun, last=begun and last)
        return AdmissionRequest(self.target.id, act, repeats=begun or self.history.unsent > 0)

    async def _portray(self) -> End | None:
        """Take a snapshot where one is wanted; return how the target ends, where there is no more to do."""
        tools = self._tools
        approved = tools.approved(self.target.seq)
        if self.history.charged or (tools.snapshot == "off" and approved is None):
            return None
        snapshot = await self._read_snapshot()
        if isinstance(snapshot, str):
            if tools.snapshot == "required" or approved is not None or self._may_not_go():
                return blocked(self.history, snapshot)
            self._miss(Snapshot(verdict=Verdict.UNCLEAR, message=snapshot))
            return None
        snapshot = self._lane.authenticator.mask.snapshot(self._lane.in_its_words(snapshot))
        self.target = replace(self.target, pods=snapshot.facts.pods_responded or 0)
        self._record.snapshot(self.target, snapshot, self._environment.now())
        self.history = replace(self.history, exists=snapshot.verdict in (Verdict.UP, Verdict.PARTIAL))
        end = judged(self._lane.policy, snapshot, approved, required=tools.snapshot == "required")
        if end is None and snapshot.verdict is Verdict.UP and isinstance(self._step, Look):
            self._step = Send()  # the look that was due has been had
        if end is None and snapshot.verdict is not Verdict.UP:
            self._miss(snapshot)
        return end

    def _miss(self, snapshot: Snapshot) -> None:
        """Keep and tell that the target goes on without what a restore needs."""
        target, at, why = self.target, self._environment.now(), unseen(snapshot)
        self._record.snapshot(target, snapshot, at)
        self._emit(SnapshotMissed(at=at, target=target.id, gateway=target.gateway, reason=why))
        if snapshot.verdict is Verdict.NOT_OFFERED and snapshot.code:
            return  # an error of the vendor's, of which the undeploy will tell: nothing goes down
        told = f"{why}: {target.id} may go down, and a restore could not bring it back"
        self._lane.warn_once(f"{snapshot.verdict.value} {snapshot.code}", told)

    def _may_not_go(self) -> bool:
        """Tell whether it is not only looks that are refused."""
        refused = self._lane.refusal(self._lane.policy.act) or self._run_gate.skipped(self.target.id)
        return refused is not None

    async def _read_snapshot(self) -> Snapshot | str:
        """Read what a snapshot needs, each read once, and once more where it met a passing fault; or return
        why nothing may be read."""
        seen: dict[str, Reading] = {}
        repeated: set[str] = set()
        while True:
            found = self._lane.gateway.next_snapshot_read(self.target, seen, frozenset(self._lane.lacking))
            if isinstance(found, Snapshot):
                return found
            turn = self._turn(Act.LOOK)
            if refused := await self._lane.admit(turn):
                return refused
            reading = await self._exchange(turn, found, _as_read)
            assert isinstance(reading, Reading)  # noqa: S101 - what _as_read gives
            if reading.verdict in (Verdict.BUSY, Verdict.DENIED):
                continue
            if reading.verdict is Verdict.UNSENT:
                reading = replace(reading, verdict=Verdict.UNCLEAR)  # to a snapshot it tells nothing either
            if self._passes(reading) and found.via not in repeated:
                repeated.add(found.via)
                await self._run_gate.sleep(backoff(self._lane.policy, 1, self._environment.roll()))
                continue
            seen[found.via] = self._lane.found(found.via, reading)

    def _passes(self, reading: Reading) -> bool:
        """Tell whether the newest reading could not tell for a cause that may be over in a moment."""
        return reading.verdict is Verdict.UNCLEAR and passing(self._status)

    def _may_wait(self, reading: Reading) -> bool:
        """Tell whether the look that is owed to the vendor's full evidence may wait: undeploys go first."""
        later = self._state_list is not None and not self._last_look and self._state_list.puts_off
        return later and reading.verdict is Verdict.REMOVED and isinstance(self._step, Look)

    async def _glance(self) -> Reading | None:
        """Return what the lane's list says, where a list may say it."""
        if self._state_list is None:
            return None
        if not self.history.charged:
            return await self._state_list.before(self.target)
        if self._last_look and self.history.looks == 0:
            return self._state_list.glance(self.target)
        return None

    def _without(self, refused: str) -> Step:
        """Return what is left to do where the next step may not be done: a doubt may still be looked at."""
        if isinstance(self._step, Send) and self.history.doubt and self._held is None:
            self._held = refused
            if self._lane.refusal(Act.LOOK, settling=True) is None:
                return Look()
        return blocked(self.history, self._held or refused)

    async def _undeploy(self, turn: AdmissionRequest) -> Reading:
        self._held = None
        reading = await self._exchange(turn, self._tools.change, _as_read)
        assert isinstance(reading, Reading)  # noqa: S101 - what _as_read gives
        return reading

    def _plan_next(self) -> str | None:
        """Announce the wait before the next step, or return why that step must not be waited for."""
        step = self._step
        if isinstance(step, End):
            return self._held or self._lane.state.hopeless if step.outcome is Outcome.UNKNOWN else None
        act = self._act_of(step)
        settling = act is Act.LOOK and self.history.charged > 0
        if refused := self._lane.refusal(act, step.wait, settling=settling):
            return refused
        at = self._environment.now()
        self._emit(
            RetryPlanned(at=at, target=self.target.id, gateway=self.target.gateway, act=act, wait=step.wait)
        )
        return None

    async def _look(self, turn: AdmissionRequest) -> Reading:
        """Read the live state: off the list, or through as many of the vendor's reads as that takes."""
        if reading := await self._glance():
            return mirror_reading(self._lane.policy, Act.LOOK, reading)
        seen: dict[str, Reading] = {}
        found, first = self._after_read(seen), True
        while isinstance(found, Operation):
            if not first:
                turn = self._turn(Act.LOOK)
                if refused := await self._lane.admit(turn):
                    self._held = refused
                    return Reading(verdict=Verdict.UNSENT, message=refused)
            first = False
            answer = await self._exchange(turn, found, partial(self._conclude, seen, found.via))
            # What was put off is asked again, and only that: starting over would never end at a slow gateway.
            if isinstance(answer, Operation) or answer.verdict not in (Verdict.BUSY, Verdict.DENIED):
                found = answer
        if self._state_list and (warning := self._state_list.seen_alone(self.target, found)):
            self._lane.warn(warning)
        return found

    def _conclude(self, seen: dict[str, Reading], via: str, reading: Reading) -> Reading | Operation:
        """Return what the look amounts to after this reading, or the read that it still needs."""
        if reading.verdict in (Verdict.BUSY, Verdict.DENIED, Verdict.UNSENT):
            return reading
        reading = self._lane.found(via, reading)
        if reading.verdict is not Verdict.NOT_OFFERED:
            seen[via] = reading
        return self._after_read(seen)

    def _after_read(self, seen: dict[str, Reading]) -> Reading | Operation:
        gateway, lacking = self._lane.gateway, frozenset(self._lane.lacking)
        look = gateway.next_proof if self._lane.policy.act is Act.DEPLOY else gateway.next_look
        return look(self.target, seen, lacking, self.history.doubted)

    async def _exchange(
        self, turn: AdmissionRequest, operation: Operation, conclude: Callable[[Reading], Reading | Operation]
    ) -> Reading | Operation:
        """Send one request between two rows of the journal; return what ``conclude`` makes of its reply.

        The journal keeps the conclusion with the last of several reads: that is what a resume goes by.
        """
        with self._lane.flight():
            return await self._exchange_in_flight(turn, operation, conclude)

    async def _exchange_in_flight(
        self, turn: AdmissionRequest, operation: Operation, conclude: Callable[[Reading], Reading | Operation]
    ) -> Reading | Operation:
        lane, target = self._lane, self.target
        number = self.history.requests + 1
        self.history = replace(self.history, requests=number)
        at = self._environment.now()
        await self._record.intent(target, number, lane.authenticator.mask.ask(operation), at)
        self._emit(
            AttemptStarted(at=at, target=target.id, gateway=target.gateway, number=number, act=operation.act)
        )
        active = lane.authenticator.active
        began = self._environment.monotonic()
        # While the intent became durable the lane may have been closed: nothing more may reach it then.
        refused = lane.refusal(operation.act, settling=turn.settling)
        if refused or active is None:
            answer: Reply | Lost = Lost(sent=False, detail=refused or "the credential is being renewed")
        else:
            now = self._environment.now()
            request = lane.gateway.request(operation, target, active.access, note=self._note, now=now)
            answer = await lane.send(request)
        seconds = self._environment.monotonic() - began
        reading = _read(lane, operation, target, answer)
        concluded = conclude(reading)
        if isinstance(concluded, Reading):
            reading = concluded = lane.authenticator.mask.reading(
                mirror_reading(lane.policy, operation.act, concluded)
            )
        elif lane.policy.act is Act.DEPLOY:  # half a look says nothing yet of what is wanted
            reading = replace(reading, verdict=Verdict.TOLD)
        self._status = status = answer.status if isinstance(answer, Reply) else None
        sent = not isinstance(answer, Lost) or answer.sent
        self._record.result(target, number, reading, seconds=seconds, status=status, sent=sent)
        self._tell_end(number, operation.act, reading, seconds, status)
        lane.observe(turn, reading, began, status)
        if active is not None and reading.verdict is Verdict.DENIED:
            await lane.renew(active.generation, reading)
        elif active is not None and status is not None:
            lane.accepted(active.generation)
        return concluded

    def _tell_end(self, number: int, act: Act, reading: Reading, seconds: float, status: int | None) -> None:
        self._emit(
            AttemptEnded(
                at=self._environment.now(),
                target=self.target.id,
                gateway=self.target.gateway,
                number=number,
                act=act,
                seconds=seconds,
                status=status,
                code=reading.code,
                message=reading.message,
            )
        )


def _as_read(reading: Reading) -> Reading:
    return reading


def _goes_on(step: Step | Wait) -> bool:
    return not isinstance(step, End | Wait)


def _wanted_wait(state: RetryCallState) -> float:
    """Return the wait that the step itself carries, so that policy and loop cannot disagree."""
    step: Send | Look = state.outcome.result() if state.outcome else Send()
    return step.wait


def _read(lane: Lane, operation: Operation, target: Target, answer: Reply | Lost) -> Reading:
    """Read a reply, then mask its texts; a lost one is doubt only if it was sent."""
    mask = lane.authenticator.mask
    if isinstance(answer, Reply):
        return mask.reading(lane.gateway.read(operation, target, answer))
    lost = Verdict.UNCLEAR if operation.act is Act.LOOK else Verdict.DOUBT
    return Reading(verdict=lost if answer.sent else Verdict.UNSENT, message=mask.value(answer.detail))
