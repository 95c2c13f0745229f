"""WSO2 API Manager beyond its samples: several reads together, and whole runs at its simulator."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from orchestrator.cli import execute
from orchestrator.model.credentials import AccessKeys, Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Reply, Request, Send
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import DEPLOY, UNDEPLOY, Operation, Reading, Snapshot, Verdict
from orchestrator.plan.schema import make_plan_schema
from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.platforms import SimulatedPlatforms
from orchestrator.simulator.process import start_simulators
from orchestrator.simulator.wso2 import Wso2Fixture
from tests.gateways.test_third import ran, report
from tests.support.recorded import gateway, our_target, samples, target

A, R = "7a2298c4-c905-403f-8fac-38c73301631f", "2c9a6d10-3f0e-4a58-9b71-5b6f7f4d2e10"
OTHER, MISSING = "91e0c4b2-5a7d-4f13-8c26-d40b9e7f1a58", "c3d8f0a6-1b94-4e72-a5d1-60f7e2b8c934"
PLAN = f"""\
version: 1
name: wso2
gateways:
  am:
    kind: wso2
    url: https://apim.example.com
    auth: {{token: {{env: WSO2_TOKEN}}}}
    retry: {{attempts: 2, first: 1ms, ceiling: 1ms}}
stop_when: {{failed: 100%, surprising: 100%, unknown: 100%}}
targets:
  - {{gateway: am, api: {A}, revision: {R}, environments: [Default, Staging, Gone]}}
  - {{gateway: am, api: {MISSING}, revision: {R}, environment: Default}}
"""


def read(name: str) -> Reading:
    (sample,) = [sample for sample in samples("wso2") if sample.name == f"wso2/{name}"]
    return sample.read()


def look(*names: str, lacking: frozenset[str] = frozenset()) -> Operation | Reading:
    seen = dict(zip(("revisions", "api"), map(read, names), strict=False))
    return gateway("wso2").next_look(our_target("wso2"), seen, lacking, None)


def test_a_list_without_the_revision_proves_nothing_before_the_api_is_asked() -> None:
    """The vendor's code lists the revisions of an unknown API, too: there are none."""
    found = look("revisions-empty")

    assert isinstance(found, Operation)
    assert found.via == "api"


@pytest.mark.parametrize(
    ("api", "verdict"), [("api-404", Verdict.ABSENT), ("api-there", Verdict.UNCLEAR)], ids=str
)
def test_only_the_vendors_word_says_that_there_is_no_such_api(api: str, verdict: Verdict) -> None:
    found = look("revisions-empty", api)

    assert isinstance(found, Reading)
    assert found.verdict is verdict
    assert found.message


def test_where_nothing_tells_of_apis_a_short_list_stays_unclear() -> None:
    found = look("revisions-none-of-ours", lacking=frozenset({"api"}))

    assert isinstance(found, Reading)
    assert found.verdict is Verdict.UNCLEAR


def snapshot(name: str) -> Snapshot:
    restore = gateway("wso2").restore
    found = restore.next_snapshot_read(our_target("wso2"), {"revisions": read(name)}, frozenset())
    assert isinstance(found, Snapshot)
    return found


def test_a_snapshot_keeps_what_a_deploy_needs() -> None:
    kept = snapshot("revisions-deployed")

    assert (kept.verdict, kept.obstacles) == (Verdict.UP, ())
    assert json.loads(kept.deploy or "") == {"vhost": "gw.example.com", "displayOnDevportal": True}


@pytest.mark.parametrize("name", ["revisions-deployed-without-vhost", "revisions-undeployed"])
def test_without_a_virtual_host_nothing_can_be_brought_back(name: str) -> None:
    kept = snapshot(name)

    assert kept.deploy is None
    assert kept.obstacles == ("missing-history",)


def test_a_restore_takes_no_other_revision_down() -> None:
    restore = gateway("wso2").restore
    seen = {"revisions": read("revisions-another-revision-deployed")}
    found = restore.next_proof(our_target("wso2"), seen, frozenset(), None)

    assert isinstance(found, Reading)
    assert found.verdict is Verdict.UNCLEAR
    assert "would replace it" in (found.message or "")
    assert look("revisions-another-revision-deployed") == seen["revisions"]


def test_the_targets_of_one_api_take_turns() -> None:
    keys = {gateway("wso2").exclusive_key(target(A, one, "Default")) for one in (R, OTHER)}

    assert keys == {A}


def test_access_keys_let_nobody_in() -> None:
    keys = AccessKeys(Secret("FAKEAK"), Secret("fakeSk"))
    with pytest.raises(ValueError, match="nobody in by access keys"):
        gateway("wso2").build_request(UNDEPLOY, our_target("wso2"), keys, note=None, now=0.0)


@pytest.mark.parametrize("part", ["..", ".", ""])
@pytest.mark.parametrize("operation", [UNDEPLOY, DEPLOY])
def test_no_id_can_vanish_from_an_address(operation: Operation, part: str) -> None:
    for parts in ((part, R, "Default"), (A, part, "Default")):
        with pytest.raises(ValueError, match="cannot be a part"):
            gateway("wso2").build_request(operation, target(*parts), Secret("t"), note=None, now=0.0)


def test_the_schema_says_that_the_kind_is_experimental() -> None:
    schema = make_plan_schema()["$defs"]

    assert "Experimental" in schema["wso2"]["description"]
    assert "description" not in schema["roma"]


class ControlPlane:
    """A simulated control plane that is asked without a socket."""

    def __init__(self, *faults: tuple[str, str], **fields: Any) -> None:
        places = ((A, R, "Default"), (A, R, "Staging"))
        fixture = Wso2Fixture(name="am", tokens=("the-token",), **{"targets": places} | fields)
        script = {f"am/{A}/{R}/{environment}": (fault,) for environment, fault in faults}
        self.platforms = SimulatedPlatforms(
            SimulatorFixture(gateways=(fixture,)), msgspec.convert({"script": script}, FaultScenario)
        )

    @asynccontextmanager
    async def connect(self, _: Gateway) -> AsyncIterator[Send]:
        yield self.send

    async def send(self, request: Request) -> Reply:
        parts = urlsplit(request.url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        delivery = self.platforms.handle(
            "am", request.method, path, request.headers, request.body or b"", now=60.0
        )
        self.platforms.finish("am", delivery)
        assert delivery.answer is not None
        headers = {name.lower(): value for name, value in delivery.answer.headers.items()}
        return Reply(delivery.answer.status, headers, delivery.answer.body, 60.0)

    def list_down(self) -> list[str]:
        return [
            name.rpartition("/")[2] for name, facts in self.platforms.books().targets.items() if facts.down
        ]


async def run_against(tmp_path: Path, plane: ControlPlane) -> dict[str, tuple[str, str | None]]:
    """Return the outcome and the evidence of each target, by its environment; ``api`` for the missing API."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    told = json.loads(report(await ran(plan, plane), "report.json"))["targets"]
    names = ["api" if one["api"] == MISSING else one["environment"] for one in told]
    return {name: (one["outcome"], one["evidence"]) for name, one in zip(names, told, strict=True)}


# The list of revisions does not tell which environments there are.
GONE = {"Gone": (Outcome.ALREADY_UNDEPLOYED, "look"), "api": (Outcome.FAILED, "code")}
PROVED, LOOKED = (Outcome.UNDEPLOYED, "deployments"), (Outcome.UNDEPLOYED, "look")


@pytest.mark.parametrize(
    ("faults", "fields", "evidence"),
    [
        ((), {}, (PROVED, PROVED)),
        ((), {"replies": "undeployed"}, (LOOKED, LOOKED)),
        ((), {"replies": "nothing"}, (LOOKED, LOOKED)),
        ((), {"unknown": "404", "gone": 404}, (PROVED, PROVED)),
        ((("Default", "no-result"),), {}, (LOOKED, PROVED)),
        ((("Default", "inner-false"),), {}, (PROVED, PROVED)),
        ((("Staging", "500-after"),), {}, (PROVED, PROVED)),
        ((("Default", "login-page"), ("Staging", "redirect")), {}, (PROVED, PROVED)),
    ],
    ids=str,
)
async def test_a_run_at_the_simulator_ends_as_it_must(
    tmp_path: Path, faults: tuple[tuple[str, str], ...], fields: dict[str, Any], evidence: tuple[Any, Any]
) -> None:
    plane = ControlPlane(*faults, **fields)
    outcomes = await run_against(tmp_path, plane)

    assert outcomes == {"Default": evidence[0], "Staging": evidence[1], **GONE}
    assert plane.list_down() == ["Default", "Staging"]


async def test_a_revision_that_another_one_has_replaced_is_down(
    tmp_path: Path,
) -> None:
    plane = ControlPlane(targets=((A, OTHER, "Default"), (A, R, "Staging")), down=((A, R, "Default"),))
    outcomes = await run_against(tmp_path, plane)

    assert outcomes["Default"] == (Outcome.ALREADY_UNDEPLOYED, "look")
    assert plane.platforms.books().targets[f"am/{A}/{OTHER}/Default"].down is False


async def test_a_place_that_is_no_publisher_closes_the_lane(tmp_path: Path) -> None:
    plane = ControlPlane(api_versions=("v2",))
    outcomes = await run_against(tmp_path, plane)

    assert set(outcomes.values()) == {(Outcome.NOT_STARTED, None)}
    assert sum(facts.undeploys for facts in plane.platforms.books().gateways.values()) <= 1


@pytest.mark.long("starts a simulator's process, runs and restores")
def test_what_a_run_took_down_a_restore_brings_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    places = ((A, R, "Default"), (A, R, "Staging"))
    fixture = SimulatorFixture(gateways=(Wso2Fixture(name="am", targets=places),))
    plan = tmp_path / "plan.yaml"
    with start_simulators(fixture) as simulators:
        monkeypatch.setenv("WSO2_TOKEN", "rehearsal-token")
        plan.write_text(PLAN.replace("https://apim.example.com", simulators.urls["am"]))
        state = ["--state", str(tmp_path / "state")]
        execute([*state, "run", str(plan), "--yes"])
        ended = execute([*state, "restore", "latest", "--yes"])
        facts = simulators.books().targets

    assert ended == 0, capfd.readouterr().err
    assert [(each.undeploys, each.deploys, each.down) for each in facts.values()] == [(1, 1, False)] * 2


@pytest.mark.long("starts a simulator's process, runs and restores")
def test_a_restore_leaves_what_another_revision_has_replaced_and_brings_back_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture = Wso2Fixture(
        name="am", targets=((A, R, "Default"), (A, R, "Staging")), down=((A, OTHER, "Default"),)
    )
    plan = tmp_path / "plan.yaml"
    with start_simulators(SimulatorFixture(gateways=(fixture,))) as simulators:
        monkeypatch.setenv("WSO2_TOKEN", "rehearsal-token")
        plan.write_text(PLAN.replace("https://apim.example.com", simulators.urls["am"]))
        state = ["--state", str(tmp_path / "state")]
        execute([*state, "run", str(plan), "--yes"])
        deploy_by_hand(simulators.urls["am"], OTHER)
        execute([*state, "restore", "latest", "--yes"])
        facts = simulators.books().targets
    (made,) = tmp_path.glob("state/runs/*-restore-*/report.json")
    (left,) = (one for one in json.loads(made.read_text())["targets"] if one["environment"] == "Default")

    assert {name.partition("/")[2]: each.down for name, each in facts.items()} == {
        f"{A}/{R}/Default": True,
        f"{A}/{R}/Staging": False,
        f"{A}/{OTHER}/Default": False,
    }
    assert f"revision {OTHER} is deployed in this environment now" in left["reason"]
    assert left["outcome"] == Outcome.NOT_STARTED


def deploy_by_hand(url: str, revision: str) -> None:
    """Deploy a revision to Default, as a person does in the Publisher."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.netloc, timeout=10)
    try:
        connection.request(
            "POST",
            f"/api/am/publisher/v4/apis/{A}/deploy-revision?revisionId={revision}",
            json.dumps([{"name": "Default", "vhost": "gw.example.com", "displayOnDevportal": True}]),
            {"Authorization": "Bearer rehearsal-token", "Content-Type": "application/json"},
        )
        assert connection.getresponse().status == 201
    finally:
        connection.close()
