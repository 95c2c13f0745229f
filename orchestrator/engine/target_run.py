"""One target to its outcome: admit, send, decide, wait, and again.

The rules are elsewhere: what a reply means is the gateway's, what follows is ``retry.decide``, whether
anything may leave is the lane's. tenacity drives the repeats, and is entered only before the first wait.
"""

from __future__ import annotations

from collections.abc import Awaitable

from msgspec import Struct
from msgspec.structs import replace
from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from orchestrator.engine.attempts import TargetAttempts, make_change_request, make_look_request
from orchestrator.engine.completion import TargetCompletion
from orchestrator.engine.look import conclude_look, look_at
from orchestrator.engine.queue import LateClaim
from orchestrator.engine.resources import RunResources
from orchestrator.engine.snapshot import SnapshotTaker, are_snapshots_wanted
from orchestrator.engine.usage_gate import UsageGate
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.state_list import StateList
from orchestrator.model.events import RetryPlanned
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act, Operation, Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.precheck import StateAtApproval, judge_late_look
from orchestrator.rules.retry import (
    LookStep,
    SendStep,
    Step,
    TargetEnd,
    TargetHistory,
    choose_first_step,
    decide,
    end_blocked,
    mirror_reading,
)

_UNFINISHED = (SendStep, LookStep)

ADMITTED_FOR = 0.01
"""Seconds for which a request that its lane has admitted may leave: a moment, in which no reply comes."""


class LookDeferred(Struct, frozen=True):
    """The target has the vendor's full evidence, and waits for the look at the end of its step."""


class TargetRun:
    """Takes one target through a session."""

    def __init__(
        self,
        target: Target,
        history: TargetHistory,
        lane: Lane,
        resources: RunResources,
        *,
        state_list: StateList | None = None,
        late_claim: LateClaim | None = None,
    ) -> None:
        """``state_list``: the list of the lane, if looks may be shared.

        ``late_claim``: the target's look was put off, and is made now. The target holds its exclusive key
        only from its next change on.
        """
        self.target = target
        self.history = history
        self._lane = lane
        self._resources = resources
        self._attempts = TargetAttempts(lane, resources, history.requests)
        self._step: Step = choose_first_step(lane.policy, history)
        self._state_list = state_list
        self._late_claim = late_claim
        self._usage_gate: UsageGate | None = None
        if reader := resources.usage_readers.get(target.gateway) if resources.usage_readers else None:
            self._usage_gate = UsageGate(self._attempts, resources, reader)
        self._pauses = resources.run_gate.pauses
        """The pauses of the run that had ended before the target was looked at last."""
        self._is_unseen = False
        """An earlier session has sent an undeploy, and this one has not seen the approved target yet."""
        self._no_repeat: str | None = None
        """Why the newest doubt may not be repeated, so that a look alone can settle it."""

    def run(self) -> Awaitable[TargetEnd | LookDeferred]:
        """Take the target to its outcome, or to where this session must leave it; or to the shared look."""
        return self._restore() if self._resources.spec.is_restore else self._change_state()

    async def _restore(self) -> TargetEnd | LookDeferred:
        """Deploy the target, then bring back what a deploy alone does not."""
        end = await self._change_state()
        if isinstance(end, LookDeferred):
            return end
        take_key = None if self._late_claim is None else self._late_claim.take
        completion = TargetCompletion(
            self._attempts, self._resources, self.target, self.history, take_key=take_key
        )
        end = await completion.run(end)
        self.history = replace(completion.history, requests=self._attempts.count)
        return end

    async def _change_state(self) -> TargetEnd | LookDeferred:
        """Undeploy the target, or in a restore deploy it."""
        if are_snapshots_wanted(self._resources) and (end := await self._check_before()):
            return end
        # Most targets end after one step, or after a look and a step: only those that wait need tenacity.
        step = await self._advance()
        while isinstance(step, _UNFINISHED) and not step.wait:
            step = await self._advance()
        if not isinstance(step, _UNFINISHED):
            return step
        await self._lane.rest(step.wait)
        repeat = AsyncRetrying(retry=retry_if_result(_is_unfinished), wait=_read_wait, sleep=self._lane.rest)
        end_or_deferral: TargetEnd | LookDeferred = await repeat(self._advance)
        return end_or_deferral

    async def _check_before(self) -> TargetEnd | None:
        """Take the snapshot that is wanted; return how the target ends by that, if it does."""
        self._pauses = self._resources.run_gate.pauses
        check = await SnapshotTaker(self._attempts, self._resources).check(self.target, self.history)
        self.target = check.target
        self.history = replace(check.history, requests=self._attempts.count)
        if self._usage_gate is not None:
            self._usage_gate.snapshot = check.snapshot
        if check.end is None and check.is_up and isinstance(self._step, LookStep):
            self._step = SendStep()  # the snapshot was the look that was due
        elif self.history.charged and self._read_approved() is not None:
            # No snapshot is taken any more. So a look is due: the state may have drifted since that of the
            # session before, or that look may have found so.
            self._step, self._is_unseen = LookStep(), True
        return check.end

    async def _look_again(self) -> Step:
        """Return the next step where the run was paused between the newest look and the change.

        Somebody may have changed the target meanwhile: that may be what the pause was for.
        """
        self._pauses = self._resources.run_gate.pauses
        self._step = SendStep()  # what the step before had to wait for is over
        if not self.history.charged and are_snapshots_wanted(self._resources):
            self._step = await self._check_before() or self._step
        elif self._lane.policy.always_look or self._read_approved() is not None:
            self._step = LookStep()
        return self._step

    def _read_approved(self) -> StateAtApproval | None:
        pending = self._resources.pending
        return pending.read_approved(self.target.seq) if pending.has_approvals else None

    async def _advance(self) -> Step | LookDeferred:
        """Do one step; return the next one, before which the caller waits."""
        act = self._choose_act(self._step)
        if self._late_claim is not None:
            # No request leaves, so it takes no turn of those that send one: a list tells thousands at once.
            if act is Act.LOOK and (owed := self._find_owed_look()) is not None:
                return self._settle_owed_look(owed)
            # Before the lane admits the request: the target that has the key may need the lane to end.
            if act is not Act.LOOK:
                await self._late_claim.take()
        admission = self._make_request(act)
        gate = self._usage_gate
        refused = await (self._lane.admit(admission) if gate is None else self._pass(gate, admission))
        if refused is None and act is not Act.LOOK and self._pauses != self._resources.run_gate.pauses:
            return await self._look_again()
        if refused is None:
            reading = await (self._look(admission) if act is Act.LOOK else self._change(admission))
            self._decide(act, reading)
            if reading.verdict is Verdict.REMOVED and self._may_defer_look():
                return LookDeferred()
            refused = self._plan_next()
        if refused is not None:
            self._step = self._go_on_without(refused)
        return self._step

    def _find_owed_look(self) -> Reading | None:
        """Return what the look that was put off amounts to, if the lists read since tell all of it."""
        if self._state_list is None or self.history.looks:
            return None
        seen = self._state_list.read_owed(self.target)
        found = conclude_look(self._lane, self.target, self.history, seen)
        if isinstance(found, Operation):
            return None
        return mirror_reading(self._lane.policy, Act.LOOK, found)

    def _settle_owed_look(self, reading: Reading) -> Step:
        """Take in what the lists tell, and return the next step."""
        self._decide(Act.LOOK, reading)
        if (refused := self._plan_next()) is not None:
            self._step = self._go_on_without(refused)
        return self._step

    def _decide(self, act: Act, reading: Reading) -> None:
        """Take in a reading: what follows from it, and from the approval of the target."""
        history = replace(self.history, requests=self._attempts.count)
        roll = self._resources.environment.roll()
        self.history, self._step = decide(self._lane.policy, history, act, reading, roll=roll)
        if act is Act.LOOK and isinstance(self._step, SendStep):
            is_resumed, self._is_unseen = self._is_unseen, False
            if (approved := self._read_approved()) is not None:
                self._step = judge_late_look(reading, approved, is_resumed=is_resumed) or self._step

    async def _pass(self, gate: UsageGate, admission: AdmissionRequest) -> str | None:
        """Return None as soon as a request may leave, or why it may not: the lane, or the target's use."""
        if admission.act is Act.LOOK:
            return await self._lane.admit(admission)
        refused = await gate.admit(self.target, admission)
        self.history = replace(self.history, requests=self._attempts.count)
        return refused

    def _choose_act(self, step: Step) -> Act:
        return Act.LOOK if isinstance(step, LookStep) else self._lane.policy.act

    def _make_request(self, act: Act) -> AdmissionRequest:
        if act is Act.LOOK:
            return make_look_request(self.target, self.history)
        return make_change_request(self.target, act, self.history)

    def _change(self, admitted: AdmissionRequest) -> Awaitable[Reading]:
        """Send the undeploy, or in a restore the deploy."""
        self._no_repeat = None
        return self._attempts.send(self.target, admitted, self._resources.spec.change)

    async def _look(self, admitted: AdmissionRequest) -> Reading:
        """Read the live state: off the lists, and by the vendor's reads of this one target."""
        self._pauses = self._resources.run_gate.pauses
        began = self._resources.environment.monotonic()
        seen = await self._read_list()
        # A list may take long, and the lane may have been told to wait meanwhile: then it is asked again.
        is_late = self._resources.environment.monotonic() - began > ADMITTED_FOR
        found = await look_at(self._attempts, self.target, self.history, None if is_late else admitted, seen)
        if isinstance(found, str):
            self._no_repeat = found
            return Reading(verdict=Verdict.UNSENT, message=found)
        if self._state_list and (warning := self._state_list.note_single_look(self.target, found)):
            self._lane.announcer.warn(warning)
        return found

    async def _read_list(self) -> dict[str, Reading]:
        """Return what the lane's lists say before the change, or in the look that was put off for a list.

        Only to a first look: where the lists left it unclear, the target is read alone.
        """
        if self._state_list is None or self.history.looks:
            return {}
        if self._late_claim is not None:
            return self._state_list.read_owed(self.target)
        if self.history.charged:
            return {}  # the list is older than the change
        return await self._state_list.read_before_look(self.target)

    def _may_defer_look(self) -> bool:
        """Return whether the look that is owed to the vendor's full evidence may wait: undeploys go first."""
        if not isinstance(self._step, LookStep) or self._state_list is None or self._late_claim is not None:
            return False
        return self._state_list.defers_looks

    def _plan_next(self) -> str | None:
        """Announce the wait before the next step, or return why that step must not be waited for."""
        step = self._step
        if isinstance(step, TargetEnd):
            return self._no_repeat or self._lane.state.hopeless if step.outcome is Outcome.UNKNOWN else None
        act = self._choose_act(step)
        settling = act is Act.LOOK and self.history.charged > 0
        if refused := self._lane.refusal(act, step.wait, settling=settling) or self._find_use(act):
            return refused
        at, target = self._resources.environment.now(), self.target
        self._resources.emit(
            RetryPlanned(at=at, target=target.id, gateway=target.gateway, act=act, wait=step.wait)
        )
        return None

    def _find_use(self, act: Act) -> str | None:
        """Return why an undeploy may not be repeated: the target turned out to be in use."""
        return None if act is Act.LOOK or self._usage_gate is None else self._usage_gate.refusal

    def _go_on_without(self, refused: str) -> Step:
        """Return what is left to do where the next step may not be done: a doubt may still be looked at."""
        if isinstance(self._step, SendStep) and self.history.in_doubt and self._no_repeat is None:
            # A look changes nothing, and an open doubt costs a person's time: so a look may still follow.
            self._no_repeat = refused
            if self._lane.refusal(Act.LOOK, settling=True) is None:
                return LookStep()
        # Whoever goes on for a worker that ends looks at the doubt: so it has not ended here, whatever for.
        if self._resources.run_gate.is_called_back(refused):
            return end_blocked(self.history, refused)
        return end_blocked(self.history, self._no_repeat or refused)


def _is_unfinished(step: Step | LookDeferred) -> bool:
    return isinstance(step, _UNFINISHED)


def _read_wait(state: RetryCallState) -> float:
    """Return the wait that the step itself carries, so that policy and loop cannot disagree."""
    step: SendStep | LookStep = state.outcome.result() if state.outcome else SendStep()
    return step.wait
