"""A gateway whose process dies in the middle of a run: one that comes back, and one that does not."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orchestrator.simulator.process import RunningSimulators, start_simulators
from tests.support.stage import Stage, make_fixture, until

pytestmark = pytest.mark.long("kills and starts simulators while a process runs")

SLOW = "limits: {concurrency: 4, rate: 25/s}, timeout: 2s"


@contextmanager
def _roma(count: int, port: int = 0) -> Iterator[tuple[RunningSimulators, int]]:
    """ROMA in a process of its own, and its port."""
    fixture = make_fixture(count, 0, latency=0.05)
    alone = type(fixture)(gateways=fixture.gateways[:1])
    with start_simulators(alone, port=port) as running:
        found = urlsplit(running.urls["roma-eu"]).port
        assert found is not None
        yield running, found


def _die(running: RunningSimulators) -> None:
    os.kill(running.pid, signal.SIGKILL)


@pytest.fixture
def stage(staged: Callable[..., Stage]) -> Stage:
    """Apinizer in the usual process, whose ROMA is not used: the tests have their own."""
    return staged(40, 30, latency=0.05)


def _plan(stage: Stage, running: RunningSimulators, park_for: str) -> Path:
    roma = f"{SLOW}, park_for: {park_for}, retry: {{first: 50ms, ceiling: 200ms}}"
    return stage.write_plan(urls=running.urls, roma=roma, apim=SLOW)


def _down(running: RunningSimulators) -> set[str]:
    books = running.books()
    return {name for name, facts in books.targets.items() if facts.down}


@pytest.mark.promise(6)
def test_a_gateway_that_comes_back_is_gone_on_with(stage: Stage) -> None:
    with _roma(40) as (first, port), stage.started("run", _plan(stage, first, "30s"), "--yes") as process:
        until(lambda: first.books().requests >= 12)
        _die(first)
        time.sleep(0.7)
        with _roma(40, port) as (second, _):
            _, err = process.communicate(timeout=40)
            down = _down(second)
    outcomes = stage.outcomes()

    assert process.returncode == 0, err
    assert "roma-eu: was parked: no connection to " in err
    assert set(outcomes.values()) <= {"undeployed", "already_undeployed"}
    assert 20 <= len(down) <= 40  # the others were taken down in the first one
    assert [gateway["lane"] for gateway in stage.report()["gateways"]] == ["open", "open"]


def test_what_a_gateway_that_was_given_up_has_left_says_so_however_the_run_ends(stage: Stage) -> None:
    """Its targets were left for want of answers, not by the signal (or the window) that ended the others."""
    with _roma(40) as (first, _):
        roma = f"{SLOW}, park_for: 700ms, retry: {{first: 50ms, ceiling: 200ms}}"
        plan = stage.write_plan(urls=first.urls, roma=roma, apim="limits: {rate: 2/s}")
        with stage.started("run", plan, "--yes") as process:
            until(lambda: first.books().requests >= 12)
            _die(first)
            until(lambda: "given up until a resume" in stage.undeploy("status").out)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=40)
    reasons = {
        target["id"]: target["reason"]
        for target in stage.report()["targets"]
        if target["outcome"] == "not_started"
    }

    assert process.returncode == 130
    assert {reason.partition(":")[0] for name, reason in reasons.items() if name.startswith("roma")} == {
        "parked"
    }
    assert {reason.partition(":")[0] for name, reason in reasons.items() if name.startswith("apim")} <= {
        "interrupt"
    }


@pytest.mark.promise(6)
def test_a_gateway_that_stays_dead_is_left_for_a_resume_and_slows_nobody(stage: Stage) -> None:
    with _roma(40) as (first, port):
        plan = _plan(stage, first, "1500ms")
        alone = stage.undeploy("run", plan, "--yes", "--only", "apim/**")
        lane_alone = _span(stage)
        stage.refill(latency=0.05)
        with stage.started("run", plan, "--yes") as process:
            until(lambda: first.books().requests >= 12)
            _die(first)
            _, err = process.communicate(timeout=40)
        lane_beside = _span(stage)
    report, reasons, outcomes = stage.report(), stage.reasons(), stage.outcomes()
    roma = {name: outcome for name, outcome in outcomes.items() if name.startswith("roma-eu/")}
    with _roma(40, port) as (second, _):
        resumed = stage.undeploy("resume", "latest", timeout=40)
        down = _down(second)

    assert alone.status == 0, alone.err
    assert process.returncode == 4, err
    assert set(roma.values()) <= {"undeployed", "not_started", "unknown"}
    left = [name for name, outcome in roma.items() if outcome != "undeployed"]
    assert len(left) >= 20
    assert all(reasons[name].startswith("parked: ") for name in left)
    assert {outcomes[name] for name in outcomes if name not in roma} == {"undeployed"}
    assert report["gateways"][0]["lane"] == "parked"
    assert report["totals"]["requests"] < 30 + 40 - len(left) + 15  # a few more than those that succeeded
    assert lane_beside < 1.5 * lane_alone
    assert resumed.status == 0, resumed.err
    assert len(down) >= len(left)


def _span(stage: Stage) -> float:
    """Seconds between Apinizer's first and last request."""
    times = [seen.at for seen in stage.list_requests() if seen.gateway == "apim"]
    return max(times) - min(times)
