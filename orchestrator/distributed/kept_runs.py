"""The runs that a Temporal server keeps: which there are, and which of them a person's word means."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from msgspec import Struct
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.distributed.history import decode_input, read_beginning
from orchestrator.distributed.names import (
    MEMO_ORDERS,
    RUN_WORKFLOW,
    name_run_workflow,
    name_scheduled_run,
    read_scheduled_workflow,
)
from orchestrator.distributed.patience import GONE_AFTER, ServerPatience, is_gone
from orchestrator.distributed.payloads import Orders, RunInput
from orchestrator.distributed.scheduled_input import settle_scheduled
from orchestrator.errors import RunError
from orchestrator.journal.run_lookup import list_ambiguous
from orchestrator.lanes.run_gate import word_stop
from orchestrator.model.plan import RunId
from orchestrator.text.names import to_nfc

MOST_SESSIONS = 10
"""Sessions of a run that are looked for one by one, where the server does not list them."""

_SESSION = re.compile(r"undeploy/([^/]+)/([1-9][0-9]{0,5})")
_ALL = f"WorkflowType = '{RUN_WORKFLOW}'"
_UNLISTABLE = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED)

_STATES = {
    WorkflowExecutionStatus.RUNNING: "open",
    WorkflowExecutionStatus.COMPLETED: "over",
    WorkflowExecutionStatus.TERMINATED: "terminated",
    WorkflowExecutionStatus.CANCELED: "cancelled",
    WorkflowExecutionStatus.FAILED: "failed",
    WorkflowExecutionStatus.TIMED_OUT: "timed out",
}


class KeptRun(Struct, frozen=True, kw_only=True):
    """The newest session of a run that the server knows, by the last execution of its workflow."""

    id: RunId
    session: int
    workflow: str
    started: datetime
    state: str
    """``open`` until a driver has acknowledged the results, then ``over``; else how Temporal ended it."""
    plan: str
    """The plan's name; empty where the server does not tell it."""
    progress: str
    """In words, as the run's workflow told last; may be empty."""
    stopped_by: str | None = None
    """Why nothing new starts in it, with its ``Reason``; None if nothing has stopped it."""


def read_session(workflow: str) -> tuple[RunId, int] | None:
    """Return the run and the session of a run's workflow by its id; None for any other id."""
    if (scheduled := read_scheduled_workflow(workflow)) is not None:
        return name_scheduled_run(*scheduled), 1
    found = _SESSION.fullmatch(workflow)
    return None if found is None else (RunId(found[1]), int(found[2]))


async def list_kept_runs(client: Client) -> list[KeptRun] | None:
    """Return the runs that the server keeps, newest first; None where it does not let us list them."""
    newest: dict[RunId, KeptRun] = {}
    try:
        async for one in _list_sessions(client):
            known = newest.get(one.id)
            if known is None or (one.session, one.started) > (known.session, known.started):
                newest[one.id] = one
    except RPCError as error:
        if error.status in _UNLISTABLE:
            return None
        raise
    return sorted(newest.values(), key=lambda one: one.id, reverse=True)


async def _list_sessions(client: Client) -> AsyncIterator[KeptRun]:
    async for execution in client.list_workflows(_ALL):
        if (found := await _describe(execution)) is not None:
            yield found


async def _describe(execution: WorkflowExecution) -> KeptRun | None:
    session = read_session(execution.id)
    if session is None:
        return None
    memo = await execution.memo()
    return KeptRun(
        id=session[0],
        session=session[1],
        workflow=execution.id,
        started=execution.start_time,
        state=name_state(execution.status),
        plan=str(memo.get("plan", "")),
        progress=str(memo.get("progress", "")),
        stopped_by=_read_stop(memo.get(MEMO_ORDERS)),
    )


def _read_stop(orders: object) -> str | None:
    """Return the stop among the orders in a memo. One that cannot be read is none: this is for people."""
    try:
        stop = msgspec.convert(orders, Orders).stop
    except msgspec.ValidationError:
        return None
    return None if stop is None else word_stop(stop.kind, stop.text)


def name_state(status: WorkflowExecutionStatus | None) -> str:
    """Return in a word how a run's workflow stands, as ``KeptRun.state`` has it."""
    return "unknown" if status is None else _STATES.get(status, "unknown")


async def find_kept_run(client: Client, ref: str) -> KeptRun:
    """Return the run that ``ref`` means: an id, the beginning of a single one, ``latest``, or a plan's name.

    The last two mean the newest undeploy: of all, or of that plan.
    Raises RunError if it means none or several.
    """
    runs = await list_kept_runs(client)
    found = None if runs is None else await _choose(client, runs, ref)
    # What the server lists may be some seconds old; an exact id is never.
    exact = await _find_exact(client, ref, found) or found
    if exact is not None:
        return exact
    if runs is None:
        raise RunError(f"there is no run {ref!r} there, and the server lists none: give the whole id")
    raise RunError(f"there is no run {ref!r} there; `undeploy attach --on URL` lists what there is")


async def _choose(client: Client, runs: Sequence[KeptRun], ref: str) -> KeptRun | None:
    begun = [run for run in runs if ref and run.id.startswith(ref)]
    if exact := [run for run in begun if run.id == ref]:
        return exact[0]
    if len(begun) > 1:
        raise RunError(list_ambiguous(ref, [run.id for run in begun]))
    if begun:
        return begun[0]
    for run in runs:
        if (ref == "latest" or to_nfc(run.plan) == to_nfc(ref)) and await _is_undeploy(client, run):
            return run
    return None


async def _is_undeploy(client: Client, run: KeptRun) -> bool:
    return (
        await read_run_start(client, run.workflow, ServerPatience(within=GONE_AFTER))
    ).given.act == "undeploy"


async def _find_exact(client: Client, ref: str, listed: KeptRun | None) -> KeptRun | None:
    """Return the newest session of a run by its whole id; None where there is none behind the ``listed`` one.

    Without one that is listed, the first sessions are looked at one by one.
    """
    run = RunId(ref if listed is None else listed.id)
    if "/" in run:
        return None
    first = 1 if listed is None else listed.session + 1
    last = MOST_SESSIONS if listed is None else first
    found = None
    for session in range(first, last + 1):
        found = await find_session(client, name_run_workflow(run, session)) or found
    return found


async def find_session(client: Client, workflow: str) -> KeptRun | None:
    """Return the session of a run's workflow; None if the server has it no more."""
    try:
        return await _describe(await client.get_workflow_handle(workflow).describe())
    except RPCError as error:
        if is_gone(error):
            return None
        raise


class RunStart(NamedTuple):
    """How a session began: the input of its workflow, with what the start settled, and when that was."""

    given: RunInput
    at: float
    """Unix seconds."""


async def read_run_start(client: Client, workflow: str, patience: ServerPatience) -> RunStart:
    """Return how the session of a run's workflow began. Raises RunError if the server has forgotten it."""
    try:
        newest = await read_beginning(client, workflow, patience)
        first = newest.workflow_execution_started_event_attributes.first_execution_run_id
        # A workflow that continued as new has an input that tells where the run stood then.
        event = await read_beginning(client, workflow, patience, execution=first) if first else newest
    except RPCError as error:
        if not is_gone(error):
            raise
        raise RunError(f"the server has forgotten {workflow}: its retention is over") from error
    at = event.event_time.ToDatetime().replace(tzinfo=UTC)
    given = settle_scheduled(await decode_input(client, event, RunInput), workflow, at)
    return RunStart(given, at.timestamp())
