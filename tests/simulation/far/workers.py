"""What polls in a worker: it stands in the place of ``temporalio.worker.Worker``, which wants a real server.

The workflows' code runs in Temporal's own instances. Another worker repeats it from its history, as Temporal
does, and must decide the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

import anyio
from temporalio import workflow as temporal_workflow
from temporalio.activity import _CompleteAsyncError
from temporalio.api.common.v1 import Payloads
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.client import Client
from temporalio.common import Priority, TypedSearchAttributes
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment
from temporalio.worker._workflow_instance import (
    UnsandboxedWorkflowRunner,
    WorkflowInstance,
    WorkflowInstanceDetails,
)
from temporalio.workflow import _Definition

from orchestrator.distributed.conversion import CONVERTER
from orchestrator.distributed.payloads import ChunkOrder
from orchestrator.distributed.workflows import WORKFLOWS
from tests.simulation.far.execution import TASK_TIMEOUT, Activity, PlayedExecution, Running, WorkflowTask
from tests.simulation.far.processes import find_process
from tests.simulation.far.server import QueryTask
from tests.simulation.far.service import PlayedService

POLLS_AGAIN = 1.0
"""Seconds after which a worker polls a server again that it cannot reach."""

_DEFINITIONS = {each.name: each for each in map(_Definition.must_from_class, WORKFLOWS)}


class PlayedWorker:
    """Takes the tasks of one queue, in the place of ``temporalio.worker.Worker``."""

    def __init__(
        self,
        client: Client,
        *,
        task_queue: str,
        workflows: Sequence[type] = (),
        activities: Sequence[Callable[..., Any]] = (),
        max_concurrent_workflow_task_polls: int = 1,
        **settings: object,
    ) -> None:
        service = client.service_client
        assert isinstance(service, PlayedService)
        self._way = service.way
        self._queue = task_queue
        self._instances = WorkflowInstances() if workflows else None
        self._activities = activities
        self._polls = max_concurrent_workflow_task_polls
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> PlayedWorker:
        """Begin to poll."""
        if self._instances is not None:
            find_process().ends.append(self._instances.forget_all)
        self._tasks = [asyncio.create_task(self._poll()) for _ in range(self._polls)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Poll no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._instances is not None:
            self._instances.forget_all()

    async def _poll(self) -> None:
        server, process = self._way.server, self._way.process
        while True:
            try:
                task = await self._way.ask(lambda: server.poll(self._queue, process))
                if isinstance(task, Activity):
                    await self._begin(task)
                elif task is not None:
                    await self._decide(task)
            except RPCError:
                await anyio.sleep(POLLS_AGAIN)
            except Exception as bug:
                server.broken.append(f"{process.name} polls no more: {bug!r}")
                raise

    async def _begin(self, task: Activity) -> None:
        (order,) = await CONVERTER.decode(task.arguments, [ChunkOrder])
        environment = ActivityEnvironment()
        started = datetime.fromtimestamp(task.started_at, UTC)
        environment.info = replace(environment.info, task_token=task.token, started_time=started)
        with suppress(_CompleteAsyncError):
            await environment.run(self._activities[0], order)

    async def _decide(self, task: WorkflowTask | QueryTask) -> None:
        assert self._instances is not None
        server = self._way.server
        if isinstance(task, QueryTask):
            answer = await self._instances.answer(task)
            await self._way.ask(_later(lambda: server.answer_query(task, answer)))
            return
        instance, completion = await self._instances.decide(task)
        done = await self._way.ask(_later(lambda: server.take_completion(task, completion)))
        if done is not None:
            self._instances.keep(task.execution, instance, done)


def _later(call: Callable[[], Any]) -> Callable[[], Any]:
    async def ask() -> Any:
        return call()

    return ask


class ReplayError(Exception):
    """The code of a workflow has decided otherwise when its history was replayed."""


class WorkflowInstances:
    """The instances of workflows that one worker has in its memory."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[WorkflowInstance, int]] = {}
        """By execution, with the number of tasks that it has done."""
        self._lock = asyncio.Lock()

    async def decide(self, task: WorkflowTask) -> tuple[WorkflowInstance, WorkflowActivationCompletion]:
        """Return what the code of a workflow decides, and its instance. Raises ReplayError."""
        async with self._lock:
            instance = await self._find(task.execution, task.done)
            completion = await _activate(instance, task.activation)
            # Unless the server takes the decision in, nothing knows of what this instance has done.
            self._kept[task.execution.run] = (instance, -1)
            return instance, completion

    async def answer(self, task: QueryTask) -> Payloads:
        """Return the answer of a workflow to a question."""
        async with self._lock:
            execution = task.execution
            done = len(execution.done)
            instance = await self._find(execution, done)
            job = WorkflowActivationJob()
            job.query_workflow.query_id = "query"
            job.query_workflow.query_type = task.query.query_type
            activation = WorkflowActivation(run_id=execution.run, jobs=[job])
            activation.timestamp.CopyFrom(execution.done[done - 1].activation.timestamp)
            completion = await _activate(instance, activation)
            self._kept[execution.run] = (instance, done)
            (command,) = completion.successful.commands
            return Payloads(payloads=[command.respond_to_query.succeeded.response])

    def keep(self, execution: PlayedExecution, instance: WorkflowInstance, done: int) -> None:
        """Keep an instance: the server has taken its last decision in, as the one of that number.

        Another one may stand in its place by then: the next task may come before the answer to this one.
        """
        if self._kept.get(execution.run, (None, 0))[0] is not instance:
            return
        self._kept[execution.run] = (instance, done)
        if execution.status != Running:
            self._forget(execution.run)

    def forget_all(self) -> None:
        """Forget all instances."""
        for run in list(self._kept):
            self._forget(run)

    def _forget(self, run: str) -> None:
        instance, _ = self._kept.pop(run)
        job = WorkflowActivationJob()
        job.remove_from_cache.SetInParent()
        _activate_now(instance, WorkflowActivation(run_id=run, jobs=[job]))

    async def _find(self, execution: PlayedExecution, done: int) -> WorkflowInstance:
        """Return the instance of an execution that has done so many tasks."""
        instance, has_done = self._kept.get(execution.run, (None, 0))
        if instance is not None and has_done == done:
            return instance
        if instance is not None:
            self._forget(execution.run)
        made = _make_instance(execution)
        for task in execution.done[:done]:
            activation = WorkflowActivation()
            activation.CopyFrom(task.activation)
            activation.is_replaying = True
            del activation.available_internal_flags[:]
            activation.available_internal_flags.extend(execution.flags)
            for patch in task.patches:
                activation.jobs.add().notify_has_patch.patch_id = patch
            completion = await _activate(made, activation)
            if tuple(completion.successful.commands) != task.commands:
                raise ReplayError(f"{execution.workflow}: a replay has decided otherwise")
        return made


def _make_instance(execution: PlayedExecution) -> WorkflowInstance:
    start = WorkflowActivation()
    begun = execution.events[0]
    start.timestamp.CopyFrom(begun.event_time)
    at = begun.event_time.ToDatetime().replace(tzinfo=UTC)
    info = temporal_workflow.Info(
        attempt=1,
        continued_run_id=execution.continues or None,
        cron_schedule=None,
        execution_timeout=None,
        first_execution_run_id=execution.first,
        headers={},
        namespace="default",
        original_execution_run_id=execution.run,
        parent=None,
        root=None,
        priority=Priority.default,
        raw_memo=dict(execution.memo),
        retry_policy=None,
        run_id=execution.run,
        run_timeout=None,
        search_attributes={},
        start_time=at,
        workflow_start_time=at,
        task_queue="undeploy",
        task_timeout=timedelta(seconds=TASK_TIMEOUT),
        typed_search_attributes=TypedSearchAttributes.empty,
        workflow_id=execution.workflow,
        workflow_type=execution.kind,
    )
    details = WorkflowInstanceDetails(
        payload_converter_factory=CONVERTER._new_payload_converter,
        failure_converter_class=CONVERTER.failure_converter_class,
        interceptor_classes=[],
        defn=_DEFINITIONS[execution.kind],
        info=info,
        randomness_seed=1,
        extern_functions={},
        disable_eager_activity_execution=True,
        worker_level_failure_exception_types=[],
        patch_activation_callback=None,
        last_completion_result=Payloads(),
        last_failure=None,
    )
    return UnsandboxedWorkflowRunner().create_instance(details)


async def _activate(
    instance: WorkflowInstance, activation: WorkflowActivation
) -> WorkflowActivationCompletion:
    """Have an instance decide, outside of any task: it is an event loop with tasks of its own."""
    loop = asyncio.get_running_loop()
    decided: asyncio.Future[WorkflowActivationCompletion] = loop.create_future()
    loop.call_soon(lambda: decided.set_result(_activate_now(instance, activation)))
    return await decided


def _activate_now(instance: WorkflowInstance, activation: WorkflowActivation) -> WorkflowActivationCompletion:
    """Have an instance decide, even amid one of our tasks: since Python 3.14 a thread has one at a time."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task(loop)
    if task is not None:
        asyncio.tasks._leave_task(loop, task)
    try:
        return instance.activate(activation)
    finally:
        asyncio._set_running_loop(loop)
        if task is not None:
            asyncio.tasks._enter_task(loop, task)
