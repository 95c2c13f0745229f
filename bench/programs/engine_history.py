"""Counts what a Temporal server keeps of a run: the histories of its workflows, with the pages of the plan.

Arguments: the address as ``--on`` takes it, and the id of the run.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from temporalio.client import Client

from orchestrator.distributed.address import parse_engine_address
from orchestrator.distributed.connection import connect


async def count_bytes(client: Client, run: str) -> int:
    """Return the bytes of all histories of a run. Raises ValueError if the server lists none."""
    size = 0
    async for found in client.list_workflows(f"WorkflowId STARTS_WITH 'undeploy/{run}/'"):
        described = await client.get_workflow_handle(found.id, run_id=found.run_id).describe()
        size += described.raw_description.workflow_execution_info.history_size_bytes
    if not size:
        raise ValueError(f"the server lists no workflow of {run}")
    return size


async def _count(address: str, run: str) -> int:
    return await count_bytes(await connect(parse_engine_address(address)), run)


if __name__ == "__main__":
    print(json.dumps({"bytes": asyncio.run(_count(*sys.argv[1:]))}), flush=True)
    # The threads of Temporal's library sometimes outlive the interpreter, and crash then.
    os._exit(0)
