"""Asks the traffic store beside a gateway: another server, whose faults are never the gateway's.

A store has no lane: its faults park nothing and its refusals close nothing. It is asked a few times in some
minutes, one request at a time, so each request opens a connection of its own that nobody has to close later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from orchestrator.errors import CredentialError, UsageError
from orchestrator.lanes.endable_reads import ENDED
from orchestrator.lanes.environment import Environment
from orchestrator.lanes.exchange import count_as_unclear, read_answer
from orchestrator.model.features import SharedUsageRead
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, was_sent
from orchestrator.model.reading import Reading, Verdict
from orchestrator.rules.retry import draw_backoff, is_passing_fault

if TYPE_CHECKING:
    from orchestrator.lanes.lane import Lane

ANSWERS_WITHIN = 45.0
"""Seconds for one request to a store, connecting included."""

MOST_TRIES = 2
"""Requests for one read: a passing fault costs one more."""


class StoreAnswer(NamedTuple):
    """What a read of a store told, or the reading of its fault; and how many requests that took."""

    found: Any
    requests: int
    is_passing: bool = False
    """Whether it was sent, and could not tell for a cause that may be over in some minutes."""
    is_refused: bool = False
    """Whether the run let it not leave, or ended it: it tells nothing of the store."""


async def ask_store(lane: Lane, read: SharedUsageRead) -> StoreAnswer:
    """Make one read of the traffic store of a lane's gateway. A fault is a reading, and none is raised."""
    requests = 0
    while True:
        # A run that may send no undeploy any more has no use for the answer.
        if refused := lane.refusal(lane.policy.act):
            return StoreAnswer(_explain(refused), requests, is_refused=True)
        found, answer = await _send_for_lane(lane, read)
        requests += was_sent(answer)
        if answer is ENDED:
            return StoreAnswer(found, requests, is_refused=True)
        is_passing = isinstance(found, Reading) and _is_passing(found, answer)
        if requests >= MOST_TRIES or not is_passing:
            return StoreAnswer(found, requests, is_passing)
        await lane.rest(draw_backoff(lane.policy, 1, lane.environment.roll()))


async def _send_for_lane(lane: Lane, read: SharedUsageRead) -> tuple[Any, Reply | Lost]:
    """Send one read and count it; end it as soon as the run may send no undeploy any more."""
    found: Any = _explain(ENDED.detail)
    answer: Reply | Lost = ENDED
    try:
        with lane.endable_reads.end_when_useless(lane.policy.act):
            found, answer = await send_to_store(lane.environment, lane.gateway, read)
    finally:
        # Cut off, it is counted: it may have arrived.
        if was_sent(answer):
            lane.announcer.tell_request()
    return found, answer


async def send_to_store(
    environment: Environment, gateway: Gateway, read: SharedUsageRead
) -> tuple[Any, Reply | Lost]:
    """Send one read to the traffic store of a gateway, once; return what it told, or why not, and the reply.

    The texts of a fault are masked.
    """
    answer = await _send(environment, gateway, read)
    found = read_answer(environment.known.mask, answer, read.read)
    return count_as_unclear(found) if isinstance(found, Reading) else found, answer


async def _send(environment: Environment, gateway: Gateway, read: SharedUsageRead) -> Reply | Lost:
    if (access := environment.store) is None:
        return Lost(sent=False, detail="no traffic log is asked here")
    try:
        credential = await access.credential(gateway)
        environment.known.add(each.reveal() for each in credential.secrets)
        request = read.build(credential.header, environment.now())
        with anyio.fail_after(ANSWERS_WITHIN):
            async with access.connect(gateway) as send:
                return await send(request)
    except TimeoutError:
        return Lost(sent=True, detail=f"no reply within {ANSWERS_WITHIN:g} s")
    except (CredentialError, UsageError) as error:
        return Lost(sent=False, detail=str(error))


def _is_passing(reading: Reading, answer: Reply | Lost) -> bool:
    """Return whether a read was sent and could not tell, for a cause that may be over in a moment."""
    if isinstance(answer, Lost):
        return answer.sent
    return reading.verdict is Verdict.BUSY or is_passing_fault(answer.status)


def _explain(why: str) -> Reading:
    return Reading(verdict=Verdict.UNCLEAR, message=why)
