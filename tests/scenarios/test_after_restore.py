"""What is brought back stays up: a run of which a restore has begun, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, InjectedFault
from tests.support.back import ACCEPT, BEST, deployed, down, restored
from tests.support.commands import CommandResult
from tests.support.stage import Stage, kill, until

pytestmark = pytest.mark.long("runs, restores and resumes are processes of their own")

ALONE = "limits: {concurrency: 1}, retry: {attempts: 2, first: 5ms, ceiling: 10ms}"
HANGS = InjectedFault(kind=FaultKind.HANG, effect=True, times=0)
AFTER = "--after-restore"


def interrupted(stage: Stage, after: int = 22) -> str:
    """Kill a run of six targets, one at a time, once so many requests arrived; return its id."""
    with stage.started("run", stage.write_plan(top=BEST, roma=ALONE), "--yes") as process:
        stage.wait_for_requests(after, process)
        kill(process)
    stage.settled()
    return stage.run.name


def resumed(stage: Stage, run: str, *options: str) -> CommandResult:
    return stage.undeploy("resume", run, *options)


@pytest.mark.promise(11)
def test_a_run_is_not_resumed_once_a_restore_has_begun(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 0)
    run = interrupted(stage)
    assert 0 < len(down(stage)) < 6
    back = restored(stage, run)
    assert back.status == 0, back
    sent = stage.requests()
    refused = resumed(stage, run)

    assert (refused.status, refused.out, stage.requests()) == (2, "", sent), refused
    assert f"restore {back.run} of it began on 2" in refused.err
    assert "--after-restore goes on all the same" in refused.err
    assert down(stage) == set()


def test_with_after_restore_the_rest_goes_down_and_what_came_back_stays_up(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(6, 0)
    run = interrupted(stage)
    # The one in flight when it was killed went down, too: in the run it is unknown, and was brought back.
    back = restored(stage, run)
    assert back.status == 0, back
    # Among them is one that was killed before its request arrived, if the machine was slow: up all the time.
    up = {target["id"] for target in json.loads(stage.undeploy("report", back.run).out)["targets"]}
    ended = resumed(stage, run, AFTER)
    told = stage.undeploy("report", run, "--format", "markdown").out
    listed = next(line for line in stage.undeploy("runs").out.splitlines() if line.startswith(run))

    assert up
    assert f"  {len(up)} since 2" in listed
    assert listed.endswith(f"by {back.run}")
    assert down(stage) == set(stage.ids) - up
    verb = "are" if len(up) > 1 else "is"
    assert f"{len(up)} {verb} up again" in ended.err
    assert f"\n{6 - len(up)} of 6 targets " in ended.err
    assert "All 6" not in ended.err
    assert f"{len(up)} of 6 are up again" in told
    again = resumed(stage, run, AFTER)
    assert down(stage) == set(stage.ids) - up
    assert again.status == ended.status


def test_a_restore_that_was_killed_after_its_first_request_has_begun(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 0)
    run = interrupted(stage)
    sent = stage.requests()
    stage.expect({"roma-eu": (InjectedFault(kind=FaultKind.HANG, on=FaultScope.LOOK, times=0),)})
    with stage.started("restore", run, "--yes", *ACCEPT) as process:
        stage.wait_for_requests(sent + 1, process)
        kill(process)
    stage.settled()
    stage.expect()
    refused = resumed(stage, run)

    assert refused.status == 2, refused
    assert "is not resumed: restore" in refused.err


def test_a_restore_that_only_told_what_it_would_do_has_not_begun(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 0)
    run = interrupted(stage)
    assert stage.undeploy("restore", run, "--dry-run").status == 0
    ended = resumed(stage, run)

    assert ended.status == 0, ended
    assert down(stage) == set(stage.ids)


def test_what_a_deploy_may_have_reached_is_left_alone_too(staged: Callable[..., Stage]) -> None:
    """Killed with its deploy in flight: nobody can tell, so the resume does not take it down."""
    stage = staged(6, 0)
    run = interrupted(stage)
    (first, *_) = sorted(down(stage), reverse=True)
    stage.expect({first: (InjectedFault(kind=FaultKind.HANG, on=FaultScope.DEPLOY, effect=True),)})
    with stage.started("restore", run, "--yes", *ACCEPT) as process:
        until(lambda: first in deployed(stage) or process.poll() is not None)
        kill(process)
    stage.settled()
    stage.expect()
    resumed(stage, run, AFTER)

    assert first not in down(stage)


def test_a_live_restore_and_a_resume_are_kept_apart(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 0)
    run = interrupted(stage)
    sent = stage.requests()
    stage.expect({"roma-eu": (InjectedFault(kind=FaultKind.HANG, on=FaultScope.LOOK, times=0),)})
    with stage.started("restore", run, "--yes", *ACCEPT) as process:
        stage.wait_for_requests(sent + 1, process)
        refused = resumed(stage, run)
        kill(process)

    assert refused.status == 2, refused
    assert "nothing was sent" in refused.err.lower()


def test_what_has_ended_is_not_resumed_after_a_restore_either(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    assert stage.undeploy("run", stage.write_plan(top=BEST), "--yes").status == 0
    run = stage.run.name
    assert restored(stage, run).status == 0
    sent = stage.requests()

    assert resumed(stage, "latest").status == 2
    assert resumed(stage, "latest", AFTER).status == 0
    assert stage.requests() == sent
