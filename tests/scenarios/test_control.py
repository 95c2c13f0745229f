"""A run that is steered from another process: judged by what arrives at the platforms and by its report."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.engine.control_commands import ContinueRun, PauseRun, SetLimits, SkipTargets
from orchestrator.errors import UsageError
from orchestrator.runs.control_socket import ControlQuestion, send_command
from tests.support.stage import Stage, apim_id, kill, most_within, until

pytestmark = pytest.mark.long("steers running processes")

SLOW = "limits: {concurrency: 4, rate: 20/s}"


@contextmanager
def _going(
    stage: Stage, requests: int, *options: str, waves: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """A run of which so many requests have arrived."""
    plan = stage.write_plan(roma=SLOW, apim=SLOW, waves=waves)
    with stage.started("run", plan, "--yes", *options) as process:
        stage.wait_for_requests(requests, process)
        yield process


def _arrivals(stage: Stage, gateway: str, since: float = 0.0, until: float = float("inf")) -> list[float]:
    return [seen.at for seen in stage.list_requests() if seen.gateway == gateway and since <= seen.at < until]


def test_a_pause_holds_back_all_that_is_new_until_it_is_continued(staged: Callable[..., Stage]) -> None:
    stage = staged(30, 10, latency=0.05)
    with _going(stage, 8) as process:
        door = stage.run / "control"
        mode = door.stat().st_mode
        paused = stage.control("pause")
        time.sleep(0.2)
        sent = stage.requests()
        time.sleep(0.6)
        still = stage.requests()
        assert process.poll() is None
        goes_on = stage.control("continue")
        _, err = process.communicate(timeout=20)
    first, second = stage.report()["controls"]

    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    assert (paused.status, goes_on.status) == (0, 0), (paused, goes_on)
    assert "`continue` goes on" in paused.out
    assert goes_on.out.endswith(": it goes on\n")
    assert still == sent < 40
    assert process.returncode == 0, err
    assert stage.requests() == 40
    assert [each["act"] for each in (first, second)] == ["pause", "continue"]
    assert all(each["by"] and f"{socket.gethostname()}, process " in each["from"] for each in (first, second))
    assert not door.exists()


def test_a_stop_leaves_the_rest_for_a_resume(staged: Callable[..., Stage]) -> None:
    stage = staged(30, 10, latency=0.05)
    with _going(stage, 10) as process:
        stage.steer(PauseRun())
        stopped = stage.control("stop")
        _, err = process.communicate(timeout=20)
    run, reasons, outcomes = stage.report()["run"], stage.reasons(), stage.outcomes()
    sent = stage.requests()
    resumed = stage.undeploy("resume", "latest")

    assert "undeploy resume " in stopped.out
    assert process.returncode == 4, err
    assert (run["state"], run["exit_status"]) == ("stopped", 4)
    assert run["stopped_by"].startswith("interrupt: ")
    left = [reasons[name] for name, outcome in outcomes.items() if outcome == "not_started"]
    assert len(left) == 40 - sent > 0
    assert all(reason.startswith("interrupt: ") and " stopped it (" in reason for reason in left)
    assert "A person stopped the run" in err
    assert resumed.status == 0, resumed.err
    assert stage.requests() == 40
    stage.assert_truth()


def test_what_is_skipped_is_left_alone_and_does_not_count(staged: Callable[..., Stage]) -> None:
    stage = staged(20, 12, latency=0.02)
    with _going(stage, 4, waves=True) as process:
        stage.steer(PauseRun())
        missed = stage.control("skip", "apim/*")
        skipped = stage.control("skip", "apim/**/proxy-?/test")
        stage.steer(ContinueRun())
        _, err = process.communicate(timeout=20)
    again = stage.undeploy("resume", "latest")
    spared = {apim_id(number) for number in range(10)}

    assert missed.status == 2
    assert "matches no target" in missed.err
    assert "** crosses parts" in missed.err
    assert "10 targets will be passed over" in skipped.out
    assert (process.returncode, again.status) == (0, 0), err
    assert "10 skipped" in err
    assert {name for name, outcome in stage.outcomes().items() if outcome == "not_started"} == spared
    assert all(stage.reasons()[name].startswith("skipped: apim/**/proxy-?/test, by ") for name in spared)
    assert all(not stage.platform.books().targets[name].undeploys for name in spared)
    assert stage.requests() == 22


@pytest.mark.promise(2)
def test_limits_and_skips_hold_after_a_kill(staged: Callable[..., Stage]) -> None:
    stage = staged(20, 12, latency=0.1)
    with _going(stage, 4, waves=True) as process:
        stage.steer(SkipTargets("apim/**/proxy-?/test"))
        stage.steer(SetLimits("roma-eu", concurrency=1))
        stage.steer(SetLimits("apim", rate=1.0))
        kill(process)
    stage.settled()
    door = stage.run / "control"
    stale, resumes = door.exists(), time.time()
    with stage.started("resume", "latest") as process:
        until(lambda: bool(_arrivals(stage, "roma-eu", resumes)))
        taken_over = stage.steer(PauseRun())
        stage.steer(ContinueRun())
        _, err = process.communicate(timeout=20)
    spared = {name for name, reason in stage.reasons().items() if reason.startswith("skipped: ")}

    assert stale
    assert "nothing new starts" in taken_over
    assert process.returncode == 0, err
    assert spared == {apim_id(number) for number in range(10)}
    assert all(not stage.platform.books().targets[name].undeploys for name in spared)
    assert most_within(0.08, _arrivals(stage, "roma-eu", resumes)) == 1
    assert most_within(0.6, _arrivals(stage, "apim", resumes)) == 1
    assert len(stage.report()["controls"]) == 5
    assert not door.exists()


def test_limits_are_in_force_at_once(staged: Callable[..., Stage]) -> None:
    latency = 0.1
    stage = staged(80, 0, latency=latency)
    plan = stage.write_plan(roma="limits: {concurrency: 6}")
    with stage.started("run", plan, "--yes") as process:
        stage.wait_for_requests(12, process)
        stage.steer(SetLimits("roma-eu", concurrency=2))
        lowered = time.time() + latency
        time.sleep(0.6)
        before = time.time()
        assert stage.platform.books().gateways["roma-eu"].together == 6
        stage.steer(SetLimits("roma-eu", concurrency=15, rate=10.0))
        slowed = time.time() + 0.05
        time.sleep(1.2)
        freed = time.time()
        stage.steer(SetLimits("roma-eu", unbounded=True))
        _, err = process.communicate(timeout=20)

    assert process.returncode == 0, err
    assert most_within(latency * 0.8, _arrivals(stage, "roma-eu", lowered, before)) == 2
    # One more than the bucket and a second's rate: on a busy machine a late one arrives with the next.
    assert 7 <= most_within(1.0, _arrivals(stage, "roma-eu", slowed, freed)) <= 12
    assert stage.platform.books().gateways["roma-eu"].together == 15


def test_a_wrong_gateway_changes_nothing(staged: Callable[..., Stage]) -> None:
    stage = staged(16, 0, latency=0.02)
    with _going(stage, 2) as process:
        with pytest.raises(UsageError, match="the plan has no gateway 'roma'; it has roma-eu"):
            stage.steer(SetLimits("roma", rate=1.0))
        idle = stage.steer(ContinueRun())
        _, err = process.communicate(timeout=20)

    assert "it was not waiting" in idle
    assert process.returncode == 0, err
    assert [each["act"] for each in stage.report()["controls"]] == ["continue"]


def test_a_run_in_a_deep_folder_is_steered(staged: Callable[..., Stage]) -> None:
    stage = staged(16, 0, latency=0.02)
    deep = "/".join(["a-folder-with-a-long-name"] * 8)
    with _going(stage, 2, "--state", deep) as process:
        (door,) = (stage.folder / deep / "runs").glob("*/control")
        send_command(door.parent, ControlQuestion(command=PauseRun()))
        paused = stage.control("pause", state=deep)
        assert stage.control("continue", state=deep).status == 0
        _, err = process.communicate(timeout=20)

    assert len(os.fsencode(door)) > 200
    assert paused.status == 0, paused.err
    assert "cannot be steered" not in err
    assert process.returncode == 0, err
    assert not door.exists()


def _called(door: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    folder = os.open(door.parent, os.O_RDONLY)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{door.name}")  # a test's folder may lie too deep
    finally:
        os.close(folder)
    return connection


def _answer(door: Path, line: bytes) -> dict[str, Any]:
    with _called(door) as connection:
        connection.sendall(line)
        answer: dict[str, Any] = msgspec.json.decode(connection.makefile("rb").readline())
    return answer


def test_nonsense_on_the_socket_does_not_disturb_the_run(staged: Callable[..., Stage]) -> None:
    stage = staged(40, 0, latency=0.02)
    with _going(stage, 4) as process:
        door = stage.run / "control"
        idle, half = _called(door), _called(door)
        half.sendall(b'{"demand": ')
        _called(door).close()
        with _called(door) as hung_up:
            hung_up.sendall(b'{"demand": {"act": "st')
        with _called(door) as endless, pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe
            endless.sendall(b"x" * 10_000_000)
        with _called(door) as gone:
            gone.sendall(b'{"demand": {"act": "continue"}}\n')
        refused = [
            _answer(door, line + b"\n")
            for line in (
                b"GET / HTTP/1.1",
                b"\xff\x00",
                b"{}",
                b"[" * 20_000,
                b'{"newer": ' + b"[" * 20_000,
                b'{"demand": {"act": "explode"}}',
                b'{"demand": {"act": "skip", "pattern": ""}}',
                b'{"demand": {"act": "limits", "gateway": "roma-eu", "concurrency": 0}}',
                b'{"demand": {"act": "limits", "gateway": "roma-eu", "rate": -1}}',
            )
        ]
        assert process.poll() is None
        stage.wait_for_requests(40, process)
        began = time.monotonic()
        _, err = process.communicate(timeout=20)
        ending = time.monotonic() - began
        idle.close()
        half.close()

    assert process.returncode == 0, err
    assert [answer["done"] for answer in refused] == [False] * 9
    assert all("this is no demand: " in answer["text"] for answer in refused)
    assert (
        ending < 6
    )  # of the ten seconds that a caller has for its question; about one if nobody is waited for
    assert stage.requests() == 40
