"""Where a run stands, asked of the run itself, of its journal, and of one that gives no answer."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from orchestrator.commands.status import PATIENCE
from orchestrator.display.progress import RunProgress
from orchestrator.display.status import read_status
from orchestrator.model.events import AnyEvent
from orchestrator.model.outcome import Outcome
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, InjectedFault
from tests.support.back import BEST
from tests.support.commands import CommandResult
from tests.support.stage import Stage, apim_id, kill, roma_id, until

pytestmark = pytest.mark.long("asks running processes")

DEAD = InjectedFault(kind=FaultKind.STATUS, status=500, on=FaultScope.UNDEPLOY, times=0)
HANGS = InjectedFault(kind=FaultKind.HANG, times=0)


def asked(stage: Stage, *arguments: str) -> dict[str, Any]:
    ended = stage.undeploy("status", *arguments, "--format", "json")
    assert ended.status == 0, ended
    found: dict[str, Any] = json.loads(ended.out)
    return found


def told(stage: Stage, *arguments: str) -> CommandResult:
    ended = stage.undeploy("status", *arguments)
    assert ended.status == 0, ended
    return ended


def test_a_parked_lane_says_when_it_is_probed_and_given_up(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 2)
    stage.expect({"roma-eu": (DEAD,)})
    plan = stage.write_plan(roma="park_for: 60s, retry: {first: 1ms, ceiling: 2ms}", waves=True)
    with stage.started("run", plan, "--yes") as process:
        until(lambda: (stage.has_run and asked(stage)["waits_for"] is not None) or process.poll() is not None)
        found, lines = asked(stage), told(stage).out
        kill(process)

    lane, other = found["lanes"]
    assert (other["name"], other["state"], other["left"]) == ("apim", "open", 2)
    assert (lane["name"], lane["state"], lane["left"]) == ("roma-eu", "parked", 6)
    probe, gives_up = (datetime.fromisoformat(lane[name]) for name in ("probe_at", "gives_up_at"))
    assert -10 < (probe - datetime.now(UTC)).total_seconds() < 20
    assert 20 < (gives_up - datetime.now(UTC)).total_seconds() < 60
    assert found["until"] == lane["probe_at"]
    assert found["waits_for"].startswith("roma-eu, parked ")
    assert found["forecast"]["hindered"] == "roma-eu is parked"
    assert (found["run"]["state"], found["totals"]["targets"]) == ("running", 8)
    assert found["wave"] == {"name": "first", "number": 1, "of": 2, "step": 1, "steps": 1}
    assert {"schema", "run", "totals", "waves", "gateways", "waits_for", "until", "forecast"} <= found.keys()
    assert "targets" not in found
    assert "wave      1 of 2, first" in lines
    assert "; gives up " in lines


def test_a_run_that_was_killed_says_what_goes_on_with_it(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0)
    stage.expect({roma_id(1): (HANGS,)})
    with stage.started("run", stage.write_plan(), "--yes") as process:
        stage.wait_for_requests(3, process)
        kill(process)
    stage.settled()
    found = asked(stage, "latest")

    assert found["run"]["state"] == "killed"
    assert found["waits_for"] == f"somebody who goes on with it: undeploy resume {stage.run.name}"
    assert (found["until"], found["forecast"], found["lanes"]) == (None, None, [])
    elsewhere = stage.folder / ".undeploy"
    assert (
        f"undeploy resume {stage.run.name} --state {elsewhere}\n"
        in told(stage, "--state", str(elsewhere)).out
    )
    assert f"undeploy resume {stage.run.name}" in told(stage).out


def test_a_run_that_gives_no_answer_is_told_from_its_journal(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0)
    stage.expect({roma_id(1): (HANGS,)})
    with stage.started("run", stage.write_plan(), "--yes") as process:
        stage.wait_for_requests(3, process)
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        ended = told(stage)
        took = time.monotonic() - began
        process.send_signal(signal.SIGCONT)
        kill(process)

    assert took < PATIENCE + 8  # a new process, on a busy machine as well
    assert "was asked in vain" in ended.err
    assert "running" in ended.out.splitlines()[0]


def test_without_a_name_it_tells_of_all_that_go_on_else_of_the_latest(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 1)
    assert stage.undeploy("status").status == 2  # there is none
    assert stage.undeploy("run", stage.write_plan(), "--yes").status == 0
    assert asked(stage)["run"]["state"] == "complete"
    assert asked(stage)["waits_for"] is None
    stage.refill()
    stage.expect({"roma-eu": (HANGS,), "apim": (HANGS,)})
    plan = stage.write_plan()
    with (
        stage.started("run", plan, "--yes", "--only", "apim/**") as one,
        stage.started("run", plan, "--yes", "--only", "roma-eu/**") as other,
    ):
        until(lambda: len(stage.undeploy("status", "--format", "json").out.splitlines()) == 2)
        found = [json.loads(line) for line in stage.undeploy("status", "--format", "json").out.splitlines()]
        kill(one)
        kill(other)

    assert {each["run"]["state"] for each in found} == {"running"}


@pytest.mark.parametrize(
    ("ref", "wanted"),
    [
        (apim_id(0), apim_id(0)),
        ("apim/**/proxy-0/*", apim_id(0)),
        ("proxy-1/test", apim_id(1)),
        ("proxy-1", apim_id(1)),
    ],
)
def test_show_tells_all_of_one_target(staged: Callable[..., Stage], ref: str, wanted: str) -> None:
    stage = staged(2, 2)
    assert stage.undeploy("run", stage.write_plan(top=BEST), "--yes").status == 0
    run = stage.run.name
    (listed,) = (target for target in stage.report()["targets"] if target["id"] == wanted)
    found = json.loads(stage.undeploy("show", run, ref, "--format", "json").out)
    lines = stage.undeploy("show", "latest", ref).out

    snapshot = found.pop("snapshot")
    assert found == listed
    assert (snapshot["verdict"], snapshot["facts"]["revision"]) == ("up", "1")
    assert snapshot["taken"].startswith("2")
    assert f"target    {wanted}" in lines
    assert "outcome   undeployed" in lines
    assert "snapshot  up, taken 2" in lines


def test_show_tells_what_a_restore_did(staged: Callable[..., Stage]) -> None:
    stage = staged(0, 1)
    assert stage.undeploy("run", stage.write_plan(top=BEST), "--yes").status == 0
    run = stage.run.name
    assert stage.undeploy("restore", run, "--yes").status == 0

    assert f"restore   {stage.run.name}: restored" in stage.undeploy("show", run, "proxy-0").out


def test_show_names_those_that_a_text_may_mean(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    assert stage.undeploy("run", stage.write_plan(), "--yes").status == 0
    several, none = (
        stage.undeploy("show", "latest", "roma-eu/*"),
        stage.undeploy("show", "latest", "petstore"),
    )

    assert (several.status, none.status) == (2, 2)
    assert all(name in several.err for name in stage.ids)
    assert "has no target petstore" in none.err


def test_the_name_of_an_api_stands_beside_its_id_where_its_snapshot_told_one(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(2, 1)
    events = stage.folder / "events.jsonl"
    ended = stage.undeploy("run", stage.write_plan(top=BEST), "--yes", "--events", str(events))
    assert ended.status == 0, ended
    told = [json.loads(line) for line in events.read_text().splitlines()]
    names = {event["target"]: event["name"] for event in told if event["event"] == "target_ended"}
    snapshot = json.loads(stage.undeploy("show", "latest", roma_id(1), "--format", "json").out)["snapshot"]

    assert names[apim_id(0)] is None  # its id is its name
    assert names[roma_id(1)] == snapshot["facts"]["name"]
    assert f"name      {names[roma_id(1)]}\n" in stage.undeploy("show", "latest", roma_id(1)).out


def test_the_events_alone_tell_what_the_report_says_after_a_stop_and_a_resume(
    staged: Callable[..., Stage],
) -> None:
    """Another program that folds the JSON lines shows the same numbers as the report, of the whole run."""
    stage = staged(9, 6)
    refused = InjectedFault(
        kind=FaultKind.STATUS, status=403, on=FaultScope.UNDEPLOY, code="APIG.1005", message="No", times=0
    )
    stage.expect({roma_id(2): (refused,)})
    plan = stage.write_plan(top="stop_when: {failed: 0}", waves=True)
    stopped = stage.undeploy("run", plan, "--yes", "--skip", apim_id(5), "--events", "one.jsonl")
    assert_told(stage, "one.jsonl", session=1)
    resumed = stage.undeploy("resume", "latest", "--past-stop", "--events", "two.jsonl")
    assert_told(stage, "two.jsonl", session=2)

    assert (stopped.status, resumed.status) == (4, 1)


def assert_told(stage: Stage, name: str, *, session: int) -> None:
    """Assert that the events of a session end in the numbers of the report."""
    progress, report = RunProgress(), stage.report()
    for line in (stage.folder / name).read_bytes().splitlines()[1:]:
        progress.observe(msgspec.json.decode(line, type=AnyEvent))
    status = read_status(progress, time.time())

    assert status.run.session == session
    assert (progress.in_flight, status.verdict.state) == (0, report["run"]["state"])
    for found, kept in (
        (status.verdict.counts, report["totals"]),
        *((lane.counts, _totals(report["gateways"], lane.name)) for lane in status.lanes),
        *((wave.counts, _totals(report["waves"], wave.name)) for wave in status.waves),
    ):
        outcomes = {key: count for key, count in found.items() if key != "ended"}
        assert outcomes == {key: kept[key] for key in outcomes}
    causes = {(cause.outcome, cause.label): cause.count for cause in status.causes}
    assert causes[Outcome.FAILED, "APIG.1005"] == 1
    assert sum(causes.values()) == sum(report["totals"][key] for key in ("failed", "unknown", "not_started"))


def _totals(groups: list[dict[str, Any]], name: str) -> dict[str, int]:
    totals: dict[str, int] = next(group["totals"] for group in groups if group["name"] == name)
    return totals
