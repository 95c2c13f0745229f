"""What is told of a session that the server has forgotten in part."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.api.history.v1 import History, HistoryEvent
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
)
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.session_lookup import find_engine_session
from orchestrator.errors import RunError


class ForgetfulServer:
    """A client of a server that has the last execution of a workflow, and no longer the first one."""

    namespace = "default"

    def __init__(self) -> None:
        self.workflow_service = self

    def get_workflow_handle(self, _: str) -> ForgetfulServer:
        return self

    async def describe(self, **_: object) -> object:
        return SimpleNamespace(status=WorkflowExecutionStatus.RUNNING)

    async def get_workflow_execution_history(
        self, request: GetWorkflowExecutionHistoryRequest, **_: object
    ) -> GetWorkflowExecutionHistoryResponse:
        if request.execution.run_id:
            raise RPCError("workflow not found", RPCStatusCode.NOT_FOUND, b"")
        event = HistoryEvent(event_id=1)
        event.workflow_execution_started_event_attributes.first_execution_run_id = "first"
        return GetWorkflowExecutionHistoryResponse(history=History(events=[event]))


async def test_a_session_whose_beginning_is_forgotten_is_said_so() -> None:
    client = cast("Client", cast("Any", ForgetfulServer()))

    with pytest.raises(RunError, match=r"has forgotten how undeploy/run/1 began.*--engine-gone"):
        await find_engine_session(client, "undeploy/run/1", ServerPatience())
