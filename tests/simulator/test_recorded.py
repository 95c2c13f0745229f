"""Samples that say how a simulator comes to them: it says what they say, and understands recorded requests.

Any kind with samples and a simulator is judged here; no kind is named.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.gateways import KINDS
from orchestrator.model.credentials import Secret
from orchestrator.model.http import Request
from orchestrator.simulator.exchange import HttpAnswer
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN, PlannedTargets
from orchestrator.simulator.kinds import FIXTURES, AnyFixture
from tests.simulator.test_samples import compare
from tests.support.recorded import (
    TOKEN,
    Recorded,
    Sample,
    folder_of,
    gateway,
    read_yaml,
    recorded_requests,
    samples,
)
from tests.support.simulated import SimulatedClient


def make_fixture(kind: str, parts: tuple[str, ...], **fields: Any) -> AnyFixture:
    """Return the gateway of a kind with one target, and with further fields as JSON has them."""
    made = FIXTURES[kind].of_entry(gateway(kind), PlannedTargets([parts], [], []))
    return msgspec.convert({**msgspec.to_builtins(made), **fields}, FIXTURES[kind])


def ask(client: SimulatedClient, request: Request) -> HttpAnswer:
    parts = urlsplit(request.url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    answer = client.send(request.method, path, dict(request.headers), request.body or b"").answer
    assert answer is not None
    return answer


@cache
def list_simulated() -> list[Any]:
    """Return each sample with the way to it: the fields of a fixture, and the ``fault`` that strikes."""
    found = []
    for kind in KINDS:
        for sample in samples(kind):
            file = folder_of(kind) / sample.name.partition("/")[2] / "expected.yaml"
            way = read_yaml(file).get("simulated")
            if way is not None:
                found.append(pytest.param(sample, way, id=sample.name))
    return found


@pytest.mark.parametrize(("sample", "way"), list_simulated())
def test_a_simulator_can_say_what_a_sample_says(sample: Sample, way: dict[str, Any]) -> None:
    fault, fields = way.get("fault"), {key: value for key, value in way.items() if key != "fault"}
    client = SimulatedClient(make_fixture(sample.kind, sample.target.parts, **fields))
    if fault:
        client.expect(script={sample.target.id: (fault,)})
    request = sample.gateway.build_request(
        sample.operation, sample.target, Secret(FAKE_TOKEN), note=None, now=0.0
    )
    answer = ask(client, request)

    compare(*sample.name.split("/"), answer)
    read = sample.gateway.read(sample.operation, sample.target, as_reply(sample, answer))
    assert (read.verdict, read.code) == (sample.wanted.verdict, sample.wanted.code)


def as_reply(sample: Sample, answer: HttpAnswer) -> Any:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return replace(sample.reply, status=answer.status, headers=headers, body=answer.body)


def list_requests() -> list[Any]:
    kinds = [kind for kind in KINDS if any(one.values[0].kind == kind for one in list_simulated())]
    return [pytest.param(kind, one, id=one.name) for kind in kinds for one in recorded_requests(kind)]


@pytest.mark.parametrize(("kind", "recorded"), list_requests())
def test_a_simulator_understands_a_recorded_request(kind: str, recorded: Recorded) -> None:
    client = SimulatedClient(make_fixture(kind, recorded.target.parts, tokens=[TOKEN]))
    answer = ask(client, recorded.request())

    assert answer.status < 300
    (fact,) = client.platforms.books().targets.values()
    assert (fact.undeploys, fact.deploys, fact.looks).count(1) == 1
