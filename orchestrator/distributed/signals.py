"""Signals to workflows, each of which arrives once however often the server had to be asked."""

from __future__ import annotations

import uuid
from typing import Any

from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client

from orchestrator.distributed.patience import CALL_TIMEOUT, ServerPatience


async def send_signal(
    client: Client, workflow: str, name: str, *values: Any, patience: ServerPatience
) -> None:
    """Send a signal with its values. Raises RPCError (not found) if the workflow is gone, or has ended."""
    request = SignalWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow),
        signal_name=name,
        input=Payloads(payloads=await client.data_converter.encode(values)),
        identity=client.identity,
        # The same in each repeat: the answer to the first one may have been lost.
        request_id=str(uuid.uuid4()),
    )
    service = client.workflow_service
    await patience.ask(lambda: service.signal_workflow_execution(request, timeout=CALL_TIMEOUT))
