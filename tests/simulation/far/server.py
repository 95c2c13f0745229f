"""A Temporal server, played: it keeps executions of workflows, and hands tasks and activities to workers.

All that a run uses of a server is here, by the requests and answers of Temporal's own interface: executions
that start, are signalled, described, terminated and read by long polls; timers, children, signals between
workflows; activities with heartbeats and timeouts; tasks that time out and go to another worker. Not played
are sticky queues, retries of activities, limits of sizes and rates, and retention.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import anyio
from msgspec import Struct, field
from temporalio.api.common.v1 import GrpcStatus, Payload, Payloads
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.errordetails.v1 import WorkflowExecutionAlreadyStartedFailure
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest, ListSearchAttributesResponse
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    CountWorkflowExecutionsResponse,
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    GetSystemInfoRequest,
    GetSystemInfoResponse,
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
    QueryWorkflowRequest,
    QueryWorkflowResponse,
    RecordActivityTaskHeartbeatRequest,
    RecordActivityTaskHeartbeatResponse,
    RequestCancelWorkflowExecutionRequest,
    RequestCancelWorkflowExecutionResponse,
    RespondActivityTaskCompletedRequest,
    RespondActivityTaskCompletedResponse,
    RespondActivityTaskFailedRequest,
    RespondActivityTaskFailedResponse,
    SignalWorkflowExecutionRequest,
    SignalWorkflowExecutionResponse,
    StartWorkflowExecutionRequest,
    StartWorkflowExecutionResponse,
    TerminateWorkflowExecutionRequest,
    TerminateWorkflowExecutionResponse,
)
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.service import RPCError, RPCStatusCode

from tests.simulation.far.execution import Activity, PlayedExecution, Running, WorkflowTask
from tests.simulation.far.processes import FarLoop, SimulatedProcess, find_process

LONG_POLL = 20.0
"""Seconds after which a poll without news is answered."""

PAGE = 50
"""Events of one answer at most."""

_KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD

HOP = 0.01
"""Seconds at most from one part of the server to another."""


class QueryTask(Struct, kw_only=True, eq=False):
    """A question to the code of a workflow, as a worker gets it."""

    execution: PlayedExecution
    query: WorkflowQuery
    answer: asyncio.Future[Payloads]


Task = WorkflowTask | QueryTask | Activity


class Poller(Struct, eq=False):
    """A worker that waits for a task of one queue."""

    process: SimulatedProcess
    taken: asyncio.Future[Task | None]


class TaskQueue(Struct, eq=False):
    """What waits for workers, and the workers that wait; never both."""

    waiting: deque[PlayedExecution | QueryTask | Activity] = field(default_factory=deque)
    pollers: list[Poller] = field(default_factory=list)


class ServerListener:
    """Hears what the server knows; the simulation's witness does."""

    def on_run(self, given: Payload, process: SimulatedProcess) -> None:
        """A process has started the workflow of a session."""

    def on_given(self, activity: Activity) -> None:
        """A worker has an activity from now on."""

    def on_beat(self, activity: Activity, details: Payloads) -> None:
        """The server has taken a heartbeat in."""

    def on_result(self, activity: Activity, result: Payloads) -> None:
        """The server has taken a result in, or the details of a failure."""

    def on_lost(self, activity: Activity) -> None:
        """An activity has timed out."""


class PlayedServer:
    """The server. ``epoch`` is its time at the clock's zero.

    After ``longest_history`` events it suggests to a workflow to continue as new.
    """

    def __init__(
        self,
        loop: FarLoop,
        random: Random,
        *,
        epoch: float,
        listener: ServerListener,
        longest_history: int = 10_000,
        has_attributes: bool = True,
    ) -> None:
        self.loop = loop
        self.is_away = False
        self.broken: list[str] = []
        """What the program may never do to a server."""
        self._random = random
        self._epoch = epoch
        self._listener = listener
        self.longest_history = longest_history
        self._has_attributes = has_attributes
        self._executions: dict[str, list[PlayedExecution]] = {}
        self._by_run: dict[str, PlayedExecution] = {}
        self._queues: dict[str, TaskQueue] = {}
        self._runs = 0

    # For executions.

    def now(self) -> float:
        """Return the server's Unix time."""
        return self._epoch + self.loop.time()

    def later(self, seconds: float, call: Callable[..., object], *values: Any) -> asyncio.TimerHandle:
        """Call after so many seconds, whatever becomes of the process that asks now."""
        return self.loop.call_later(seconds, call, *values, context=self.loop.root)

    def soon(self, call: Callable[..., object], *values: Any) -> None:
        """Call as soon as another part of the server has heard of it."""
        self.later(self._random.random() * HOP, call, *values)

    def name_run(self) -> str:
        """Return an id for an execution."""
        self._runs += 1
        return f"run-{self._runs:05}"

    def suggests_new(self, events: int) -> bool:
        """Return whether a history is so long that the workflow should continue as new."""
        return events >= self.longest_history

    def begin(self, execution: PlayedExecution) -> None:
        """Keep an execution, and let it begin."""
        self._executions.setdefault(execution.workflow, []).append(execution)
        self._by_run[execution.run] = execution
        execution.begin()

    def find_open(self, workflow: str) -> PlayedExecution | None:
        """Return the open execution of a workflow."""
        found = self._executions.get(workflow, [])
        return found[-1] if found and found[-1].status == Running else None

    # Workers.

    def offer_task(self, execution: PlayedExecution) -> None:
        """Give a task of a workflow to a worker, or keep it until one asks."""
        self._offer("undeploy", execution)

    def offer_activity(self, activity: Activity) -> None:
        """Give an activity to a worker of its queue, or keep it until one asks."""
        self._offer(activity.queue, activity)

    def _offer(self, queue: str, task: PlayedExecution | QueryTask | Activity) -> None:
        self._get_queue(queue).waiting.append(task)
        self.soon(self._match, queue)

    def _get_queue(self, name: str) -> TaskQueue:
        return self._queues.setdefault(name, TaskQueue())

    async def poll(self, queue: str, process: SimulatedProcess) -> Task | None:
        """Return the next task of a queue; None if there was none for a while."""
        poller = Poller(process, self.loop.create_future())
        self._get_queue(queue).pollers.append(poller)
        self.soon(self._match, queue)
        self.later(LONG_POLL, self._answer_poll, queue, poller)
        return await poller.taken

    def _answer_poll(self, queue: str, poller: Poller) -> None:
        pollers = self._get_queue(queue).pollers
        if poller in pollers:
            pollers.remove(poller)
        if not poller.taken.done():
            poller.taken.set_result(None)

    def _match(self, name: str) -> None:
        queue = self._get_queue(name)
        # The system closes the connections of a dead process; one that only stands still keeps them.
        queue.pollers = [each for each in queue.pollers if not each.process.is_dead and not each.taken.done()]
        while queue.waiting and queue.pollers and not self.is_away:
            task = self._open(queue.waiting.popleft())
            if task is None:
                continue
            poller = queue.pollers.pop(self._random.randrange(len(queue.pollers)))
            if isinstance(task, Activity):
                task.execution.start_activity(task, poller.process.name)
                self._listener.on_given(task)
            poller.taken.set_result(task)

    def _open(self, task: PlayedExecution | QueryTask | Activity) -> Task | None:
        """Return a task as a worker gets it; None if it is over."""
        if isinstance(task, PlayedExecution):
            return task.hand_out()
        if isinstance(task, Activity):
            return None if task.is_over else task
        return None if task.answer.done() else task

    def take_completion(self, task: WorkflowTask, completion: WorkflowActivationCompletion) -> int | None:
        """Take what a worker has decided. Raises RPCError.

        Returns how many tasks the execution has done then; None if the instance that decided is of no use.
        """
        if completion.HasField("failed"):
            self.broken.append(
                f"{task.execution.workflow}: its code failed: {completion.failed.failure.message}"
            )
        if task.is_stale:
            raise RPCError("workflow task not found", RPCStatusCode.NOT_FOUND, b"")
        return len(task.execution.done) if task.execution.take_completion(task, completion) else None

    def note_lost(self, activity: Activity) -> None:
        """Hear that an activity has timed out."""
        if activity.worker is not None:
            self._listener.on_lost(activity)

    def come_back(self) -> None:
        """Answer again."""
        self.is_away = False
        for name in self._queues:
            self.soon(self._match, name)

    # Temporal's interface, by the names of its methods.

    async def handle(self, method: str, request: Any) -> Any:
        """Return the answer to a request. Raises RPCError."""
        answer = getattr(self, f"_on_{method}")(request)
        return await answer if asyncio.iscoroutine(answer) else answer

    def _on_get_system_info(self, _: GetSystemInfoRequest) -> GetSystemInfoResponse:
        return GetSystemInfoResponse()

    def _on_count_workflow_executions(
        self, _: CountWorkflowExecutionsRequest
    ) -> CountWorkflowExecutionsResponse:
        return CountWorkflowExecutionsResponse(count=len(self._by_run))

    def _on_list_search_attributes(self, _: ListSearchAttributesRequest) -> ListSearchAttributesResponse:
        names = ("UndeployPlan", "UndeployRun", "UndeployGateway") if self._has_attributes else ()
        return ListSearchAttributesResponse(custom_attributes=dict.fromkeys(names, _KEYWORD))

    def _on_start_workflow_execution(
        self, request: StartWorkflowExecutionRequest
    ) -> StartWorkflowExecutionResponse:
        if found := self._executions.get(request.workflow_id):
            raise _already_started(found[-1].run)
        if request.workflow_type.name == "UndeployRun":
            self._listener.on_run(request.input.payloads[0], find_process())
        run = self.name_run()
        self.begin(
            PlayedExecution(
                server=self,
                workflow=request.workflow_id,
                run=run,
                kind=request.workflow_type.name,
                first=run,
                given=list(request.input.payloads),
                memo=dict(request.memo.fields),
            )
        )
        return StartWorkflowExecutionResponse(run_id=run, first_execution_run_id=run, started=True)

    def _on_signal_workflow_execution(
        self, request: SignalWorkflowExecutionRequest
    ) -> SignalWorkflowExecutionResponse:
        found = self._find_running(request.workflow_execution.workflow_id)
        found.signal(request.signal_name, request.input.payloads, request.request_id)
        return SignalWorkflowExecutionResponse()

    def _find_running(self, workflow: str) -> PlayedExecution:
        found = self.find_open(workflow)
        if found is None:
            raise RPCError("workflow execution already completed", RPCStatusCode.NOT_FOUND, b"")
        return found

    def _find(self, workflow: str, run: str) -> PlayedExecution:
        found = [each for each in self._executions.get(workflow, []) if run in ("", each.run)]
        if not found:
            raise RPCError("workflow not found", RPCStatusCode.NOT_FOUND, b"")
        return found[-1]

    def _on_describe_workflow_execution(
        self, request: DescribeWorkflowExecutionRequest
    ) -> DescribeWorkflowExecutionResponse:
        return self._find(request.execution.workflow_id, request.execution.run_id).describe()

    def _on_terminate_workflow_execution(
        self, request: TerminateWorkflowExecutionRequest
    ) -> TerminateWorkflowExecutionResponse:
        self._find_running(request.workflow_execution.workflow_id).terminate()
        return TerminateWorkflowExecutionResponse()

    def _on_request_cancel_workflow_execution(
        self, request: RequestCancelWorkflowExecutionRequest
    ) -> RequestCancelWorkflowExecutionResponse:
        self._find_running(request.workflow_execution.workflow_id).cancel()
        return RequestCancelWorkflowExecutionResponse()

    async def _on_get_workflow_execution_history(
        self, request: GetWorkflowExecutionHistoryRequest
    ) -> GetWorkflowExecutionHistoryResponse:
        run, _, given = request.next_page_token.decode().partition(" ")
        found = self._find(request.execution.workflow_id, run or request.execution.run_id)
        first = int(given or 0)
        if request.wait_new_event:
            with anyio.move_on_after(LONG_POLL):
                while len(found.events) <= first and found.status == Running:
                    await found.wait_for_event()
        events = found.events[first : first + PAGE]
        answer = GetWorkflowExecutionHistoryResponse()
        answer.history.events.extend(events)
        last = first + len(events)
        has_more = last < len(found.events)
        if has_more or (request.wait_new_event and found.status == Running):
            answer.next_page_token = f"{found.run} {last}".encode()
        return answer

    async def _on_query_workflow(self, request: QueryWorkflowRequest) -> QueryWorkflowResponse:
        execution = self._find(request.execution.workflow_id, request.execution.run_id)
        answer: asyncio.Future[Payloads] = self.loop.create_future()
        task = QueryTask(execution=execution, query=request.query, answer=answer)
        self._offer("undeploy", task)
        try:
            async with asyncio.timeout(10.0):
                return QueryWorkflowResponse(query_result=await answer)
        except TimeoutError:
            raise RPCError("timeout", RPCStatusCode.DEADLINE_EXCEEDED, b"") from None

    def answer_query(self, task: QueryTask, answer: Payloads) -> None:
        """Take the answer of a worker to a question."""
        if not task.answer.done():
            task.answer.set_result(answer)

    def _find_activity(self, token: bytes) -> Activity:
        run, _, seq = token.decode().partition(" ")
        execution = self._by_run[run]
        found = execution.find_activity(int(seq)) if execution.status == Running else None
        if found is None:
            raise RPCError("activity not found", RPCStatusCode.NOT_FOUND, b"")
        return found

    def _on_record_activity_task_heartbeat(
        self, request: RecordActivityTaskHeartbeatRequest
    ) -> RecordActivityTaskHeartbeatResponse:
        activity = self._find_activity(request.task_token)
        is_cancelled = activity.execution.take_heartbeat(activity, request.details)
        self._listener.on_beat(activity, request.details)
        return RecordActivityTaskHeartbeatResponse(cancel_requested=is_cancelled)

    def _on_respond_activity_task_completed(
        self, request: RespondActivityTaskCompletedRequest
    ) -> RespondActivityTaskCompletedResponse:
        activity = self._find_activity(request.task_token)
        self._listener.on_result(activity, request.result)
        activity.execution.take_result(activity, request.result)
        return RespondActivityTaskCompletedResponse()

    def _on_respond_activity_task_failed(
        self, request: RespondActivityTaskFailedRequest
    ) -> RespondActivityTaskFailedResponse:
        activity = self._find_activity(request.task_token)
        self._listener.on_result(activity, request.failure.application_failure_info.details)
        activity.execution.take_failure(activity, request.failure)
        return RespondActivityTaskFailedResponse()


def _already_started(run: str) -> RPCError:
    status = GrpcStatus(code=RPCStatusCode.ALREADY_EXISTS, message="already started")
    status.details.add().Pack(WorkflowExecutionAlreadyStartedFailure(run_id=run))
    return RPCError("already started", RPCStatusCode.ALREADY_EXISTS, status.SerializeToString())
