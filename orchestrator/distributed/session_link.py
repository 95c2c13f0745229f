"""The way of a driver to the workflow of its session: what it asks there, and the orders that it sends."""

from __future__ import annotations

from typing import NamedTuple

from temporalio.client import Client, WorkflowExecutionDescription

from orchestrator.distributed.history import decode_input, decode_payload, read_beginning
from orchestrator.distributed.names import MEMO_ORDERS
from orchestrator.distributed.outage import OutageWatch
from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.payloads import Orders, RunInput
from orchestrator.distributed.session_lookup import (
    SessionPast,
    describe_workflow,
    find_first_execution,
    read_past,
)
from orchestrator.distributed.signals import send_signal
from orchestrator.engine.lane_recorder import LaneRecorder
from orchestrator.engine.resources import RunResources
from orchestrator.model.outcome import NO_SERVER, SERVER_AGAIN


class BegunSession(NamedTuple):
    """What the server has of a session, as a driver finds it."""

    found: WorkflowExecutionDescription
    first: str
    """The first execution of its workflow."""
    given: RunInput
    past: SessionPast


class SessionLink:
    """Asks one server about one workflow, as long as it takes, and tells when the server is away.

    Each question raises RPCError where the server itself answers with an error.
    """

    def __init__(self, client: Client, workflow: str, resources: RunResources, *, address: str) -> None:
        self.client = client
        self.workflow = workflow
        """The id of the run's workflow."""
        self.address = address
        self.recorder = LaneRecorder(resources.record, resources.emit, resources.environment.now)
        self.patience = ServerPatience(self.tell_of_server)
        self._resources = resources

    def tell_of_server(self, why: str | None) -> None:
        """Tell that the server is away, or is back."""
        if why is not None:
            told = f"{NO_SERVER} {self.address} does not answer ({why}); asked until it does"
            self.recorder.warn(None, told)
        else:
            self.recorder.remark(None, SERVER_AGAIN)

    def tell_of_other(self) -> None:
        """Tell that the orders of another driver hold, too."""
        told = "another undeploy command steers this run, too; what is ordered there and here holds together"
        self.recorder.warn(None, told)

    def watch_outage(self, lease: float) -> OutageWatch:
        """Return what bounds the wait for a server that is away."""
        return OutageWatch(self.patience, self._resources, address=self.address, lease=lease)

    async def describe(self) -> WorkflowExecutionDescription | None:
        """Return what the server says of the workflow; None if it has none."""
        return await describe_workflow(self.client, self.workflow, self.patience)

    async def read_begun(self) -> BegunSession | None:
        """Return what the server has of the session so far; None if it has no such workflow."""
        found = await self.describe()
        if found is None:
            return None
        first = await find_first_execution(self.client, self.workflow, self.patience)
        given = await self._read_input(first)
        past = SessionPast(0, given.orders, (given.orders,))
        if self._resources.spec.is_underway:
            past = await read_past(
                self.client, self.workflow, self.patience, execution=first, given=given.orders
            )
        return BegunSession(found, first, given, past)

    async def read_orders(self, first: Orders) -> Orders | None:
        """Return the orders that hold now, ``first`` ones at first; None if the workflow is gone."""
        found = await self.describe()
        return None if found is None else await self.decode_orders(found) or first

    async def decode_orders(self, found: WorkflowExecutionDescription) -> Orders | None:
        """Return the orders that the workflow shows; None if it has not shown any yet."""
        memo = found.raw_description.workflow_execution_info.memo.fields
        return await decode_payload(self.client, memo[MEMO_ORDERS], Orders) if MEMO_ORDERS in memo else None

    async def send_orders(self, orders: Orders) -> None:
        """Give orders to the workflow. Raises RPCError once it is gone."""
        await send_signal(self.client, self.workflow, "orders", orders, patience=self.patience)

    async def _read_input(self, execution: str) -> RunInput:
        """Return the input with which the session began."""
        begun = await read_beginning(self.client, self.workflow, self.patience, execution=execution)
        return await decode_input(self.client, begun, RunInput)
