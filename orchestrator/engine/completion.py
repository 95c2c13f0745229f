"""After a restored target is deployed: look at what it lacks, bring that back, look again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from msgspec.structs import replace

from orchestrator.engine.attempts import TargetAttempts
from orchestrator.engine.resources import RunResources
from orchestrator.model.events import RetryPlanned
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act, Completeness, MissingPart, Operation, Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.completion import SendSteps, end_completion, end_incomplete, plan_completion
from orchestrator.rules.retry import (
    LOOKS_PER_DOUBT,
    LookStep,
    TargetEnd,
    TargetHistory,
    add_step,
    describe_wrong_place,
    draw_backoff,
)
from orchestrator.rules.step_history import StepHistory

_DEPLOYED = (Outcome.RESTORED, Outcome.ALREADY_DEPLOYED)
_ANSWERED = (Verdict.UP, Verdict.DOWN, Verdict.ABSENT, Verdict.PARTIAL)


class TargetCompletion:
    """Brings back all that a deploy alone does not, for one target."""

    def __init__(
        self,
        attempts: TargetAttempts,
        resources: RunResources,
        target: Target,
        history: TargetHistory,
        *,
        take_key: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``take_key``: is called before each step, where the target has given its exclusive key back."""
        self.history = history
        self._attempts = attempts
        self._lane = attempts.lane
        self._resources = resources
        self._target = target
        self._take_key = take_key
        self._reads = _PartReads()
        self._looks = 0
        """Looks since the last step was sent that have made all their reads."""
        self._faults = 0
        """Faults in a row of one read. A target has dozens of reads, and each is a doubt of its own."""

    async def run(self, end: TargetEnd) -> TargetEnd:
        """Return how the target ends that is deployed by ``end``; any other end stays."""
        if end.outcome not in _DEPLOYED:
            return end
        while True:
            found = await self._look()
            if isinstance(found, str):
                return end_incomplete(end, self.history, found)
            step = plan_completion(
                self._lane.policy,
                self.history.steps,
                max(self._looks, self._faults),
                found,
                roll=self._resources.environment.roll(),
            )
            if step is None:
                accepted = self._resources.spec.accepted
                return end_completion(end, self.history, found, accepted=accepted)
            if refused := await self._do(step, found):
                return end_incomplete(end, self.history, refused)

    async def _do(self, step: SendSteps | LookStep, found: Completeness | Reading) -> str | None:
        """Do a step, or wait for the next look; return why the run may not go on."""
        missing = found.missing if isinstance(found, Completeness) else ()
        if isinstance(step, LookStep):
            self._reads.forget(part.shown_by for part in missing)
            return await self._wait(Act.LOOK, step.wait)
        if step.wait and (refused := await self._wait(step.operations[0].act, step.wait)):
            return refused
        shown_by = {part.step: part.shown_by for part in missing}
        for operation in step.operations:
            if refused := await self._send(operation):
                return refused
            self._reads.take_step(operation, self.history.steps[operation.via], shown_by[operation])
        self._looks = self._faults = 0
        return None

    async def _wait(self, act: Act, seconds: float) -> str | None:
        if refused := self._lane.refusal(act, seconds, settling=act is Act.LOOK):
            return refused
        at, target = self._resources.environment.now(), self._target
        self._resources.emit(
            RetryPlanned(at=at, target=target.id, gateway=target.gateway, act=act, wait=seconds)
        )
        await self._resources.run_gate.sleep(seconds)
        return None

    async def _send(self, operation: Operation) -> str | None:
        """Send a step until a request of it counts; return why it may not be sent."""
        unsent = 0
        if self._take_key is not None:
            await self._take_key()
        while True:
            admission = AdmissionRequest(
                self._target.id, operation.act, repeats=operation.via in self.history.steps or unsent > 0
            )
            if refused := await self._lane.admit(admission):
                return refused
            reading = await self._attempts.send(self._target, admission, operation)
            self.history = add_step(self.history, operation.via, reading)
            match reading.verdict:
                case Verdict.BUSY | Verdict.DENIED:
                    continue
                case Verdict.ELSEWHERE:
                    return describe_wrong_place(reading)
                case Verdict.UNSENT:
                    unsent += 1
                    wait = draw_backoff(self._lane.policy, unsent, self._resources.environment.roll())
                    if refused := await self._wait(operation.act, wait):
                        return refused
                case _:
                    return None

    async def _look(self) -> Completeness | Reading | str:
        """Return what the target lacks, or the reading of a read that could not tell.

        Returns a text where no read may leave, which says why.
        """
        restore, looks = self._lane.gateway.restore, self._lane.offered_looks
        about = self.history.reply_to_settle
        while True:
            found = restore.next_completion(self._target, self._reads.seen, looks.lacking, about)
            if not isinstance(found, Operation):
                self._looks += 1
                return self._reads.conclude(found)
            admission = self._make_look_request()
            if refused := await self._lane.admit(admission):
                return refused
            reading = await self._attempts.send(self._target, admission, found, _keep_as_told)
            if reading.verdict in (Verdict.BUSY, Verdict.DENIED):
                continue
            reading = looks.learn(found.via, reading)
            if reading.verdict in (Verdict.UNCLEAR, Verdict.UNSENT):
                self._faults += reading.verdict is Verdict.UNCLEAR  # only looks that were sent count
                return reading
            self._faults = 0
            self._reads.add(found.via, reading)

    def _make_look_request(self) -> AdmissionRequest:
        settling = self.history.charged > 0 or bool(self.history.steps)
        last = settling and max(self._looks, self._faults) >= LOOKS_PER_DOUBT - 1
        return AdmissionRequest(self._target.id, Act.LOOK, settling=settling, last=last)


class _PartReads:
    """The newest reads of a target's parts, each until a step may have made it out of date.

    Reads are kept from look to look: a front end may have dozens of parts, and a step changes one of them.
    """

    def __init__(self) -> None:
        self.seen: dict[str, Reading] = {}
        self._proven: dict[str, set[str]] = {}
        """The steps that full evidence has followed since the read that shows their parts, by that read."""

    def add(self, via: str, reading: Reading) -> None:
        """Keep the reading of a read."""
        self.seen[via] = reading
        self._proven.pop(via, None)

    def forget(self, vias: Iterable[str]) -> None:
        """Forget reads with all of their pages, so that the next look makes them anew."""
        for stale in set(filter(None, vias)):
            kept = self.seen.items()
            self.seen = {via: each for via, each in kept if via != stale and not via.startswith(f"{stale}/")}

    def take_step(self, operation: Operation, step: StepHistory, shown_by: str) -> None:
        """Take in the newest reply to a step, whose part the read ``shown_by`` shows."""
        is_proven = step.reply is not None and step.reply.verdict is Verdict.REMOVED
        # A publish gives the front end an id that the next steps need, so it is read in any case.
        if is_proven and operation.act is Act.BIND:
            self._proven.setdefault(shown_by, set()).add(operation.via)
        else:
            self.forget((shown_by,))

    def conclude(self, found: Completeness | Reading) -> Completeness | Reading:
        """Return what the reads amount to, without the parts that the vendor has confirmed since."""
        if isinstance(found, Reading):
            self.seen.clear()  # a read that says nothing now is worth another try, whichever it was
            return found
        return Completeness(tuple(part for part in found.missing if not self._is_proven(part)))

    def _is_proven(self, part: MissingPart) -> bool:
        return part.step is not None and part.step.via in self._proven.get(part.shown_by, ())


def _keep_as_told(reading: Reading) -> Reading:
    """Return the reading of a read about a part of the target: it says nothing of the target as a whole.

    A resume goes by the journal, and would take the absence of a front-end API for that of the target.
    """
    return replace(reading, verdict=Verdict.TOLD) if reading.verdict in _ANSWERED else reading
