"""How fast requests arrive: what a plan says, what a gateway bears, and what it asks for."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from orchestrator.model.reading import Act
from orchestrator.rules.pacing import LATE
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, InjectedFault
from orchestrator.simulator.limits import RateLimit
from tests.support.stage import Stage, gaps, most_within, roma_id

pytestmark = pytest.mark.long("measures rates on the real clock")


def _arrivals(stage: Stage, gateway: str, act: Act = Act.UNDEPLOY, after: int = 0) -> list[float]:
    return [seen.at for seen in stage.list_requests(after) if (seen.gateway, seen.act) == (gateway, act)]


def _sent(stage: Stage) -> list[float]:
    """When the newest run let its undeploys go, by its own clock: a busy machine may hold them up later."""
    return [
        datetime.fromisoformat(attempt["started"]).timestamp()
        for target in stage.report()["targets"]
        for attempt in target["attempts"]
        if attempt["act"] == "undeploy"
    ]


def _most(rate: float, seconds: float) -> int:
    """The most requests that any span of so many seconds may hold."""
    return int(rate * (seconds + LATE) + 1)


@pytest.mark.promise(6)
def test_a_rate_spaces_what_arrives(staged: Callable[..., Stage]) -> None:
    stage = staged(50, 0, latency=0.05)
    plan = stage.write_plan(roma="limits: {concurrency: 20, rate: 20/s}")
    ended = stage.undeploy("run", plan, "--yes")
    arrivals = _arrivals(stage, "roma-eu")

    assert ended.status == 0, ended.err
    assert most_within(1.0, _sent(stage)) <= _most(20, 1.0)
    assert most_within(0.2, _sent(stage)) <= _most(20, 0.2)
    assert most_within(2.0, arrivals) <= 44
    assert sorted(gaps(arrivals))[len(arrivals) // 2] == pytest.approx(0.05, abs=0.02)


@pytest.mark.promise(6)
def test_a_machine_that_sleeps_makes_up_for_nothing(staged: Callable[..., Stage]) -> None:
    stage = staged(50, 0, latency=0.05)
    plan = stage.write_plan(roma="limits: {concurrency: 20, rate: 20/s}")
    with stage.started("run", plan, "--yes") as process:
        stage.wait_for_requests(10, process)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=20)
    arrivals = _arrivals(stage, "roma-eu")

    assert process.returncode == 0, err
    assert max(gaps(arrivals)) > 1.4
    assert most_within(1.0, _sent(stage)) <= _most(20, 1.0)
    assert most_within(0.2, _sent(stage)) <= _most(20, 0.2)


@pytest.mark.promise(6)
def test_the_pace_that_a_gateway_bears_is_found_and_kept_for_a_resume(staged: Callable[..., Stage]) -> None:
    stage = staged(150, 0, latency=0.02, rate=RateLimit(per_second=40, burst=10))
    plan = stage.write_plan(roma="limits: {concurrency: 20}")
    with stage.started("run", plan, "--yes") as process:
        stage.wait_for_requests(80, process)
        process.terminate()
        _, err = process.communicate(timeout=20)
    before, sent = stage.platform.books().gateways["roma-eu"], stage.settled()
    time.sleep(0.5)
    resumed = stage.undeploy("resume", "latest")
    after = stage.platform.books().gateways["roma-eu"]
    again = _arrivals(stage, "roma-eu", after=sent)

    assert process.returncode == 130, err
    assert resumed.status == 0, resumed.err
    assert after.down == 150
    assert before.busy < 40  # of 80: the first burst, and little after it
    assert after.busy - before.busy <= 10
    assert most_within(1.0, again) <= 48
    assert len([at for at in again if at < again[0] + 1]) <= 44
    stage.assert_truth()


@pytest.mark.promise(6)
def test_what_one_target_is_asked_to_wait_its_whole_lane_waits(staged: Callable[..., Stage]) -> None:
    stage = staged(30, 30, latency=0.05)
    stage.expect({roma_id(8): ("429@1",)})
    slow = "limits: {concurrency: 3, rate: 20/s}"
    ended = stage.undeploy("run", stage.write_plan(roma=slow, apim=slow), "--yes")
    told = next(seen.at for seen in stage.list_requests() if seen.status == 429)
    roma, apim = _arrivals(stage, "roma-eu"), _arrivals(stage, "apim")
    pause = (told + 0.15, told + 1.0)  # what was in flight when the answer came may still arrive

    assert ended.status == 0, ended.err
    assert not [at for at in roma if pause[0] < at < pause[1]]
    assert len([at for at in apim if pause[0] < at < pause[1]]) > 5
    assert stage.report()["targets"][8]["outcome"] == "undeployed"
    stage.assert_truth()


@pytest.mark.promise(6)
def test_a_refusal_to_be_looked_at_holds_back_looks_alone(staged: Callable[..., Stage]) -> None:
    stage = staged(30, 0, latency=0.05)
    busy = InjectedFault(kind=FaultKind.STATUS, status=429, on=FaultScope.LOOK, retry_after="1")
    stage.expect({roma_id(0): ("cut", busy)})
    plan = stage.write_plan(roma="limits: {concurrency: 3, rate: 20/s}, retry: {attempts: 1}")
    ended = stage.undeploy("run", plan, "--yes")
    looks, undeploys = _arrivals(stage, "roma-eu", Act.LOOK), _arrivals(stage, "roma-eu")

    assert ended.status == 0, ended.err
    assert len(looks) >= 2
    assert looks[1] - looks[0] >= 0.95
    assert len([at for at in undeploys if looks[0] + 0.1 < at < looks[0] + 1]) > 5
    assert max(gaps(undeploys)) < 0.5


@pytest.mark.promise(6)
def test_a_bare_503_among_answers_slows_its_lane_and_costs_its_target_an_attempt(
    staged: Callable[..., Stage], tmp_path: Path
) -> None:
    stage, events = staged(40, 0, latency=0.02), tmp_path / "events"
    stage.expect({roma_id(20): ("503",)})
    plan = stage.write_plan(roma="limits: {concurrency: 3}, retry: {first: 10ms}")
    ended = stage.undeploy("run", plan, "--yes", "--events", str(events))
    told = [json.loads(line) for line in events.read_text().splitlines()]
    number = next(n for n, event in enumerate(told) if event.get("status") == 503)

    assert ended.status == 0, ended.err
    assert [event["rate"] for event in told[:number] if event["event"] == "pace_changed"] == []
    assert next(event for event in told[number:] if event["event"] == "pace_changed")["rate"] < 150
    assert not [event for event in told if event["event"] == "lane_changed"]
    assert [
        attempt["status"]
        for attempt in stage.report()["targets"][20]["attempts"]
        if attempt["act"] == "undeploy"
    ] == [503, 204]
