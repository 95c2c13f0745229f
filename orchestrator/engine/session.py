"""One session of a run: the first one or a resume, from an open journal to its reports."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import anyio
from msgspec import Struct

from orchestrator.display.progress import RunProgress
from orchestrator.engine.control import Controller, ControlSocket, no_control
from orchestrator.engine.guard import ProtectionSummary
from orchestrator.engine.live_status import read_live_status
from orchestrator.engine.pauses import Prompt
from orchestrator.engine.resources import RunResources
from orchestrator.engine.signals import SignalSource
from orchestrator.engine.storage import Storage
from orchestrator.engine.waves import Crew, execute
from orchestrator.errors import DiskError, ExitStatus, UsageError
from orchestrator.journal.database import Database
from orchestrator.journal.meta import read_meta
from orchestrator.journal.pending import Pending
from orchestrator.journal.record import Record
from orchestrator.journal.run_report import consent_of
from orchestrator.journal.sessions import SessionOptions
from orchestrator.lanes.environment import Environment, open_connection
from orchestrator.lanes.lane import Lane, LaneStatus, LearnedLimits
from orchestrator.lanes.login import Authenticator
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.credentials import Material
from orchestrator.model.events import (
    AnyEvent,
    GatewayWarned,
    LaneChanged,
    Listener,
    PaceChanged,
    PartLeft,
    RunContinued,
    RunEnded,
    RunStarted,
    RunStopping,
    RunWaiting,
)
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Send
from orchestrator.model.outcome import Counts, Reason
from orchestrator.model.plan import Plan, RunId, WaveStep, Window
from orchestrator.model.reading import UNDEPLOY, Act, Operation
from orchestrator.plan.patterns import Patterns
from orchestrator.report.words import describe_consent
from orchestrator.rules.exit_status import choose_exit_status, find_undone_reason, name_end_state
from orchestrator.rules.forecast import find_last_starts
from orchestrator.rules.stop_rules import StopRules
from orchestrator.text.counting import count_noun
from orchestrator.transport.tls import warnings

LAST_WRITES = 3.0
"""Seconds that the journal gets for its last rows once a second signal has come."""

LAST_CLOSE = 0.5
"""And so many for closing it then; each is bounded, since a disk may never answer."""


class SessionSpec(Struct, frozen=True, kw_only=True):
    """What a session begins with."""

    run: RunId
    plan: Plan
    window: Window | None
    number: int
    """1 for the first session of the run."""
    rehearsal: bool = False
    holder: str
    materials: Mapping[str, Material]
    """What the references of the gateways gave, by name; of those that have something left."""
    past_stop: bool = False
    """What a stop rule counted so far was accepted: counts begin afresh."""
    options: SessionOptions
    """The options of this session, for the journal."""
    learned: Mapping[str, LearnedLimits] = {}
    """What earlier sessions have left for each lane, by name."""
    skips: Mapping[str, str] = {}
    """Patterns that somebody has had passed over in an earlier session, and who."""
    change: Operation = UNDEPLOY
    """What is done to the targets: to undeploy them, or in a restore to deploy them."""
    prompt: Prompt | None = None
    """Asks whether to go on after a wave, where somebody sits there."""
    expires: float | None = None
    """The Unix time from which the approval file of a new run is void, if no request has left by then."""
    guard: ProtectionSummary | None = None
    """What keeps targets from the run; None in a restore, from which nothing does."""


class Finish(Struct, frozen=True, kw_only=True):
    """How a session ended. ``interrupted`` tells that it had a signal, ``cut`` that a second one ended it,
    ``void`` why nothing was sent, and that there is nothing to resume."""

    status: ExitStatus
    void: str | None = None
    interrupted: bool = False
    cut: bool = False


class EventDispatcher:
    """Tells events to the listeners. One that raises is dropped, and the others are told why."""

    def __init__(self, listeners: Sequence[Listener], complain: Callable[[str], None]) -> None:
        self._listeners = list(listeners)
        self._complain = complain

    def __call__(self, event: AnyEvent) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a display that fails must not end a run
                self._listeners.remove(listener)
                self._complain(f"a listener failed and is told no more: {error!r}")


class Session:
    """Works on an open journal until everything that may be done is done."""

    def __init__(
        self,
        start: SessionSpec,
        database: Database,
        environment: Environment,
        listeners: Sequence[Listener],
        control_socket: ControlSocket = no_control,
        storage: Storage | None = None,
    ) -> None:
        """``control_socket`` is where others steer the run from, while it works."""
        self._start = start
        self._control_socket = control_socket
        self._environment = environment
        self._began = environment.monotonic()
        storage = storage or Storage()
        self._writing = storage.writing(database)
        self._record = Record(self._writing, start.number)
        self._progress = RunProgress()
        self._emit = EventDispatcher(
            [self._progress.observe, *listeners],
            lambda text: self._record.note(environment.now(), "warning", text=text),
        )
        self._reader = storage.reader(database)
        self._pending = Pending(self._reader, start.plan, resumed=start.number > 1)
        self._run_gate = RunGate(
            closes=self._closes(),
            announce=self._announce_stop,
            matcher=lambda texts: Patterns(texts, start.plan.gateways).first,
        )
        for pattern, by in start.skips.items():
            self._run_gate.skip(pattern, by)
        self._lanes: dict[str, Lane] = {}
        self._tools = RunResources(
            environment=environment,
            run_gate=self._run_gate,
            record=self._record,
            emit=self._emit,
            note=_note(start),
            change=start.change,
            snapshot=start.plan.snapshot if start.change == UNDEPLOY else "off",
            approved=self._pending.approved,
        )
        self._controller = Controller(
            run=start.run,
            plan=start.plan,
            lanes=self._lanes,
            learned=dict(start.learned),
            pending=self._pending,
            record=self._record,
            tools=self._tools,
            stands=lambda: read_live_status(
                self._progress, self._lanes, environment.now(), environment.monotonic()
            ),
        )
        self._told_late: set[str] = set()
        """The gateways of which it was told that the window lets nothing of them start."""
        self._parked: set[str] = set()
        self._cut = False
        self._void: str | None = None

    async def run(self, signals: SignalSource, *, received: str | None = None) -> Finish:
        """Do the session. Raises what a bug raises, after the journal is closed.

        ``received`` is a signal that came before the session could heed it.
        """
        if received is not None:
            self._interrupt(received)
        finish: Finish | None = None
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch_signals, signals, group.cancel_scope)
                async with self._control_socket(self._controller):
                    await self._work()
                finish = await self._finish()
                await self._close()  # under the same signals: this, too, must not be cut by the first one
                group.cancel_scope.cancel()
            if finish is None:
                with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_WRITES):
                    finish = await self._finish()
            return finish or Finish(status=ExitStatus.INTERRUPTED, interrupted=True, cut=True)
        finally:
            within = LAST_CLOSE if self._cut else math.inf
            with anyio.CancelScope(shield=True), anyio.move_on_after(within):
                await self._close()

    async def _close(self) -> None:
        """Close the journal; safe to call twice."""
        self._reader.close()  # first: the last connection to go writes all into the one file
        await self._writing.close()

    async def _work(self) -> None:
        start, environment = self._start, self._environment
        try:
            await self._record.begin(environment.now(), start.holder, start.options)
        except DiskError as error:
            self._run_gate.stop("disk", str(error))
            return
        left = self._pending.left()
        wave_steps = sorted({wave_step for wave_step, _ in left})
        names = [gateway.name for gateway in start.plan.gateways]
        by_gateway = {
            name: sum(count for (_, gateway), count in left.items() if gateway == name) for name in names
        }
        self._emit(
            RunStarted(
                at=environment.now(),
                run=start.run,
                plan=start.plan.name,
                targets=self._pending.targets(),
                left={name: count for name, count in by_gateway.items() if count},
                resumed=start.number > 1,
                closes=start.window.closes.timestamp() if start.window and start.window.closes else None,
                timeouts={gateway.name: gateway.reply_timeout for gateway in start.plan.gateways},
                rests=sum(
                    start.plan.waves[wave_step.wave].pause_after or 0.0 for wave_step in wave_steps[:-1]
                ),
                parts=tuple(_part(start.plan, wave_step, left) for wave_step in wave_steps),
                act="undeploy" if start.change == UNDEPLOY else "restore",
                rehearsal=start.rehearsal,
                urls={
                    gateway.name: gateway.url for gateway in start.plan.gateways if by_gateway[gateway.name]
                },
                opens=start.window.opens.timestamp() if start.window and start.window.opens else None,
                session=start.number,
                approval=self._approval(),
                patterns=None if start.guard is None else start.guard.patterns,
                protected=0 if start.guard is None else start.guard.protected,
            )
        )
        for gateway, warning in () if start.guard is None else start.guard.warnings:
            self.on_lane_state(gateway, "warning", warning, None)
        await self._wait_for_window()
        if self._expired():
            return
        tally = StopRules(
            start.plan.stop_when,
            self._pending.outcomes(),
            first_run=start.number == 1,
            past_stop=start.past_stop,
        )
        async with self._open_lanes([name for name in names if by_gateway[name]]):
            crew = Crew(
                plan=start.plan,
                pending=self._pending,
                record=self._record,
                tally=tally,
                tools=self._tools,
                prompt=start.prompt,
            )
            await execute(crew, self._lanes)

    def _approval(self) -> str:
        consent = consent_of(read_meta(self._reader).approved)
        return "" if consent is None else describe_consent(consent)

    @asynccontextmanager
    async def _open_lanes(self, names: list[str]) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for gateway in self._start.plan.gateways:
                if gateway.name in names:
                    reached = self._environment.reach(gateway)
                    send = await stack.enter_async_context(open_connection(self._environment, reached))
                    self._lanes[gateway.name] = self._open_lane(reached, send)
            yield

    def _open_lane(self, gateway: Gateway, send: Send) -> Lane:
        lane = Lane(
            gateway,
            self._start.materials[gateway.name],
            send,
            self._environment,
            self._run_gate,
            self,
            self._controller.learned.get(gateway.name, LearnedLimits()),
            self._tools.change.act,
        )
        texts = [
            *warnings(gateway),
            lane.authenticator.warning,
            *self._horizon(lane.authenticator),
            *self._too_late(gateway),
        ]
        for warning in filter(None, texts):
            lane.warn(warning)
        return lane

    def _horizon(self, authenticator: Authenticator) -> Iterator[str]:
        """Yield a warning where a credential that nobody renews is known to end before the window does."""
        window, active = self._start.window, authenticator.active
        if window is None or window.closes is None or active is None or active.until is None:
            return
        if active.until < window.closes.timestamp():
            yield f"the credential says that it ends at {_utc(active.until)}, before the window closes"

    def _too_late(self, gateway: Gateway) -> Iterator[str]:
        """Yield a warning where the window lets nothing of a gateway start from the beginning on."""
        last = self._last_start(gateway)
        if last is not None and last < self._environment.now():
            self._told_late.add(gateway.name)
            yield f"{self._stops(gateway)}, so nothing of it is started in this session"

    def on_lane_request(self, gateway: str) -> None:
        """Keep that a lane sends a request that is no single target's: a login, or a page of a list."""
        self._record.note(self._environment.now(), "request", gateway=gateway)

    def on_lane_state(
        self, gateway: str, state: LaneStatus, reason: str | None, seconds: float | None
    ) -> None:
        """Keep and tell how a lane is doing."""
        at = self._environment.now()
        if state == "warning":
            self._record.note(at, "warning", gateway=gateway, text=reason)
            self._emit(GatewayWarned(at=at, gateway=gateway, text=reason or ""))
            return
        given_up = state == "given_up"
        stands = "parked" if state == "given_up" else state
        if not given_up or gateway not in self._parked:
            self._record.note(at, stands, gateway=gateway, text=reason)
        if stands != "paused":
            (self._parked.add if stands == "parked" else self._parked.discard)(gateway)
        self._emit(
            LaneChanged(
                at=at, gateway=gateway, state=stands, reason=reason, seconds=seconds, given_up=given_up
            )
        )

    def on_pace(self, gateway: str, rate: float | None) -> None:
        """Keep and tell what bounds a lane's undeploys."""
        at = self._environment.now()
        self._record.pace(at, gateway, rate)
        self._emit(PaceChanged(at=at, gateway=gateway, rate=rate))

    def on_answer(self, gateway: str, answer: Reply | Lost) -> None:
        """Do nothing: each target keeps what came back of its own requests."""

    def _announce_stop(self, reason: str) -> None:
        at = self._environment.now()
        self._record.note(at, "stopping", text=reason)
        self._emit(RunStopping(at=at, reason=reason))

    def _closes(self) -> float | None:
        """Return the window's close on the clock that never jumps."""
        window = self._start.window
        if window is None or window.closes is None:
            return None
        return self._environment.monotonic() + window.closes.timestamp() - self._environment.now()

    async def _wait_for_window(self) -> None:
        window = self._start.window
        if window is None or window.opens is None or self._run_gate.kind is not None:
            return
        opens, now = window.opens.timestamp(), self._environment.now()
        if now < opens:
            self._emit(RunWaiting(at=now, why="window", until=opens))
            await self._run_gate.sleep(opens - now)
            self._emit(RunContinued(at=self._environment.now()))

    def _expired(self) -> bool:
        """Whether the approval has expired before a first request could leave: then none does."""
        expires = self._start.expires
        if expires is None or self._environment.now() < expires or self._run_gate.kind is not None:
            return False
        ended = datetime.fromtimestamp(expires, UTC)
        self._void = (
            f"the approval expired at {ended:%Y-%m-%d %H:%M:%S} UTC, before anything was sent; make a new one"
        )
        self._run_gate.stop("control", self._void)
        return True

    async def _watch_signals(self, signals: SignalSource, scope: anyio.CancelScope) -> None:
        """The first signal lets what is in flight land, the second ends the session at once."""
        async for name in signals.receive():
            if self._run_gate.kind == "interrupt":
                self._cut = True
                scope.cancel()
                return
            self._interrupt(name)

    def _interrupt(self, name: str) -> None:
        self._run_gate.stop("interrupt", f"{name} was received")

    async def _finish(self) -> Finish:
        """Give what was not reached its honest outcome, and keep how the session ended."""
        at = self._environment.now()
        self._leave_skipped(at)
        for index, gateway in enumerate(self._start.plan.gateways):
            lane = self._lanes.get(gateway.name)
            # What ended its lane comes first: the window, or a signal, found these left already.
            if lane is not None and (reason := lane.state.refusal(Act.UNDEPLOY) or lane.refusal()):
                self._record.leave_rest(reason, at, gateway=index)
        rest = self._run_gate.reason or f"{Reason.INTERRUPT}: the session ended before this target's turn"
        self._record.leave_rest(rest, at)
        try:
            await self._record.flush()
            self._tell_what_the_window_stopped()
            counts = self._pending.outcomes()
            status = self._status(counts)
            await self._record.finish(
                at,
                state=name_end_state(status),
                stopped_by=self._stopped_by(counts, status),
                exit_status=status,
                seconds=self._environment.monotonic() - self._began,
            )
        except DiskError:
            interrupted = self._run_gate.kind == "interrupt"
            status = ExitStatus.INTERRUPTED if interrupted else ExitStatus.STOPPED
        self._emit(RunEnded(at=at, state=name_end_state(status), exit_status=status))
        interrupted = self._run_gate.kind == "interrupt"
        return Finish(status=status, interrupted=interrupted, cut=self._cut, void=self._void)

    def _tell_what_the_window_stopped(self) -> None:
        for name, count in self._pending.not_started(Reason.WINDOW).items():
            if name in self._lanes and name not in self._told_late:
                lane = self._lanes[name]
                targets = count_noun(count, "target was", "targets were")
                lane.warn(f"{self._stops(lane.gateway)}; {targets} left")

    def _stops(self, gateway: Gateway) -> str:
        """Return from when on a gateway starts nothing, and why."""
        return (
            f"the window lets nothing of it start after {_utc(self._last_start(gateway) or 0.0)}: "
            f"one timeout ({gateway.reply_timeout:g} s) no longer fits before it closes"
        )

    def _last_start(self, gateway: Gateway) -> float | None:
        """Return the last Unix time at which a gateway starts an undeploy; None without an end."""
        window = self._start.window
        closes = window.closes.timestamp() if window and window.closes else None
        return find_last_starts(closes, {gateway.name: gateway.reply_timeout}).get(gateway.name)

    def _leave_skipped(self, at: float) -> None:
        """What somebody had passed over stays so, also where nobody came to it."""
        if self._run_gate.skips:
            for seq, name in self._pending.untouched():
                if reason := self._run_gate.skipped(name):
                    self._record.leave(seq, reason, at)

    def _status(self, counts: Counts) -> ExitStatus:
        status = choose_exit_status(
            counts,
            interrupted=self._run_gate.kind == "interrupt",
            restores=self._start.change.act is Act.DEPLOY,
        )
        return ExitStatus.INTERRUPTED if self._cut else status

    def _stopped_by(self, counts: Counts, status: ExitStatus) -> str | None:
        if status not in (ExitStatus.STOPPED, ExitStatus.INTERRUPTED):
            return None
        return self._run_gate.reason or find_undone_reason(counts)


def _part(plan: Plan, wave_step: WaveStep, left: Mapping[tuple[WaveStep, str], int]) -> PartLeft:
    wave = plan.waves[wave_step.wave]
    here = {name: count for (other, name), count in left.items() if other == wave_step}
    return PartLeft(wave=wave.name, number=wave_step.step + 1, left=here, rest=wave.pause_after or 0.0)


def _utc(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _note(start: SessionSpec) -> str | None:
    """Return the text for a vendor's history record; None without a reason: an older server knows no text."""
    return f"{start.plan.reason} [{start.run}]" if start.plan.reason else None


def check_window(window: Window | None, now: float, *, wait: bool, takes: float) -> None:
    """Raise UsageError where no session may begin: before ``opens`` (unless it waits), after ``closes``."""
    if window is None:
        return
    if window.opens is not None and now < window.opens.timestamp() and not wait:
        raise UsageError(f"the window opens at {window.opens.isoformat()}; --wait waits for it")
    if window.closes is not None and now + takes > window.closes.timestamp():
        raise UsageError(
            f"the window closes at {window.closes.isoformat()}, and one timeout ({takes:g} s) no longer fits"
            " before; --window or --close-at gives another one"
        )
