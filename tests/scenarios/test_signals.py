"""Ctrl-C, a pipeline's SIGTERM, a closed terminal, a suspended machine."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import InjectedFault
from tests.support.stage import CONCURRENCY, Stage, first_acts, kill, roma_id, until

pytestmark = pytest.mark.long("signals, stops and continues processes")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HANGS = InjectedFault(kind=FaultKind.HANG, times=0)


@pytest.mark.promise(8)
@pytest.mark.parametrize("number", SIGNALS)
def test_after_one_signal_nothing_starts_and_what_flies_lands(
    staged: Callable[..., Stage], number: signal.Signals
) -> None:
    stage = staged(24, 12, latency=0.15)
    with stage.started("run", stage.write_plan(), "--yes") as process:
        stage.wait_for_requests(12, process)
        process.send_signal(number)
        sent = stage.requests()
        _, err = process.communicate(timeout=20)
        # Those whose intent was being written when the signal came may still have left.
        assert stage.requests() <= sent + sum(CONCURRENCY.values())
    kept, report = stage.journal(), stage.report()
    totals = report["totals"]

    assert process.returncode == 130, err
    assert f"{number.name} was received" in err
    assert "undeploy resume" in err
    assert not any(target.left_open for target in kept.values())
    assert (report["run"]["state"], report["run"]["exit_status"]) == ("interrupted", 130)
    assert totals["undeployed"] == totals["requests"] == stage.requests()
    assert totals["not_started"] == 36 - totals["undeployed"] > 0
    stage.assert_truth()
    assert sorted(path.suffix for path in stage.run.glob("report.*")) == [
        ".csv",
        ".html",
        ".json",
        ".md",
        ".xml",
    ]

    resumed = stage.undeploy("resume", "latest")

    assert resumed.status == 0, resumed.err
    assert stage.requests() == 36
    stage.assert_truth()


@pytest.mark.promise(8)
@pytest.mark.parametrize(("first", "second"), [(signal.SIGINT,) * 2, (signal.SIGHUP, signal.SIGTERM)])
def test_after_two_signals_it_is_out_and_resume_looks_first(
    staged: Callable[..., Stage], first: signal.Signals, second: signal.Signals
) -> None:
    stage = staged(20, 0)
    stage.expect({"roma-eu": (HANGS,)})
    with stage.started("run", stage.write_plan(), "--yes") as process:
        stage.wait_for_requests(CONCURRENCY["roma-eu"], process)
        process.send_signal(first)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(second)
        began = time.monotonic()
        _, err = process.communicate(timeout=10)
    seconds = time.monotonic() - began
    flying = [target.id for target in stage.journal().values() if target.left_open]
    sent = stage.settled()
    stage.expect()
    resumed = stage.undeploy("resume", "latest")

    assert process.returncode == 130, err
    assert "Interrupted: none of 20 targets is down" in err
    assert "the reports were not written" in err
    assert seconds < 5
    assert len(flying) == CONCURRENCY["roma-eu"]
    assert {first_acts(stage.list_requests(sent))[target] for target in flying} == {"look"}
    assert resumed.status == 0, resumed.err
    stage.assert_truth()


@pytest.mark.promise(8)
def test_a_pipeline_that_terminates_and_soon_kills_leaves_a_run_to_resume(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(20, 10, latency=0.1)
    stage.expect({roma_id(3): (HANGS,)})
    with stage.started("run", stage.write_plan(roma="timeout: 2s"), "--yes") as process:
        stage.wait_for_requests(14, process)
        process.terminate()
        _, err = process.communicate(timeout=10)  # what Kubernetes and most pipelines wait before they kill
    stage.expect()
    doubtful = stage.outcomes()[roma_id(3)]
    resumed = stage.undeploy("resume", "latest")

    assert process.returncode == 130, err
    assert doubtful == "unknown"  # its reply did not come in time: left for the resume's look
    assert resumed.status == 0, resumed.err
    stage.assert_truth()


@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_what_still_hangs_when_a_pipeline_kills_is_looked_at_first(staged: Callable[..., Stage]) -> None:
    stage = staged(20, 10, latency=0.02)
    stage.expect({roma_id(3): (HANGS,)})
    with stage.started("run", stage.write_plan(), "--yes") as process:
        stage.wait_for_requests(8, process)
        process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)  # the grace of a pipeline, cut short
        kill(process)
    stage.expect()
    sent = stage.settled()
    hanging = [target.id for target in stage.journal().values() if target.left_open]
    resumed = stage.undeploy("resume", "latest")

    assert hanging == [roma_id(3)]
    assert first_acts(stage.list_requests(sent))[roma_id(3)] == "look"
    assert resumed.status == 0, resumed.err
    assert "which has ended" in resumed.err
    stage.assert_truth()
    stage.assert_intents()


@pytest.mark.promise(8)
@pytest.mark.parametrize("terminal", ["dumb", "xterm-256color"])
def test_a_terminal_that_is_closed_interrupts_the_run_and_no_more(
    staged: Callable[..., Stage], terminal: str
) -> None:
    stage = staged(24, 12, latency=0.15)
    main, other = pty.openpty()
    started = stage.started(
        "run",
        stage.write_plan(),
        "--yes",
        env={"TERM": terminal, "PYTHONUTF8": "1"},
        stdin=other,
        stdout=other,
        stderr=other,
        preexec_fn=lambda: os.login_tty(other),
    )
    with started as process:
        os.close(other)
        stage.wait_for_requests(12, process)
        os.read(main, 65536)
        os.close(main)
        status = process.wait(timeout=20)
    totals = stage.report()["totals"]
    resumed = stage.undeploy("resume", "latest")

    assert status == 130
    assert not any(target.left_open for target in stage.journal().values())
    assert 0 < totals["undeployed"] < 36
    assert resumed.status == 0, resumed.err
    assert stage.requests() == 36


@pytest.mark.promise(8)
def test_a_shell_and_the_kernel_that_tell_of_one_closed_terminal_are_one_signal(
    staged: Callable[..., Stage],
) -> None:
    """Where a connection drops, both send SIGHUP: what flies lands, and the reports are written."""
    stage = staged(24, 0, latency=0.3)
    with stage.started("run", stage.write_plan(), "--yes") as process:
        stage.wait_for_requests(12, process)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        _, err = process.communicate(timeout=20)

    assert process.returncode == 130, err
    assert not any(target.left_open for target in stage.journal().values())
    assert stage.report()["run"]["state"] == "interrupted"


def test_a_machine_that_sleeps_goes_on_where_it_was(staged: Callable[..., Stage]) -> None:
    stage = staged(24, 12, latency=0.1)
    plan = stage.write_plan(roma="timeout: 1s, limits: {concurrency: 3}", apim="timeout: 1s")
    with stage.started("run", plan, "--yes") as process:
        stage.wait_for_requests(12, process)
        process.send_signal(signal.SIGSTOP)
        time.sleep(2.0)
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=20)

    assert process.returncode == 0, err
    stage.assert_truth()
    stage.assert_intents()


def _ended(stage: Stage, process: subprocess.Popen[str]) -> None:
    """Return when the run has ended and its reports are being written."""
    events = stage.folder / "events"
    until(lambda: process.poll() is not None or (events.exists() and "run_ended" in events.read_text()))


def test_killed_while_the_reports_are_written_a_resume_writes_them(staged: Callable[..., Stage]) -> None:
    stage = staged(20, 10)
    with stage.started("run", stage.write_plan(), "--yes", "--events", "events") as process:
        _ended(stage, process)
        kill(process)
    (stage.run / "report.json").unlink(missing_ok=True)
    sent = stage.requests()
    resumed = stage.undeploy("resume", "latest")

    assert resumed.status == 0, resumed.err
    assert stage.requests() == sent
    stage.assert_truth()


@pytest.mark.promise(8)
def test_a_signal_while_the_reports_are_written_lets_them_be_written(staged: Callable[..., Stage]) -> None:
    stage = staged(2000, 0)
    plan = stage.write_plan(roma="limits: {concurrency: 50}")
    with stage.started("run", plan, "--yes", "--events", "events") as process:
        _ended(stage, process)
        process.terminate()
        _, err = process.communicate(timeout=20)

    assert process.returncode in (0, 130), err
    assert len(list(stage.run.glob("report.*"))) == 5
