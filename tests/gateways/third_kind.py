"""A third kind of gateway for the tests: what somebody writes who follows docs/adding-a-gateway.md, no more.

As a plugin of pytest (``-p tests.gateways.third_kind``) it stands in the table of kinds, so that the
tests of every kind run for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from msgspec import Meta

from orchestrator.gateways import KINDS
from orchestrator.gateways.envelope import describe_reply, find_wait, parse_object
from orchestrator.gateways.text import encode_segment
from orchestrator.model.credentials import Access, Secret
from orchestrator.model.gateway import Coordinate, Gateway
from orchestrator.model.http import Reply, Request, Send
from orchestrator.model.reading import Act, Operation, Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.model.text_form import TextForm
from orchestrator.text.urls import normalize_url
from tests.support.recorded import FOLDERS

ROUTE = Operation(Act.LOOK, "route")
STAGE_NAME = TextForm(pattern="[a-z]+", noun="the name of a stage", words="write small letters")
TENANT_NAME = TextForm(pattern="[a-z]{1,20}", noun="a tenant", words="write 1 to 20 small letters")


class Beacon(Gateway, frozen=True, kw_only=True, tag="beacon"):
    """A gateway that has routes in stages, and takes one off with a PATCH."""

    tenant: Annotated[
        str, TENANT_NAME.meta, Meta(description="The tenant that owns the routes.", examples=["acme"])
    ]

    KIND: ClassVar[str] = "beacon"
    COORDINATES: ClassVar[tuple[Coordinate, ...]] = (
        Coordinate(name="route", plural="routes", doc="The route to take offline.", examples=("petstore",)),
        Coordinate(name="stage", plural="", form=STAGE_NAME, doc="Its stage.", examples=("live",)),
    )
    AUTH: ClassVar[frozenset[str]] = frozenset({"token"})
    LOOKS: ClassVar[tuple[Operation, ...]] = (ROUTE,)
    EVIDENCE: ClassVar[str] = "dark"
    CONCURRENCY: ClassVar[int] = 3
    TIMEOUT: ClassVar[float] = 20.0

    @property
    def installation(self) -> str:
        return f"{self.KIND} {normalize_url(self.url)} {self.tenant}"

    def build_request(
        self, operation: Operation, target: Target, access: Access, *, note: str | None, now: float
    ) -> Request:
        assert isinstance(access, Secret)
        if operation.act is Act.DEPLOY or (operation.act is Act.LOOK and operation != ROUTE):
            raise ValueError(f"a beacon is not asked to {operation.act} {operation.via}".rstrip())
        route, stage = map(encode_segment, target.parts)
        url = f"{self.url.rstrip('/')}/{self.tenant}/{stage}/{route}"
        headers = {"X-Beacon": access.reveal()}
        return Request("PATCH" if operation.act is Act.UNDEPLOY else "GET", url, headers)

    def read(self, operation: Operation, target: Target, reply: Reply) -> Reading:
        is_look = operation.act is Act.LOOK
        known = {b"on": Verdict.UP, b"off": Verdict.DOWN} if is_look else {b"dark": Verdict.REMOVED}
        if reply.status == 200 and reply.body in known:
            evidence = "look" if is_look else self.EVIDENCE
            return Reading(verdict=known[reply.body], evidence=evidence)
        if reply.status == 404 and (parse_object(reply) or {}).get("code") == "B404":
            return Reading(verdict=Verdict.ABSENT, code="B404", message="no such route", evidence="code")
        verdict = _judge_look(reply) if is_look else _judge_undeploy(reply)
        wait = find_wait(reply) if verdict is Verdict.BUSY else None
        return Reading(verdict=verdict, message=describe_reply(reply), wait=wait)

    def next_look(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Operation | Reading:
        return seen.get(ROUTE.via, ROUTE)


def _judge_any(reply: Reply) -> Verdict | None:
    if reply.status == 401:
        return Verdict.DENIED
    is_busy = reply.status == 429 or (reply.status == 503 and "retry-after" in reply.headers)
    return Verdict.BUSY if is_busy else None


def _judge_look(reply: Reply) -> Verdict:
    return _judge_any(reply) or (Verdict.NOT_OFFERED if reply.status == 404 else Verdict.UNCLEAR)


def _judge_undeploy(reply: Reply) -> Verdict:
    if reply.status == 404:
        return Verdict.ELSEWHERE
    if verdict := _judge_any(reply):
        return verdict
    if reply.status >= 500 or reply.status == 408:
        return Verdict.DOUBT
    return Verdict.REFUSED if reply.status >= 400 else Verdict.STRANGE


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-samples", action="store_true", help="Leave the third kind without samples.")


def pytest_configure(config: pytest.Config) -> None:
    KINDS[Beacon.KIND] = Beacon
    if not config.getoption("--without-samples"):
        FOLDERS[Beacon.KIND] = Path(__file__).parent / "beacon_samples"


@dataclass
class Lighthouse:
    """What is behind the beacons: a route that is lit, one that is dark, and one whose PATCH faults."""

    lit: set[str] = field(default_factory=lambda: {"a/live", "c/live"})
    dark: set[str] = field(default_factory=lambda: {"b/live"})
    faulty: set[str] = field(default_factory=lambda: {"c/live"})
    seen: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def connect(self, _: Gateway) -> AsyncIterator[Send]:
        yield self.send

    async def send(self, request: Request) -> Reply:
        assert request.headers == {"X-Beacon": "the-token"}
        tenant, stage, route = request.url.removeprefix("https://beacon.example.com/").split("/")
        place = f"{route}/{stage}"
        self.seen.append(f"{request.method} {tenant} {place}")
        if place not in self.lit | self.dark:
            return Reply(404, {}, b'{"code": "B404"}', 0.0)
        if request.method == "GET":
            return Reply(200, {}, b"on" if place in self.lit else b"off", 0.0)
        self.lit.discard(place)
        self.dark.add(place)
        if place in self.faulty:
            self.faulty.discard(place)
            return Reply(502, {}, b"", 0.0)
        return Reply(200, {}, b"dark", 0.0)
