"""What the contracts contradict themselves about, or leave open, as some scenes meet it.

The draws have dice of their own, so that all else in the scene of a seed stays as it is without them.
"""

from __future__ import annotations

from itertools import chain
from random import Random
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.model.target import Target
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScenario, InjectedFault
from orchestrator.simulator.kinds import AnyFixture
from orchestrator.simulator.roma_fixture import BackendFixture, RomaFixture
from orchestrator.simulator.wso2 import Wso2Fixture

if TYPE_CHECKING:
    from tests.simulation.scene import SeedScene

SHARE = 0.3
"""Of the scenes."""

FAULTS = (
    "refused-partial", "refused-partial", "no-deployment", "partial", "look:pod-unreached", "look:pod-silent",
    "503", "503-after", "202-after", "empty-after", "login-page-after", "redirect-after",
    "look:503", "look:429@2", "look:503@1",
)  # fmt: skip
PODS = (
    "partial", "refused-partial", "no-deployment", "500", "500-after", "look:pod-unreached",
    "look:pod-silent", "look:no-pods", "look:500",
)  # fmt: skip
"""What may go wrong between a manager and its pods."""
CHOSEN = frozenset(
    chain(range(1, 7), range(14, 42), range(47, 57), range(240, 260), range(700, 720)),
) | {66, 83, 115, 170, 280, 344, 394, 509, 1240}
"""Seeds that tests chose for one harm which they notice: their scenes stay as they were chosen."""
PROJECT = "Retail"
"""In which all proxies of a scene are."""


class Withdrawal(Struct, frozen=True):
    """A project loses an environment in mid-run, and its manager undeploys at once all that it had there.

    ``at``: the seconds of the first session after which this comes.
    """

    at: float
    gateway: str
    environment: str


def contradict(number: int, scene: SeedScene) -> SeedScene:
    """Return the scene; in some, the platforms take one of the sides that the contracts leave to them."""
    random = Random(f"contradictions of {number}")
    if random.random() >= SHARE or number in CHOSEN:
        return scene
    fixtures = tuple(
        _take_sides(Random(f"contradictions of {number} at {each.name}"), each)
        for each in scene.fixture.gateways
    )
    targets = tuple(_word(random, scene, target) for target in scene.targets)
    faults, withdrawal = _add_faults(random, scene), _withdraw(random, scene)
    only_pods = faults.storm is not None and faults.storm.kinds == PODS
    return replace(
        scene,
        fixture=replace(scene.fixture, gateways=fixtures),
        targets=targets,
        faults=faults,
        withdrawal=None if only_pods else withdrawal,
    )


def _take_sides(random: Random, gateway: AnyFixture) -> AnyFixture:
    if isinstance(gateway, ApinizerFixture):
        return _settle_answers(random, _settle_manager(random, gateway))
    if isinstance(gateway, RomaFixture):
        return _settle_instance(random, gateway)
    is_plane = isinstance(gateway, Wso2Fixture)
    return replace(gateway, deploy_status=random.choice([200, 201])) if is_plane else gateway


def _settle_manager(random: Random, gateway: ApinizerFixture) -> ApinizerFixture:
    """Settle what a manager does."""
    bodies: list[Literal["accept", "ignore", "reject"]] = ["accept", "accept", "accept", "ignore", "reject"]
    return replace(
        gateway,
        orphans=random.choice(["accept", "refuse"]),
        kept=random.choice([6, 6, 2, 1]),
        body=random.choices(bodies, (4, 4, 4, 2, 1))[0],
        expires_in=random.choice(["3600", "epoch", "milliseconds"]),
        unknown_project=random.choice([400, 404]),
        closed=(PROJECT,) if random.random() < 0.05 else (),
    )


def _settle_answers(random: Random, gateway: ApinizerFixture) -> ApinizerFixture:
    """Settle in which of its documented forms a manager says what it says."""
    return replace(
        gateway,
        rows=random.choice(["pods", "pods", "environment", "nested"]),
        tells_record=random.random() < 0.6,
        oldest_first=random.random() < 0.5,
        lists=random.choice(["status", "success"]),
        bare_proxy=random.random() < 0.5,
        deployments=random.random() < 0.8,
        withheld=random.choice([0, 0, 0, 2]),
        limit_status=random.choice([429, 429, 400, 403, 500]),
        limit_header=random.random() < 0.5,
        charset="ISO-8859-9" if random.random() < 0.2 else "UTF-8",
        denied=400 if random.random() < 0.3 else 401,
    )


def _settle_instance(random: Random, gateway: RomaFixture) -> RomaFixture:
    strange = random.sample(gateway.targets, len(gateway.targets) // 10)
    # No table has these two numbers; the vendor's file format knows four states, and the table three.
    about = {
        name: replace(gateway.about.get(name, BackendFixture()), status=random.choice([2, 5]))
        for name in strange
    }
    return replace(
        gateway,
        errors=random.choice(["documented", "camel", "bare", "nested"]),
        limit=random.choice([(429, "APIGW.0308"), (429, "APIG.0308"), (403, "APIC.0308")]),
        lag=random.choice([0.0, 0.0, 2.0, 8.0]),
        again=404 if random.random() < 0.1 else gateway.again,
        dialects=random.choices([("v1", "v2"), ("v1",), ("v2",)], (18, 1, 1))[0],
        about={**gateway.about, **about},
        denied=400 if random.random() < 0.3 else 401,
    )


def _word(random: Random, scene: SeedScene, target: Target) -> Target:
    """Return a target with words of its own for the manager's history, or a record that stays there."""
    if not any(each.name == target.gateway and each.KIND == "apinizer" for each in scene.plan.gateways):
        return target
    return replace(
        target,
        persistent=random.choice([None, None, True, False]),
        description=random.choice([None, None, None, f"retired with {target.seq}"]),
    )


def _add_faults(random: Random, scene: SeedScene) -> FaultScenario:
    """Return the faults with some that the contracts name, and that no other scene has."""
    faults, script = scene.faults, dict(scene.faults.script)
    few = random.sample(FAULTS, random.randint(0, 8))
    apis = [target.id for target in scene.targets if target.gateway == "roma-eu"]
    for name in random.sample(apis, min(len(apis), random.choice([0, 0, 2]))):
        # By its usual code such a 404 is a passing fault: no service was found behind the vendor's gateway.
        script[name] = (
            InjectedFault(kind=FaultKind.STATUS, status=404, code="APIGW.0103"),
            *script.get(name, ()),
        )
    if faults.storm is None:
        return FaultScenario(script=script)
    if random.random() < 0.25:
        # Nothing else, so that those meet which need each other: a pod that does not obey, and its silence.
        return FaultScenario(storm=replace(faults.storm, kinds=PODS, share=0.6), script=script)
    return FaultScenario(storm=replace(faults.storm, kinds=(*faults.storm.kinds, *few)), script=script)


def _withdraw(random: Random, scene: SeedScene) -> Withdrawal | None:
    """Return the withdrawal of a scene; most have none, nor has one whose run is held to an approval."""
    is_held = bool(scene.approved) or (scene.preview is not None and scene.preview.is_approved)
    managers = [gateway.name for gateway in scene.plan.gateways if gateway.KIND == "apinizer"]
    if random.random() >= 0.3 or is_held or not managers:
        return None
    return Withdrawal(random.uniform(0.0, 20.0), random.choice(managers), f"env{random.randrange(3)}")
