"""The control address, without a socket."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.simulator.books import SimulatorBooks
from orchestrator.simulator.control import control
from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.fixtures import SimulatorFixture
from tests.support.simulated import BACKEND, PLACE, SimulatedClient, roma, status

SHOW = f"/v2/{PLACE}/livedata-apis/{BACKEND}"


def asked(client: SimulatedClient, method: str, path: str, value: object = b"") -> object:
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return control(client.platforms, method, path, body, now=client.now)


def test_the_books_come_as_they_are():
    client = SimulatedClient(roma())
    client.ask("GET", SHOW)

    told = msgspec.json.decode(asked(client, "GET", "/_books").body, type=SimulatorBooks)

    assert told == client.platforms.books()


def test_requests_come_page_by_page():
    client = SimulatedClient(roma())
    for _ in range(3):
        client.ask("GET", SHOW)

    told = msgspec.json.decode(asked(client, "GET", "/_requests?after=1&limit=1").body)

    assert [one["number"] for one in told] == [2]
    assert len(msgspec.json.decode(asked(client, "GET", "/_requests?after=x&limit=-1").body)) == 3


def test_faults_and_seed_are_taken():
    client = SimulatedClient(roma())

    assert asked(client, "POST", "/_faults", FaultScenario(script={"roma-eu": ("any:500",)})).status == 204
    assert status(client.ask("GET", SHOW)) == 500
    assert (
        asked(client, "POST", "/_seed", SimulatorFixture(gateways=(roma(targets=("a",), down=()),))).status
        == 204
    )
    assert set(client.platforms.books().targets) == {"roma-eu/a"}


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [("/_faults", b"{", "truncated"), ("/_faults", b'{"script": {"x": []}}', "roma-eu"),
     ("/_faults", b'{"script": {"roma-eu": ["boom"]}}', "boom"),
     ("/_faults", b'{"script": {"roma-eu": [{"kind": "status"}]}}', "no status"),
     ("/_seed", b'{"gateways": []}', "roma-eu"),
     ("/_seed", b"\xff", "")],
)  # fmt: skip
def test_a_document_that_does_not_fit_is_refused_in_a_sentence(path, body, text):
    answer = asked(SimulatedClient(roma()), "POST", path, body)

    assert (answer.status, text in answer.body.decode()) == (400, True)


def test_another_path_is_answered_with_those_there_are():
    assert asked(SimulatedClient(roma()), "GET", "/_help").status == 404
