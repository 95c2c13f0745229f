"""Starts the workflow of a session, so that a person finds it on Temporal's own page."""

from __future__ import annotations

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from orchestrator.distributed.names import RUN_WORKFLOW, RUNS_QUEUE, SEARCH_ATTRIBUTES
from orchestrator.distributed.patience import CALL_TIMEOUT, ServerPatience
from orchestrator.distributed.payloads import RunInput
from orchestrator.distributed.showing import describe_run, search_run, summarize_run


async def has_search_attributes(client: Client) -> bool:
    """Return whether the server has the attributes by which a person finds a run."""
    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        found = await client.operator_service.list_search_attributes(request, timeout=CALL_TIMEOUT)
    except RPCError:
        return False  # a role that may start workflows need not be an operator's
    known = {*found.custom_attributes, *found.system_attributes}
    return known.issuperset(SEARCH_ATTRIBUTES)


async def start_run(client: Client, given: RunInput, workflow: str, patience: ServerPatience) -> None:
    """Start the workflow of a session. One of the same id counts as started by an earlier try.

    So does one that has ended: its results are those of the session.
    """

    async def start() -> None:
        try:
            await client.start_workflow(
                RUN_WORKFLOW,
                given,
                id=workflow,
                task_queue=RUNS_QUEUE,
                # A session that has ended keeps its id, by which `attach` finds its results.
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                memo=describe_run(given),
                search_attributes=search_run(given),
                static_summary=summarize_run(given),
                rpc_timeout=CALL_TIMEOUT,
            )
        except WorkflowAlreadyStartedError:
            return

    await patience.ask(start)
