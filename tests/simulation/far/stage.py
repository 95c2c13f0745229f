"""One run beyond one machine, with the processes of its own: workers that come and go, and drivers.

The server, the platforms and the clock outlive the run: a restore is another run at the same ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import anyio
from msgspec import Struct
from msgspec.structs import replace
from temporalio.client import Client
from temporalio.service import RPCError

from orchestrator.distributed.address import parse_engine_address
from orchestrator.distributed.conductor import TemporalConductor
from orchestrator.distributed.worker import WorkerSpec, serve_zone
from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.engine.storage import Storage
from orchestrator.errors import DiskError, OrchestratorError, RunError, UsageError
from orchestrator.journal.audit import audit_journal
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.run_lookup import list_runs
from orchestrator.lanes.environment import Environment, StoreAccess
from orchestrator.model.credentials import Material
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Window
from orchestrator.model.reading import Act
from orchestrator.runs.result import RunResult
from orchestrator.runs.resume import resume_run
from orchestrator.runs.start import RunDraft, start_run
from orchestrator.simulator.platforms import SimulatedPlatforms
from tests.simulation.credentials import TOKENS, resolve
from tests.simulation.disk import ProcessFate, SlowDisk
from tests.simulation.far.network import FarNetwork
from tests.simulation.far.oracles import judge_run, judge_session
from tests.simulation.far.processes import FarLoop, SimulatedProcess, find_process
from tests.simulation.far.scene import FOR_EVER, FarScene, WorkerFate
from tests.simulation.far.server import PlayedServer
from tests.simulation.far.service import ServerWay, make_client
from tests.simulation.far.witness import DriverFacts, FarWitness
from tests.simulation.operator import make_control_socket
from tests.simulation.patience import SessionPatience
from tests.simulation.play import AFTER_SECOND, EPOCH, SIGNING_KEY
from tests.simulation.promises import check_attempts, compute_longest_session, find_leaks
from tests.simulation.scene import Illness
from tests.simulation.standing import StatusWitness
from tests.simulation.timing import check_durations
from tests.simulation.upkeep import TimedSignals, need_no_credential
from tests.simulation.wall_clock import ClockJump
from tests.simulation.wire import SessionWire, WireExchange

ADDRESS = "temporal://played:7233/default"

UNREACHED = 15.0
"""Seconds until a driver gives up on a server that does not answer."""


MOMENT = 0.001
"""Seconds by which an absence may begin early: a timer that was set for it may fire a rounding before."""


class FarWorld(Struct, kw_only=True, eq=False):
    """What outlives a run: the clock, the dice, the platforms, the server, and the disk of the drivers."""

    number: int
    loop: FarLoop
    random: Random
    platforms: SimulatedPlatforms
    server: PlayedServer
    folder: Path

    @property
    def state(self) -> Path:
        """The state folder of the drivers."""
        return self.folder / "state"

    def now(self) -> float:
        """Return the true time, in Unix seconds."""
        return EPOCH + self.loop.time()


class FarStage:
    """Plays one run from its first driver to its end. ``prepare`` makes its draft, again for each driver.

    Times of the scene are seconds since the stage began.
    """

    def __init__(
        self, world: FarWorld, scene: FarScene, act: Act, witness: FarWitness, prepare: Callable[[], RunDraft]
    ) -> None:
        self.broken: list[str] = []
        self._world = world
        self._scene = scene
        self._near = scene.near
        self._act = act
        self._witness = witness
        self._prepare = prepare
        self._loop = world.loop
        self._began = world.loop.time()
        self._session = 0
        self._patience = SessionPatience(len(scene.near.targets))
        self._names: dict[str, int] = {}
        self._resolved: set[tuple[str, str]] = set()
        self._processes: list[SimulatedProcess] = []
        self._network = FarNetwork(
            world.platforms,
            world.random,
            world.loop,
            now=world.now,
            wall=world.now,
            scene=scene.near,
            find_illness=self._find_illness,
            witness=witness.promises,
            wire=SessionWire.begin(act, world.now()),
            on_departure=witness.on_departure,
        )

    @property
    def _elapsed(self) -> float:
        return self._loop.time() - self._began

    def list_runs(self) -> list[RunFolder]:
        """Return the run of this stage; empty before there is one."""
        name = "restore" if self._act is Act.DEPLOY else "undeploy"
        return [run for run in list_runs(self._world.state) if run.act == name]

    async def play(self) -> int:
        """Play drivers until the run has reached its end; return their count."""
        keepers = [
            self._loop.start_outside(self._keep_worker(zone, fate))
            for zone, fates in self._scene.workers.items()
            for fate in fates
        ]
        if self._scene.away is not None:
            self._world.server.later(self._scene.away.start, self._leave, self._scene.away.end)
        try:
            for number in self._patience.list_sessions():
                if await self._play_session(number):
                    return number
            self.broken.append(f"the run has not reached its end after {self._session} sessions")
            return self._session
        finally:
            for keeper in keepers:
                keeper.cancel()
            for process in self._processes:
                process.kill()
            await anyio.sleep(1.0)

    def judge(self) -> Iterator[str]:
        """Yield each promise that was broken, but for those that the books tell of."""
        yield from self.broken
        yield from self._witness.broken
        yield from self._witness.promises.broken
        if not self.list_runs():
            yield "no run was made"
        for run in self.list_runs():
            yield from check_attempts(self._near, run)
            yield from judge_run(self._scene, self._witness.wires, run)
            yield from find_leaks(run.path)
        for wire in self._witness.wires.values():
            yield from judge_session(self._scene, wire)

    def list_exchanges(self) -> list[WireExchange]:
        """Return what left in all sessions."""
        return [each for wire in self._witness.wires.values() for each in wire.exchanges]

    def _leave(self, until: float) -> None:
        self._world.server.is_away = True
        self._world.server.later(until - self._elapsed, self._world.server.come_back)

    def _begin_process(self, kind: str, **fate: Any) -> SimulatedProcess:
        number = self._names[kind] = self._names.get(kind, 0) + 1
        name = f"{kind}-{number}"
        process = SimulatedProcess(name, self._loop, jumps=self._scene.clocks.get(name, ()), **fate)
        self._processes.append(process)
        cut = self._scene.cuts.get(process.name)
        if cut is not None:
            self._world.server.later(max(0.0, cut.start - self._elapsed), self._cut, process, True)
            self._world.server.later(max(0.0, cut.end - self._elapsed), self._cut, process, False)
        return process

    def _cut(self, process: SimulatedProcess, is_cut_off: bool) -> None:
        process.is_cut_off = is_cut_off

    def _make_client(self, process: SimulatedProcess) -> Client:
        way = ServerWay(self._world.server, process, self._world.random, lost=self._scene.lost)
        return make_client(way)

    # Workers.

    async def _keep_worker(self, zone: str, fate: WorkerFate) -> None:
        """Have one worker of a zone, and another one in its place whenever it has ended."""
        absence = self._scene.absences.get(zone)
        while True:
            now = self._elapsed + MOMENT
            if absence is not None and absence.start <= now < absence.end:
                await self._wait_for_end(absence.end)
            process = self._begin_process(
                zone, dies_at=fate.dies_at, freezes_at=fate.freezes_at, freezes_for=fate.freezes_for
            )
            if absence is not None and absence.start > now:
                self._world.server.later(absence.start - self._elapsed, process.kill)
            await self._run_process(process, self._serve(process, zone, fate))
            await anyio.sleep(fate.back_after)
            fate = WorkerFate()

    async def _wait_for_end(self, end: float) -> None:
        """Wait until a zone has workers again: one without any for ever has some after the first session."""
        while self._elapsed < end and (end < FOR_EVER or self._session < 2):  # noqa: ASYNC110 -- by the clock
            await anyio.sleep(1.0)

    async def _run_process(self, process: SimulatedProcess, main: Any) -> bool:
        """Run a process to its end; return whether it ended by itself."""
        ended: asyncio.Future[bool] = self._loop.create_future()

        def end(by_itself: bool) -> None:
            if not ended.done():
                ended.set_result(by_itself)

        process.ends.append(lambda: end(False))
        process.start(main).add_done_callback(lambda _: end(True), context=self._loop.root)
        return await ended

    async def _serve(self, process: SimulatedProcess, zone: str, fate: WorkerFate) -> None:
        state = self._world.folder / f"{self._act}-{process.name}"
        state.mkdir(mode=0o700)
        spec = WorkerSpec(zone=zone, state=state, name=process.name, url=ADDRESS)
        leaves = () if fate.leaves_at is None else (fate.leaves_at,)
        signals = TimedSignals(leaves, lambda: None)
        try:
            environment = self._make_environment(process)
            await serve_zone(self._make_client(process), spec, environment, signals, lambda _: None)
        except Exception as bug:  # noqa: BLE001 - whatever escapes is this seed's finding
            self.broken.append(f"{process.name} failed: {bug!r}")

    def _make_environment(self, process: SimulatedProcess) -> Environment:
        async def find_credential(gateway: Gateway) -> Material:
            return self._resolve(process, gateway)

        return Environment(
            now=lambda: self._world.now() + process.ahead,
            monotonic=self._loop.time,
            roll=self._world.random.random,
            connect=self._network.connect,
            credential=find_credential,
            store=StoreAccess(connect=self._network.connect, credential=need_no_credential),
        )

    def _resolve(self, process: SimulatedProcess, gateway: Gateway) -> Material:
        """Return the second token once a process has read its reference before; a password stays the same."""
        again = (process.name, gateway.name) in self._resolved
        self._resolved.add((process.name, gateway.name))
        trouble = self._near.troubles.get(gateway.name)
        if trouble == "wrong" and self._session > 1:
            trouble = None
        return resolve(gateway, TOKENS[again], trouble, again=again)

    def _find_illness(self, gateway: str) -> Illness | None:
        outage = self._near.outages.get(gateway)
        is_ill = outage is not None and outage.start <= self._elapsed < outage.end
        return outage.how if outage is not None and is_ill else None

    # Drivers.

    async def _play_session(self, number: int) -> bool:
        """Have one driver work to its end; return whether the run has reached its own."""
        scene, self._session = self._scene, number
        dies_at = scene.crashes[number - 1] if number <= len(scene.crashes) else None
        process = self._begin_process("driver", dies_at=dies_at)
        # Whoever gives the window reads the clock of this machine.
        now = self._world.now() + process.ahead
        closes = now + self._near.closes if self._near.closes and number == 1 else None
        self._witness.drivers[process.name] = DriverFacts(closes=closes, signals=[])
        results: list[RunResult] = []
        with anyio.move_on_after(self._compute_longest()) as scope:
            by_itself = await self._run_process(process, self._drive(process, number, closes, results))
        if scope.cancelled_caught:
            self.broken.append(f"promise 10: session {number} has not ended")
            process.kill()
            return True
        self._check_second_signal(process)
        if not by_itself:
            for run in self.list_runs():
                (run.path / "lock").unlink(missing_ok=True)  # the kernel drops a dead process's lock
        self._check_ledger(number)
        for run in self.list_runs():
            self.broken += check_durations(run, self._elapsed, self._list_jumps(), taken_over=number > 1)
        await anyio.sleep(scene.pause if number <= len(scene.crashes) else 1.0)
        return bool(results) and self._is_over(results[0], number)

    def _list_jumps(self) -> list[ClockJump]:
        return [jump for jumps in self._scene.clocks.values() for jump in jumps]

    def _check_second_signal(self, process: SimulatedProcess) -> None:
        """Check that a driver has ended soon after its second signal."""
        signals = self._witness.drivers[process.name].signals
        if len(signals) > 1 and self._world.now() > signals[1] + AFTER_SECOND:
            late = f"{self._world.now() - signals[1]:.1f} s after the second interrupt"
            self.broken.append(f"promise 10: the driver ended {late}")

    def _compute_longest(self) -> float:
        """Return the seconds within which any session ends: as on one machine, and what zones add."""
        return compute_longest_session(self._near) + self._scene.delays

    def _is_over(self, result: RunResult, number: int) -> bool:
        if result.report.run.state == "complete":
            return True
        calm = number > max(len(self._scene.crashes), 2)
        return calm and any(gateway.lane != "open" for gateway in result.report.gateways)

    async def _drive(
        self, process: SimulatedProcess, number: int, closes: float | None, results: list[RunResult]
    ) -> None:
        standing = StatusWitness()
        try:
            result = await self._start(process, number, closes, standing)
        except OrchestratorError as error:
            if not isinstance(error, DiskError | RunError):
                self.broken.append(f"session {number} raised {error!r}")
            return
        except Exception as bug:  # noqa: BLE001 - whatever escapes is this seed's finding
            self.broken.append(f"session {number} failed: {bug!r}")
            return
        finally:
            self.broken += standing.broken
        with result.folder.open_source() as source:
            self.broken += standing.check_report(source)
        results.append(result)
        self._patience.note_end(result.report)

    async def connect(self, *_: object, **__: object) -> Client:
        """Return a client for the driver that asks, as ``connection.connect`` does."""
        client = self._make_client(find_process())
        service: Any = client.service_client
        try:
            await service.way.ask(_answer)
        except RPCError as error:
            await anyio.sleep(UNREACHED)
            raise RunError(f"no Temporal server can be reached: {error}") from None
        return client

    async def _start(
        self, process: SimulatedProcess, number: int, closes: float | None, standing: StatusWitness
    ) -> RunResult:
        environment = self._make_environment(process)
        window = Window(None, datetime.fromtimestamp(closes, UTC)) if closes else Window(None, None)
        runs = self.list_runs()
        options = RunOptions(
            state=self._world.state,
            past_stop=True,
            skip=() if runs else self._near.skip,
            signing_key=SIGNING_KEY,
            window=window,
        )
        stops: Sequence[float] = self._near.interrupts if number == 1 else ()
        fate = ProcessFate(self._loop, full=self._scene.full if number == 1 else range(0))
        facts = self._witness.drivers[process.name]
        request = RunRequest(
            options=options,
            listeners=(standing,),
            signals=TimedSignals(stops, lambda: facts.signals.append(self._world.now())),
            control_socket=lambda _: make_control_socket(self._near.acts if number == 1 else ()),
            storage=Storage(
                start_writer=lambda database: SlowDisk(database, self._world.random, fate, lambda _: None)
            ),
            conductor=TemporalConductor(parse_engine_address(ADDRESS)),
        )
        if runs:
            return await _resume(runs[0], request, environment)
        return await start_run(self._prepare(), request, environment)

    def _check_ledger(self, number: int) -> None:
        for run in self.list_runs():
            with closing(run.open()) as database:
                faults = audit_journal(database, key=SIGNING_KEY).faults
            self.broken += (f"session {number} left a broken ledger: {fault}" for fault in faults)


async def _resume(run: RunFolder, request: RunRequest, environment: Environment) -> RunResult:
    """Resume a run as its operator does: with what a new session wants, unless one still goes on."""
    try:
        return await resume_run(run, request, lambda _: environment)
    except UsageError as error:
        if "goes on as it began" not in str(error):
            raise
        bare = RunOptions(state=request.options.state, signing_key=SIGNING_KEY)
        return await resume_run(run, replace(request, options=bare), lambda _: environment)


async def _answer() -> None:
    """Return as a server does that only answers."""
