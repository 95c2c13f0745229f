"""Two runs on one state folder: never at work on the same target, side by side on different ones."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import InjectedFault
from tests.support.commands import CommandResult
from tests.support.stage import Stage, apim_id, backend, kill, roma_id, until

pytestmark = pytest.mark.long("lets two processes compete")

HANGS = InjectedFault(kind=FaultKind.HANG, times=0)
RUNS = Path(".undeploy/runs")


@contextmanager
def _live(stage: Stage, *options: str, hanging: int = 1) -> Iterator[subprocess.Popen[str]]:
    """A run whose first so many targets of ROMA hang for the time of the block; then it is killed."""
    stage.expect({roma_id(number): (HANGS,) for number in range(hanging)})
    sent = stage.requests()
    with stage.started("run", stage.write_plan(), "--yes", *options) as process:
        stage.wait_for_requests(sent + hanging, process)
        stage.settled()
        yield process
        if process.poll() is None:
            kill(process)
    stage.settled()
    stage.expect()


def _runs(stage: Stage) -> list[str]:
    return sorted(path.name for path in (stage.folder / RUNS).iterdir())


def _assert_refused(refused: CommandResult, run: str, pid: int, shared: str) -> None:
    assert (refused.status, refused.out) == (2, ""), refused.err
    assert len(refused.err.splitlines()) == 1
    assert f"run {run} is going on (held by " in refused.err
    assert f"process {pid}, since 20" in refused.err
    assert f"touches {shared}; nothing was sent" in refused.err
    assert f"undeploy control {run} stop" in refused.err
    assert "--skip" in refused.err


def test_a_second_run_of_the_same_targets_is_refused_and_another_one_is_not(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(4, 3)
    with _live(stage, "--only", "roma-eu/*") as first:
        (run,), sent = _runs(stage), stage.requests()
        refused = stage.undeploy("run", "plan.yaml", "--yes", timeout=20)
        one = stage.undeploy("run", "plan.yaml", "--yes", "--target", roma_id(2), timeout=20)
        assert (stage.settled(), _runs(stage)) == (sent, [run])
        beside = stage.undeploy("run", "plan.yaml", "--yes", "--skip", "roma-eu/*", timeout=20)
        assert first.poll() is None
        pid = first.pid

    _assert_refused(refused, run, pid, f"4 targets of this one, the first is {roma_id(0)}")
    _assert_refused(one, run, pid, f"1 target of this one, the first is {roma_id(2)}")
    assert beside.status == 0, beside.err
    assert {apim_id(number) for number in range(3)} == {
        name for name, outcome in stage.outcomes().items() if outcome == "undeployed"
    }


def test_another_name_of_the_gateway_makes_no_other_target(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    plan = stage.write_plan().read_text()
    (stage.folder / "other.yaml").write_text(plan.replace("roma-eu", "europe"))
    with _live(stage) as first:
        (run,), sent = _runs(stage), stage.requests()
        refused = stage.undeploy("run", "other.yaml", "--yes", timeout=20)
        assert (stage.settled(), _runs(stage)) == (sent, [run])

    _assert_refused(refused, run, first.pid, f"2 targets of this one, the first is europe/{backend(0)}")


def test_what_either_leaves_alone_is_free_for_the_other(staged: Callable[..., Stage]) -> None:
    """Filters and protections of both: none may be taken for the other, nor ours for theirs."""
    stage = staged(6, 0)
    (stage.folder / "theirs").write_text(f"{roma_id(1)}\n")
    (stage.folder / "ours").write_text(f"{roma_id(3)}\n")
    with _live(stage, "--protect-file", "theirs", "--skip", roma_id(2)) as first:
        (run,) = _runs(stage)
        spared = ["--only", roma_id(1), "--only", roma_id(2)]
        refused = {
            "one more": (["--only", roma_id(1), "--only", roma_id(4)], 1, 4),
            "protected by us": (["--protect-file", "ours", "--skip", roma_id(0)], 2, 4),
            "skipped by us": (["--skip", roma_id(3)], 3, 0),
            "both": (["--protect-file", "ours", "--skip", roma_id(4), "--skip", roma_id(0)], 1, 5),
        }
        told = {
            name: stage.undeploy("run", "plan.yaml", "--yes", *options, timeout=20)
            for name, (options, _, _) in refused.items()
        }
        free = stage.undeploy("run", "plan.yaml", "--yes", *spared, timeout=20)
        pid = first.pid

    for name, (_, count, number) in refused.items():
        shared = (
            f"{count} {'target' if count == 1 else 'targets'} of this one, the first is {roma_id(number)}"
        )
        _assert_refused(told[name], run, pid, shared)
    assert free.status == 0, free.err


def test_a_resume_counts_what_it_may_touch_now(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0)
    with _live(stage, hanging=2):
        pass
    first = max(_runs(stage))
    (stage.folder / "ours").write_text(f"{roma_id(0)}\n")
    (stage.folder / "others").write_text(f"{roma_id(1)}\n")
    with _live(stage, "--only", roma_id(0)) as second:
        live = max(_runs(stage))
        by_others = stage.undeploy("resume", first, "--protect-file", "others", timeout=20)
        narrowed = stage.undeploy("resume", first, "--only", roma_id(0), timeout=20)
        skipped = stage.undeploy("resume", first, "--skip", roma_id(0), timeout=20)
        by_ours = stage.undeploy("resume", first, "--protect-file", "ours", timeout=20)
        pid = second.pid

    for refused in (by_others, narrowed):
        _assert_refused(refused, live, pid, f"1 target of this one, the first is {roma_id(0)}")
    assert skipped.status in (0, 4), skipped.err
    assert by_ours.status in (0, 1, 4), by_ours.err
    assert "held by" not in skipped.err + by_ours.err


def test_another_spelling_of_a_place_makes_no_other_target(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    plan = stage.write_plan().read_text()
    url = stage.platform.urls["roma-eu"]
    odd = url.replace("http://127.0.0.1", "HTTP://0x7f.1") + "/%2e//"
    (stage.folder / "other.yaml").write_text(plan.replace(url, odd))
    with _live(stage) as first:
        (run,) = _runs(stage)
        refused = stage.undeploy("run", "other.yaml", "--yes", timeout=20)

    _assert_refused(refused, run, first.pid, f"2 targets of this one, the first is {roma_id(0)}")


def test_the_lock_of_a_killed_run_hinders_nobody(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0)
    with _live(stage) as first:
        kill(first)
        stage.expect()
        second = stage.undeploy("run", "plan.yaml", "--yes", timeout=20)
    killed = min(_runs(stage))
    resumed = stage.undeploy("resume", killed, timeout=20)
    again = stage.undeploy("resume", killed, timeout=20)

    assert second.status == 0, second.err
    assert "held by" not in second.err
    assert resumed.status == 0, resumed.err
    taken_over = [line for line in resumed.err.splitlines() if "which has ended" in line]
    assert len(taken_over) == 1
    assert taken_over[0].startswith("the run was held by ")
    assert f"process {first.pid}, since 20" in taken_over[0]
    assert "held by" not in again.err


def test_a_resume_waits_for_no_run_on_its_targets_but_is_refused(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 3)
    with _live(stage, "--only", roma_id(0), "--only", roma_id(1), hanging=2):
        pass
    first = max(_runs(stage))
    before = stage.undeploy("report", first).out
    with _live(stage, "--only", roma_id(0)) as second:
        sent = stage.settled()
        refused = stage.undeploy("resume", first, timeout=20)
        by_path = stage.undeploy("resume", RUNS / first, timeout=20)
        by_state = stage.undeploy("resume", RUNS / first, "--state", "elsewhere", timeout=20)
        assert stage.settled() == sent
        after = stage.undeploy("report", first).out
        stage.expect({roma_id(0): (HANGS,)})
        narrowed = stage.undeploy("resume", first, "--skip", roma_id(0), timeout=20)
        pid = second.pid
    resumed = stage.undeploy("resume", first, timeout=20)

    for each in (refused, by_path, by_state):
        _assert_refused(each, max(_runs(stage)), pid, f"1 target of this one, the first is {roma_id(0)}")
    assert not (stage.folder / "elsewhere").exists()
    assert after == before  # a refused resume leaves the run as it was
    assert narrowed.status == 4, narrowed.err
    assert roma_id(1) in {name for name, facts in stage.platform.books().targets.items() if facts.down}
    assert resumed.status == 0, resumed.err


def test_of_two_that_start_at_the_same_instant_one_goes(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 3)
    stage.expect({roma_id(0): (HANGS,)})
    plan = stage.write_plan()
    with ExitStack() as stack:
        both = [stack.enter_context(stage.started("run", plan, "--yes")) for _ in range(2)]
        until(lambda: any(process.poll() is not None for process in both), 20)
        stage.wait_for_requests(7)
        (refused,) = [process for process in both if process.poll() is not None]
        (going,) = [process for process in both if process is not refused]
        out, err = refused.communicate(timeout=20)
        (run,) = _runs(stage)
        assert stage.settled() == 7
        kill(going)
    stage.expect()

    _assert_refused(
        CommandResult(refused.returncode, out, err),
        run,
        going.pid,
        f"7 targets of this one, the first is {apim_id(0)}",
    )


def test_of_two_resumes_at_the_same_instant_one_goes(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0)
    for _ in range(2):
        with _live(stage, "--only", roma_id(0)):
            pass
    stage.expect({roma_id(0): (HANGS,)})
    with ExitStack() as stack:
        both = {run: stack.enter_context(stage.started("resume", run)) for run in _runs(stage)}
        until(lambda: any(process.poll() is not None for process in both.values()), 20)
        (refused,) = [process for process in both.values() if process.poll() is not None]
        ((run, going),) = [(run, process) for run, process in both.items() if process is not refused]
        out, err = refused.communicate(timeout=20)
        pid = going.pid
        kill(going)
    stage.settled()

    _assert_refused(
        CommandResult(refused.returncode, out, err),
        run,
        pid,
        f"1 target of this one, the first is {roma_id(0)}",
    )


def test_a_rehearsal_minds_nobody(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0)
    with _live(stage):
        rehearsed = stage.undeploy("rehearse", "plan.yaml", "--storm", "0", timeout=20)

    assert rehearsed.status == 0, rehearsed.err
