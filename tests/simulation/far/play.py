"""Plays one seed beyond one machine, from the first driver to the end of its run and of its restore."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from unittest.mock import patch

import anyio
import anyio.to_thread

from orchestrator.distributed import conductor, lane_conduct, run_lanes, worker
from orchestrator.errors import RunError
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.run_lookup import list_runs
from orchestrator.lanes import state_list
from orchestrator.model.reading import DEPLOY, Act
from orchestrator.runs.start import RunDraft
from orchestrator.simulator.exchange import RequestEffect
from orchestrator.simulator.platforms import SimulatedPlatforms
from tests.simulation.clock import play
from tests.simulation.far.processes import FarLoop
from tests.simulation.far.scene import FarScene, make_far_scene, make_restore_scene
from tests.simulation.far.server import PlayedServer
from tests.simulation.far.stage import FarStage, FarWorld
from tests.simulation.far.witness import FarWitness, RunWitnesses
from tests.simulation.far.workers import PlayedWorker
from tests.simulation.guards import check_drift
from tests.simulation.play import EPOCH, SeedVerdict, write_draft
from tests.simulation.promises import check_end, list_targets
from tests.simulation.restoration import SimulatedRestore, check_refused_restore, check_restored
from tests.simulation.upkeep import make_seed_folder
from tests.simulation.use import check_use

LONGEST_SEED = 1e8
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
            (run_lanes, "PART_TARGETS", scene.part_targets),
            (run_lanes, "OPEN_TARGETS", scene.open_targets),
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
        self._scene = scene
        self._witnesses = RunWitnesses()
        loop, random = FarLoop(ends=LONGEST_SEED), Random(number + 1)
        self._world = FarWorld(
            number=number,
            loop=loop,
            random=random,
            platforms=SimulatedPlatforms(scene.near.fixture, scene.near.faults, now=EPOCH),
            server=PlayedServer(
                loop,
                random,
                epoch=EPOCH,
                listener=self._witnesses,
                longest_history=scene.longest_history,
                has_attributes=number % 2 == 0,
            ),
            folder=folder,
        )
        self._broken: list[str] = []
        self._sessions = 0
        self._in_use = 0

    def run(self) -> SeedVerdict:
        """Play the seed, and judge it."""
        world = self._world
        play(world.loop, self._main())
        requests = world.platforms.list_requests()
        return SeedVerdict(
            seed=world.number,
            broken=(*self._broken, *world.server.broken),
            sessions=self._sessions,
            requests=world.platforms.books().requests,
            seconds=world.loop.time(),
            trace=self._compute_trace(),
            hung=sum(seen.effect is RequestEffect.BOUND for seen in requests),
            in_use=self._in_use,
            looked=0,
            lost=self._witnesses.lost,
        )

    def _compute_trace(self) -> int:
        """Return a digest of all outcomes."""
        ends = []
        for run in list_runs(self._world.state):
            with run.open_source() as source:
                ends += [(target.id, target.outcome, len(target.attempts)) for target in source.targets()]
        return hash((round(self._world.loop.time(), 6), repr(ends))) & 0xFFFFFFFF

    async def _main(self) -> None:
        runs = await self._take_down()
        if runs and not self._broken:
            await self._bring_back(runs[0])

    async def _play(self, scene: FarScene, act: Act, prepare: Callable[[], RunDraft]) -> FarStage:
        """Play one run to its end, and keep what it has broken."""
        witness = self._witnesses.begin(FarWitness(scene.near, act))
        stage = FarStage(self._world, scene, act, witness, prepare)
        with patch.object(conductor, "connect", stage.connect):
            self._sessions += await stage.play()
        self._broken += stage.judge()
        return stage

    async def _take_down(self) -> list[RunFolder]:
        """Play the run; return its folder."""
        near, platforms = self._scene.near, self._world.platforms

        def prepare() -> RunDraft:
            draft, place = write_draft(near, self._world.folder)
            return RunDraft(near.plan, draft, place)

        stage = await self._play(self._scene, Act.UNDEPLOY, prepare)
        books, requests = platforms.books(), platforms.list_requests()
        for run in stage.list_runs():
            self._broken += check_end(near, books, run, requests)
            targets = list_targets(run)
            self._broken += check_use(near, books, targets, requests)
            self._in_use += sum((target.reason or "").startswith("in_use") for target in targets)
        self._broken += check_drift(near, requests, stage.list_exchanges())
        return stage.list_runs()

    async def _bring_back(self, parent: RunFolder) -> None:
        """Restore the targets that the run took down, under misfortunes of the same sort."""
        world, near, platforms = self._world, self._scene.near, self._world.platforms
        before, counted = platforms.books(), len(platforms.list_requests())
        try:
            way = SimulatedRestore(world.number, near, parent, world.folder)
        except RunError as refused:
            self._broken += check_refused_restore(near, before, parent, refused)
            return
        platforms.expect(way.scene.faults)
        # No restore begins while a list still shows what the run took down.
        await anyio.sleep(max(getattr(each, "lag", 0.0) for each in near.fixture.gateways))

        def prepare() -> RunDraft:
            ready = way.build()
            return RunDraft(ready.plan, ready.draft, ready.place, DEPLOY)

        scene = make_restore_scene(world.number, self._scene, way.scene)
        stage = await self._play(scene, Act.DEPLOY, prepare)
        self._broken += check_restored(way, before, platforms, counted, stage.list_runs())
