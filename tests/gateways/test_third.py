"""A third kind of gateway, thrown away after the test: one class and one line in the table are enough."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import jsonschema
import pytest
import yaml
from msgspec import Meta
from msgspec.structs import replace

from orchestrator.api import RunResult
from orchestrator.cli import execute
from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.errors import ExitStatus, PlanError
from orchestrator.gateways import KINDS
from orchestrator.journal.folder import RunFolder
from orchestrator.lanes.environment import Environment
from orchestrator.model.credentials import Access, Material, Secret
from orchestrator.model.gateway import Coordinate, Gateway
from orchestrator.model.http import Reply, Request, Send
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act, Operation, Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.plan.schema import make_plan_schema
from orchestrator.runs.load import load_plan
from orchestrator.runs.machine import real_environment
from orchestrator.runs.resume import resume_run
from orchestrator.runs.start import RunDraft, start_run

GET = Operation(Act.LOOK, "route")
UNDEPLOY = Operation(Act.UNDEPLOY)


class Beacon(Gateway, frozen=True, kw_only=True, tag="beacon", tag_field="kind"):
    """A gateway that has routes in stages, and takes one off with a PATCH."""

    tenant: Annotated[str, Meta(pattern="^[a-z]{1,20}$", description="The tenant that owns the routes.")]

    KIND: ClassVar[str] = "beacon"
    COORDINATES: ClassVar[tuple[Coordinate, ...]] = (
        Coordinate(name="route", plural="routes", doc="The route to take offline."),
        Coordinate(name="stage", plural="", pattern="[a-z]+", doc="Its stage."),
    )
    AUTH: ClassVar[frozenset[str]] = frozenset({"token"})
    LOOKS: ClassVar[tuple[Operation, ...]] = (GET,)
    EVIDENCE: ClassVar[str] = "dark"
    CONCURRENCY: ClassVar[int] = 3
    TIMEOUT: ClassVar[float] = 20.0

    @property
    def installation(self) -> str:
        return f"{self.KIND} {self.url} {self.tenant}"

    def exclusive_key(self, target: Target) -> str | None:
        return None

    def build_request(
        self, operation: Operation, target: Target, access: Access, *, note: str | None, now: float
    ) -> Request:
        assert isinstance(access, Secret)
        route, stage = target.parts
        url = f"{self.url}/{self.tenant}/{stage}/{route}"
        headers = {"X-Beacon": access.reveal()}
        return Request("PATCH" if operation.act is Act.UNDEPLOY else "GET", url, headers)

    def read(self, operation: Operation, target: Target, reply: Reply) -> Reading:
        if reply.status >= 500:
            look = operation.act is Act.LOOK
            return Reading(verdict=Verdict.UNCLEAR if look else Verdict.DOUBT, message="HTTP 5xx")
        if reply.status == 404:
            return Reading(verdict=Verdict.ABSENT, code="B404", message="no such route", evidence="code")
        verdicts = {b"dark": Verdict.REMOVED, b"on": Verdict.UP, b"off": Verdict.DOWN}
        return Reading(verdict=verdicts.get(reply.body, Verdict.STRANGE), evidence="look")

    def next_look(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Operation | Reading:
        return seen.get(GET.via, GET)


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
            return Reply(404, {}, b"", 0.0)
        if request.method == "GET":
            return Reply(200, {}, b"on" if place in self.lit else b"off", 0.0)
        self.lit.discard(place)
        self.dark.add(place)
        if place in self.faulty:
            self.faulty.discard(place)
            return Reply(502, {}, b"", 0.0)
        return Reply(200, {}, b"dark", 0.0)


PLAN = """\
version: 1
name: third
gateways:
  lights:
    kind: beacon
    url: https://beacon.example.com
    tenant: acme
    auth: {token: {env: BEACON_TOKEN}}
    look: always
    retry: {attempts: 2, first: 1ms, ceiling: 1ms}
stop_when: {failed: 100%, surprising: 100%}
targets:
  - {gateway: lights, routes: [a, b, c, d], stage: live}
"""


@pytest.fixture(autouse=True)
def _third(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, Beacon.KIND, Beacon)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


Told = tuple[int, str, str]


@pytest.fixture
def undeploy(capfd: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Runs a command line; returns its status and what it wrote."""

    def run(*arguments: str | Path) -> Told:
        status = execute([str(argument) for argument in arguments])
        return (status, *capfd.readouterr())

    return run


async def ran(plan: Path, lighthouse: Lighthouse) -> RunResult:
    """Run the plan for real, but for its network and its credential."""

    async def credential(_: Gateway) -> Material:
        return Secret("the-token")

    def connected(gateway: Gateway) -> AbstractAsyncContextManager[Send]:
        return lighthouse.connect(gateway)

    def environment(folder: Path) -> Environment:
        return replace(
            real_environment(folder), connect=connected, credential=credential, check=lambda _: None
        )

    request = RunRequest(options=RunOptions(state=plan.parent / "state"))
    with load_plan(plan) as loaded:
        result = await start_run(
            RunDraft(loaded.plan, loaded.draft, loaded.place), request, environment(loaded.folder)
        )
    resumed = await resume_run(RunFolder(result.folder.path), request, environment)
    assert resumed.exit_status == result.exit_status
    return result


def report(result: RunResult, name: str) -> str:
    return (result.folder.path / name).read_text("utf-8")


def test_check_counts_its_targets(plan: Path, undeploy: Callable[..., Told]) -> None:
    status, out, _ = undeploy("check", plan)

    assert status == 0
    assert "targets: 4" in out
    assert ["gateway", "lights", "beacon", "4"] in [line.split() for line in out.splitlines()]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("    tenant: acme\n", "", "plan.yaml:5:5 gateways.lights: the key tenant is missing"),
        ("tenant: acme", "tenant: ACME", "plan.yaml:7:13 gateways.lights.tenant: "),
        ("stage: live", "stage: LIVE", 'plan.yaml:13:52 targets[0].stage: "LIVE"'),
        (", stage: live", "", "targets[0]: the key stage is missing"),
        ("{token: {env: BEACON_TOKEN}}", "{login: {user: u, password: {env: P}}}", "no such way in"),
        ("stage: live", "stage: live, persistent: true", "persistent"),
        ("kind: beacon", "kind: beacom", "beacon"),
    ],
)
def test_the_reader_and_the_schema_know_its_keys(plan: Path, old: str, new: str, problem: str) -> None:
    assert old in PLAN
    plan.write_text(PLAN.replace(old, new))
    with pytest.raises(PlanError) as caught, load_plan(plan):
        pass

    told = "\n".join(str(one) for one in caught.value.problems)
    assert problem in told
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(plan.read_text()), make_plan_schema())


def test_the_schema_accepts_its_plan_and_describes_its_keys() -> None:
    schema = make_plan_schema()
    jsonschema.validate(yaml.safe_load(PLAN), schema)

    assert (
        schema["$defs"]["beacon"]["properties"]["tenant"]["description"] == "The tenant that owns the routes."
    )
    assert set(schema["$defs"]["beacon-target"]["properties"]) == {
        "gateway",
        "route",
        "routes",
        "stage",
        "after",
    }


async def test_its_targets_are_taken_to_their_outcomes(plan: Path) -> None:
    """Looked at first; one is dark already, one answers 502 and is found dark by a look, one is not there."""
    lighthouse = Lighthouse()
    result = await ran(plan, lighthouse)

    assert result.exit_status is ExitStatus.UNFINISHED
    outcomes = {one["id"]: one["outcome"] for one in json.loads(report(result, "report.json"))["targets"]}
    assert outcomes == {
        "lights/a/live": Outcome.UNDEPLOYED,
        "lights/b/live": Outcome.ALREADY_UNDEPLOYED,
        "lights/c/live": Outcome.UNDEPLOYED,
        "lights/d/live": Outcome.FAILED,
    }
    assert lighthouse.lit == set()
    assert not [line for line in lighthouse.seen if line in {"PATCH acme b/live", "PATCH acme d/live"}]
    assert result.report.totals.requests == len(lighthouse.seen)


async def test_its_own_coordinates_are_in_the_reports(plan: Path) -> None:
    result = await ran(plan, Lighthouse())
    document = json.loads(report(result, "report.json"))

    own = [(one["kind"], one["route"], one["stage"]) for one in document["targets"]]
    assert own == [("beacon", route, "live") for route in "abcd"]
    assert [one["kind"] for one in document["gateways"]] == ["beacon"]
    rows = list(csv.DictReader(report(result, "report.csv").splitlines()))
    assert [json.loads(row["coordinates"]) for row in rows] == [
        {"route": route, "stage": "live"} for route in "abcd"
    ]
    for name in ("report.html", "report.md", "report.xml"):
        assert "lights/d/live" in report(result, name)
