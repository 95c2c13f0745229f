"""One execution of a workflow at the played server: its history, its tasks, and what its commands start.

Its code runs elsewhere, in a worker. As a Temporal server does, it holds back what happens while a worker has
a task of it, and refuses an end that does not know of something that has happened meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.message import Message
from msgspec import Struct, field
from temporalio.api.common.v1 import ActivityType, Memo, Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import (
    EventType,
    PendingActivityState,
    PendingWorkflowTaskState,
    TimeoutType,
    WorkflowExecutionStatus,
)
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import PendingActivityInfo, PendingWorkflowTaskInfo, WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion

if TYPE_CHECKING:
    import asyncio

    from tests.simulation.far.server import PlayedServer

TASK_TIMEOUT = 10.0
"""Seconds that a worker has for a task of a workflow."""

Running = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING


class Origin(NamedTuple):
    """Who started an execution as a child: its execution, and the number of the command."""

    execution: PlayedExecution
    seq: int


class Activity(Struct, kw_only=True, eq=False):
    """An activity that has not ended."""

    execution: PlayedExecution
    seq: int
    scheduled: int
    """The number of its event."""
    activity_id: str
    kind: str
    queue: str
    arguments: list[Payload]
    heartbeat_timeout: float
    token: bytes
    timer: asyncio.TimerHandle | None = None
    worker: str | None = None
    """Who has taken it."""
    started_at: float = 0.0
    """When, in Unix seconds."""
    details: Payloads | None = None
    """Of its last heartbeat."""
    is_cancelled: bool = False
    is_over: bool = False


class WorkflowTask(Struct, kw_only=True, eq=False):
    """A task of a workflow, as a worker gets it."""

    execution: PlayedExecution
    activation: WorkflowActivation
    done: int
    """The tasks that were done before."""
    is_stale: bool = False
    """It has timed out, or its execution is over."""


class DoneTask(NamedTuple):
    """A task that a worker has done: a replay repeats it."""

    activation: WorkflowActivation
    commands: tuple[WorkflowCommand, ...]
    patches: tuple[str, ...]


class Happening(Struct, eq=False):
    """Something for the history, and what a worker is told of it."""

    event: HistoryEvent
    job: WorkflowActivationJob | None = None


class PlayedExecution(Struct, kw_only=True, eq=False):
    """One execution; ``server`` gives it time, queues and further executions."""

    server: PlayedServer
    workflow: str
    run: str
    kind: str
    first: str
    """The id of the first execution of those that continue one another."""
    given: list[Payload]
    memo: dict[str, Payload]
    origin: Origin | None = None
    continues: str = ""
    status: WorkflowExecutionStatus.ValueType = Running
    events: list[HistoryEvent] = field(default_factory=list)
    done: list[DoneTask] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    started_at: float = 0.0
    _jobs: list[WorkflowActivationJob] = field(default_factory=list)
    _held_back: list[Happening] = field(default_factory=list)
    _task: WorkflowTask | None = None
    _task_timer: asyncio.TimerHandle | None = None
    _is_waiting: bool = False
    """A task waits for a worker."""
    _waiting_since: float = 0.0
    _timers: dict[int, asyncio.TimerHandle] = field(default_factory=dict)
    _cancelled_timers: set[int] = field(default_factory=set)
    _activities: dict[int, Activity] = field(default_factory=dict)
    _signals: set[str] = field(default_factory=set)
    """The ids of the requests that have signalled."""
    _readers: list[asyncio.Future[None]] = field(default_factory=list)
    _begun_memo: dict[str, Payload] = field(default_factory=dict)

    # What happens to it.

    def begin(self) -> None:
        """Write the first event, and have a worker begin."""
        self.started_at = self.server.now()
        self._begun_memo = dict(self.memo)
        event = self._make_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED)
        started = event.workflow_execution_started_event_attributes
        started.workflow_type.name = self.kind
        started.input.payloads.extend(self.given)
        started.first_execution_run_id = self.first
        started.original_execution_run_id = self.run
        started.continued_execution_run_id = self.continues
        job = WorkflowActivationJob()
        begun = job.initialize_workflow
        begun.workflow_type, begun.workflow_id = self.kind, self.workflow
        begun.arguments.extend(self.given)
        begun.first_execution_run_id, begun.original_execution_run_id = self.first, self.run
        begun.attempt = 1
        _stamp(begun.start_time, self.started_at)
        for key, value in self.memo.items():
            begun.memo.fields[key].CopyFrom(value)
        self._happen(event, job)

    def signal(self, name: str, values: Iterable[Payload], request: str = "") -> None:
        """Take a signal, each request once."""
        if request and request in self._signals:
            return
        self._signals.add(request)
        event = self._make_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
        signaled = event.workflow_execution_signaled_event_attributes
        signaled.signal_name = name
        signaled.input.payloads.extend(values)
        job = WorkflowActivationJob()
        job.signal_workflow.signal_name = name
        job.signal_workflow.input.extend(signaled.input.payloads)
        self._happen(event, job)

    def cancel(self) -> None:
        """Take a cancel, as Temporal's own tools send it."""
        event = self._make_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
        job = WorkflowActivationJob()
        job.cancel_workflow.SetInParent()
        self._happen(event, job)

    def terminate(self) -> None:
        """End at once: no code of the workflow hears of it."""
        self._append(self._make_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED))
        failure = Failure(message="terminated")
        failure.terminated_failure_info.SetInParent()
        self._close(WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED, failure=failure)

    def _happen(self, event: HistoryEvent, job: WorkflowActivationJob | None = None) -> None:
        """Take something in: at once, or, while a worker has a task, when that is over."""
        if self.status != Running:
            return
        if self._task is not None:
            self._held_back.append(Happening(event, job))
            return
        self._take_in(event, job)
        if job is not None:
            self._want_task()

    def _take_in(self, event: HistoryEvent, job: WorkflowActivationJob | None) -> None:
        self._append(event)
        if job is None:
            return
        if job.HasField("signal_workflow"):
            job.signal_workflow.originating_event_id = event.event_id
        self._jobs.append(job)

    def _make_event(self, kind: EventType.ValueType) -> HistoryEvent:
        event = HistoryEvent(event_type=kind)
        _stamp(event.event_time, self.server.now())
        return event

    def _append(self, event: HistoryEvent) -> HistoryEvent:
        event.event_id = len(self.events) + 1
        self.events.append(event)
        self._wake_readers()
        return event

    def _wake_readers(self) -> None:
        readers, self._readers = self._readers, []
        for reader in readers:
            if not reader.done():
                reader.set_result(None)

    def wait_for_event(self) -> asyncio.Future[None]:
        """Return a future that is done with the next event."""
        reader: asyncio.Future[None] = self.server.loop.create_future()
        self._readers.append(reader)
        return reader

    # Tasks.

    def _want_task(self, since: float | None = None) -> None:
        """Have a worker get what has happened; ``since`` when it waits, if a worker has lost it before."""
        if self._task is None and not self._is_waiting and self.status == Running:
            self._append(self._make_event(EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED))
            self._is_waiting, self._waiting_since = True, self.server.now() if since is None else since
            self.server.offer_task(self)

    def hand_out(self) -> WorkflowTask | None:
        """Return the task that waits, for the worker that takes it; None if it waits no longer."""
        if not self._is_waiting or self.status != Running:
            return None
        self._is_waiting = False
        self._append(self._make_event(EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED))
        jobs = [job for job in self._jobs if not self._is_idle(job)]
        activation = WorkflowActivation(
            run_id=self.run,
            jobs=jobs,
            history_length=len(self.events),
            continue_as_new_suggested=self.server.suggests_new(len(self.events)),
            available_internal_flags=self.flags,
        )
        _stamp(activation.timestamp, self.server.now())
        self._task = WorkflowTask(execution=self, activation=activation, done=len(self.done))
        self._task_timer = self.server.later(TASK_TIMEOUT, self._lose_task, self._task)
        return self._task

    def _is_idle(self, job: WorkflowActivationJob) -> bool:
        """Return whether a job is a timer that was cancelled when it had just fired."""
        return job.HasField("fire_timer") and job.fire_timer.seq in self._cancelled_timers

    def _lose_task(self, task: WorkflowTask) -> None:
        """Give a task of which no worker has told anything to the next one."""
        self._end_task(task)
        self._append(self._make_event(EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT))
        self._take_held_back()
        self._want_task(self._waiting_since)

    def _end_task(self, task: WorkflowTask) -> None:
        task.is_stale, self._task = True, None
        if self._task_timer is not None:
            self._task_timer.cancel()

    def _take_held_back(self) -> None:
        held_back, self._held_back = self._held_back, []
        for each in held_back:
            self._take_in(each.event, each.job)

    def take_completion(self, task: WorkflowTask, completion: WorkflowActivationCompletion) -> bool:
        """Carry out what a worker has decided; return whether its instance may go on from there."""
        commands = list(completion.successful.commands)
        is_end = any(_find_end(command) for command in commands)
        if is_end and any(each.job is not None for each in self._held_back):
            # The workflow has decided to end without knowing all: another try gets the rest, too.
            self._lose_task(task)
            return False
        self._end_task(task)
        self._append(self._make_event(EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED))
        self.flags += [each for each in completion.successful.used_internal_flags if each not in self.flags]
        patches = tuple(
            each.set_patch_marker.patch_id for each in commands if each.HasField("set_patch_marker")
        )
        self.done.append(DoneTask(task.activation, tuple(commands), patches))
        self._jobs = []
        for command in commands:
            self._carry_out(command)
        self._take_held_back()
        if self._jobs:
            self._want_task()
        return True

    # Commands.

    def _carry_out(self, command: WorkflowCommand) -> None:
        variant = command.WhichOneof("variant")
        carry_out: dict[str, Callable[[WorkflowCommand], None]] = {
            "start_timer": self._start_timer,
            "cancel_timer": self._cancel_timer,
            "schedule_activity": self._schedule_activity,
            "request_cancel_activity": self._cancel_activity,
            "start_child_workflow_execution": self._start_child,
            "signal_external_workflow_execution": self._signal_other,
            # A signal that the server has cannot be taken back.
            "cancel_signal_workflow": lambda _: None,
            "modify_workflow_properties": self._modify_memo,
            "complete_workflow_execution": self._complete,
            "continue_as_new_workflow_execution": self._continue,
            "set_patch_marker": lambda _: None,
            "upsert_workflow_search_attributes": lambda _: None,
        }
        assert variant is not None
        carry_out[variant](command)

    def _start_timer(self, command: WorkflowCommand) -> None:
        seq, seconds = command.start_timer.seq, command.start_timer.start_to_fire_timeout
        self._append(self._make_event(EventType.EVENT_TYPE_TIMER_STARTED))
        self._timers[seq] = self.server.later(seconds.ToNanoseconds() / 1e9, self._fire_timer, seq)

    def _fire_timer(self, seq: int) -> None:
        job = WorkflowActivationJob()
        job.fire_timer.seq = seq
        self._happen(self._make_event(EventType.EVENT_TYPE_TIMER_FIRED), job)

    def _cancel_timer(self, command: WorkflowCommand) -> None:
        self._append(self._make_event(EventType.EVENT_TYPE_TIMER_CANCELED))
        self._timers[command.cancel_timer.seq].cancel()
        # It may have fired while the worker decided that.
        self._cancelled_timers.add(command.cancel_timer.seq)

    def _modify_memo(self, command: WorkflowCommand) -> None:
        event = self._append(self._make_event(EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED))
        upserted = command.modify_workflow_properties.upserted_memo
        event.workflow_properties_modified_event_attributes.upserted_memo.CopyFrom(upserted)
        self.memo.update(upserted.fields)

    def _complete(self, command: WorkflowCommand) -> None:
        event = self._append(self._make_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED))
        result = command.complete_workflow_execution.result
        event.workflow_execution_completed_event_attributes.result.payloads.append(result)
        self._close(WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED, result=result)

    def _continue(self, command: WorkflowCommand) -> None:
        given = list(command.continue_as_new_workflow_execution.arguments)
        # Before the end of this one, which wakes whoever reads the history.
        following = self.server.name_run()
        event = self._make_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW)
        event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id = following
        self._append(event)
        self._close(WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW)
        self.server.begin(
            PlayedExecution(
                server=self.server,
                workflow=self.workflow,
                run=following,
                kind=self.kind,
                first=self.first,
                given=given,
                memo=dict(self._begun_memo),
                origin=self.origin,
                continues=self.run,
            )
        )

    def _close(
        self,
        status: WorkflowExecutionStatus.ValueType,
        *,
        result: Payload | None = None,
        failure: Failure | None = None,
    ) -> None:
        self.status = status
        if self._task is not None:
            self._end_task(self._task)
        for timer in self._timers.values():
            timer.cancel()
        for activity in list(self._activities.values()):
            self._end_activity(activity)
        self._held_back, self._is_waiting = [], False
        self._wake_readers()
        if self.origin is not None and (result is not None or failure is not None):
            self.origin.execution.take_child_end(self.origin.seq, result, failure)

    # Children and others.

    def _start_child(self, command: WorkflowCommand) -> None:
        wanted = command.start_child_workflow_execution
        self._append(self._make_event(EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED))
        run = self.server.name_run()
        child = PlayedExecution(
            server=self.server,
            workflow=wanted.workflow_id,
            run=run,
            kind=wanted.workflow_type,
            first=run,
            given=list(wanted.input),
            memo=dict(wanted.memo),
            origin=Origin(self, wanted.seq),
        )
        self.server.soon(self._begin_child, child, wanted.seq)

    def _begin_child(self, child: PlayedExecution, seq: int) -> None:
        self.server.begin(child)
        job = WorkflowActivationJob()
        job.resolve_child_workflow_execution_start.seq = seq
        job.resolve_child_workflow_execution_start.succeeded.run_id = child.run
        self._happen(self._make_event(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED), job)

    def take_child_end(self, seq: int, result: Payload | None, failure: Failure | None) -> None:
        """Hear how a child has ended; nothing if this one is over."""
        job = WorkflowActivationJob()
        told = job.resolve_child_workflow_execution
        told.seq = seq
        if result is not None:
            told.result.completed.result.CopyFrom(result)
        else:
            told.result.failed.failure.message = "the child has ended"
            told.result.failed.failure.child_workflow_execution_failure_info.SetInParent()
            told.result.failed.failure.cause.CopyFrom(failure or Failure())
        self._happen(self._make_event(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED), job)

    def _signal_other(self, command: WorkflowCommand) -> None:
        self._append(self._make_event(EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED))
        self.server.soon(self._deliver_signal, command)

    def _deliver_signal(self, command: WorkflowCommand) -> None:
        wanted = command.signal_external_workflow_execution
        job = WorkflowActivationJob()
        job.resolve_signal_external_workflow.seq = wanted.seq
        kind = EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED
        found = self.server.find_open(wanted.workflow_execution.workflow_id)
        if found is None:
            kind = EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED
            failure = job.resolve_signal_external_workflow.failure
            failure.message = "Unable to signal external workflow because it was not found"
            failure.application_failure_info.SetInParent()
        else:
            found.signal(wanted.signal_name, wanted.args)
        self._happen(self._make_event(kind), job)

    # Activities.

    def _schedule_activity(self, command: WorkflowCommand) -> None:
        wanted = command.schedule_activity
        event = self._append(self._make_event(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED))
        scheduled = event.activity_task_scheduled_event_attributes
        scheduled.activity_id, scheduled.activity_type.name = wanted.activity_id, wanted.activity_type
        activity = Activity(
            execution=self,
            seq=wanted.seq,
            scheduled=event.event_id,
            activity_id=wanted.activity_id,
            kind=wanted.activity_type,
            queue=wanted.task_queue,
            arguments=list(wanted.arguments),
            heartbeat_timeout=wanted.heartbeat_timeout.ToNanoseconds() / 1e9,
            token=f"{self.run} {wanted.seq}".encode(),
        )
        self._activities[wanted.seq] = activity
        patience = wanted.schedule_to_start_timeout.ToNanoseconds() / 1e9
        timeout = TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START
        activity.timer = self.server.later(patience, self._time_out, activity, timeout)
        self.server.offer_activity(activity)

    def start_activity(self, activity: Activity, worker: str) -> None:
        """Note that a worker has an activity now."""
        activity.worker, activity.started_at = worker, self.server.now()
        self._happen(self._make_event(EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED))
        self._watch(activity)

    def _watch(self, activity: Activity) -> None:
        """Give the worker of an activity its time anew."""
        if activity.timer is not None:
            activity.timer.cancel()
        timeout = TimeoutType.TIMEOUT_TYPE_HEARTBEAT
        activity.timer = self.server.later(activity.heartbeat_timeout, self._time_out, activity, timeout)

    def take_heartbeat(self, activity: Activity, details: Payloads) -> bool:
        """Take a heartbeat in; return whether the activity is to come back."""
        activity.details = details
        self._watch(activity)
        return activity.is_cancelled

    def _cancel_activity(self, command: WorkflowCommand) -> None:
        activity = self._activities.get(command.request_cancel_activity.seq)
        if activity is None:
            return  # it has ended while the worker decided that
        self._append(self._make_event(EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED))
        activity.is_cancelled = True
        if activity.worker is None:
            self.server.soon(self._call_off, activity)

    def _call_off(self, activity: Activity) -> None:
        """End an activity that no worker has taken."""
        if activity.is_over or activity.worker is not None:
            return
        event = self._make_event(EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)
        event.activity_task_canceled_event_attributes.scheduled_event_id = activity.scheduled
        failure = Failure(message="Activity cancelled")
        failure.canceled_failure_info.SetInParent()
        job = self._resolve(activity)
        _wrap(job.resolve_activity.result.cancelled.failure, activity, failure)
        self._happen(event, job)

    def _time_out(self, activity: Activity, kind: TimeoutType.ValueType) -> None:
        event = self._make_event(EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT)
        told = event.activity_task_timed_out_event_attributes
        told.scheduled_event_id = activity.scheduled
        told.failure.message = "activity timeout"
        told.failure.timeout_failure_info.timeout_type = kind
        if activity.details is not None:
            told.failure.timeout_failure_info.last_heartbeat_details.CopyFrom(activity.details)
        self.server.note_lost(activity)
        job = self._resolve(activity)
        _wrap(job.resolve_activity.result.failed.failure, activity, told.failure)
        self._happen(event, job)

    def take_result(self, activity: Activity, result: Payloads) -> None:
        """Take the result of an activity."""
        event = self._make_event(EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
        event.activity_task_completed_event_attributes.scheduled_event_id = activity.scheduled
        event.activity_task_completed_event_attributes.result.CopyFrom(result)
        job = self._resolve(activity)
        job.resolve_activity.result.completed.result.CopyFrom(result.payloads[0])
        self._happen(event, job)

    def take_failure(self, activity: Activity, failure: Failure) -> None:
        """Take the failure of an activity."""
        event = self._make_event(EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
        event.activity_task_failed_event_attributes.scheduled_event_id = activity.scheduled
        event.activity_task_failed_event_attributes.failure.CopyFrom(failure)
        job = self._resolve(activity)
        _wrap(job.resolve_activity.result.failed.failure, activity, failure)
        self._happen(event, job)

    def _resolve(self, activity: Activity) -> WorkflowActivationJob:
        self._end_activity(activity)
        job = WorkflowActivationJob()
        job.resolve_activity.seq = activity.seq
        return job

    def _end_activity(self, activity: Activity) -> None:
        self._activities.pop(activity.seq, None)
        activity.is_over = True
        if activity.timer is not None:
            activity.timer.cancel()

    def find_activity(self, seq: int) -> Activity | None:
        """Return an activity that has not ended."""
        return self._activities.get(seq)

    # What it tells.

    def describe(self) -> DescribeWorkflowExecutionResponse:
        """Return what the server says of it."""
        info = WorkflowExecutionInfo(
            execution=WorkflowExecution(workflow_id=self.workflow, run_id=self.run),
            type=WorkflowType(name=self.kind),
            status=self.status,
            memo=Memo(fields=self.memo),
            history_length=len(self.events),
        )
        _stamp(info.start_time, self.started_at)
        described = DescribeWorkflowExecutionResponse(workflow_execution_info=info)
        for activity in self._activities.values():
            described.pending_activities.append(_describe_activity(activity))
        if self._is_waiting or self._task is not None:
            described.pending_workflow_task.CopyFrom(self._describe_task())
        return described

    def _describe_task(self) -> PendingWorkflowTaskInfo:
        state = (
            PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
            if self._is_waiting
            else PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED
        )
        task = PendingWorkflowTaskInfo(state=state, attempt=1)
        _stamp(task.original_scheduled_time, self._waiting_since)
        _stamp(task.scheduled_time, self._waiting_since)
        return task


def _describe_activity(activity: Activity) -> PendingActivityInfo:
    state = (
        PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
        if activity.worker is None
        else PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    )
    told = PendingActivityInfo(
        activity_id=activity.activity_id, activity_type=ActivityType(name=activity.kind), state=state
    )
    if activity.details is not None:
        told.heartbeat_details.CopyFrom(activity.details)
    return told


def _find_end(command: WorkflowCommand) -> bool:
    return command.HasField("complete_workflow_execution") or command.HasField(
        "continue_as_new_workflow_execution"
    )


def _wrap(failure: Failure, activity: Activity, cause: Failure) -> None:
    """Write how the workflow hears of an activity that has failed."""
    failure.message = "Activity task failed"
    failure.activity_failure_info.activity_id = activity.activity_id
    failure.activity_failure_info.activity_type.name = activity.kind
    failure.activity_failure_info.scheduled_event_id = activity.scheduled
    failure.cause.CopyFrom(cause)


def _stamp(into: Message, at: float) -> None:
    into.FromNanoseconds(round(at * 1e9))  # type: ignore[attr-defined]
