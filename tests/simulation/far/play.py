"""Plays one seed beyond one machine, from its first driver to the end of its run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from unittest.mock import patch

import anyio
import anyio.to_thread
from msgspec.structs import replace
from temporalio.client import Client
from temporalio.service import RPCError

from orchestrator.distributed import conduct, conductor, lane_conduct, worker
from orchestrator.distributed.address import parse_engine_address
from orchestrator.distributed.conductor import TemporalConductor
from orchestrator.distributed.worker import WorkerSpec, serve_zone
from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.engine.storage import Storage
from orchestrator.errors import DiskError, OrchestratorError, RunError, UsageError
from orchestrator.journal.audit import audit_journal
from orchestrator.journal.folder import RunFolder, list_runs
from orchestrator.lanes import state_list
from orchestrator.lanes.environment import Environment, StoreAccess
from orchestrator.model.credentials import Material
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Window
from orchestrator.model.reading import Act
from orchestrator.runs.result import RunResult
from orchestrator.runs.resume import resume_run
from orchestrator.runs.start import RunDraft, start_run
from orchestrator.simulator.platforms import SimulatedPlatforms
from tests.simulation.clock import play
from tests.simulation.credentials import TOKENS, resolve
from tests.simulation.disk import ProcessFate, SlowDisk
from tests.simulation.far.network import FarNetwork
from tests.simulation.far.oracles import judge_run, judge_session
from tests.simulation.far.processes import FarLoop, SimulatedProcess, find_process
from tests.simulation.far.scene import FOR_EVER, FarScene, WorkerFate, make_far_scene
from tests.simulation.far.server import PlayedServer
from tests.simulation.far.service import ServerWay, make_client
from tests.simulation.far.witness import DriverFacts, FarWitness
from tests.simulation.far.workers import PlayedWorker
from tests.simulation.guards import check_drift
from tests.simulation.operator import make_control_socket
from tests.simulation.play import AFTER_SECOND, EPOCH, SESSIONS, SIGNING_KEY, SeedVerdict, write_draft
from tests.simulation.promises import (
    check_attempts,
    check_end,
    compute_longest_session,
    find_leaks,
    list_targets,
)
from tests.simulation.scene import Illness
from tests.simulation.standing import StatusWitness
from tests.simulation.upkeep import (
    TimedSignals,
    make_seed_folder,
    need_no_credential,
)
from tests.simulation.use import check_use
from tests.simulation.wire import SessionWire

ADDRESS = "temporal://played:7233/default"

UNREACHED = 15.0
"""Seconds until a driver gives up on a server that does not answer."""

LONGEST_RUN = 1e8
"""Virtual seconds after which a seed has hung; each session has a bound of its own, far below."""

Value = TypeVar("Value")


def play_far_seed(number: int) -> SeedVerdict:
    """Play one seed; the verdict names each broken promise."""
    scene = make_far_scene(number)
    with make_seed_folder("undeploy-far-") as folder, _in_far_world(scene):
        return _FarPlay(number, scene, folder).run()


@contextmanager
def _in_far_world(scene: FarScene) -> Iterator[None]:
    """Have the program's parts use what is played, and the sizes of the scene."""
    with ExitStack() as stack:
        for module, name, value in (
            (state_list, "WORTH_LISTING", scene.near.worth_listing),
            (lane_conduct, "CHUNK_TARGETS", scene.chunk_targets),
            (conduct, "PART_TARGETS", scene.part_targets),
            (conduct, "OPEN_TARGETS", scene.open_targets),
            (worker, "Worker", PlayedWorker),
            (anyio.to_thread, "run_sync", _run_here),
        ):
            stack.enter_context(patch.object(module, name, value))
        yield


async def _run_here(call: Callable[..., Value], *values: Any, **settings: object) -> Value:
    """Call in this thread: another one would not keep to the clock."""
    await anyio.sleep(0.001)
    return call(*values)


class _FarPlay:
    def __init__(self, number: int, scene: FarScene, folder: Path) -> None:
        self._number = number
        self._scene = scene
        self._near = scene.near
        self._folder = folder
        self._state = folder / "state"
        self._random = Random(number + 1)
        self._platforms = SimulatedPlatforms(scene.near.fixture, scene.near.faults, now=EPOCH)
        self._loop = FarLoop(ends=LONGEST_RUN)
        self._witness = FarWitness(scene.near)
        self._broken: list[str] = []
        self._wire = SessionWire.begin(Act.UNDEPLOY, EPOCH)
        self._session = 0
        self._names: dict[str, int] = {}
        self._resolved: set[tuple[str, str]] = set()
        self._processes: list[SimulatedProcess] = []
        self._server = PlayedServer(
            self._loop,
            self._random,
            epoch=EPOCH,
            listener=self._witness,
            longest_history=scene.longest_history,
            has_attributes=number % 2 == 0,
        )
        self._network = FarNetwork(
            self._platforms,
            self._random,
            self._loop,
            now=self._now,
            wall=self._now,
            scene=scene.near,
            find_illness=self._find_illness,
            witness=self._witness.promises,
            wire=self._wire,
            on_departure=self._witness.on_departure,
        )

    def _now(self) -> float:
        return EPOCH + self._loop.time()

    def run(self) -> SeedVerdict:
        with patch.object(conductor, "connect", self._connect):
            sessions = play(self._loop, self._main())
        books, in_use = self._platforms.books(), 0
        broken = [*self._broken, *self._witness.broken, *self._witness.promises.broken, *self._server.broken]
        if not self._list_runs():
            broken.append("no run was made")
        for run in self._list_runs():
            broken += check_end(self._near, books, run)
            targets = list_targets(run)
            broken += check_use(self._near, books, targets, self._platforms.list_requests())
            in_use += sum((target.reason or "").startswith("in_use") for target in targets)
            broken += check_attempts(self._near, run)
            broken += judge_run(self._scene, self._witness.wires, run)
            broken += find_leaks(run.path)
        exchanges = [each for wire in self._witness.wires.values() for each in wire.exchanges]
        broken += check_drift(self._near, self._platforms.list_requests(), exchanges)
        for wire in self._witness.wires.values():
            broken += judge_session(self._scene, wire)
        return SeedVerdict(
            seed=self._number,
            broken=tuple(broken),
            sessions=sessions,
            requests=books.requests,
            seconds=self._loop.time(),
            trace=self._compute_trace(),
            hung=0,
            in_use=in_use,
            looked=0,
            lost=self._witness.lost,
        )

    def _list_runs(self) -> list[RunFolder]:
        return list_runs(self._state)

    def _compute_trace(self) -> int:
        """Return a digest of all outcomes."""
        ends = []
        for run in self._list_runs():
            with run.open_source() as source:
                ends += [(target.id, target.outcome, len(target.attempts)) for target in source.targets()]
        return hash((round(self._loop.time(), 6), repr(ends))) & 0xFFFFFFFF

    async def _main(self) -> int:
        """Play drivers until the run has reached its end; return their count."""
        for zone, fates in self._scene.workers.items():
            for fate in fates:
                self._loop.start_outside(self._keep_worker(zone, fate))
        if self._scene.away is not None:
            self._server.later(self._scene.away.start, self._leave, self._scene.away.end)
        try:
            for number in range(1, SESSIONS + 1):
                if await self._play_session(number):
                    return number
            self._broken.append(f"the run has not reached its end after {SESSIONS} sessions")
            return SESSIONS
        finally:
            for process in self._processes:
                process.kill()
            await anyio.sleep(1.0)

    def _leave(self, until: float) -> None:
        self._server.is_away = True
        self._server.later(until - self._loop.time(), self._server.come_back)

    def _begin_process(self, kind: str, **fate: Any) -> SimulatedProcess:
        number = self._names[kind] = self._names.get(kind, 0) + 1
        process = SimulatedProcess(f"{kind}-{number}", self._loop, **fate)
        self._processes.append(process)
        cut = self._scene.cuts.get(process.name)
        if cut is not None:
            self._server.later(max(0.0, cut.start - self._loop.time()), self._cut, process, True)
            self._server.later(max(0.0, cut.end - self._loop.time()), self._cut, process, False)
        return process

    def _cut(self, process: SimulatedProcess, is_cut_off: bool) -> None:
        process.is_cut_off = is_cut_off

    def _make_client(self, process: SimulatedProcess) -> Client:
        return make_client(ServerWay(self._server, process, self._random, lost=self._scene.lost))

    # Workers.

    async def _keep_worker(self, zone: str, fate: WorkerFate) -> None:
        """Have one worker of a zone, and another one in its place whenever it has ended."""
        absence = self._scene.absences.get(zone)
        while True:
            if absence is not None and absence.start <= self._loop.time() < absence.end:
                await self._wait_for_end(absence.end)
            process = self._begin_process(
                zone, dies_at=fate.dies_at, freezes_at=fate.freezes_at, freezes_for=fate.freezes_for
            )
            if absence is not None and absence.start > self._loop.time():
                self._server.later(absence.start - self._loop.time(), process.kill)
            await self._run_process(process, self._serve(process, zone, fate))
            await anyio.sleep(fate.back_after)
            fate = WorkerFate()

    async def _wait_for_end(self, end: float) -> None:
        """Wait until a zone has workers again: one without any for ever has some after the first session."""
        while self._loop.time() < end and (end < FOR_EVER or self._session < 2):  # noqa: ASYNC110 -- by the clock
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
        state = self._folder / process.name
        state.mkdir(mode=0o700)
        spec = WorkerSpec(zone=zone, state=state, name=process.name, url=ADDRESS)
        leaves = () if fate.leaves_at is None else (fate.leaves_at,)
        signals = TimedSignals(leaves, lambda: None)
        try:
            environment = self._make_environment(process)
            await serve_zone(self._make_client(process), spec, environment, signals, lambda _: None)
        except Exception as bug:  # noqa: BLE001 - whatever escapes is this seed's finding
            self._broken.append(f"{process.name} failed: {bug!r}")

    def _make_environment(self, process: SimulatedProcess) -> Environment:
        async def find_credential(gateway: Gateway) -> Material:
            return self._resolve(process, gateway)

        return Environment(
            now=self._now,
            monotonic=self._loop.time,
            roll=self._random.random,
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
        is_ill = outage is not None and outage.start <= self._loop.time() < outage.end
        return outage.how if outage is not None and is_ill else None

    # Drivers.

    async def _play_session(self, number: int) -> bool:
        """Have one driver work to its end; return whether the run has reached its own."""
        scene, self._session = self._scene, number
        closes = self._now() + self._near.closes if self._near.closes and number == 1 else None
        dies_at = scene.crashes[number - 1] if number <= len(scene.crashes) else None
        process = self._begin_process("driver", dies_at=dies_at)
        self._witness.drivers[process.name] = DriverFacts(closes=closes, signals=[])
        results: list[RunResult] = []
        with anyio.move_on_after(self._compute_longest()) as scope:
            by_itself = await self._run_process(process, self._drive(process, number, closes, results))
        if scope.cancelled_caught:
            self._broken.append(f"promise 10: session {number} has not ended")
            process.kill()
            return True
        self._check_second_signal(process)
        if not by_itself:
            for run in self._list_runs():
                (run.path / "lock").unlink(missing_ok=True)  # the kernel drops a dead process's lock
        self._check_ledger(number)
        await anyio.sleep(scene.pause if number <= len(scene.crashes) else 1.0)
        return bool(results) and self._is_over(results[0], number)

    def _check_second_signal(self, process: SimulatedProcess) -> None:
        """Check that a driver has ended soon after its second signal."""
        signals = self._witness.drivers[process.name].signals
        if len(signals) > 1 and self._now() > signals[1] + AFTER_SECOND:
            late = f"{self._now() - signals[1]:.1f} s after the second interrupt"
            self._broken.append(f"promise 10: the driver ended {late}")

    def _compute_longest(self) -> float:
        """Return the seconds within which any session ends: as on one machine, and what zones add."""
        scene = self._scene
        waits = sum(4 * gateway.park_for for gateway in self._near.plan.gateways)
        away = 0.0 if scene.away is None else scene.away.end - scene.away.start
        cuts = sum(cut.end - cut.start for cut in scene.cuts.values())
        losses = sum(
            30.0 + fate.freezes_for + fate.back_after for each in scene.workers.values() for fate in each
        )
        return compute_longest_session(self._near) + waits + away + cuts + losses + 600.0

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
                self._broken.append(f"session {number} raised {error!r}")
            return
        except Exception as bug:  # noqa: BLE001 - whatever escapes is this seed's finding
            self._broken.append(f"session {number} failed: {bug!r}")
            return
        finally:
            self._broken += standing.broken
        with result.folder.open_source() as source:
            self._broken += standing.check_report(source)
        results.append(result)

    async def _connect(self, *_: object, **__: object) -> Client:
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
        runs = self._list_runs()
        options = RunOptions(
            state=self._state,
            past_stop=True,
            skip=() if runs else self._near.skip,
            signing_key=SIGNING_KEY,
            window=window,
        )
        stops: Sequence[float] = self._near.interrupts if number == 1 else ()
        fate, facts = ProcessFate(self._loop), self._witness.drivers[process.name]
        request = RunRequest(
            options=options,
            listeners=(standing,),
            signals=TimedSignals(stops, lambda: facts.signals.append(self._now())),
            control_socket=lambda _: make_control_socket(self._near.acts if number == 1 else ()),
            storage=Storage(
                start_writer=lambda database: SlowDisk(database, self._random, fate, lambda _: None)
            ),
            conductor=TemporalConductor(parse_engine_address(ADDRESS)),
        )
        if runs:
            return await _resume(runs[0], request, environment)
        draft, place = write_draft(self._near, self._folder)
        return await start_run(RunDraft(self._near.plan, draft, place), request, environment)

    def _check_ledger(self, number: int) -> None:
        for run in self._list_runs():
            with closing(run.open()) as database:
                faults = audit_journal(database, key=SIGNING_KEY).faults
            self._broken += (f"session {number} left a broken ledger: {fault}" for fault in faults)


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
