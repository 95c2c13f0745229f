"""Two interrupts, whatever the program does at that moment; and the signals that it was told to ignore."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.engine.control_commands import StopRun
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, InjectedFault
from tests.support.stage import Stage, roma_id, until

pytestmark = pytest.mark.long("interrupts processes at many moments")

WITHIN = 5.0
"""Seconds from the second interrupt to the end of the process."""

HANGS = InjectedFault(kind=FaultKind.HANG, times=0)
SLOW_NAMES = """
import socket, time
known = socket.getaddrinfo
def asked(host, *more, **other):
    if host != "127.0.0.1":
        open("asked", "w").close()
        time.sleep(60)
    return known(host, *more, **other)
socket.getaddrinfo = asked
"""
"""A resolver that does not answer, which no signal reaches: it waits in a thread."""

SECOND_TIME = "import os, sys, time\nif os.path.exists('had'): open('asked', 'w').close(); time.sleep(60)\n"
SECOND_TIME += "open('had', 'w').close(); print('wrong-token')"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of somebody who takes every connection, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def twice(process: subprocess.Popen[str], first: signal.Signals = signal.SIGINT) -> float:
    """Interrupt twice; return how long it took from the second time on."""
    process.send_signal(first)
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    return time.monotonic() - began


def says(process: subprocess.Popen[str], *texts: str) -> Callable[[], bool]:
    """Whether one of the texts was told on stderr, which goes on to be read."""
    assert process.stderr is not None
    told: list[str] = []
    reader = process.stderr

    def read() -> None:
        told.extend(iter(reader.readline, ""))

    threading.Thread(target=read, daemon=True).start()
    return lambda: any(text in line for line in told for text in texts) or process.poll() is not None


def ended(process: subprocess.Popen[str], seconds: float) -> None:
    assert process.returncode == 130
    assert seconds < WITHIN


@pytest.mark.promise(8)
@pytest.mark.promise(10)
@pytest.mark.parametrize("auth", ["iam: {url: 'URL', user: u, password: {env: ROMA_TOKEN}, domain: d}"])
def test_at_a_login_that_nobody_answers(staged: Callable[..., Stage], silent: str, auth: str) -> None:
    stage = staged(2, 0)
    path = stage.write_plan()
    plan = path.read_text().replace("token: {env: ROMA_TOKEN}", auth.replace("URL", silent))
    path.write_text(plan)
    with stage.started("run", "plan.yaml", "--yes") as process:
        until(says(process, "2 to do"))
        ended(process, twice(process))


@pytest.mark.promise(10)
@pytest.mark.parametrize("command", [("run", "--yes"), ("preview",), ("doctor",), ("discover", "--from")])
def test_at_a_look_up_of_a_name(staged: Callable[..., Stage], command: tuple[str, ...]) -> None:
    stage = staged(2, 0)
    stage.write_plan(urls={"roma-eu": "http://never.invalid"})
    (stage.folder / "sitecustomize.py").write_text(SLOW_NAMES)
    path = f"{stage.folder}:{stage.env['PYTHONPATH']}"
    with stage.started(*command, "plan.yaml", env={"PYTHONPATH": path}) as process:
        until((stage.folder / "asked").exists)
        ended(process, twice(process))


@pytest.mark.promise(10)
@pytest.mark.parametrize("command", [("run", "--yes"), ("preview",), ("doctor",), ("discover", "--from")])
def test_at_a_command_for_a_credential(staged: Callable[..., Stage], command: tuple[str, ...]) -> None:
    stage = staged(2, 0)
    path = stage.write_plan()
    slow = f"command: ['{sys.executable}', -c, 'open(\"asked\", \"w\").close(); import time; time.sleep(60)']"
    path.write_text(path.read_text().replace("env: ROMA_TOKEN", slow))
    with stage.started(*command, "plan.yaml") as process:
        until((stage.folder / "asked").exists)
        process.send_signal(signal.SIGINT)  # nothing was sent yet: one is enough
        began = time.monotonic()
        process.wait(timeout=20)
        ended(process, time.monotonic() - began)


@pytest.mark.promise(10)
def test_at_a_command_that_is_asked_again_in_mid_run(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    path = stage.write_plan()
    (stage.folder / "vault.py").write_text(SECOND_TIME)
    path.write_text(path.read_text().replace("env: ROMA_TOKEN", f"command: ['{sys.executable}', vault.py]"))
    with stage.started("run", "plan.yaml", "--yes") as process:
        until((stage.folder / "asked").exists)
        ended(process, twice(process))


@pytest.mark.promise(10)
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_while_it_waits_for_the_window(staged: Callable[..., Stage], first: signal.Signals) -> None:
    stage = staged(2, 0)
    opens = datetime.now(UTC) + timedelta(hours=1)
    window = f"{opens.isoformat()}/{(opens + timedelta(hours=1)).isoformat()}"
    with stage.started("run", stage.write_plan(), "--yes", "--wait", "--window", window) as process:
        until(says(process, "waits for the window"))
        process.send_signal(first)  # nothing flies: one is enough
        began = time.monotonic()
        process.wait(timeout=20)
        ended(process, time.monotonic() - began)


@pytest.mark.promise(10)
@pytest.mark.parametrize("rest", ["pause_after: 10m", "proceed: ask"])
def test_between_two_waves(staged: Callable[..., Stage], rest: str) -> None:
    stage = staged(2, 1)
    path = stage.write_plan(waves=True)
    path.write_text(path.read_text().replace("- name: first", f"- name: first\n  {rest}"))
    with stage.started("run", path, "--yes") as process:
        until(says(process, "pause after wave", "has ended"))
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        process.wait(timeout=20)
        ended(process, time.monotonic() - began)


@pytest.mark.promise(10)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_at_the_look_before_the_question(
    staged: Callable[..., Stage], silent: str, number: signal.Signals
) -> None:
    stage = staged(2, 0)
    path = stage.write_plan(urls={"roma-eu": silent})
    ours, theirs = pty.openpty()
    with stage.started("run", path, stdin=theirs, stderr=theirs, env={"TERM": "xterm"}) as process:
        shown = b""
        while b"looks at" not in shown:
            shown += os.read(ours, 4096)
        process.send_signal(number)
        began = time.monotonic()
        process.wait(timeout=20)
        ended(process, time.monotonic() - began)
    os.close(theirs)
    os.close(ours)


@pytest.mark.promise(8)
@pytest.mark.promise(10)
@pytest.mark.parametrize("whole", [0, 1, 2])
@pytest.mark.parametrize("stop", ["signal", "control"])
def test_at_a_page_for_many_targets_that_does_not_come(
    staged: Callable[..., Stage], whole: int, stop: str
) -> None:
    """The first list, the second one, or the first page of what hangs on the front ends."""
    stage = staged(60, 0)
    comes = InjectedFault(kind=FaultKind.SLOW, on=FaultScope.LOOK, times=whole)
    never = InjectedFault(kind=FaultKind.HANG, on=FaultScope.LOOK, times=0)
    stage.expect({"roma-eu": (comes, never) if whole else (never,)})
    with stage.started("run", stage.write_plan(top="snapshot: best"), "--yes") as process:
        stage.wait_for_requests(whole + 1, process)
        began = time.monotonic()
        if stop == "signal":
            process.send_signal(signal.SIGINT)  # nothing that changes anything flies: one is enough
        else:
            stage.steer(StopRun())
        process.wait(timeout=20)
        seconds = time.monotonic() - began

    assert process.returncode == (130 if stop == "signal" else 4)
    assert seconds < WITHIN
    assert stage.requests() == stage.report()["totals"]["requests"] == whole + 1
    assert set(stage.outcomes().values()) == {"not_started"}
    assert all(why.startswith("interrupt: ") for why in stage.reasons().values())


@pytest.mark.promise(8)
@pytest.mark.promise(10)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_before_a_pipe_that_nobody_reads(staged: Callable[..., Stage], stream: str) -> None:
    stage = staged(400, 0)
    stage.expect({roma_id(399): (HANGS,)})
    reading, writing = os.pipe()
    log = () if stream == "stdout" else ("--log-level", "debug", "--log-format", "json")
    events = ("--events", "-") if stream == "stdout" else ()
    with stage.started("run", stage.write_plan(), "--yes", *events, *log, **{stream: writing}) as process:
        os.close(writing)
        stage.wait_for_requests(400, process)  # the pipe is full long before
        seconds = twice(process)
    os.close(reading)

    ended(process, seconds)
    assert sum(kept.outcome == "undeployed" for kept in stage.journal().values()) == 399


@pytest.mark.promise(10)
def test_a_pipe_that_nobody_reads_ends_no_run(staged: Callable[..., Stage]) -> None:
    stage = staged(400, 0)
    (stage.folder / "sitecustomize.py").write_text(
        "import orchestrator.system.streams\norchestrator.system.streams.PATIENCE = 0.5\n"
    )
    path = f"{stage.folder}:{stage.env['PYTHONPATH']}"
    reading, writing = os.pipe()
    arguments = ("run", stage.write_plan(), "--yes", "--events", "-")
    with stage.started(*arguments, stdout=writing, env={"PYTHONPATH": path}) as process:
        os.close(writing)
        _, err = process.communicate(timeout=25)
    os.close(reading)

    assert process.returncode == 0, err
    stage.assert_truth()


def test_a_reader_that_is_slow_gets_every_line(staged: Callable[..., Stage]) -> None:
    stage = staged(400, 0)
    with stage.started("run", stage.write_plan(), "--yes", "--events", "-") as process:
        stage.wait_for_requests(400, process)
        assert process.stdout is not None
        lines = list(process.stdout)

    assert sum('"target_ended"' in line for line in lines) == 400
    assert '"run_ended"' in lines[-1]


@pytest.mark.promise(8)
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_was_ignored_stays_so(staged: Callable[..., Stage], number: signal.Signals) -> None:
    stage = staged(12, 6, latency=0.15)
    ignore = {"preexec_fn": lambda: signal.signal(number, signal.SIG_IGN)}
    with stage.started("run", stage.write_plan(), "--yes", **ignore) as process:
        stage.wait_for_requests(6, process)
        process.send_signal(number)
        process.send_signal(number)
        _, err = process.communicate(timeout=20)

    assert process.returncode == 0, err
    stage.assert_truth()


CLOSED: Mapping[str, int] = {"stdin": 0, "stdout": 1, "stderr": 2}


@pytest.mark.parametrize("closed", [("stdin",), ("stdout",), ("stderr",), ("stdin", "stdout", "stderr")])
@pytest.mark.parametrize("command", [("run", "--yes", "--quiet"), ("preview",), ("check",), ("--help",)])
def test_a_closed_descriptor_is_dev_null(
    staged: Callable[..., Stage], closed: tuple[str, ...], command: tuple[str, ...]
) -> None:
    stage = staged(2, 1)
    plan = () if command == ("--help",) else (stage.write_plan(),)

    def close() -> None:
        for name in closed:
            os.close(CLOSED[name])

    done = stage.undeploy(*command, *plan, preexec_fn=close)

    assert done.status == 0, done
    assert "stderr" in closed or "Traceback" not in done.err
    if command[0] == "run":
        stage.assert_truth()
        assert (stage.run / "plan.yaml").read_bytes() == Path(plan[0]).read_bytes()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_full_device_changes_nothing_of_a_run(staged: Callable[..., Stage], stream: str) -> None:
    stage = staged(2, 1)
    with Path("/dev/full").open("w") as full:
        done = stage.undeploy("run", stage.write_plan(), "--yes", **{stream: full})

    assert (done.status, stage.report()["run"]["exit_status"]) == (0, 0)
    assert "Traceback" not in (done.err or "")
    stage.assert_truth()


def test_a_result_that_cannot_be_written_is_told(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 1)
    path = stage.write_plan()
    with Path("/dev/full").open("w") as full:
        for command in (("check", path), ("schema",), ("preview", path), ("--help",)):
            done = stage.undeploy(*command, stdout=full)

            assert (done.status, done.err) == (
                2,
                "cannot write to the standard output: No space left on device\n",
            )
    with Path("/dev/full").open("w") as full:
        assert stage.undeploy("chek", stderr=full).status == 2


SLOW_END = """
import os, time
class Late:
    def __del__(self, write=os.write, sleep=time.sleep):
        write(1, b"late")
        sleep(1)
late = Late()
from orchestrator.cli import main
main(["--version"])
"""
"""The interpreter itself takes its time to end, as it does on a machine that is busy."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_comes_too_late_does_not_change_the_exit_status(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SLOW_END], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = b""
        while not told.endswith(b"late"):
            told += os.read(process.stdout.fileno(), 100) or b"late"
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
