"""One moment in which many undeploys of a gateway meet a fault, while nothing else goes wrong."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from orchestrator.gateways.roma.gateway import Roma
from orchestrator.model.plan import Plan, Wave
from orchestrator.model.settings import Auth, CredentialReference, Limits, Retry
from orchestrator.model.target import Target, TargetId
from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.fixtures import SimulatorFixture
from tests.simulation.credentials import TOKENS

if TYPE_CHECKING:
    from tests.simulation.scene import SeedScene

TARGETS = 64
STRUCK = 16
"""Of the targets; so few that hardly ever five of them answer in a row, which would park the lane."""

FAULTS = ("500", "502", "500-after", "reset", "reset-after", "504")


def strike_at_once(random: Random, scene: SeedScene) -> SeedScene:
    """Return the scene; in some, all that goes wrong is that many undeploys meet a fault at one moment."""
    if random.random() < 0.97:
        return scene
    gateway = Roma(
        name="roma-eu",
        url="https://roma-eu.example",
        auth=Auth(token=CredentialReference(env="UNDEPLOY_SIMULATED")),
        limits=Limits(concurrency=TARGETS),
        retry=Retry(first=random.choice([1.0, 2.0, 5.0])),
        project_id="0123456789abcdef0123456789abcdef",
        instance_id="f0fa1789",
    )
    targets = tuple(
        Target(number, TargetId(f"roma-eu/api{number:04}"), gateway.name, 0, (f"api{number:04}",))
        for number in range(1, TARGETS + 1)
    )
    plan = Plan(name=scene.plan.name, gateways=(gateway,), waves=(Wave(name="all"),), snapshot="off")
    struck = random.sample(targets, STRUCK)
    fixture = SimulatorFixture.from_plan(plan, targets).with_settings({"roma": {"tokens": TOKENS}})
    return replace(
        scene.calm_down(),
        plan=plan,
        targets=targets,
        fixture=fixture,
        faults=FaultScenario(script={target.id: (random.choice(FAULTS),) for target in struck}),
        skip=(),
        approved={},
        preview=None,
        discover=None,
        has_doctor=False,
    )
