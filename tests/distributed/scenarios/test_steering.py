"""A run over two zones that people, windows and rules steer and stop."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from orchestrator.engine.control_commands import ContinueRun, PauseRun, SetLimits, SkipTargets
from orchestrator.model.reading import Act
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import InjectedFault
from tests.support.stage import apim_id, backend, most_within, roma_id, until
from tests.support.zones import EAST, WEST, ZoneStage

pytestmark = [pytest.mark.long("steers runs of several processes"), pytest.mark.timeout(300)]

PACED = "limits: {concurrency: 3, rate: 30/s}"
REFUSED = InjectedFault(kind=FaultKind.STATUS, status=403, times=0)


@contextmanager
def _going(stage: ZoneStage, *options: str, **keys: str) -> Iterator[subprocess.Popen[str]]:
    """A run over both zones, of which some targets of each are down."""
    plan = stage.write_plan(**{"roma": PACED, "apim": PACED} | keys)
    stage.start_workers()
    with stage.started("run", plan, "--yes", *stage.on, *options) as driver:
        stage.wait_for_down(EAST, 10)
        stage.wait_for_down(WEST, 5)
        yield driver


def _count_left(stage: ZoneStage, word: str) -> int:
    """Return how many targets were not started, all for a reason that begins with ``word``."""
    reasons = stage.reasons()
    left = [reasons[name] for name, outcome in stage.outcomes().items() if outcome == "not_started"]
    assert all(reason.startswith(f"{word}: ") for reason in left), left
    return len(left)


@pytest.mark.promise(8)
@pytest.mark.parametrize("how", ["Ctrl-C", "control stop", "the engine's own tool"])
def test_a_run_that_is_stopped_lands_what_flies(zoned: Callable[..., ZoneStage], how: str) -> None:
    stage = zoned(250, 60)
    with _going(stage) as driver:
        if how == "Ctrl-C":
            driver.send_signal(signal.SIGINT)
        elif how == "control stop":
            assert stage.control("stop").status == 0
        else:
            stage.call_temporal("workflow", "cancel", "--workflow-id", f"undeploy/{stage.run.name}/1")
        ended = stage.finish(driver)
    sent = stage.requests()
    left = _count_left(stage, "interrupt")
    resumed = stage.drive("resume", "latest")

    assert ended.status == (130 if how == "Ctrl-C" else 4), ended.err
    assert sent + left == 310, "what had been sent is missing in the results"
    assert left > 100
    assert resumed.status == 0, resumed.err
    assert stage.assert_sound() == []
    assert stage.requests() == 310


@pytest.mark.promise(7)
def test_what_could_not_end_in_the_window_is_not_begun_in_any_zone(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(500, 300)
    for worker in stage.start_workers():
        stage.wait_until_serving(worker)
    slow = "limits: {concurrency: 3, rate: 10/s}"
    plan = stage.write_plan(roma=f"timeout: 2s, {slow}", apim=f"timeout: 1s, {slow}")
    # The window must be open once a command has started, which takes a busy machine many seconds.
    began = time.monotonic()
    assert stage.undeploy("check", plan).status == 0
    closes = time.time() + 7 + 4 * (time.monotonic() - began)
    hours = "/".join(datetime.fromtimestamp(at, UTC).isoformat() for at in (closes - 100, closes))
    ended = stage.drive("run", plan, "--yes", "--window", hours)

    assert ended.status == 4, ended.err
    for gateway, timeout in (("roma-eu", 2.0), ("apim", 1.0)):
        arrivals = [seen.at for seen in stage.list_requests() if seen.gateway == gateway]
        assert arrivals
        assert max(arrivals) < closes - timeout + 0.1
    assert _count_left(stage, "window") > 100
    assert stage.report()["run"]["stopped_by"] == "window"
    assert stage.assert_sound() == []


def test_a_stop_rule_counts_the_targets_of_all_zones(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(300, 100)
    # Neither zone reaches the bound alone.
    stage.expect(
        {apim_id(number): (REFUSED,) for number in range(100)}
        | {roma_id(number): (REFUSED,) for number in range(0, 300, 4)}
    )
    stage.start_workers()
    plan = stage.write_plan(roma=PACED, apim=PACED, top="stop_when: {failed: 110, unknown: 100%}")
    ended = stage.drive("run", plan, "--yes")
    failed = sum(outcome == "failed" for outcome in stage.outcomes().values())

    assert ended.status == 4, ended.err
    assert "110" in stage.report()["run"]["stopped_by"]
    assert failed >= 110
    assert _count_left(stage, "stop_rule") > 0
    stage.assert_truth()
    stage.assert_zones()
    refused = stage.drive("resume", "latest")
    assert refused.status == 2, refused.err
    assert "--past-stop" in refused.err


def test_a_stop_rule_stops_the_chunk_in_which_it_is_reached(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(150, 0)
    stage.expect({roma_id(number): (REFUSED,) for number in range(150)})
    stage.start_worker(EAST)
    ended = stage.drive("run", stage.write_plan(roma=PACED, top="stop_when: {failed: 15}"), "--yes")

    assert ended.status == 4, ended.err
    assert 15 <= stage.requests() <= 15 + 4, "beyond the rule only what was in flight may end"


def test_pause_continue_limits_and_skip_reach_the_workers(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(150, 60)
    with _going(stage) as driver:
        stage.steer(PauseRun())
        until(lambda: stage.settled() == stage.settled_after(0.6), 15)
        paused = stage.requests()
        stage.steer(SkipTargets("apim/**/proxy-5?/test"))
        stage.steer(SetLimits("roma-eu", concurrency=1))
        time.sleep(1)
        still = stage.requests()
        assert driver.poll() is None
        stage.steer(ContinueRun())
        continued = time.time()
        ended = stage.finish(driver)
    spared = {apim_id(number) for number in range(50, 60)}
    later = [seen for seen in stage.list_requests() if seen.at > continued and seen.gateway == "roma-eu"]

    assert ended.status == 0, ended.err
    assert still == paused < 200, "something was sent in a pause"
    assert {name for name, outcome in stage.outcomes().items() if outcome == "not_started"} == spared
    assert all(stage.reasons()[name].startswith("skipped: ") for name in spared)
    assert most_within(0.019, [seen.at for seen in later]) == 1, "one at a time, and each takes 20 ms"
    assert [each["act"].split()[0] for each in stage.report()["controls"]] == [
        "pause",
        "skip",
        "limits",
        "continue",
    ]
    assert stage.assert_sound() == []


def test_a_question_between_waves_waits_for_control(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(6, 4)
    plan = stage.write_plan(waves=True)
    plan.write_text(plan.read_text().replace("- name: first\n", "- name: first\n  proceed: ask\n"))
    stage.start_workers()
    with stage.started("run", plan, "--yes", *stage.on) as driver:
        stage.wait_for_words(driver, "undeploy control")
        waiting = stage.settled()
        assert driver.poll() is None
        answer = stage.steer(ContinueRun())
        ended = stage.finish(driver)

    assert waiting == 6
    assert answer == "it goes on"
    assert ended.status == 0, ended.err
    assert stage.assert_sound() == []


def test_a_lane_that_parks_stays_parked_over_its_chunks(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(450, 20)
    stage.expect({roma_id(number): ("500",) * 9 for number in range(100, 450)})
    stage.start_workers()
    keys = "limits: {concurrency: 4}, park_for: 2s, retry: {attempts: 2, first: 5ms, ceiling: 10ms}"
    plan = stage.write_plan(roma=keys, top="stop_when: {failed: 100%, unknown: 100%}")
    ended = stage.drive("run", plan, "--yes")
    undeploys = [
        seen for seen in stage.list_requests() if seen.gateway == "roma-eu" and seen.act is Act.UNDEPLOY
    ]

    assert ended.status == 4, ended.err
    assert len(undeploys) < 100 + 40, "a parked lane sends its probe alone"
    assert stage.count_down(WEST) == 20
    assert {stage.reasons()[roma_id(number)].partition(":")[0] for number in range(300, 450)} == {"parked"}
    assert backend(0) in {one["id"].partition("/")[2] for one in stage.report()["targets"]}
    stage.assert_truth()
