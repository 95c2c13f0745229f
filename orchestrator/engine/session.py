"""One session of a run: the first one or a resume, from an open journal to the session's end."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import anyio
from msgspec.structs import replace

from orchestrator.display.progress import RunProgress
from orchestrator.engine.conductor import Conductor, EngineLeftError
from orchestrator.engine.controller import Controller
from orchestrator.engine.dispatcher import EventDispatcher
from orchestrator.engine.ending import SessionResult, conclude_session, describe_end
from orchestrator.engine.lane_recorder import LaneRecorder
from orchestrator.engine.opening import describe_start
from orchestrator.engine.resources import RunResources, SessionSpec
from orchestrator.engine.snapshot import are_snapshots_wanted
from orchestrator.engine.waves import WaveRunner
from orchestrator.engine.window import SessionWindow
from orchestrator.errors import DiskError, ExitStatus
from orchestrator.journal.database import Database
from orchestrator.journal.meta import read_meta
from orchestrator.journal.pending import PendingTargets
from orchestrator.journal.record import SessionRecord
from orchestrator.journal.run_report import report_consent
from orchestrator.lanes.environment import Environment, open_connection
from orchestrator.lanes.lane import Lane, LearnedLimits
from orchestrator.lanes.run_gate import RunGate
from orchestrator.lanes.usage_reader import UsageReader
from orchestrator.model.events import RunStopping
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Send
from orchestrator.plan.patterns import Patterns
from orchestrator.report.words import describe_approval
from orchestrator.rules.stop_rules import StopRules
from orchestrator.text.formats import format_unix_time
from orchestrator.transport.warnings import list_store_warnings, list_warnings

LAST_WRITES = 3.0
"""Seconds that the journal gets for its last rows once a second signal has come."""

LAST_CLOSE = 0.5
"""Seconds for closing the journal then; each is bounded, since a disk may never answer."""


class Session:
    """Works on an open journal until everything that may be done is done."""

    def __init__(self, spec: SessionSpec, database: Database, environment: Environment) -> None:
        self._spec = spec
        self._environment = environment
        self._began = environment.monotonic()
        self._writing = spec.request.storage.start_writer(database)
        self._reader = spec.request.storage.open_reader(database)
        self._record = SessionRecord(self._writing, spec.number)
        self._progress = RunProgress()
        self._emit = EventDispatcher(
            [self._progress.observe, *spec.request.listeners],
            lambda text: self._record.keep_note(environment.now(), "warning", text=text),
        )
        self._window = SessionWindow(spec.window, environment)
        self._run_gate = RunGate(
            closes=self._window.close_on_monotonic_clock(),
            announce=self._announce_stop,
            matcher=lambda texts: Patterns(texts, spec.plan.gateways).find_first,
        )
        for pattern, operator in spec.skips.items():
            self._run_gate.skip(pattern, operator)
        self._lane_recorder = LaneRecorder(self._record, self._emit, environment.now)
        self._resources = self._gather_resources()
        self._controller = Controller(self._resources, self._progress)
        self._cut = False
        self._void: str | None = None
        self._left: str | None = None
        self._working = anyio.CancelScope()
        self._is_end_told = False
        self.was_interrupted = False
        """Whether a signal has come to this process, be it that the session had been stopped before."""

    def _gather_resources(self) -> RunResources:
        spec = self._spec
        pending = PendingTargets(self._reader, spec.plan, resumed=spec.number > 1)
        stop_rules = StopRules(
            spec.plan.stop_when,
            pending.count_outcomes(),
            first_run=spec.number == 1,
            past_stop=spec.past_stop,
        )
        return RunResources(
            spec=spec,
            environment=self._environment,
            run_gate=self._run_gate,
            record=self._record,
            pending=pending,
            stop_rules=stop_rules,
            emit=self._emit,
        )

    async def run(self, *, received: str | None = None) -> SessionResult:
        """Work the session to its end. An exception that is a bug is raised once the journal is closed.

        ``received`` names a signal that came before the session could handle it.
        """
        if received is not None:
            self.was_interrupted = True
            self._interrupt(received)
        control_socket = self._spec.request.control_socket(self._spec.folder.path)
        end: SessionResult | None = None
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch_signals, group.cancel_scope)
                # Only a session that has told its beginning takes commands: each of them is told, too.
                if await self._begin():
                    async with control_socket(self._controller):
                        with self._working:
                            await self._work()
                end = await self._end() if self._left is None else self._leave(self._left)
                await self._release(end)
                # Under the same watch: the first signal must not cut this off, either.
                await self._close()
                group.cancel_scope.cancel()
            # A second signal has cancelled the group: the last rows still get a bounded time. A session on
            # another engine goes on there, so it has no end yet.
            if end is None and self._spec.request.conductor is None:
                with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_WRITES):
                    end = await self._end()
            return end or SessionResult(status=ExitStatus.INTERRUPTED, interrupted=True, cut=True)
        finally:
            within = LAST_CLOSE if self._cut else math.inf
            with anyio.CancelScope(shield=True), anyio.move_on_after(within):
                await self._close()

    async def _close(self) -> None:
        """Close the journal; safe to call twice."""
        # The reader first: SQLite moves all rows into the one file when the last connection closes.
        self._reader.close()
        await self._writing.close()

    async def _begin(self) -> bool:
        """Write and tell that the session begins; return whether it can work: False if the disk is full."""
        full = await self._begin_row()
        approval = report_consent(read_meta(self._reader).approved)
        # Told without its row, too: who hears of the end wants to know of what.
        self._emit(
            describe_start(self._resources, approval="" if approval is None else describe_approval(approval))
        )
        if full is not None:
            self._run_gate.stop("disk", full)
        return full is None

    async def _work(self) -> None:
        spec, resources = self._spec, self._resources
        for gateway, warning in () if spec.protection is None else spec.protection.warnings:
            self._lane_recorder.warn(gateway, warning)
        if spec.request.conductor is not None:
            await self._have_conducted(spec.request.conductor)
            return
        if (text := self._environment.warning()) is not None:
            self._lane_recorder.warn(None, text)
        await self._window.wait_until_open(self._run_gate, self._emit)
        if self._is_approval_expired():
            return
        async with self._open_lanes():
            await WaveRunner(resources).run()

    async def _begin_row(self) -> str | None:
        """Write the session's row, unless it is there; return why the disk took none, if it did not."""
        spec = self._spec
        try:
            if not spec.is_underway:
                await self._record.begin(self._environment.now(), spec.holder, spec.options)
        except DiskError as error:
            return str(error)
        return None

    async def _have_conducted(self, conductor: Conductor) -> None:
        """Have the waves carried out on another engine; its rows and events come here."""
        for _, name in self._resources.pending.count_left():
            self._resources.warners[name] = partial(self._lane_recorder.warn, name)
        try:
            self._void = await conductor.conduct(self._resources, self._controller)
        except EngineLeftError as left:
            self._left = str(left)
            self._lane_recorder.warn(None, f"{left}; {left.advice}")
        if self._void is not None:
            self._run_gate.stop("control", self._void)

    async def _release(self, end: SessionResult) -> None:
        """Let the engine forget the session, once the journal has its results and its end."""
        if (conductor := self._spec.request.conductor) is not None and end.is_kept:
            folder = self._spec.folder
            await conductor.release(folder.id, self._spec.number, folder.path)

    def _is_approval_expired(self) -> bool:
        """Return whether the approval expired before a first request could leave; then stop the run."""
        # Only now, after the wait for the window: an approval counts when the first request may leave.
        expires = self._spec.expires
        if expires is None or self._environment.now() < expires or self._run_gate.stop_kind is not None:
            return False
        self._void = (
            f"the approval expired at {format_unix_time(expires)}, before anything was sent; make a new one"
        )
        self._run_gate.stop("control", self._void)
        return True

    @asynccontextmanager
    async def _open_lanes(self) -> AsyncIterator[None]:
        """Open a lane to each gateway that has open targets, for the block."""
        names = {name for _, name in self._resources.pending.count_left()}
        async with AsyncExitStack() as stack:
            for gateway in self._spec.plan.gateways:
                if gateway.name in names:
                    reached = self._environment.reach(gateway)
                    send = await stack.enter_async_context(open_connection(self._environment, reached))
                    self._resources.lanes[gateway.name] = self._open_lane(reached, send)
            yield

    def _open_lane(self, gateway: Gateway, send: Send) -> Lane:
        lane = Lane(
            gateway,
            self._spec.materials[gateway.name],
            send,
            self._environment,
            self._run_gate,
            self._lane_recorder,
            self._controller.learned.get(gateway.name, LearnedLimits()),
            self._spec.change.act,
        )
        texts = [*list_warnings(gateway), lane.authenticator.warning, *self._window.list_warnings(lane)]
        if self._spec.in_use != "ignore":
            texts += list_store_warnings(gateway)
            hours = self._spec.plan.in_use_over.hours
            # A warning is not worth a wait.
            patience = gateway.park_for if self._spec.in_use == "refuse" else 0.0
            self._resources.usage_readers[gateway.name] = UsageReader(lane, hours, patience)
        if are_snapshots_wanted(self._resources):
            lane.state_list.serve_snapshots()
        self._resources.warners[gateway.name] = lane.announcer.warn
        for warning in filter(None, texts):
            lane.announcer.warn(warning)
        return lane

    def _announce_stop(self, reason: str) -> None:
        at = self._environment.now()
        self._record.keep_note(at, "stopping", text=reason)
        self._emit(RunStopping(at=at, reason=reason, interrupted=self._is_interrupted))

    async def _watch_signals(self, scope: anyio.CancelScope) -> None:
        """Let what is in flight land after the first signal; end the session at once after the second."""
        async for name in self._spec.request.signals.receive():
            # An interrupt in the run gate of a session that is taken over may be that of an earlier process.
            counts_here = self._spec.is_followed or self._is_end_told
            is_second = self.was_interrupted if counts_here else self._is_interrupted
            self.was_interrupted = True
            if is_second:
                self._cut = True
                scope.cancel()
                return
            if self._is_end_told:
                continue  # it stops nothing any more, and no event comes after that of the end
            self._interrupt(name)
            if self._spec.is_followed:
                self._leave_to_engine(name)

    @property
    def _is_interrupted(self) -> bool:
        return self._run_gate.stop_kind == "interrupt"

    def _leave_to_engine(self, signal: str) -> None:
        """End the takeover of a session that was stopped before: nothing lands here, and nothing is lost."""
        self._left = f"{signal} was received before all results of session {self._spec.number} were here"
        self._working.cancel()

    def _interrupt(self, name: str) -> None:
        self._run_gate.stop("interrupt", f"{name} was received")

    def _leave(self, why: str) -> SessionResult:
        """Return the result of a session that its engine still holds: without an end, like a killed one's."""
        # An interrupt in the run gate may be that of an earlier process.
        interrupted = self.was_interrupted
        status = ExitStatus.INTERRUPTED if interrupted else ExitStatus.STOPPED
        self._tell_end(self._environment.now(), status)
        return SessionResult(status=status, interrupted=interrupted, left=why, is_kept=False)

    async def _end(self) -> SessionResult:
        at = self._environment.now()
        end = await conclude_session(self._resources, self._window, began=self._began, cut=self._cut)
        # The journal of a later session holds what the earlier ones sent: that one ends as a stopped session.
        end = replace(end, void=self._void if self._spec.number == 1 else None)
        self._tell_end(at, end.status if end.void is None else ExitStatus.NOTHING_SENT)
        return end

    def _tell_end(self, at: float, status: ExitStatus) -> None:
        """Tell the end of the session, behind which no event comes; ``status`` is that of the command."""
        self._is_end_told = True
        self._emit(describe_end(self._resources, at, status))
