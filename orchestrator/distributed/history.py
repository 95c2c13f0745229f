"""The history of a workflow, read event by event while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.distributed.patience import ServerPatience

Value = TypeVar("Value")

_POLL_TIMEOUT = timedelta(seconds=70)
"""The server answers a poll without news after some twenty seconds."""


class HistoryReader:
    """Gives the events of a workflow in their order, each once.

    A workflow that continues as new is followed: its later executions have histories of their own. Raises
    RPCError (not found) for a workflow that the server does not have.
    """

    def __init__(
        self,
        client: Client,
        workflow: str,
        patience: ServerPatience,
        *,
        execution: str = "",
        wait: bool = True,
    ) -> None:
        """``execution`` is the first one's run id of Temporal; without it the reader begins with the last.

        Without ``wait`` the reader ends with the events that are there.
        """
        self._client = client
        self._workflow = workflow
        self._patience = patience
        self._execution = execution
        self._waits = wait
        self._token = b""
        self._last = 0
        """The number of the last event that was given."""
        self._newest: HistoryEvent | None = None
        """The last event that was given of this execution."""
        self._is_over = False

    async def read(self) -> Sequence[HistoryEvent] | None:
        """Return the next events, after a wait maybe none; None once the workflow has ended and all are read.

        A wait lasts some twenty seconds at most.
        """
        if self._is_over:
            return None
        reply = await self._patience.ask(self._poll)
        events = [event for event in reply.history.events if event.event_id > self._last]
        self._token = reply.next_page_token
        if events:
            self._newest = events[-1]
            self._last = self._newest.event_id
        # The last page may be empty: a server need not know that the page before had the last event.
        if not self._token:
            self._follow(self._newest)
        return events

    async def _poll(self) -> GetWorkflowExecutionHistoryResponse:
        request = GetWorkflowExecutionHistoryRequest(
            namespace=self._client.namespace,
            execution=WorkflowExecution(workflow_id=self._workflow, run_id=self._execution),
            next_page_token=self._token,
            wait_new_event=self._waits,
            skip_archival=True,
        )
        service = self._client.workflow_service
        try:
            return await service.get_workflow_execution_history(request, timeout=_POLL_TIMEOUT)
        except RPCError as error:
            # A server that was started again may not know its old tokens: read from the first event then.
            if error.status is RPCStatusCode.INVALID_ARGUMENT and self._token:
                self._token = b""
                raise RPCError(error.message, RPCStatusCode.UNAVAILABLE, error.raw_grpc_status) from error
            raise

    def _follow(self, last: HistoryEvent | None) -> None:
        """Go on with the execution that followed, if there is one; else this was the end."""
        if last is None or last.event_type != EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
            self._is_over = True
            return
        attributes = last.workflow_execution_continued_as_new_event_attributes
        self._execution, self._last, self._newest = attributes.new_execution_run_id, 0, None


async def read_beginning(
    client: Client, workflow: str, patience: ServerPatience, *, execution: str = ""
) -> HistoryEvent:
    """Return the first event of an execution of a workflow; without its id, of the last one."""
    reader = HistoryReader(client, workflow, patience, execution=execution, wait=False)
    return (await reader.read() or ())[0]


async def decode_payload(client: Client, payload: Payload, kind: type[Value]) -> Value:
    """Return the value of a payload."""
    (value,) = await client.data_converter.decode([payload], [kind])
    found: Value = value
    return found


async def decode_input(client: Client, begun: HistoryEvent, kind: type[Value]) -> Value:
    """Return the input with which an execution of a workflow began; ``begun`` is its first event."""
    return await decode_payload(
        client, begun.workflow_execution_started_event_attributes.input.payloads[0], kind
    )
