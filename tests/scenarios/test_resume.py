"""What a resume refuses, what it leaves alone, and who may hold a run."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import InjectedFault
from tests.support.stage import Stage, apim_id, first_acts, kill, roma_id, until

pytestmark = pytest.mark.long("runs and resumes are processes of their own")

HANGS = InjectedFault(kind=FaultKind.HANG, times=0)


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
    (stage.folder / "plan.yaml").unlink()  # the plan that it was made from may change or go
    resumed = stage.undeploy("resume", "latest")

    assert (refused.status, refused.out) == (2, "")
    assert "was edited" in refused.err
    assert resumed.status == 0, resumed.err
    assert first_acts(stage.list_requests(sent))[roma_id(1)] == "look"


@pytest.mark.parametrize(
    "name", ["apim/Retail/..%2Fx/test", "apim/Retail/x/%252e%252e", "apim/Retail/x/..;v"]
)
def test_a_name_that_came_into_the_journal_and_could_turn_into_another_path_sends_nothing(
    staged: Callable[..., Stage], name: str
) -> None:
    stage = staged(4, 1)
    _killed(stage)
    sent = stage.settled()
    with closing(sqlite3.connect(stage.run / "journal.sqlite")) as journal, journal:
        journal.execute("DELETE FROM meta WHERE key = 'planned'")  # an older version kept no digest
        journal.execute("UPDATE target SET id = ?, outcome = NULL WHERE id = ?", (name, apim_id(0)))
    refused = stage.undeploy("resume", "latest")

    assert (refused.status, refused.out) == (2, "")
    assert "could turn into the address of something else; nothing was sent" in refused.err
    assert stage.settled() == sent


HARMS = {
    "cut": "",
    "empty": "not a journal of this program",
    "missing": "there is no run",
    "newer": "has format 99; this version of the program reads format",
    "noise": "not a database",
    "other": "not a journal of this program",
}


def test_a_journal_that_cannot_be_used_is_told(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0)
    assert stage.undeploy("run", stage.write_plan(), "--yes").status == 0
    sent, run = stage.requests(), stage.run
    for harm in HARMS:
        copy = shutil.copytree(run, run.with_name(f"run-{harm}"))
        _harmed(copy / "journal.sqlite", harm)
    told = {harm: stage.undeploy("resume", f"run-{harm}") for harm in HARMS}
    told["newer report"] = stage.undeploy("report", "run-newer")
    listed = stage.undeploy("runs")

    for harm, ended in told.items():
        assert (ended.status, ended.out) == (2, ""), ended
        assert HARMS[harm.partition(" ")[0]] in ended.err
        assert len(ended.err.splitlines()) == 1
    assert listed.status == 0, listed.err
    assert listed.out.count("unreadable: ") == len(HARMS) - 1
    assert stage.requests() == sent


def _harmed(journal: Path, harm: str) -> None:
    whole = journal.read_bytes()
    match harm:
        case "missing":
            journal.unlink()
        case "newer" | "other":
            connection = sqlite3.connect(journal)
            pragma = "user_version = 99" if harm == "newer" else "application_id = 7"
            connection.execute(f"PRAGMA {pragma}")
            connection.close()
        case _:
            left = {"empty": b"", "cut": whole[: len(whole) // 2], "noise": b"\x00\xff" * 9000}
            journal.write_bytes(left[harm])


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
    assert f"`undeploy status {stage.run.name}" in refused.err
    assert "running" in listed.out
    assert '"state":"running"' in told.out.replace(" ", "")
    assert pruned.out == ""
    assert '"state":"killed"' in after.out.replace(" ", "")
    assert resumed.status == 0, resumed.err
    stage.assert_truth()


def test_a_resume_of_what_has_ended_sends_nothing_and_says_the_same(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 3)
    stage.expect({apim_id(0): ("403",)})
    ended = stage.undeploy("run", stage.write_plan(), "--yes")
    sent, report = stage.requests(), stage.report()
    resumed = stage.undeploy("resume", "latest")

    assert (ended.status, resumed.status) == (1, 1)
    assert stage.requests() == sent
    assert stage.report() == report


def test_a_resume_of_what_has_ended_leaves_its_reports_alone(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 3)
    stage.undeploy("run", stage.write_plan(), "--yes")
    written = _list_reports(stage)
    (stage.run / "plan.yaml").unlink()  # no resume reads it for a run that has ended
    resumed = stage.undeploy("resume", "latest")

    assert resumed.status == 0, resumed.err
    assert len(written) == 5
    assert _list_reports(stage) == written


def test_a_resume_of_what_has_ended_writes_the_reports_that_its_process_could_not(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(4, 3)
    stage.undeploy("run", stage.write_plan(), "--yes")
    written = _list_reports(stage)
    (stage.run / "report.csv").unlink()
    resumed = stage.undeploy("resume", "latest", "--report-dir", stage.folder / "elsewhere")

    assert resumed.status == 0, resumed.err
    assert _list_reports(stage).keys() == written.keys()
    assert {path.name for path in (stage.folder / "elsewhere").iterdir()} == written.keys()


def _list_reports(stage: Stage) -> dict[str, tuple[int, int]]:
    """Return the file number and the time of each report: a report that was written again has new ones."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in stage.run.glob("report.*")}


def test_a_stopped_run_wants_past_stop(staged: Callable[..., Stage]) -> None:
    stage = staged(20, 10)
    stage.expect(dict.fromkeys((roma_id(0), roma_id(1)), ("403",)))
    plan = stage.write_plan(top="stop_when: {failed: 1}", waves=True)
    ended = stage.undeploy("run", plan, "--yes")
    refused = stage.undeploy("resume", "latest")
    resumed = stage.undeploy("resume", "latest", "--past-stop")

    assert ended.status == 4, ended.err
    assert "stop_rule: failed: 2 in the run" in ended.err
    assert refused.status == 2
    assert "--past-stop" in refused.err
    assert resumed.status == 1, resumed.err
    assert sum(facts.down for facts in stage.platform.books().gateways.values()) == 28
    stage.assert_truth()


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_stop_rule_that_fired_before_the_end_of_a_cut_session_wants_past_stop_all_the_same(
    staged: Callable[..., Stage], *, is_killed: bool
) -> None:
    """While the last requests land, the process is killed, or somebody interrupts it."""
    stage = staged(4, 0)
    stage.expect({roma_id(0): ("403",), roma_id(1): ("403",), roma_id(3): (HANGS,)})
    plan = stage.write_plan(top="stop_when: {failed: 1}")
    with stage.started("run", plan, "--yes") as process:
        until(lambda: _count_stops(stage) == 1)
        if is_killed:
            kill(process)
        else:
            process.send_signal(signal.SIGINT)
            until(lambda: _count_stops(stage) == 2)
            process.send_signal(signal.SIGINT)
            process.wait()
    sent = stage.settled()
    stage.expect()
    refused = stage.undeploy("resume", "latest")
    resumed = stage.undeploy("resume", "latest", "--past-stop")

    assert refused.status == 2
    assert "was stopped (stop_rule: failed: 2 in the run" in refused.err
    assert "--past-stop" in refused.err
    assert first_acts(stage.list_requests(sent))[roma_id(3)] == "look"
    assert resumed.status == 1, resumed.err


def _count_stops(stage: Stage) -> int:
    """Count the stops that the journal of the newest run tells of so far."""
    if not stage.has_run:
        return 0
    with closing(sqlite3.connect(f"file:{stage.run / 'journal.sqlite'}?mode=ro", uri=True)) as journal:
        count: int = journal.execute("SELECT COUNT(*) FROM note WHERE kind = 'stopping'").fetchone()[0]
    return count


@pytest.mark.promise(1)
def test_a_resume_that_is_refused_for_a_credential_leaves_the_outcomes_and_reasons_alone(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(4, 2)
    stage.expect(dict.fromkeys((roma_id(0), roma_id(1)), ("403",)))
    stage.undeploy("run", stage.write_plan(top="stop_when: {failed: 1}", waves=True), "--yes")
    sent, before = stage.requests(), stage.undeploy("report", "latest", "--format", "csv")
    refused = stage.undeploy("resume", "latest", "--past-stop", env={"APINIZER_TOKEN": ""})
    after = stage.undeploy("report", "latest", "--format", "csv")

    assert refused.status == 2, refused.err
    assert "is empty" in refused.err
    assert stage.requests() == sent
    assert before.out.count("stop_rule: failed") == 2
    assert after == before
