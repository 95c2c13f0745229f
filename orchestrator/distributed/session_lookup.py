"""What a Temporal server keeps of one session of a run, for a process that may take the session over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC
from typing import NamedTuple

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError

from orchestrator.distributed.history import HistoryReader, decode_input, decode_payload, read_beginning
from orchestrator.distributed.kept_runs import name_state
from orchestrator.distributed.names import MEMO_NEWS
from orchestrator.distributed.order_joining import take_up_orders
from orchestrator.distributed.patience import CALL_TIMEOUT, ServerPatience, is_gone
from orchestrator.distributed.payloads import Orders, RunInput, StopOrder
from orchestrator.distributed.run_news import (
    LanePartBegun,
    LanePartOver,
    NewsItem,
    RunNews,
    RunOver,
    RunStopped,
)
from orchestrator.engine.conductor import EngineSession
from orchestrator.errors import RunError
from orchestrator.lanes.run_gate import word_stop
from orchestrator.model.outcome import Reason

_ENDS_BY_ITSELF = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.COMPLETED)


async def describe_workflow(
    client: Client, workflow: str, patience: ServerPatience
) -> WorkflowExecutionDescription | None:
    """Return what the server says of a workflow; None if it has none of that id."""
    handle = client.get_workflow_handle(workflow)
    try:
        return await patience.ask(lambda: handle.describe(rpc_timeout=CALL_TIMEOUT))
    except RPCError as error:
        if not is_gone(error):
            raise
        return None


async def find_first_execution(client: Client, workflow: str, patience: ServerPatience) -> str:
    """Return the first of the executions of a workflow, which continues as new."""
    started = (await read_beginning(client, workflow, patience)).workflow_execution_started_event_attributes
    return started.first_execution_run_id or started.original_execution_run_id


async def read_news(
    client: Client, workflow: str, patience: ServerPatience, *, execution: str, wait: bool = True
) -> AsyncIterator[NewsItem]:
    """Yield the news of a run's workflow from its first ``execution`` on.

    With ``wait`` there is no end unless the workflow has ended.
    """
    async for event in _read_events(client, workflow, patience, execution=execution, wait=wait):
        for item in await _decode_news(client, event):
            yield item


class SessionPast(NamedTuple):
    """What the histories of a run's workflow hold so far."""

    news: int
    """How many items have been told."""
    orders: Orders
    """The orders that drivers have given, also those that no worker has heard yet."""
    sent: tuple[Orders, ...]
    """All of them, one by one, those with which the session began included."""


async def read_past(
    client: Client, workflow: str, patience: ServerPatience, *, execution: str, given: Orders
) -> SessionPast:
    """Return what has happened from the first ``execution`` on; it began with the ``given`` orders."""
    news, orders, sent = 0, given, [given]
    async for event in _read_events(client, workflow, patience, execution=execution, wait=False):
        news += len(await _decode_news(client, event))
        if (ordered := await _decode_orders(client, event)) is not None:
            orders = take_up_orders(ordered, orders) or orders
            sent.append(ordered)
    return SessionPast(news, orders, tuple(sent))


async def _read_events(
    client: Client, workflow: str, patience: ServerPatience, *, execution: str, wait: bool
) -> AsyncIterator[HistoryEvent]:
    reader = HistoryReader(client, workflow, patience, execution=execution, wait=wait)
    try:
        while (events := await reader.read()) is not None:
            for event in events:
                yield event
    except RPCError as error:
        if not is_gone(error):
            raise
        return  # the server has it no more


async def _decode_news(client: Client, event: HistoryEvent) -> tuple[NewsItem, ...]:
    if event.event_type != EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:
        return ()
    fields = event.workflow_properties_modified_event_attributes.upserted_memo.fields
    if MEMO_NEWS not in fields:
        return ()
    return tuple((await decode_payload(client, fields[MEMO_NEWS], RunNews)).items)


async def _decode_orders(client: Client, event: HistoryEvent) -> Orders | None:
    """Return what a driver has ordered by an event, be it that no worker has heard it yet."""
    signal = event.workflow_execution_signaled_event_attributes
    if event.event_type != EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED or signal.signal_name != "orders":
        return None
    return await decode_payload(client, signal.input.payloads[0], Orders)


async def find_engine_session(
    client: Client, workflow: str, patience: ServerPatience
) -> EngineSession | None:
    """Return what the server keeps of the session of a run's workflow; None if it has no such workflow.

    Raises RunError if the server has forgotten how it began: that of a workflow which continued as new.
    """
    found = await describe_workflow(client, workflow, patience)
    if found is None:
        return None
    first = await find_first_execution(client, workflow, patience)
    try:
        begun = await read_beginning(client, workflow, patience, execution=first)
    except RPCError as error:
        if not is_gone(error):
            raise
        raise RunError(
            f"the server has forgotten how {workflow} began, since its retention is over: what the workers"
            " did cannot be taken over. Delete that workflow there; then `undeploy resume RUN --engine-gone`"
            " looks at each target"
        ) from error
    given = await decode_input(client, begun, RunInput)
    news: list[NewsItem] = []
    stops: list[StopOrder] = []
    async for event in _read_events(client, workflow, patience, execution=first, wait=False):
        ordered = await _decode_orders(client, event)
        if ordered is not None and ordered.stop is not None:
            stops.append(ordered.stop)
        for item in await _decode_news(client, event):
            news.append(item)
            if isinstance(item, RunStopped):
                stops.append(item.stop)
    is_running = found.status is WorkflowExecutionStatus.RUNNING
    has_lanes = not is_running and await _is_any_lane_open(client, news, patience)
    return EngineSession(
        started=begun.event_time.ToDatetime().replace(tzinfo=UTC).timestamp(),
        window=given.window,
        is_open=is_running or has_lanes,
        is_over=any(isinstance(item, RunOver) for item in news) or not (is_running or has_lanes),
        stopped_by=_word_last_stop(stops) or _find_end_from_outside(found, news),
    )


async def _is_any_lane_open(client: Client, news: Iterable[NewsItem], patience: ServerPatience) -> bool:
    """Return whether a lane still works, though the run's workflow has ended: one that was terminated."""
    begun = {item.workflow for item in news if isinstance(item, LanePartBegun)}
    begun.difference_update(item.workflow for item in news if isinstance(item, LanePartOver))
    for lane in sorted(begun):
        described = await describe_workflow(client, lane, patience)
        if described is not None and described.status is WorkflowExecutionStatus.RUNNING:
            return True
    return False


def _word_last_stop(stops: Sequence[StopOrder]) -> str | None:
    return word_stop(stops[-1].kind, stops[-1].text) if stops else None


def _find_end_from_outside(found: WorkflowExecutionDescription, news: Iterable[NewsItem]) -> str | None:
    if found.status in _ENDS_BY_ITSELF or any(isinstance(item, RunOver) for item in news):
        return None
    return f"{Reason.INTERRUPT}: its workflow was {name_state(found.status)}"
