"""undeploy attach: runs of schedules and of drivers that are gone, taken over to their reports."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import ScheduleActionExecutionStartWorkflow

from orchestrator.distributed.address import parse_engine_address
from orchestrator.distributed.connection import connect
from orchestrator.distributed.names import (
    name_run_workflow,
    name_schedule,
    name_scheduled_run,
    read_scheduled_workflow,
)
from orchestrator.model.plan import RunId
from tests.support.commands import CommandResult, run_command
from tests.support.fake_worker import serve_zones
from tests.support.temporal import TemporalServer

pytestmark = [pytest.mark.long("starts a server")]

PLAN = """\
version: 1
name: far %s
gateways:
  a: {kind: apinizer, url: https://a.example.com, zone: dmz, auth: {token: {env: NOT_SET_HERE}}}
  b: {kind: apinizer, url: https://b.example.com, auth: {token: {env: NOT_SET_HERE}}}
protect: [a/P/kept/e]
waves:
  - name: first
    targets: [{gateway: a, project: P, proxies: [one, two, kept], environment: e}]
  - name: second
    targets: [{gateway: b, project: P, proxies: [one, two, three], environment: e}]
"""

Undeploy = Callable[..., CommandResult]


@pytest.fixture
def undeploy(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Undeploy:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text(PLAN % tmp_path.name)
    return lambda *arguments: run_command(capfd, *arguments)


def schedule_soon(undeploy: Undeploy, url: str, *more: str) -> str:
    """Schedule the plan in some seconds, more of them on a busy machine; return the id of the run."""
    for seconds in (3, 10, 30):
        at = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        made = undeploy("schedule", "plan.yaml", "--yes", "--at", at, "--for", "1h", "--on", url, *more)
        if "its time has passed" not in made.err:
            break
    found = re.search(r", as run (\S+)", made.err)
    assert found is not None, made.err
    return found[1]


def read_report(state: Path, run: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((state / "runs" / run / "report.json").read_bytes())
    return report


def attach_once_begun(undeploy: Undeploy, run: str, url: str, *more: str) -> CommandResult:
    result = undeploy("attach", run, "--on", url, *more)
    for _ in range(300):
        if f"run {run} has not begun: schedule " not in result.err:
            return result
        time.sleep(0.1)
        result = undeploy("attach", run, "--on", url, *more)
    raise AssertionError(result)


async def read_shown(url: str, run: str) -> dict[str, object]:
    """Return by what a person finds the workflow of a scheduled run on Temporal's own page."""
    client = await connect(parse_engine_address(url))
    found = await client.get_workflow_handle(name_run_workflow(RunId(run), 1)).describe()
    memo = await found.memo()
    words = {pair.key.name: pair.value for pair in found.typed_search_attributes}
    kept = ("plan", "run", "UndeployPlan", "UndeployRun")
    return {name: value for name, value in {**memo, **words}.items() if name in kept}


def test_a_scheduled_run_is_done_by_nobodys_hand_and_reported_by_attach(
    undeploy: Undeploy, temporal: TemporalServer, tmp_path: Path
) -> None:
    with serve_zones(temporal.url, "default", "dmz") as worker:
        run = schedule_soon(undeploy, temporal.url, "--skip", "b/P/three/e")
        first = attach_once_begun(undeploy, run, temporal.url, "--state", "one")
        # Another machine, once the first one has told the server that it has everything.
        second = undeploy("attach", run, "--on", temporal.url, "--state", "two")
        again = undeploy("attach", run, "--on", temporal.url, "--state", "two")

    assert (first.status, first.run) == (0, run), first.err
    assert second.status == 0, second.err
    reports = [read_report(tmp_path / state, run) for state in ("one", "two")]
    outcomes = [{target["id"]: target["outcome"] for target in report["targets"]} for report in reports]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] == {
        "a/P/one/e": "undeployed",
        "a/P/two/e": "undeployed",
        "a/P/kept/e": "not_started",
        "b/P/one/e": "undeployed",
        "b/P/two/e": "undeployed",
        "b/P/three/e": "not_started",
    }
    assert reports[0]["run"]["approval"]["how"] == "yes"
    assert (reports[0]["run"]["window"]["from"], reports[0]["run"]["state"]) == ("option", "complete")
    assert {order.run for order in worker.chunks} == {run}
    assert (again.status, "is kept here already" in again.err) == (2, True)
    plan = f"far {tmp_path.name}"
    shown = asyncio.run(read_shown(temporal.url, run))
    assert shown == {"plan": plan, "run": run, "UndeployPlan": plan, "UndeployRun": run}


def test_a_run_whose_driver_was_killed_goes_on_and_is_taken_over_elsewhere(
    undeploy: Undeploy, temporal: TemporalServer, tmp_path: Path
) -> None:
    with serve_zones(temporal.url, "default", "dmz", chunk_seconds=2.0) as worker:
        driver = subprocess.Popen(
            [
                *(sys.executable, "-m", "orchestrator", "run", "plan.yaml", "--yes", "--on", temporal.url),
                *("--state", "one"),
            ],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert driver.stdout is not None
        run = driver.stdout.readline().removeprefix("run: ").strip()
        assert worker.has_begun.wait(30)
        driver.kill()
        driver.communicate()
        shutil.rmtree(tmp_path / "one")
        result = undeploy("attach", run, "--on", temporal.url, "--state", "two")

    assert (result.status, result.run) == (0, run), result.err
    report = read_report(tmp_path / "two", run)
    assert [target["outcome"] for target in report["targets"]].count("undeployed") == 5
    assert len(report["run"]["sessions"]) == 1
    assert len(worker.chunks) == 2


def test_the_runs_of_a_recurring_schedule_end_by_themselves(
    undeploy: Undeploy, temporal: TemporalServer, tmp_path: Path
) -> None:
    on = ("--on", temporal.url)
    with serve_zones(temporal.url, "default", "dmz"):
        made = undeploy(
            "schedule", "plan.yaml", "-y", "--cron", "0 3 1 1 *", "--for", "1h", "--name", "yearly", *on
        )
        assert made.status == 0, made.err
        runs = [trigger_and_wait(temporal.url, "yearly")]
        time.sleep(1.1)  # the id of a scheduled run tells its second
        runs.append(trigger_and_wait(temporal.url, "yearly"))
        assert undeploy("schedule", "--delete", "yearly", *on).status == 0
        results = [undeploy("attach", run, *on) for run in runs]

    assert len(set(runs)) == 2
    assert [result.status for result in results] == [0, 0], results[0].err
    report = read_report(tmp_path / ".undeploy", runs[1])
    assert report["totals"]["undeployed"] == 5
    # The window of each is counted from its own start.
    assert report["run"]["window"]["opens"] is None
    assert report["run"]["window"]["closes"].startswith(runs[1][:4])


def trigger_and_wait(url: str, name: str) -> str:
    """Have a schedule start a run now, wait until that has ended, and return its id."""

    async def trigger() -> str:
        client = await connect(parse_engine_address(url))
        handle = client.get_schedule_handle(name_schedule(name))
        before = len((await handle.describe()).info.recent_actions)
        await handle.trigger()
        for _ in range(150):
            info = (await handle.describe()).info
            if len(info.recent_actions) > before and not info.running_actions:
                action = info.recent_actions[-1].action
                assert isinstance(action, ScheduleActionExecutionStartWorkflow)
                found = read_scheduled_workflow(action.workflow_id)
                assert found is not None
                return name_scheduled_run(*found)
            await asyncio.sleep(0.1)
        raise AssertionError(info)

    return asyncio.run(trigger())


def test_a_run_whose_folder_is_gone_is_made_anew(
    undeploy: Undeploy, temporal: TemporalServer, tmp_path: Path
) -> None:
    with serve_zones(temporal.url, "default", "dmz"):
        run = undeploy("run", "plan.yaml", "--yes", "--on", temporal.url, "--state", "one")
        assert run.status == 0, run.err
        before = read_report(tmp_path / "one", run.run)
        shutil.rmtree(tmp_path / "one")
        result = undeploy("attach", run.run, "--on", temporal.url, "--state", "one")
        refused = undeploy("attach", run.run, "--on", temporal.url, "--state", "one")

    resume = f"`undeploy resume {run.run} --on {temporal.url} --state one` goes on with it"
    assert (refused.status, resume in refused.err) == (2, True), refused.err
    assert (result.status, result.run) == (0, run.run), result.err
    after = read_report(tmp_path / "one", run.run)
    assert after["totals"] == before["totals"]
    assert [target["outcome"] for target in after["targets"]] == [
        target["outcome"] for target in before["targets"]
    ]
