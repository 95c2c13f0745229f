"""Has workflows keep the pages of the journal with which a session begins, for workers and for attach."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from orchestrator.distributed.names import PAGES_TOGETHER, RUNS_QUEUE, name_journal_workflow
from orchestrator.distributed.patience import CALL_TIMEOUT, ServerPatience
from orchestrator.distributed.signals import send_signal

JOURNAL_WORKFLOW = "UndeployJournal"


async def ship_pages(client: Client, workflow: str, pages: Sequence[bytes], patience: ServerPatience) -> None:
    """Start the workflows that keep ``pages`` for the run's ``workflow``; all pages are there on return.

    Pages that an earlier try has left under the same names are taken for these.
    """
    for number, first in enumerate(range(0, len(pages), PAGES_TOGETHER)):
        keeper = name_journal_workflow(workflow, number)
        together = pages[first : first + PAGES_TOGETHER]
        await start_workflow(client, JOURNAL_WORKFLOW, together[0], keeper, patience)
        for page in together[1:]:
            await send_signal(client, keeper, "page", page, patience=patience)


async def release_pages(client: Client, workflow: str, count: int, patience: ServerPatience) -> None:
    """Let the workflows end that keep ``count`` pages for the run's ``workflow``."""
    for number in range(-(-count // PAGES_TOGETHER)):
        try:
            await send_signal(client, name_journal_workflow(workflow, number), "release", patience=patience)
        except RPCError:
            continue  # it has ended already


async def start_workflow(
    client: Client, name: str, value: object, workflow: str, patience: ServerPatience
) -> None:
    """Start a workflow with one argument. One of the same id counts as started by an earlier try."""

    async def start() -> None:
        try:
            await client.start_workflow(
                name, value, id=workflow, task_queue=RUNS_QUEUE, rpc_timeout=CALL_TIMEOUT
            )
        except WorkflowAlreadyStartedError:
            return

    await patience.ask(start)
