"""The third kind, WSO2 API Manager, in a scene: a control plane of its own, with its own misfortunes."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from orchestrator.gateways.wso2 import Wso2
from orchestrator.model.gateway import Gateway
from orchestrator.model.settings import Auth, CredentialReference, Limits, Retry
from orchestrator.model.target import Target, TargetId
from orchestrator.model.target_id import join_id
from orchestrator.simulator.wso2 import Wso2Fixture

NAME = "am"
_ENVIRONMENTS = ("Default", "eu/west ü", "sandbox")
_API = "0c5a1f2e-6b7d-4e0a-9f37-{:012d}"
_REVISION = "7d1f3b8c-52e4-4c19-8a6b-{:012d}"
_OTHER = "99999999-52e4-4c19-8a6b-{:012d}"


def add_third_kind(
    random: Random, gateways: tuple[Gateway, ...], targets: tuple[Target, ...]
) -> tuple[tuple[Gateway, ...], tuple[Target, ...]]:
    """Return the gateways and the targets of a scene; in some, a third of the targets stand on a WSO2."""
    if random.random() < 0.7:
        return gateways, targets
    moved = tuple(_move(target) if random.random() < 0.35 else target for target in targets)
    return (*gateways, _make_gateway(random)), moved


def _make_gateway(random: Random) -> Wso2:
    return Wso2(
        name=NAME,
        url=f"https://{NAME}.example:9443",
        auth=Auth(token=CredentialReference(env="UNDEPLOY_SIMULATED")),
        retry=Retry(attempts=random.randint(1, 6), first=random.choice([0.1, 0.5, 2.0])),
        limits=Limits(
            concurrency=random.randint(1, 6), rate=random.choice([None, None, None, 0.5, 5.0, 50.0])
        ),
        park_for=random.choice([600.0, 600.0, 30.0]),
        look=random.choice(["doubt", "doubt", "always"]),
        absent=random.choice(["fail", "ok"]),
        timeout=30.0,
        api_version=random.choice(["v4", "v3", "v2"]),
    )


def _move(target: Target) -> Target:
    """Return a revision in the place of another target: three environments of an API stand side by side."""
    number = (target.seq - 1) // 3
    parts = (_API.format(number), _REVISION.format(number), _ENVIRONMENTS[(target.seq - 1) % 3])
    return Target(target.seq, TargetId(join_id(NAME, parts)), NAME, target.wave, parts)


def make_control_plane(random: Random) -> dict[str, object]:
    """Return how a control plane answers, where the vendor's page and its code say different things."""
    return {
        "replies": random.choice(["left", "left", "undeployed", "nothing"]),
        "unknown": random.choice(["empty", "404"]),
        "gone": random.choice([900308, 900301, 404]),
        "approval": random.random() < 0.1,
        "environments": _ENVIRONMENTS,
        "lists_counts": random.random() < 0.5,
        "lag": random.choice([0.0, 0.0, 2.0, 8.0]),
        "latency": random.uniform(0.01, 0.3),
        "token_life": random.choice([86_400.0, 86_400.0, 30.0]),
    }


def deploy_others(random: Random, gateway: Wso2Fixture) -> Wso2Fixture:
    """Return a control plane on which other revisions serve in the place of some that are down."""
    others = tuple(
        (api, _OTHER.format(index), environment)
        for index, (api, _, environment) in enumerate(gateway.down)
        if random.random() < 0.5
    )
    return replace(gateway, targets=(*gateway.targets, *others))
