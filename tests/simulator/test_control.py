"""The control address, without a socket."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.simulator.books import SimulatorBooks
from orchestrator.simulator.control import control
from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.fixtures import SimulatorFixture
from tests.support.simulated import BACKEND, PLACE, World, roma, status

SHOW = f"/v2/{PLACE}/livedata-apis/{BACKEND}"


def asked(world: World, method: str, path: str, value: object = b"") -> object:
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return control(world.platforms, method, path, body, now=world.now)


def test_the_books_come_as_they_are():
    world = World(roma())
    world.ask("GET", SHOW)

    told = msgspec.json.decode(asked(world, "GET", "/_books").body, type=SimulatorBooks)

    assert told == world.platforms.books()


def test_requests_come_page_by_page():
    world = World(roma())
    for _ in range(3):
        world.ask("GET", SHOW)

    told = msgspec.json.decode(asked(world, "GET", "/_requests?after=1&limit=1").body)

    assert [one["number"] for one in told] == [2]
    assert len(msgspec.json.decode(asked(world, "GET", "/_requests?after=x&limit=-1").body)) == 3


def test_faults_and_seed_are_taken():
    world = World(roma())

    assert asked(world, "POST", "/_faults", FaultScenario(script={"roma-eu": ("any:500",)})).status == 204
    assert status(world.ask("GET", SHOW)) == 500
    assert (
        asked(world, "POST", "/_seed", SimulatorFixture(gateways=(roma(targets=("a",), down=()),))).status
        == 204
    )
    assert set(world.platforms.books().targets) == {"roma-eu/a"}


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [("/_faults", b"{", "truncated"), ("/_faults", b'{"script": {"x": []}}', "roma-eu"),
     ("/_faults", b'{"script": {"roma-eu": ["boom"]}}', "boom"),
     ("/_faults", b'{"script": {"roma-eu": [{"kind": "status"}]}}', "no status"),
     ("/_seed", b'{"gateways": []}', "roma-eu"),
     ("/_seed", b"\xff", "")],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_a_sentence(path, body, text):
    answer = asked(World(roma()), "POST", path, body)

    assert (answer.status, text in answer.body.decode()) == (400, True)


def test_another_path_is_answered_with_those_there_are():
    assert asked(World(roma()), "GET", "/_help").status == 404
