"""Small fixtures of both kinds, and a client that asks their platforms without a socket."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.books import SimulatedGatewayFacts
from orchestrator.simulator.bound_types import BoundFixture
from orchestrator.simulator.exchange import Delivery
from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.kinds import AnyFixture
from orchestrator.simulator.platforms import SimulatedPlatforms
from orchestrator.simulator.roma_fixture import BackendFixture, RomaFixture

PROJECT = "0123456789abcdef0123456789abcdef"
INSTANCE = "f0fa1789-3b76-433b-a787-9892951c620e"
BACKEND = "bd42841c20184da6bbf457c6d8a06e37"
OFF = "00000000000000000000000000000off"
PLACE = f"{PROJECT}/apic/instances/{INSTANCE}"
PROXY = "/apiops/projects/Retail/apiProxies/petstore/"
TEST = f"{PROXY}environments/test/"


def roma(**fields: Any) -> RomaFixture:
    """Return a ROMA instance with one backend that is deployed and one that is not."""
    given = {
        "name": "roma-eu",
        "project_id": PROJECT,
        "instance_id": INSTANCE,
        "targets": (BACKEND,),
        "down": (OFF,),
    }
    return RomaFixture(**given | fields)


def apinizer(**fields: Any) -> ApinizerFixture:
    """Return an Apinizer with one proxy, deployed to two environments and taken from a third."""
    targets = (("Retail", "petstore", "test"), ("Retail", "petstore", "production"))
    given = {"name": "apim", "targets": targets, "down": (("Retail", "petstore", "old"),)}
    return ApinizerFixture(**given | fields)


def hang_widely(
    ids: Iterable[str], environments: Sequence[str] = ("prod", "test"), *, applications: int = 57
) -> dict[str, BackendFixture]:
    """Return backends with front ends in several environments, on each of which a few things hang.

    Every one may be called by two applications, and has a throttling policy; every third one has an access
    control, a signature key and a plug-in as well.
    """
    policies = tuple(BoundFixture(type=key, name=f"the {key}") for key in ("acls", "signs", "plugins"))
    callers = [
        BoundFixture(type="applications", name=f"application {number}", tunnel="GREEN", visit=f"v{number}")
        for number in range(applications)
    ]
    throttles = [BoundFixture(type="throttles", name=f"{number} a second") for number in range(1, 5)]
    return {
        one: BackendFixture(
            environments=tuple(environments),
            bound=(
                callers[number % applications],
                callers[(number * 7 + 1) % applications],
                throttles[number % len(throttles)],
                *(policies if number % 3 == 0 else ()),
            ),
        )
        for number, one in enumerate(ids)
    }


class SimulatedClient:
    """A client with the right token, and the platforms that it sends its requests to."""

    def __init__(self, *gateways: AnyFixture) -> None:
        self.platforms = SimulatedPlatforms(SimulatorFixture(gateways=gateways), now=1_000_000.0)
        self.now = 1_000_060.0

    def expect(self, **faults: Any) -> None:
        self.platforms.expect(FaultScenario(**faults))

    def ask(
        self, method: str, path: str, body: bytes | object = b"", *, token: str | None = FAKE_TOKEN
    ) -> Delivery:
        headers = {}
        if token is not None:
            headers = {"Authorization": f"Bearer {token}", "X-Auth-Token": token}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send(method, path, headers, raw)

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Delivery:
        """Send a request with just these headers to the first gateway."""
        gateway = next(iter(self.platforms.names))
        delivery = self.platforms.handle(gateway, method, path, headers, body, now=self.now)
        self.platforms.finish(gateway, delivery)
        return delivery

    def facts(self) -> SimulatedGatewayFacts:
        """Return the facts of the first gateway."""
        return next(iter(self.platforms.books().gateways.values()))


def document(delivery: Delivery) -> Any:
    """Return the JSON body of a delivery's answer."""
    assert delivery.answer is not None

    return json.loads(delivery.answer.body)


def status(delivery: Delivery) -> int:
    """Return the status of a delivery's answer."""
    assert delivery.answer is not None

    return delivery.answer.status
