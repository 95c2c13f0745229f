"""One request through a lane: take the credential, send, read, mask, tell the lane, renew the credential.

Every request of a run, a preview and a search goes through ``exchange``, once its lane has admitted it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.lanes.endable_reads import ENDED
from orchestrator.lanes.masking import Mask
from orchestrator.model.credentials import Access
from orchestrator.model.http import Lost, Reply, Request, was_sent
from orchestrator.model.reading import Act, Operation, Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.rules.admission import AdmissionRequest

if TYPE_CHECKING:
    from orchestrator.lanes.lane import Lane

Content = TypeVar("Content")


class ExchangeRows(Protocol):
    """Keeps an exchange in a journal: a row before its request leaves, and a row after its reply."""

    async def begin(self) -> None:
        """Keep the intent. The request leaves only after this has returned, so the intent must be durable."""
        ...

    def end(self, answer: Reply | Lost, reading: Reading, seconds: float, /) -> Reading:
        """Keep the result after ``seconds``; return the reading that the lane is to observe."""
        ...


class LaneQuestion(Struct, Generic[Content], frozen=True):
    """A request to build, and the reader of its reply."""

    act: Act
    build: Callable[[Access, float], Request]
    """Builds the request from a credential and the Unix time."""
    read: Callable[[Reply], Content | Reading]
    """Reads a reply: returns the content, or the reading of a fault."""


class ExchangeResult(Struct, Generic[Content], frozen=True):
    """The result of one request."""

    found: Content | Reading
    """The content, or the reading that the lane observed in its place, with its texts masked."""
    answer: Reply | Lost
    seconds: float

    @property
    def was_ended(self) -> bool:
        """Whether the run has ended the request, since it had no use for the reply any more."""
        return isinstance(self.answer, Lost) and self.answer.ended


ANSWERED = Reading(verdict=Verdict.UP)
"""The reading that a lane observes for a reply with content of its own, such as a page of a list."""


async def exchange(
    lane: Lane, admitted: AdmissionRequest, question: LaneQuestion[Content], rows: ExchangeRows | None = None
) -> ExchangeResult[Content]:
    """Send one request that the lane has admitted, and tell the lane what came of it.

    Nothing is repeated: the caller decides what follows from a fault. The errors of ``question.read`` and of
    ``rows.begin`` pass through; after one of the latter nothing was sent. A dispensable read ends as soon as
    the run has no use for its reply any more.
    """
    lane.begin_flight()
    try:
        if rows is not None:
            await rows.begin()
        # Taken after the intent, since another worker may have renewed the credential meanwhile.
        if lane.authenticator.is_renewing:
            await lane.authenticator.wait_until_renewed()
        active = lane.authenticator.active
        assert active is not None  # noqa: S101 - a lane admits nothing before its first login
        request = _build(lane, admitted, question, active.access)
        began = lane.environment.monotonic()
        answer = request if isinstance(request, Lost) else await _send(lane, admitted, request)
        seconds = lane.environment.monotonic() - began
        lost = Verdict.UNCLEAR if question.act is Act.LOOK else Verdict.DOUBT
        # The newest mask: a login during the request may have brought a token, which the reply may repeat.
        mask = lane.authenticator.mask
        found = read_answer(mask, answer, question.read, lost=lost, unsent=Verdict.UNSENT)
        observed = found if isinstance(found, Reading) else ANSWERED
        if rows is not None:
            found = observed = rows.end(answer, observed, seconds)
        status = answer.status if isinstance(answer, Reply) else None
        # What we ended ourselves, or did not let leave, says nothing about the gateway.
        if not (isinstance(answer, Lost) and (answer.ended or answer is request)):
            lane.observe(admitted, observed, began, status)
        # One 401 may reach many workers at once: the first of them renews, and the others find that done.
        if observed.verdict is Verdict.DENIED:
            await lane.renew_credential(active.generation, observed)
        # A 401 may be about the role that a list wants; it lets nobody in all the same.
        elif status not in (None, 401) and not active.worked:
            lane.confirm_credential(active.generation)
        return ExchangeResult(found, answer, seconds)
    finally:
        lane.end_flight()


def _build(
    lane: Lane, admitted: AdmissionRequest, question: LaneQuestion[Content], access: Access
) -> Request | Lost:
    # While the intent became durable the lane may have been closed: nothing more may reach the gateway then.
    if refused := lane.refusal(question.act, settling=admitted.settling):
        return Lost(sent=False, detail=refused)
    return question.build(access, lane.environment.now())


async def _send(lane: Lane, admitted: AdmissionRequest, request: Request) -> Reply | Lost:
    """Send a request. A dispensable one belongs to no single target, so the lane counts it."""
    if not admitted.dispensable:
        return await lane.send(request)
    answer: Reply | Lost = ENDED
    try:
        with lane.endable_reads.end_when_useless(Act.LOOK if admitted.settling else lane.policy.act):
            answer = await lane.send(request)
    finally:
        # A second signal cuts it off here. It is counted all the same: it may have arrived.
        if was_sent(answer):
            lane.announcer.tell_request()
    return answer


def read_answer(
    mask: Mask,
    answer: Reply | Lost,
    read: Callable[[Reply], Content | Reading],
    *,
    lost: Verdict = Verdict.UNCLEAR,
    unsent: Verdict = Verdict.UNCLEAR,
) -> Content | Reading:
    """Return what a reply says, with the texts of a reading masked.

    ``lost`` is the verdict where no reply came, and ``unsent`` where the request did not even leave.
    """
    if isinstance(answer, Lost):
        return Reading(verdict=lost if answer.sent else unsent, message=mask.clean_value(answer.detail))
    found = read(answer)
    return mask.clean_reading(found) if isinstance(found, Reading) else found


def ask_target(
    lane: Lane, operation: Operation, target: Target, note: str | None = None
) -> LaneQuestion[Reading]:
    """Return the question that an operation means for one target. ``note`` is for the vendor's history."""
    gateway = lane.gateway
    return LaneQuestion(
        operation.act,
        lambda access, now: gateway.build_request(operation, target, access, note=note, now=now),
        lambda reply: gateway.read(operation, target, reply),
    )


def count_as_unclear(reading: Reading) -> Reading:
    """Return an unsent look as one that could not tell: about a target, both say the same."""
    return replace(reading, verdict=Verdict.UNCLEAR) if reading.verdict is Verdict.UNSENT else reading
