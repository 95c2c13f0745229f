"""A third kind of gateway, thrown away after the test: one class and one line in the table are enough."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml
from msgspec.structs import replace

from orchestrator.api import RunResult
from orchestrator.cli import execute
from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.errors import ExitStatus, PlanError
from orchestrator.gateways import KINDS
from orchestrator.journal.folder import RunFolder
from orchestrator.lanes.environment import Environment
from orchestrator.model.credentials import Material, Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Send
from orchestrator.model.outcome import Outcome
from orchestrator.plan.schema import make_plan_schema
from orchestrator.runs.load import load_plan
from orchestrator.runs.machine import make_real_environment
from orchestrator.runs.resume import resume_run
from orchestrator.runs.start import RunDraft, start_run
from tests.gateways.third_kind import Beacon, Lighthouse

ROOT = Path(__file__).parents[2]

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
            make_real_environment(folder), connect=connected, credential=credential, check=lambda _: None
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


@cache
def make_validator() -> jsonschema.Draft202012Validator:
    """Return what judges plans by the schema, which another test judges itself."""
    return jsonschema.Draft202012Validator(make_plan_schema())


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
        make_validator().validate(yaml.safe_load(plan.read_text()))


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


OVER_THE_TABLE = [f"tests/gateways/test_{name}.py" for name in ("contract", "health", "search")]


def run_over_the_table(*options: str) -> str:
    """Run the tests of every kind with the third kind in the table, but none of the other kinds' own."""
    files = [*OVER_THE_TABLE, "tests/simulator/test_fixtures.py"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.gateways.third_kind",
        "-rs",
        "-vv",
        "-k",
        "beacon",
    ]
    ended = subprocess.run(
        [*command, *options, *files], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.mark.long("starts pytest anew")
def test_the_contract_tests_pick_it_up() -> None:
    """They run for its samples and its operations, and leave out the features that it does not offer."""
    told = run_over_the_table()

    for name in (
        "a_sample_is_read_as_it_wants[beacon/undeploy-200]",
        "every_verdict_is_reached_by_a_sample[beacon]",
    ):
        assert f"{name} PASSED" in told
    assert "nothing_that_is_asked_can_change_anything[beacon]" not in told
    assert "a_kind_says_what_it_can_be_filtered_by[beacon]" not in told
    assert "the kind beacon has no simulator" in told


@pytest.mark.long("starts pytest anew")
def test_without_samples_the_contract_tests_are_skipped_by_name() -> None:
    told = run_over_the_table("--without-samples")

    assert "the kind beacon has no samples: beacon/kind.yaml is missing" in told
    assert "PASSED" not in told
