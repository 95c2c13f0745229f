"""The orders that a driver takes up with a session: those at the server, and those of its own journal."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History, HistoryEvent
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
)
from temporalio.client import Client

from orchestrator.distributed.conducted_session import ConductedSession
from orchestrator.distributed.conversion import CONVERTER
from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.payloads import Orders, RunInput
from orchestrator.distributed.session_link import BegunSession
from orchestrator.distributed.session_lookup import SessionPast, read_past
from orchestrator.lanes.lane import LearnedLimits
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.settings import Limits
from tests.support.engine import gateway

GIVEN = Orders(limits={"gw": Limits(rate=20.0)})
OURS = Orders(number=1, limits={"gw": Limits(rate=5.0)}, before=GIVEN)
THEIRS = Orders(number=2, limits={"gw": Limits(rate=1.0)}, before=replace(OURS, before=None))


class KeptHistory:
    """A client of a server that has the history of one workflow, with these orders of drivers in it."""

    namespace = "default"
    data_converter = CONVERTER

    def __init__(self, orders: Sequence[Orders]) -> None:
        self.workflow_service = self
        self._orders = orders

    async def get_workflow_execution_history(
        self, _: GetWorkflowExecutionHistoryRequest, **__: object
    ) -> GetWorkflowExecutionHistoryResponse:
        events = [HistoryEvent(event_id=1)]
        for number, order in enumerate(self._orders, 2):
            signaled = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
            event = HistoryEvent(event_id=number, event_type=signaled)
            attributes = event.workflow_execution_signaled_event_attributes
            attributes.signal_name = "orders"
            attributes.input.payloads.extend(await CONVERTER.encode([order]))
            events.append(event)
        return GetWorkflowExecutionHistoryResponse(history=History(events=events))


async def take_up(known: Limits | None, sent: Sequence[Orders]) -> Limits | None:
    """The limits with which a driver goes on whose journal has ``known``."""
    client = cast("Client", cast("Any", KeptHistory(sent)))
    past = await read_past(client, "undeploy/run/1", ServerPatience(), execution="first", given=GIVEN)
    assert isinstance(past, SessionPast)
    learned = {"gw": LearnedLimits(rate=3.0, limits=known)}
    plan = SimpleNamespace(gateways=(gateway(),))
    resources: Any = SimpleNamespace(
        run_gate=RunGate(),
        record=None,
        emit=lambda _: None,
        environment=SimpleNamespace(now=lambda: 0.0),
        spec=SimpleNamespace(plan=plan, is_underway=True),
    )
    controller: Any = SimpleNamespace(learned=learned)
    session = ConductedSession(client, "undeploy/run/1", resources, controller, address="temporal://x")
    memo = SimpleNamespace(memo=SimpleNamespace(fields={}))
    found: Any = SimpleNamespace(raw_description=SimpleNamespace(workflow_execution_info=memo))
    begun = BegunSession(found, "first", cast("RunInput", None), past)
    await session._take_up_orders(begun)  # all else of ``follow`` needs a server
    assert learned["gw"].rate == 3.0, "the pace is the journal's"
    return learned["gw"].limits


@pytest.mark.parametrize(
    ("known", "sent", "holds"),
    [
        (None, [OURS, THEIRS], Limits(rate=1.0)),
        (Limits(rate=5.0), [OURS, THEIRS], Limits(rate=1.0)),
        (Limits(rate=20.0), [OURS, THEIRS], Limits(rate=1.0)),
        (Limits(rate=7.0), [OURS, THEIRS], Limits(rate=7.0)),
        (Limits(rate=5.0), [], Limits(rate=5.0)),
    ],
)
async def test_limits_that_another_driver_has_set_since_replace_those_of_the_journal(
    known: Limits | None, sent: Sequence[Orders], holds: Limits
) -> None:
    assert await take_up(known, sent) == holds
