"""Commands that watch, steer and take over a run of two zones: none of them, one, or several at once."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from orchestrator.engine.control_commands import ContinueRun, ControlCommand, PauseRun, SkipTargets
from orchestrator.model.reading import Act
from orchestrator.runs.control_socket import ControlQuestion, send_command
from tests.support.page_client import PageClient, ShownOnTerminal
from tests.support.stage import apim_id, roma_id, until
from tests.support.zones import EAST, GATEWAYS, PATIENCE, WEST, ZoneStage, kill

pytestmark = [pytest.mark.long("steers runs of several processes"), pytest.mark.timeout(300)]

PACED = "limits: {concurrency: 3, rate: 25/s}"
FAST = "limits: {concurrency: 6, rate: 60/s}"
KEY = {"JOURNAL_KEY": "a key that is long enough"}


@contextmanager
def _on_terminal(
    stage: ZoneStage, *arguments: str | Path
) -> Iterator[tuple[subprocess.Popen[str], PageClient]]:
    """Run a command that serves a page, and use the token that its terminal shows."""
    ours, theirs = pty.openpty()
    try:
        with stage.started(*arguments, "--serve", "127.0.0.1:0", stderr=theirs) as process:
            os.close(theirs)
            page = PageClient.find(ShownOnTerminal(ours))
            page.open_session()
            yield process, page
    finally:
        os.close(ours)


def _count_ended(lanes: list[dict[str, int]]) -> dict[str, int]:
    return {str(lane["name"]): lane["ended"] for lane in lanes}


def _count_down(stage: ZoneStage) -> dict[str, int]:
    return {GATEWAYS[zone]: stage.count_down(zone) for zone in GATEWAYS}


@pytest.mark.promise(8)
def test_pages_and_other_processes_see_both_zones_and_their_acts_reach_the_lanes(
    zoned: Callable[..., ZoneStage],
) -> None:
    stage = zoned(150, 60)
    plan = stage.write_plan(roma=PACED, apim=PACED)
    stage.start_workers()
    with _on_terminal(stage, "run", plan, "--yes", *stage.on) as (driver, page):
        stage.wait_for_down(EAST, 10)
        stage.wait_for_down(WEST, 5)
        paused = page.steer(act="pause")
        until(lambda: stage.read_run_orders().paused, PATIENCE)
        with _on_terminal(stage, "watch", "latest") as (_, watched):
            # What flew lands, and its results are here a moment later.
            until(lambda: stage.settled() == stage.settled_after(0.6), PATIENCE)
            until(lambda: _count_ended(page.state()["lanes"]) == _count_down(stage), PATIENCE)
            until(lambda: _count_ended(watched.state()["lanes"]) == _count_down(stage), PATIENCE)
            states = [each.state()["verdict"]["state"] for each in (page, watched)]
            asked = json.loads(stage.undeploy("status", "latest", "--format", "json").out)
            skipped = stage.control("skip", "apim/**/proxy-5?/test")
            stopped = watched.steer(act="stop", typed="stop")
            ended = stage.finish(driver)
    down, sent = _count_down(stage), stage.requests()
    resumed = stage.drive("resume", "latest")

    assert (paused["status"], stopped["status"], skipped.status) == (200, 200, 0), (paused, stopped)
    assert states == ["paused", "paused"]
    assert _count_ended(asked["lanes"]) == down
    assert {each["name"]: each["totals"]["undeployed"] for each in asked["gateways"]} == down
    assert ended.status == 4
    assert sent == sum(down.values()) < 200
    assert resumed.status == 0, resumed.err
    assert [each["act"].split()[0] for each in stage.report()["controls"]] == ["pause", "skip", "stop"]
    assert list(stage.outcomes().values()).count("not_started") == 10
    assert stage.assert_sound() == []
    assert stage.requests() == 200


@pytest.mark.promise(1)
def test_two_drivers_of_one_run_lose_neither_orders_nor_results(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(120, 60)
    plan = stage.write_plan(roma=PACED, apim=PACED)
    stage.start_workers()
    with stage.started("run", plan, "--yes", *stage.on) as first:
        stage.wait_for_down(EAST, 10)
        stage.steer(PauseRun())
        refused = stage.drive("resume", "latest")
        run = stage.run
        with stage.started("attach", run.name, *stage.on, "--state", "other") as second:
            other = stage.folder / "other" / "runs" / run.name
            until(lambda: (other / "control").exists() or second.poll() is not None, PATIENCE)
            sent = stage.settled()
            skips = (f"{roma_id(110)[:-1]}*", "apim/**/proxy-5?/test")
            _order_together((run, SkipTargets(skips[0])), (other, SkipTargets(skips[1])))
            until(lambda: set(stage.read_run_orders().skips) == set(skips), PATIENCE)
            orders, still = stage.read_run_orders(), stage.requests()
            send_command(other, ControlQuestion(command=ContinueRun()))
            here, there = stage.finish(first), stage.finish(second)
    skipped = {*map(roma_id, range(96, 112)), *map(apim_id, range(50, 60))}
    reports = [msgspec.json.decode((folder / "report.json").read_bytes()) for folder in (run, other)]
    outcomes = [{each["id"]: each["outcome"] for each in report["targets"]} for report in reports]

    assert refused.status == 2, refused.err
    assert (here.status, there.status) == (0, 0), here.err + there.err
    assert orders.paused, "an order of one driver ended the pause of the other one"
    assert still == sent
    assert outcomes[0] == outcomes[1]
    assert {name for name, outcome in outcomes[0].items() if outcome == "not_started"} == skipped
    assert len(outcomes[0]) == 180
    assert stage.assert_sound() == []
    assert stage.requests() == 180 - len(skipped)
    until(lambda: stage.list_open_workflows() == [])  # the server lists an end a moment later


def _order_together(*orders: tuple[Path, ControlCommand]) -> None:
    """Give each order to the driver of its folder, all in one instant."""
    together = threading.Barrier(len(orders))

    def give(folder: Path, command: ControlCommand) -> None:
        together.wait(10)
        send_command(folder, ControlQuestion(command=command))

    threads = [threading.Thread(target=give, args=order) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


@pytest.mark.promise(1)
def test_beyond_its_bound_a_run_waits_for_a_driver_and_goes_on_with_one(
    zoned: Callable[..., ZoneStage],
) -> None:
    stage = zoned(100, 40)
    stage.part_targets, stage.open_targets = 10, 40
    stage.start_workers()
    with stage.started("run", stage.write_plan(roma=PACED, apim=PACED), "--yes", *stage.on) as driver:
        stage.wait_for_down(EAST, 5)
        kill(driver)
    until(lambda: len(stage.list_open_lanes()) == 4 and stage.requests() % 10 == 0, PATIENCE)
    until(lambda: stage.settled() == stage.settled_after(1.5), PATIENCE)
    waiting, lanes = stage.requests(), stage.list_open_lanes()
    later = stage.settled_after(1.0)
    ended = stage.drive("resume", "latest")

    assert waiting == later < 140
    assert len(lanes) == 4, lanes
    assert ended.status == 0, ended.err
    assert set(stage.outcomes().values()) == {"undeployed"}
    assert stage.assert_sound() == []
    assert stage.requests() == 140
    until(lambda: stage.list_open_workflows() == [])  # the server lists an end a moment later


@pytest.mark.promise(1)
@pytest.mark.promise(11)
def test_a_restore_whose_folder_is_lost_is_attached_to_and_its_journal_is_signed(
    zoned: Callable[..., ZoneStage],
) -> None:
    stage = zoned(60, 30)
    stage.start_workers()
    plan = stage.write_plan(top="snapshot: best", roma=PACED)
    down = stage.drive("run", plan, "--yes")
    undeployed = stage.count_down(EAST), stage.count_down(WEST)
    with stage.started(
        *("restore", "latest", "--yes", "--accept", "new-front-end-id", *stage.on),
        *("--journal-key", "env:JOURNAL_KEY"),
        env=KEY,
    ) as driver:
        until(lambda: stage.count_down(EAST) < 50 or driver.poll() is not None, PATIENCE)
        kill(driver)
    restore = stage.run
    shutil.rmtree(restore)
    up = stage.drive("attach", restore.name, "--journal-key", "env:JOURNAL_KEY", env=KEY)
    verified = stage.undeploy("report", restore.name, "--verify", "--journal-key", "env:JOURNAL_KEY", env=KEY)
    strange = stage.undeploy(
        *("report", restore.name, "--verify", "--journal-key", "env:JOURNAL_KEY"),
        env={"JOURNAL_KEY": "another key, also long"},
    )

    assert (down.status, up.status) == (0, 0), (down.err, up.err)
    assert undeployed == (60, 30)
    assert (stage.count_down(EAST), stage.count_down(WEST)) == (0, 0)
    assert stage.report()["run"]["act"] == "restore"
    assert sorted(stage.outcomes()) == sorted(stage.ids)
    assert set(stage.outcomes().values()) == {"restored"}
    assert {facts.deploys for facts in stage.platform.books().targets.values()} == {1}
    assert (verified.status, strange.status) == (0, 2), (verified, strange)
    stage.assert_zones()


@pytest.mark.promise(1)
def test_a_run_that_was_terminated_at_the_server_says_so_to_whoever_attaches(
    zoned: Callable[..., ZoneStage],
) -> None:
    stage = zoned(260, 30)
    stage.start_workers()
    with stage.started("run", stage.write_plan(roma=FAST, apim=PACED), "--yes", *stage.on) as driver:
        stage.wait_for_down(EAST, 10)
        kill(driver)
    run = stage.run.name
    stage.call_temporal("workflow", "terminate", "--workflow-id", f"undeploy/{run}/1", "--reason", "a test")
    # A worker brings the chunk that it has to its end, and gets no other one.
    until(lambda: stage.list_open_lanes() == [], PATIENCE)
    shutil.rmtree(stage.folder / ".undeploy")
    listed = stage.drive("attach")
    attached = stage.drive("attach", run)
    sent = stage.requests()
    stopped = stage.report()["run"]["stopped_by"]
    left = stage.outcomes()
    resumed = stage.drive("resume", run)

    assert "terminated" in listed.out
    assert attached.status == 4, attached.err
    assert "terminated" in attached.err
    assert "terminated" in stopped
    assert 0 < list(left.values()).count("not_started") < 290
    assert resumed.status == 0, resumed.err
    assert stage.requests() >= sent
    twice = stage.assert_sound(losses=1)
    assert all(left[name] == "unknown" for name in twice)
    undeploys = [seen for seen in stage.list_requests() if seen.act is Act.UNDEPLOY]
    assert len(undeploys) == 290 + len(twice)
