"""The acts of `undeploy control`, and its refusals where a run cannot be steered."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.commands.control import parse_control
from orchestrator.engine.control_commands import (
    ContinueRun,
    ControlCommand,
    PauseRun,
    SetLimits,
    SkipTargets,
    StopRun,
)
from orchestrator.errors import UsageError
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.run_lookup import list_runs
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScenario, InjectedFault
from orchestrator.simulator.process import RunningSimulators
from tests.support.commands import Undeploy

Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("typed", "demand"),
    [
        ("pause", PauseRun()),
        ("continue", ContinueRun()),
        ("stop", StopRun()),
        ("skip apim/Retail/**", SkipTargets("apim/Retail/**")),
        ("limits apim concurrency=2", SetLimits("apim", concurrency=2)),
        ("limits apim concurrency=0000000005", SetLimits("apim", concurrency=5)),
        ("limits apim rate=90/m", SetLimits("apim", rate=1.5)),
        ("limits apim rate=none", SetLimits("apim", unbounded=True)),
        ("limits apim rate=5/s concurrency=1000", SetLimits("apim", concurrency=1000, rate=5.0)),
    ],
)
def test_what_is_typed_is_one_demand(typed: str, demand: ControlCommand) -> None:
    act, *arguments = typed.split()

    assert parse_control(act, tuple(arguments)) == demand


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("puase", "no act 'puase'; did you mean pause?"),
        ("go", "the acts are pause, continue, stop, skip, limits"),
        ("pause now", "pause takes no arguments; found now"),
        ("stop apim", "stop takes no arguments"),
        ("skip", "skip 'apim/Retail/**'"),
        ("skip a/b a/c", "one pattern"),
        ("skip a\udcff/**", '"a\\udcff/**" holds a control character or a line break'),
        ("limits", "give a gateway and its limits"),
        ("limits apim", "give a gateway and its limits"),
        ("limits apim 5/s", "found '5/s'; write concurrency=N, rate=N/s or rate=none"),
        ("limits apim burst=5", "found 'burst=5'"),
        ("limits apim rate=1/s rate=2/s", "each once"),
        ("limits apim concurrency=0", "out of bounds; 1 to 1000"),
        ("limits apim concurrency=1001", "out of bounds; 1 to 1000"),
        (f"limits apim concurrency={'9' * 5000}", "out of bounds; 1 to 1000"),
        ("limits apim concurrency=-1", "no whole number"),
        ("limits apim concurrency=٣", "no whole number"),
        ("limits apim rate=5", "write a number with /s, /m or /h"),
        ("limits apim rate=0/s", "would let nothing through"),
        ("limits apim rate=inf/s", "is no rate"),
    ],
)
def test_a_mistake_is_told_with_what_to_write(typed: str, told: str) -> None:
    act, *arguments = typed.split()
    with pytest.raises(UsageError) as error:
        parse_control(act, tuple(arguments))

    assert told in str(error.value)


def test_a_run_that_is_not_there_is_not_steered(folder: Path, undeploy: Undeploy) -> None:
    ended = undeploy("control", "latest", "pause")

    assert (ended.status, ended.out) == (2, "")
    assert "there is no run in .undeploy" in ended.err


def test_a_run_that_has_ended_is_not_steered(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    complete = undeploy("run", plan(platform.urls["apim"]), "--yes").run
    told = undeploy("control", complete, "stop")
    platform.expect(FaultScenario(script={"apim": (InjectedFault(kind=FaultKind.ELSEWHERE, times=0),)}))
    stopped = undeploy("run", "plan.yaml", "--yes").run
    also = undeploy("control", "latest", "pause")

    assert (told.status, told.out) == (2, "")
    assert told.err == f"run {complete} has ended (complete)\n"
    assert also.status == 2
    assert also.err == f"run {stopped} has ended (stopped); `undeploy resume {stopped}` goes on with it\n"


@pytest.mark.long("kills a process")
def test_a_rehearsal_that_was_killed_names_no_command_that_would_be_refused(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    command = [sys.executable, "-m", "orchestrator", "rehearse", plan(platform.urls["apim"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        run = process.stdout.readline().removeprefix("run: ").strip()
        process.kill()
    told = undeploy("control", run, "pause")

    assert (told.status, told.err) == (2, f"run {run} was killed\n")


@pytest.mark.long("kills a process")
def test_a_run_that_was_killed_is_resumed_not_steered(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    platform.expect(FaultScenario(script={"apim": (InjectedFault(kind=FaultKind.HANG, times=0),)}))
    command = [sys.executable, "-m", "orchestrator", "run", plan(platform.urls["apim"]), "--yes"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        run = process.stdout.readline().removeprefix("run: ").strip()
        while not platform.books().requests:
            pass
        process.kill()
    told = undeploy("control", "latest", "pause")

    assert told.status == 2
    assert told.err == f"run {run} was killed; `undeploy resume {run}` goes on with it\n"


@pytest.fixture
def held_run(platform: RunningSimulators, plan: Write, undeploy: Undeploy) -> RunFolder:
    """A run that has ended; its lock is free to be taken."""
    undeploy("run", plan(platform.urls["apim"]), "--yes")
    return list_runs(Path(".undeploy"))[0]


def test_a_run_of_another_host_is_steered_there(held_run: RunFolder, undeploy: Undeploy) -> None:
    with held_run.lock() as entry:
        elsewhere = json.loads(entry) | {"host": "night-box", "user": "ops", "pid": 41}
        (held_run.path / "lock").write_text(json.dumps(elsewhere))
        told = undeploy("control", "latest", "pause")

    assert (told.status, told.out) == (2, "")
    assert f"run {held_run.id} is held by ops on night-box, process 41, since 20" in told.err
    assert told.err.endswith("; a run is steered on its own host, use night-box\n")


@pytest.mark.parametrize("left", [False, True])
def test_a_run_that_does_not_answer_is_told_so(held_run: RunFolder, undeploy: Undeploy, left: bool) -> None:
    with held_run.lock(), socket.socket(socket.AF_UNIX) as dead:
        if left:
            dead.bind("left")
            Path("left").rename(held_run.path / "control")  # where no process listens
        told = undeploy("control", "latest", "pause")

    assert (told.status, told.out) == (2, "")
    assert (
        f"run {held_run.id} does not answer ({'Connection refused' if left else 'No such file'}" in told.err
    )
    assert "just starting or ending" in told.err
