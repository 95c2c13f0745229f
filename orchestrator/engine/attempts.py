"""The requests for one target, each kept between two rows of the journal.

The order is what makes a run survive a crash: the intent is durable before its request leaves, and the result
is kept after the reply. A resume finds at most one intent without a result, and begins with a look at it.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from orchestrator.engine.resources import RunResources
from orchestrator.lanes.exchange import ask_target, exchange
from orchestrator.lanes.lane import Lane
from orchestrator.model.events import AttemptEnded, AttemptStarted
from orchestrator.model.http import Lost, Reply, was_sent
from orchestrator.model.reading import Act, Operation, Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.retry import LOOKS_PER_DOUBT, TargetHistory, mirror_reading

Conclude = Callable[[Reading], Reading]


def make_change_request(target: Target, act: Act, history: TargetHistory) -> AdmissionRequest:
    """Return the request by which an undeploy (in a restore, a deploy) asks its lane for admission."""
    return AdmissionRequest(target.id, act, repeats=history.charged > 0 or history.unsent > 0)


def make_look_request(target: Target, history: TargetHistory) -> AdmissionRequest:
    """Return the request by which a look asks its lane for admission.

    A look after an undeploy is to settle a doubt.
    """
    settling = history.charged > 0
    last = settling and history.looks >= LOOKS_PER_DOUBT - 1
    return AdmissionRequest(target.id, Act.LOOK, settling=settling, last=last)


class TargetAttempts:
    """Numbers one target's attempts, and sends them through its lane."""

    def __init__(self, lane: Lane, resources: RunResources, count: int) -> None:
        """``count`` attempts were made in earlier sessions."""
        self.lane = lane
        self.count = count
        self.status: int | None = None
        """The HTTP status of the newest reply; None where none came."""
        self._resources = resources

    async def send(
        self,
        target: Target,
        admitted: AdmissionRequest,
        operation: Operation,
        conclude: Conclude = lambda reading: reading,
    ) -> Reading:
        """Make one attempt; return what ``conclude`` makes of its reading.

        The journal keeps that conclusion, since a resume goes by what the journal says. Raises DiskError
        where the intent could not be kept: then nothing was sent.
        """
        self.count += 1
        rows = _AttemptRows(self.lane, self._resources, target, self.count, operation, conclude)
        question = ask_target(self.lane, operation, target, self._resources.spec.history_note)
        exchanged = await exchange(self.lane, admitted, question, rows)
        self.status = _find_status(exchanged.answer)
        return exchanged.found


class _AttemptRows(Struct, frozen=True):
    """The two rows of one attempt, each with its event."""

    lane: Lane
    resources: RunResources
    target: Target
    number: int
    operation: Operation
    conclude: Conclude

    async def begin(self) -> None:
        target, number, operation = self.target, self.number, self.operation
        at = self.resources.environment.now()
        kept = self.lane.authenticator.mask.clean_operation(operation)
        await self.resources.record.keep_intent(target, number, kept, at)
        self.resources.emit(
            AttemptStarted(at=at, target=target.id, gateway=target.gateway, number=number, act=operation.act)
        )

    def end(self, answer: Reply | Lost, reading: Reading, seconds: float) -> Reading:
        # A conclusion may quote what an earlier read of the same look kept, so its texts are masked again.
        concluded = mirror_reading(self.lane.policy, self.operation.act, self.conclude(reading))
        concluded = self.lane.authenticator.mask.clean_reading(concluded)
        self.resources.record.keep_result(self.target, self.number, answer, concluded, seconds=seconds)
        self.resources.emit(
            AttemptEnded(
                at=self.resources.environment.now(),
                target=self.target.id,
                gateway=self.target.gateway,
                number=self.number,
                act=self.operation.act,
                seconds=seconds,
                status=_find_status(answer),
                code=concluded.code,
                message=concluded.message,
                refused=concluded.verdict is Verdict.BUSY,
                sent=was_sent(answer),
            )
        )
        return concluded


def _find_status(answer: Reply | Lost) -> int | None:
    return answer.status if isinstance(answer, Reply) else None
