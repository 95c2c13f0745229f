"""The choice of what nobody calls, after a survey: with the credential of the survey, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from orchestrator.discover.explore import survey_gateways
from orchestrator.discover.survey import SurveyResult
from orchestrator.discover.unused import UnusedSelection
from orchestrator.gateways.roma.gateway import Roma
from orchestrator.lanes.environment import Environment
from orchestrator.model.credentials import Material, Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request, Send
from orchestrator.model.search import FoundTarget, TargetFilter
from orchestrator.model.settings import Auth, CredentialReference
from tests.simulation.clock import VirtualLoop, play
from tests.simulation.network import find_path
from tests.support.simulated import BACKEND, INSTANCE, PROJECT, SimulatedClient, roma

GATEWAY = Roma(
    name="roma-eu",
    url="https://roma-eu.example",
    auth=Auth(token=CredentialReference(env="NOBODY_SETS_THIS")),
    project_id=PROJECT,
    instance_id=INSTANCE,
)


class DiscoverScene:
    """A discover of one instance, which takes the second token alone, and what it has sent."""

    def __init__(self) -> None:
        self.client = SimulatedClient(roma(tokens=("the-second-token",), statistics="owner"))
        self.given = iter(["the-first-token", "the-second-token"])
        self.sent: list[str] = []
        self.found: list[FoundTarget] = []
        self.environment = Environment(
            now=lambda: self.client.now,
            monotonic=anyio.current_time,
            roll=lambda: 1.0,
            connect=self.connect,
            credential=self.resolve,
        )

    async def resolve(self, _: Gateway) -> Material:
        return Secret(next(self.given))

    @asynccontextmanager
    async def connect(self, _: Gateway) -> AsyncIterator[Send]:
        async def send(request: Request) -> Reply | Lost:
            await anyio.sleep(0.1)
            self.sent.append(request.headers["X-Auth-Token"])
            answer = self.client.send(
                request.method, find_path(request), request.headers, request.body or b""
            )
            assert answer.answer is not None
            headers = {name.lower(): value for name, value in answer.answer.headers.items()}
            return Reply(answer.answer.status, headers, answer.answer.body, self.client.now)

        yield send

    def on_lane_state(self, *_: object) -> None:
        """Hear nothing."""

    def keep(self, _: Gateway, found: FoundTarget) -> str | None:
        self.found.append(found)
        return None

    async def survey(self) -> dict[str, SurveyResult]:
        wanted = {GATEWAY.name: TargetFilter()}
        return await survey_gateways([GATEWAY], wanted, self.environment, self, self.keep, unused=72)


@pytest.mark.promise(5)
def test_a_token_that_the_survey_saw_rejected_is_not_sent_once_more() -> None:
    scene = DiscoverScene()

    result = play(VirtualLoop(), scene.survey())["roma-eu"]

    assert scene.sent.count("the-first-token") == 1
    assert scene.sent.count("the-second-token") > 2
    assert [each.parts for each in scene.found] == [(BACKEND,)]
    assert result.whole


def test_after_a_survey_that_may_send_no_more_nothing_is_asked_and_each_target_is_a_gap() -> None:
    gaps: list[str] = []
    survey: Any = SimpleNamespace(refusal="denied: no role", access=None, miss=gaps.append)
    selection = UnusedSelection(GATEWAY, 72, keep=lambda _: None)
    selection.add(FoundTarget(parts=(BACKEND,), traits={}))
    scene = DiscoverScene()

    play(VirtualLoop(), selection.select(scene.environment, Secret("the-first-token"), survey))

    assert gaps == [f"roma-eu/{BACKEND} is left out: denied: no role"]
    assert scene.sent == []


@pytest.mark.parametrize("name", ["a b", "../a", "", "0001-01-01T00:00:00+14:00"])
def test_what_no_plan_can_name_is_told_and_not_asked_for(name: str) -> None:
    kept: list[FoundTarget] = []
    survey: Any = SimpleNamespace(refusal=None, access=None, miss=lambda _: None)
    selection = UnusedSelection(GATEWAY, 72, keep=kept.append)
    strange = FoundTarget(parts=(name,), traits={})
    selection.add(strange)
    scene = DiscoverScene()

    play(VirtualLoop(), selection.select(scene.environment, Secret("the-first-token"), survey))

    assert kept == [strange]
    assert scene.sent == []
