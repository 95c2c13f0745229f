"""The scene of a seed beyond one machine: that of one machine, in zones, with misfortunes of its own."""

from __future__ import annotations

from random import Random

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScenario, InjectedFault
from tests.simulation.scene import SeedScene, make_scene
from tests.simulation.wall_clock import ClockJump, draw_jumps

ZONES = ("east", "west", "dmz")

FOR_EVER = 1e9


class WorkerFate(Struct, frozen=True, kw_only=True):
    """What becomes of a worker. Steps are its own; see ``SimulatedProcess``."""

    dies_at: int | None = None
    freezes_at: int | None = None
    freezes_for: float = 0.0
    leaves_at: float | None = None
    """Seconds after its start at which it gets a SIGTERM."""
    back_after: float = 0.0
    """Seconds after its end until another process takes its place."""


class TimeSpan(Struct, frozen=True):
    """Seconds of the whole run from and to which something is so."""

    start: float
    end: float


class FarScene(Struct, frozen=True, kw_only=True):
    """The scene of one machine, the zones and their workers, and all that goes wrong between them."""

    near: SeedScene
    workers: dict[str, tuple[WorkerFate, ...]]
    """By zone: the first fate of each of its workers; those that take their places live on."""
    absences: dict[str, TimeSpan]
    """By zone: when no worker of it is there."""
    away: TimeSpan | None
    """When the server answers nobody."""
    cuts: dict[str, TimeSpan]
    """By process: when it alone does not reach the server."""
    lost: float
    """The share of the server's answers that never come, though the calls took effect."""
    clocks: dict[str, tuple[ClockJump, ...]]
    """By process: when its wall clock is put forward or back, in seconds since it began."""
    full: range
    """The steps of the first driver's disk in which it is full."""
    crashes: tuple[int, ...]
    """The steps at which the drivers die; those after these live on."""
    pause: float
    """Seconds until the next driver comes."""
    longest_history: int
    chunk_targets: int
    part_targets: int
    open_targets: int

    @property
    def delays(self) -> float:
        """The seconds for which all that goes wrong around a run may hold it up, one thing after another."""
        away = [] if self.away is None else [self.away]
        spans = sum(span.end - span.start for span in (*away, *self.cuts.values()))
        fates = [fate for each in self.workers.values() for fate in each]
        losses = sum(30.0 + fate.freezes_for + fate.back_after for fate in fates)
        return spans + losses + sum(4 * gateway.park_for for gateway in self.near.plan.gateways) + 600.0

    @property
    def is_calm(self) -> bool:
        """Whether all is well between driver, server and workers."""
        fates = [fate for each in self.workers.values() for fate in each]
        return not (
            self.absences
            or self.away
            or self.cuts
            or self.lost
            or self.crashes
            or self.clocks
            or self.full
            or any(fate != WorkerFate() for fate in fates)
        )


def make_far_scene(number: int) -> FarScene:
    """Make the scene of a seed; the same number always makes the same one."""
    random = Random(f"far scene of {number}")
    scene = _surround(random, _settle(random, make_scene(number)))
    return _strike_machines(Random(f"far machines of {number}"), scene)


def make_restore_scene(number: int, before: FarScene, near: SeedScene) -> FarScene:
    """Make the scene of a seed's restore: that of one machine, with misfortunes of its own around it."""
    random = Random(f"far restore of {number}")
    scene = _strike_machines(random, _surround(random, replace(near, crashes=())))
    return replace(
        scene,
        longest_history=before.longest_history,
        chunk_targets=before.chunk_targets,
        part_targets=before.part_targets,
        open_targets=before.open_targets,
    )


def _surround(random: Random, near: SeedScene) -> FarScene:
    """Return a scene of one machine with zones, workers, a server, and all that goes wrong between them."""
    zones = list(dict.fromkeys(gateway.zone for gateway in near.plan.gateways))
    is_calm = random.random() < 0.15
    scene = FarScene(
        near=near,
        workers={zone: _make_workers(random) for zone in zones},
        absences=_make_absences(random, zones),
        away=_make_away(random),
        cuts=_make_cuts(random, zones),
        lost=random.choice([0.0, 0.0, 0.0, 0.02, 0.1]),
        clocks={},
        full=range(0),
        crashes=_make_crashes(random),
        pause=random.choice([0.0, 5.0, 60.0]),
        longest_history=random.choice([10_000, 10_000, 60, 25]),
        chunk_targets=random.choice([1, 3, 8, 20, 200]),
        part_targets=random.choice([10_000, 10, 40]),
        open_targets=random.choice([100_000, 100_000, 50]),
    )
    return _calm_down(scene) if is_calm else scene


def _settle(random: Random, near: SeedScene) -> SeedScene:
    """Return the scene of one machine with its gateways in zones, and without misfortunes of its process."""
    count = random.randint(1, min(len(ZONES), len(near.plan.gateways)))
    gateways = tuple(
        replace(gateway, zone=ZONES[index % count]) for index, gateway in enumerate(near.plan.gateways)
    )
    plan = replace(near.plan, gateways=gateways)
    near = replace(near, faults=_ask_for_patience(random, near))
    return replace(near, plan=plan, crashes=(), full=range(0), freeze=None, jumps=(), preview=None)


def _ask_for_patience(random: Random, near: SeedScene) -> FaultScenario:
    """Return the faults with gateways that ask for a wait which may outlast a worker, in some scenes."""
    if random.random() < 0.7:
        return near.faults
    script = dict(near.faults.script)
    names = [target.id for target in near.targets]
    for name in random.sample(names, min(len(names), random.randint(1, 4))):
        busy = InjectedFault(
            kind=FaultKind.STATUS,
            status=random.choice([429, 503]),
            retry_after=random.choice(["8", "20", "45"]),
        )
        script[name] = (busy, *script.get(name, ()))
    return replace(near.faults, script=script)


def _make_workers(random: Random) -> tuple[WorkerFate, ...]:
    return tuple(_make_fate(random) for _ in range(random.randint(1, 3)))


def _make_fate(random: Random) -> WorkerFate:
    fate, back = random.random(), random.choice([0.0, 3.0, 20.0, 60.0])
    at = random.randint(1, random.choice([20, 100, 400]))
    if fate < 0.35:
        return WorkerFate(dies_at=at, back_after=back)
    if fate < 0.6:
        return WorkerFate(freezes_at=at, freezes_for=random.choice([1.0, 7.0, 12.0, 40.0, 300.0]))
    if fate < 0.7:
        return WorkerFate(leaves_at=random.uniform(0.5, 20.0), back_after=back)
    return WorkerFate()


def _make_absences(random: Random, zones: list[str]) -> dict[str, TimeSpan]:
    if random.random() < 0.85:
        return {}
    start = random.choice([0.0, random.uniform(0.0, 10.0)])
    return {random.choice(zones): TimeSpan(start, start + random.choice([8.0, 60.0, 700.0, FOR_EVER]))}


def _make_away(random: Random) -> TimeSpan | None:
    if random.random() < 0.85:
        return None
    start = random.uniform(0.0, 20.0)
    return TimeSpan(start, start + random.choice([1.0, 6.0, 15.0, 90.0]))


def _make_cuts(random: Random, zones: list[str]) -> dict[str, TimeSpan]:
    if random.random() < 0.8:
        return {}
    start = random.uniform(0.0, 20.0)
    name = random.choice(["driver-1", f"{random.choice(zones)}-1"])
    return {name: TimeSpan(start, start + random.choice([1.0, 6.0, 15.0, 90.0]))}


def _make_crashes(random: Random) -> tuple[int, ...]:
    if random.random() < 0.6:
        return ()
    return tuple(random.randint(1, random.choice([10, 60, 300])) for _ in range(random.randint(1, 3)))


def _strike_machines(random: Random, scene: FarScene) -> FarScene:
    """Return the scene with clocks that are wrong, and a disk that fills up, unless all is well in it."""
    if scene.is_calm:
        return scene
    return replace(scene, clocks=_choose_clocks(random, list(scene.workers)), full=_choose_full(random))


def _choose_clocks(random: Random, zones: list[str]) -> dict[str, tuple[ClockJump, ...]]:
    """Return the jumps of the clocks of some processes: in mid-run, or before it, so that they were wrong."""
    if random.random() < 0.75:
        return {}
    names = ["driver-1", "driver-2", *(f"{zone}-{number}" for zone in zones for number in (1, 2, 3))]
    return {name: _choose_jumps(random) for name in random.sample(names, random.randint(1, 3))}


def _choose_jumps(random: Random) -> tuple[ClockJump, ...]:
    jumps = draw_jumps(random)
    return jumps if random.random() < 0.5 else (replace(jumps[0], at=0.0), *jumps[1:])


def _choose_full(random: Random) -> range:
    if random.random() < 0.85:
        return range(0)
    start = random.randint(1, 60)
    return range(start, start + random.choice([1, 5, 10_000]))


def _calm_down(scene: FarScene) -> FarScene:
    return replace(
        scene,
        workers={zone: (WorkerFate(),) * len(fates) for zone, fates in scene.workers.items()},
        absences={},
        away=None,
        cuts={},
        lost=0.0,
        crashes=(),
    )
