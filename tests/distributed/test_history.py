"""The reader of histories: each event once, to the end, however the server cuts its pages."""

from __future__ import annotations

from typing import Any, cast

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History, HistoryEvent
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.distributed.history import HistoryReader
from orchestrator.distributed.patience import ServerPatience

Page = tuple[list[HistoryEvent], bytes]


class PagedServer:
    """A client of a server whose executions have histories of given pages, by execution and token."""

    namespace = "default"

    def __init__(self, pages: dict[tuple[str, bytes], Page | RPCError]) -> None:
        self._pages = pages
        self.workflow_service = self

    async def get_workflow_execution_history(
        self, request: GetWorkflowExecutionHistoryRequest, **_: object
    ) -> GetWorkflowExecutionHistoryResponse:
        page = self._pages[request.execution.run_id, request.next_page_token]
        if isinstance(page, RPCError):
            raise page
        events, token = page
        return GetWorkflowExecutionHistoryResponse(history=History(events=events), next_page_token=token)


def make_event(number: int, *, continues: str = "") -> HistoryEvent:
    if not continues:
        return HistoryEvent(event_id=number, event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    event = HistoryEvent(event_id=number, event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW)
    event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id = continues
    return event


async def read_all(pages: dict[tuple[str, bytes], Page | RPCError]) -> list[int]:
    client = cast("Client", cast("Any", PagedServer(pages)))
    reader = HistoryReader(client, "undeploy/run/1", ServerPatience(), execution="one")
    numbers: list[int] = []
    while (events := await reader.read()) is not None:
        numbers += [event.event_id for event in events]
    return numbers


LATER: dict[tuple[str, bytes], Page | RPCError] = {("two", b""): ([make_event(1)], b"")}
FIRST, LAST = make_event(1), make_event(2, continues="two")


@pytest.mark.parametrize(
    "pages",
    [
        {("one", b""): ([FIRST, LAST], b"")},
        {("one", b""): ([FIRST], b"next"), ("one", b"next"): ([LAST], b"")},
        # The page is full, and the server finds out by the next one that it was the last.
        {("one", b""): ([FIRST, LAST], b"next"), ("one", b"next"): ([], b"")},
    ],
    ids=["one page", "two pages", "an empty last page"],
)
async def test_an_execution_that_continues_as_new_is_followed(
    pages: dict[tuple[str, bytes], Page | RPCError],
) -> None:
    assert await read_all(pages | LATER) == [1, 2, 1]


async def test_an_empty_last_page_ends_a_history_that_does_not_continue() -> None:
    assert await read_all({("one", b""): ([FIRST], b"next"), ("one", b"next"): ([], b"")}) == [1]


async def test_a_server_that_forgot_its_tokens_is_read_from_the_beginning_and_followed() -> None:
    forgotten = RPCError("invalid page token", RPCStatusCode.INVALID_ARGUMENT, b"")
    pages: dict[tuple[str, bytes], Page | RPCError] = {
        ("one", b""): ([FIRST, LAST], b"old"),
        ("one", b"old"): forgotten,
    }

    class Restarted(dict[tuple[str, bytes], Page | RPCError]):
        def __getitem__(self, key: tuple[str, bytes]) -> Page | RPCError:
            if (found := super().__getitem__(key)) is forgotten:
                self["one", b""] = ([FIRST, LAST], b"")
            return found

    assert await read_all(Restarted(pages | LATER)) == [1, 2, 1]
