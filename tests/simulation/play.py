"""One seed from its first session to the end of its run."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import anyio
from msgspec import Struct

from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.engine.signals import NoSignals
from orchestrator.engine.storage import Storage
from orchestrator.errors import DiskError, OrchestratorError, RunError
from orchestrator.journal.draft import Draft
from orchestrator.journal.folder import RunFolder, list_runs
from orchestrator.journal.meta import RunMeta
from orchestrator.lanes.environment import Environment
from orchestrator.model.credentials import LoginPassword, Material, Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Window
from orchestrator.model.reading import DEPLOY, Act
from orchestrator.model.target import TargetId
from orchestrator.plan.problems import FilePosition
from orchestrator.runs.load import digest_file
from orchestrator.runs.result import RunResult
from orchestrator.runs.resume import resume_run
from orchestrator.runs.start import RunDraft, start_run
from orchestrator.simulator.books import SimulatorBooks
from orchestrator.simulator.platforms import SimulatedPlatforms
from tests.simulation.clock import CrashError, VirtualLoop, play
from tests.simulation.disk import Fate, SlowDisk
from tests.simulation.hands import hands
from tests.simulation.network import Network
from tests.simulation.promises import (
    Witness,
    check_attempts,
    check_end,
    in_doubt,
    leaks,
    longest,
    most_in_flight,
    offers_look,
)
from tests.simulation.scene import PASSWORD, TOKENS, Ill, Scene, make_scene
from tests.simulation.way_back import WayBack, check_brought_back, nothing_to_bring_back

EPOCH = 1_795_000_000.0
"""Unix seconds at which every simulated run begins."""

SESSIONS = 40
"""More sessions than any seed may need to reach its end."""


AFTER_SECOND = 5.0
"""Seconds in which a session ends once it was interrupted for the second time."""


class Verdict(Struct, frozen=True, kw_only=True):
    """How a seed went. ``trace`` stands for all that came out; it is the same for the same seed."""

    seed: int
    broken: tuple[str, ...]
    sessions: int
    requests: int
    seconds: float
    trace: int


def play_seed(number: int) -> Verdict:
    """Play one seed; what breaks a promise is in the verdict."""
    scene = make_scene(number)
    folder = Path(tempfile.mkdtemp(prefix="undeploy-simulate-", dir=_memory()))
    try:
        with _quiet():
            return _Play(number, scene, folder).run()
    finally:
        shutil.rmtree(folder)


class _Play:
    def __init__(self, number: int, scene: Scene, folder: Path) -> None:
        self._number = number
        self._scene = scene
        self._folder = folder
        self._random = Random(number + 1)
        self._platforms = SimulatedPlatforms(scene.seed, scene.faults, now=EPOCH)
        self._witness = Witness(scene)
        self._elapsed = 0.0
        self._began = 0.0
        """When the run, or its restore, began."""
        self._resolved = 0
        self._way_back: WayBack | None = None

    def run(self) -> Verdict:
        sessions = self._sessions()
        broken = [*self._witness.broken]
        books = self._platforms.books()
        if not self._runs():
            broken.append("no run was made")
        for run in self._runs():
            broken += check_end(self._scene, books, run)
            broken += check_attempts(self._scene, run)
        if not broken:
            sessions += self._bring_back(books, broken)
        broken += [leak for run in list_runs(self._folder) for leak in leaks(run.path)]
        return Verdict(
            seed=self._number,
            broken=tuple(broken),
            sessions=sessions,
            requests=self._platforms.books().requests,
            seconds=self._elapsed,
            trace=self._trace(),
        )

    def _sessions(self) -> int:
        """Play sessions until the run has reached its end; return how many that took."""
        for number in range(1, SESSIONS + 1):
            doubts = self._doubts()
            done = self._session(number)
            self._check_doubts(doubts)
            if done:
                return number
        self._witness.broken.append(f"the run has not reached its end after {SESSIONS} sessions")
        return SESSIONS

    def _bring_back(self, before: SimulatorBooks, broken: list[str]) -> int:
        """Restore what the run took down, under misfortunes of the same sort."""
        parent, counted = self._runs()[0], len(self._platforms.seen())
        try:
            self._way_back = WayBack(self._number, self._scene, parent, self._folder)
        except RunError as refused:
            broken += nothing_to_bring_back(before, parent, refused)
            return 0
        self._scene = self._way_back.scene
        self._witness = Witness(self._scene, Act.DEPLOY)
        self._platforms.expect(self._scene.faults)
        self._began = self._elapsed
        sessions = self._sessions()
        broken += self._witness.broken
        broken += check_brought_back(self._way_back, before, self._platforms, counted, self._runs())
        for run in self._runs():
            broken += check_attempts(self._scene, run)
        return sessions

    def _session(self, number: int) -> bool:
        """Play one session; return whether the run has reached its end."""
        scene = self._scene
        loop = VirtualLoop(ends=longest(scene))
        dies_at = scene.crashes[number - 1] if number <= len(scene.crashes) else None
        fate = Fate(loop, dies_at=dies_at, full=scene.full if number == 1 else range(0))
        closes = EPOCH + self._began + scene.closes if scene.closes is not None and number == 1 else None
        self._witness.begin(closes)
        options = RunOptions(
            state=self._folder,
            past_stop=True,
            window=Window(None, datetime.fromtimestamp(closes, UTC)) if closes else Window(None, None),
        )
        try:
            result = play(loop, self._main(loop, fate, options, number))
        except CrashError:
            for run in self._runs():
                (run.path / "lock").unlink(missing_ok=True)  # the kernel drops a dead process's lock
            self._network.cut()
            return False
        except OrchestratorError as error:
            if not isinstance(error, DiskError):
                self._witness.broken.append(f"session {number} raised {error!r}")
            return False
        except Exception as bug:  # noqa: BLE001 - whatever escapes is this seed's finding
            self._witness.broken.append(f"session {number} failed: {bug!r}")
            return True
        finally:
            self._check_end(loop.time(), number)
            self._elapsed += loop.time() + 1.0
        return result.report.run.state == "complete" or self._stuck(result, number)

    def _check_end(self, seconds: float, number: int) -> None:
        """A session that was interrupted twice has ended soon after."""
        interrupts = self._scene.interrupts
        if number == 1 and len(interrupts) > 1 and seconds > interrupts[1] + AFTER_SECOND:
            late = f"{seconds - interrupts[1]:.1f} s after the second interrupt"
            self._witness.broken.append(f"promise 10: the session ended {late}")

    def _stuck(self, result: RunResult, number: int) -> bool:
        """A lane that is closed for good, in a session in which nothing else went wrong, stays so."""
        calm = number > max(len(self._scene.crashes), 2)
        return calm and any(gateway.lane != "open" for gateway in result.report.gateways)

    async def _main(self, loop: VirtualLoop, fate: Fate, options: RunOptions, number: int) -> RunResult:
        environment = self._environment(loop, fate)
        runs = self._runs()
        stops = self._scene.interrupts if number == 1 else ()
        request = RunRequest(
            options=options,
            signals=_Signals(stops),
            control_socket=lambda _: hands(self._scene.acts if number == 1 else ()),
            storage=Storage(
                start_writer=lambda database: SlowDisk(database, self._random, fate, self._witness.committed)
            ),
        )
        if runs:
            return await resume_run(runs[0], request, lambda _: environment)
        if self._way_back is not None:
            ready = self._way_back.ready()
            return await start_run(
                RunDraft(ready.plan, ready.draft, ready.place, DEPLOY), request, environment
            )
        draft, place = self._draft()
        return await start_run(RunDraft(self._scene.plan, draft, place), request, environment)

    def _draft(self) -> tuple[Draft, Path]:
        place = Path(tempfile.mkdtemp(dir=self._folder))
        draft = Draft(place / "journal.sqlite")
        for target in self._scene.targets:
            draft.add(target, FilePosition(0, target.seq, 1))
            for before in self._scene.needs.get(target.seq, ()):
                draft.add_dependency(target.seq, before, FilePosition(0, target.seq, 1))
        source = place / "plan.yaml"
        source.write_text("version: 1\n")
        plan = self._scene.plan
        draft.finish(
            plan,
            RunMeta(digest="0" * 64, folder=str(self._folder), source=digest_file(source)),
        )
        return draft, place

    def _environment(self, loop: VirtualLoop, fate: Fate) -> Environment:
        began = EPOCH + self._elapsed

        def now() -> float:
            return began + loop.time()

        self._network = Network(
            self._platforms,
            self._random,
            fate,
            now=now,
            scene=self._scene,
            ill=lambda name: self._ill(name, now() - EPOCH - self._began),
            arrived=self._witness.arrived,
        )
        return Environment(
            now=now,
            monotonic=loop.time,
            roll=self._random.random,
            connect=self._network.connect,
            credential=self._credential,
        )

    def _ill(self, gateway: str, at: float) -> Ill | None:
        """Return how a gateway is ill, ``at`` seconds after the run began; None where it is well."""
        outage = self._scene.outages.get(gateway)
        return outage.how if outage is not None and outage.start <= at < outage.end else None

    async def _credential(self, gateway: Gateway) -> Material:
        """The reference gives the second token from the first renewal on; a password stays the same."""
        if gateway.auth.token is None:
            return LoginPassword(Secret(PASSWORD))
        self._resolved += 1
        settled = 2 * len(self._scene.plan.gateways)
        return Secret(TOKENS[0] if self._resolved <= settled else TOKENS[1])

    def _runs(self) -> list[RunFolder]:
        """Return the run, or once that has ended its restore; nothing before there is one."""
        act = "undeploy" if self._way_back is None else "restore"
        return [run for run in list_runs(self._folder) if run.act == act]

    def _doubts(self) -> list[TargetId]:
        """Return what was left in doubt so far; no session may leave more than it had in flight."""
        if not self._runs():
            return []
        concurrency = most_in_flight(self._scene)
        left = len(in_doubt(self._runs()[0], newest=True))
        if left > concurrency:
            self._witness.broken.append(f"promise 2: {left} in doubt, {concurrency} in flight at most")
        return in_doubt(self._runs()[0])

    def _check_doubts(self, doubts: Sequence[str]) -> None:
        for target in doubts:
            first = self._witness.first_act(target)
            blind = first is not None and first is not Act.LOOK
            if blind and offers_look(self._scene, target.partition("/")[0]):
                self._witness.broken.append(f"promise 2: {target} was sent again before a look")

    def _trace(self) -> int:
        """Return a number that stands for everything that came out."""
        ends = []
        for run in list_runs(self._folder):
            with run.account() as account:
                ends += [(target.id, target.outcome, len(target.attempts)) for target in account.targets()]
        return hash((round(self._elapsed, 6), repr(ends))) & 0xFFFFFFFF


class _Signals(NoSignals):
    """A SIGTERM after each of so many virtual seconds."""

    def __init__(self, times: Sequence[float]) -> None:
        self._times = times

    async def receive(self) -> AsyncIterator[str]:
        began = anyio.current_time()
        for at in self._times:
            await anyio.sleep(max(0.0, began + at - anyio.current_time()))
            yield "SIGTERM"


def _memory() -> str | None:
    """Return a folder in memory where there is one: a thousand seeds write a thousand journals."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@contextmanager
def _quiet() -> Iterator[None]:
    """A killed process leaves coroutines behind, whose end nobody is to be told of."""
    told, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = told
