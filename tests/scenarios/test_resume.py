"""What a resume refuses, what it leaves alone, and who may hold a run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from orchestrator.simulator.exchange import Kind
from orchestrator.simulator.faults import Fault

from .stage import Stage, apim_id, first_acts, kill, roma_id

HANGS = Fault(kind=Kind.HANG, times=0)


def _killed(stage: Stage) -> None:
    """Leave a run in which one target hung."""
    stage.expect({roma_id(1): (HANGS,)})
    with stage.started("run", stage.write_plan(), "--yes") as process:
        stage.wait_for_requests(len(stage.ids), process)
        kill(process)
    stage.settled()
    stage.expect()


def test_an_edited_plan_is_refused_and_its_return_is_welcome(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0)
    _killed(stage)
    sent, plan = stage.settled(), stage.run / "plan.yaml"
    before = plan.read_text()
    plan.write_text(before + "# a remark\n")
    refused = stage.undeploy("resume", "latest")
    plan.write_text(before)
    resumed = stage.undeploy("resume", "latest")

    assert (refused.status, refused.out) == (2, "")
    assert "was edited" in refused.err
    assert resumed.status == 0, resumed.err
    assert first_acts(stage.seen(sent))[roma_id(1)] == "look"


def test_the_plan_beside_may_change_or_go(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0)
    _killed(stage)
    (stage.folder / "plan.yaml").unlink()

    assert stage.undeploy("resume", "latest").status == 0


@pytest.mark.parametrize("harm", ["missing", "empty", "cut", "noise", "newer", "other"])
def test_a_journal_that_cannot_be_used_is_told(staged: Callable[..., Stage], harm: str) -> None:
    stage = staged(4, 0)
    assert stage.undeploy("run", stage.write_plan(), "--yes").status == 0
    name, journal = stage.run.name, stage.run / "journal.sqlite"
    for beside in stage.run.glob("journal.sqlite-*"):
        beside.unlink()
    whole = journal.read_bytes()
    if harm in ("newer", "other"):
        connection = sqlite3.connect(journal)
        pragma = "user_version = 99" if harm == "newer" else "application_id = 7"
        connection.execute(f"PRAGMA {pragma}")
        connection.close()
    elif harm == "missing":
        journal.unlink()
    else:
        harmed = {"empty": b"", "cut": whole[: len(whole) // 2], "noise": b"\x00\xff" * 9000}
        journal.write_bytes(harmed[harm])
    sent = stage.requests()
    told = [stage.undeploy(command, name) for command in ("resume", "report")]
    listed = stage.undeploy("runs")

    expected = {
        "missing": "there is no run",
        "empty": "not a journal of this program",
        "noise": "not a database",
        "cut": "",
        "newer": "has format 99; this version of the program reads format",
        "other": "not a journal of this program",
    }
    for ended in told:
        assert (ended.status, ended.out) == (2, ""), ended
        assert expected[harm] in ended.err
        assert len(ended.err.splitlines()) == 1
    assert listed.status == 0, listed.err
    assert harm == "missing" or "unreadable" in listed.out
    assert stage.requests() == sent


@contextmanager
def _live(stage: Stage) -> Iterator[int]:
    """A run that goes on for the time of the block; gives its process."""
    stage.expect({roma_id(1): (HANGS,)})
    with stage.started("run", stage.write_plan(), "--yes") as process:
        stage.wait_for_requests(len(stage.ids), process)
        yield process.pid
        kill(process)
    stage.settled()
    stage.expect()


def test_a_live_run_is_seen_and_not_taken(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 3)
    with _live(stage) as pid:
        sent = stage.settled()
        refused = stage.undeploy("resume", "latest")
        listed, told = stage.undeploy("runs"), stage.undeploy("report", "latest")
        pruned = stage.undeploy("runs", "--prune", "0s")
        assert stage.requests() == sent
        assert stage.run.is_dir()
    after, resumed = stage.undeploy("report", "latest"), stage.undeploy("resume", "latest")

    assert (refused.status, refused.out) == (2, "")
    assert f"process {pid}" in refused.err
    assert "is going on: held by " in refused.err
    assert "running" in listed.out
    assert '"state":"running"' in told.out.replace(" ", "")
    assert pruned.out == ""
    assert '"state":"killed"' in after.out.replace(" ", "")
    assert resumed.status == 0, resumed.err
    stage.assert_truth()


@pytest.mark.parametrize(("fault", "status"), [((), 0), (("403",), 1)])
def test_a_resume_of_what_has_ended_sends_nothing_and_says_the_same(
    staged: Callable[..., Stage], fault: tuple[str, ...], status: int
) -> None:
    stage = staged(4, 3)
    stage.expect({apim_id(0): fault})
    ended = stage.undeploy("run", stage.write_plan(), "--yes")
    sent, report = stage.requests(), stage.report()
    resumed = stage.undeploy("resume", "latest")

    assert (ended.status, resumed.status) == (status, status)
    assert stage.requests() == sent
    assert stage.report() == report


def test_a_stopped_run_wants_past_stop(staged: Callable[..., Stage]) -> None:
    stage = staged(20, 10)
    stage.expect(dict.fromkeys((roma_id(0), roma_id(1)), ("403",)))
    plan = stage.write_plan(top="stop_when: {failed: 1}", waves=True)
    ended = stage.undeploy("run", plan, "--yes")
    refused = stage.undeploy("resume", "latest")
    resumed = stage.undeploy("resume", "latest", "--past-stop")

    assert ended.status == 4, ended.err
    assert "stop_rule: 2 failed in the run, more than 1" in ended.err
    assert refused.status == 2
    assert "--past-stop" in refused.err
    assert resumed.status == 1, resumed.err
    assert sum(facts.down for facts in stage.platform.books().gateways.values()) == 28
    stage.assert_truth()


def test_a_rehearsal_is_not_resumed(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 3)
    rehearsed = stage.undeploy("rehearse", stage.write_plan(), "--storm", "0")
    refused = [stage.undeploy("resume", ref) for ref in ("latest", rehearsed.run)]

    assert rehearsed.status == 0, rehearsed.err
    assert [ended.status for ended in refused] == [2, 2]
    assert stage.requests() == 0
