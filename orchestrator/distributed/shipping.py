"""Has workflows keep the pages of the journal with which a session begins, for workers and for attach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from orchestrator.distributed.bounds import PAGES_TOGETHER
from orchestrator.distributed.history import HistoryReader, decode_payload
from orchestrator.distributed.journal_pages import unpack_journal
from orchestrator.distributed.names import (
    JOURNAL_WORKFLOW,
    RUNS_QUEUE,
    list_journal_workflows,
    name_journal_workflow,
)
from orchestrator.distributed.patience import CALL_TIMEOUT, ServerPatience, is_gone
from orchestrator.distributed.payloads import JournalPages
from orchestrator.distributed.signals import send_signal
from orchestrator.errors import JournalError

PAGE = "page"
"""The signal that brings each page but the first."""

_QUIET_POLLS = 3
"""So many waits for a page without news, some twenty seconds each, mean that it does not come.

A server holds signals back while a worker has a task of the workflow, or until it takes the worker for lost:
after ten seconds. A reader may come earlier.
"""


async def ship_pages(client: Client, workflow: str, pages: Sequence[bytes], patience: ServerPatience) -> None:
    """Start the workflows that keep ``pages`` for the run's ``workflow``; all pages are there on return.

    Pages that an earlier try has left under the same names are taken for these.
    """
    for number, first in enumerate(range(0, len(pages), PAGES_TOGETHER)):
        keeper = name_journal_workflow(workflow, number)
        together = pages[first : first + PAGES_TOGETHER]
        await start_workflow(client, JOURNAL_WORKFLOW, together[0], keeper, patience)
        for page in together[1:]:
            await send_signal(client, keeper, PAGE, page, patience=patience)


async def fetch_journal(
    client: Client, journal: JournalPages, folder: Path, patience: ServerPatience
) -> None:
    """Write ``journal.sqlite`` and ``plan.yaml``, as their pages hold them, into a folder.

    Raises JournalError if the server has forgotten pages, or if they are not those that were sent.
    """
    pages: list[bytes] = []
    for keeper in list_journal_workflows(journal.workflow, journal.pages):
        try:
            together = min(PAGES_TOGETHER, journal.pages - len(pages))
            pages += await _read_pages(client, keeper, together, patience)
        except RPCError as error:
            if not is_gone(error):
                raise
            raise JournalError(
                f"the server has forgotten the journal of the run ({keeper}): its retention is over"
            ) from error
    await anyio.to_thread.run_sync(unpack_journal, pages, journal, folder)


async def _read_pages(client: Client, keeper: str, count: int, patience: ServerPatience) -> list[bytes]:
    """Return the ``count`` pages of a keeper. Raises JournalError if the server has fewer, after a wait."""
    reader = HistoryReader(client, keeper, patience)
    pages: list[bytes] = []
    quiet = 0
    while len(pages) < count and quiet < _QUIET_POLLS and (events := await reader.read()) is not None:
        quiet = 0 if events else quiet + 1
        for event in events:
            pages += [await decode_payload(client, payload, bytes) for payload in _list_payloads(event)]
    if len(pages) < count:
        raise JournalError(
            f"the server holds {len(pages)} of {count} pages of the journal of the run ({keeper})"
        )
    return pages


def _list_payloads(event: HistoryEvent) -> Iterator[Payload]:
    """Yield the page in an event: the first one came as the input, each further one as a signal."""
    if event.HasField("workflow_execution_started_event_attributes"):
        yield from event.workflow_execution_started_event_attributes.input.payloads
    elif event.HasField("workflow_execution_signaled_event_attributes"):
        signal = event.workflow_execution_signaled_event_attributes
        if signal.signal_name == PAGE:
            yield from signal.input.payloads


async def release_pages(client: Client, workflow: str, count: int, patience: ServerPatience) -> None:
    """Let the workflows end that keep ``count`` pages for the run's ``workflow``."""
    for keeper in list_journal_workflows(workflow, count):
        try:
            await send_signal(client, keeper, "release", patience=patience)
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
