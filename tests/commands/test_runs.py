import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.finished_runs import make_finished_run
from orchestrator.commands.runs import build_row, describe_up_again, prune_runs, render_json
from orchestrator.journal.database import Database
from orchestrator.journal.run_lookup import list_runs
from orchestrator.journal.run_report import RunOverview
from orchestrator.report.values import RestoreReport, Totals
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScenario, InjectedFault
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.process import RunningSimulators
from tests.support.commands import Undeploy
from tests.support.made_up_runs import build_run

Write = Callable[..., Path]


def test_an_empty_folder_has_no_runs(undeploy: Undeploy) -> None:
    ended = undeploy("runs")

    assert (ended.status, ended.out) == (0, "")
    assert "no runs in .undeploy" in ended.err


def test_a_file_in_the_place_of_the_state_folder_is_said(folder: Path, undeploy: Undeploy) -> None:
    (folder / "notes").write_text("")

    ended = undeploy("runs", "--state", "notes")

    assert (ended.status, ended.out) == (2, "")
    assert "notes: this is a file, and runs are kept in a folder (--state)" in ended.err


def test_runs_stand_with_their_state_and_counts(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    run = undeploy("run", plan(platform.urls["apim"]), "--yes").run
    heading, line = undeploy("runs").out.splitlines()

    assert heading.split()[:4] == ["run", "plan", "state", "started"]
    assert line.split()[:3] == [run, "clean-up", "complete"]
    assert line.split()[-5:] == ["6", "6", "0", "0", "0"]


def test_a_journal_that_cannot_be_read_is_said_so_in_its_row(folder: Path, undeploy: Undeploy) -> None:
    broken = folder / ".undeploy" / "runs" / "20200101-000000-x-1"
    broken.mkdir(parents=True)
    (broken / "journal.sqlite").write_bytes(b"not a journal")
    ended = undeploy("runs")

    assert ended.status == 0
    assert "20200101-000000-x-1" in ended.out
    assert "unreadable" in ended.out


@pytest.mark.parametrize(
    "change",
    [
        "session SET started = 'x'",
        "session SET ended = 1e300",
        "session SET seconds = X'00'",
        "target SET outcome = 'undeploxed' WHERE seq = 2",
    ],
)
def test_a_run_with_damaged_cells_hides_no_other(tmp_path: Path, change: str) -> None:
    folder = make_finished_run(tmp_path / "state", 5)
    with closing(sqlite3.connect(folder.journal)) as journal, journal:
        assert journal.execute(f"UPDATE {change}").rowcount == 1

    assert "the journal is damaged" in build_row(folder, ())[2]
    assert "the journal is damaged" in json.loads(render_json([folder]))["runs"][0]["error"]


def test_a_list_of_runs_reads_no_request_and_checks_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the counts of its targets: a state folder may hold many large runs."""
    folder = make_finished_run(tmp_path / "state", 20, failed=2)
    asked: list[str] = []
    rows, one = Database.rows, Database.one
    monkeypatch.setattr(
        Database, "rows", lambda self, *query: (asked.append(query[0]), rows(self, *query))[1]
    )
    monkeypatch.setattr(Database, "one", lambda self, *query: (asked.append(query[0]), one(self, *query))[1])

    assert build_row(folder, ())[5:10] == ("20", "18", "2", "0", "0")
    assert not [query for query in asked if "quick_check" in query or "FROM attempt" in query]
    assert len([query for query in asked if "FROM ended" in query]) == 2  # by outcome, and what is up again


@pytest.mark.parametrize(("age", "removed"), [("30d", False), ("0s", True)])
def test_prune_removes_what_is_complete_and_old(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, age: str, removed: bool
) -> None:
    run = undeploy("run", plan(platform.urls["apim"]), "--yes").run
    ended = undeploy("runs", "--prune", age, "--with-snapshots")

    assert ended.status == 0
    assert (f"removed {run}" in ended.out) is removed
    assert (undeploy("runs").out == "") is removed


@pytest.mark.parametrize("state", ["stopped", None])
def test_prune_removes_rehearsals_however_they_ended(
    plan: Write, undeploy: Undeploy, state: str | None
) -> None:
    """None can be resumed."""
    assert undeploy("rehearse", plan(), "--storm", "0").status == 0
    (rehearsal,) = list_runs(Path(".undeploy"), rehearsals=True)
    with closing(sqlite3.connect(rehearsal.journal)) as journal, journal:
        ended = None if state is None else 1.0
        journal.execute("UPDATE session SET state = ?, ended = ?, exit_status = 4", (state, ended))

    kept = undeploy("runs", "--rehearsals", "--prune", "30d") if state is None else None
    pruned = undeploy("runs", "--rehearsals", "--prune", "0s")

    assert kept is None or "removed" not in kept.out
    assert pruned.out == f"removed {rehearsal.id}\n"
    assert "resumed" not in pruned.err


def test_prune_keeps_what_is_going_on_and_what_can_be_resumed(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, capfd: pytest.CaptureFixture[str]
) -> None:
    path = plan(platform.urls["apim"], more="stop_when: {failed: 0}")
    undeploy("run", path, "--yes")
    platform.expect(
        FaultScenario(script={"apim": (InjectedFault(kind=FaultKind.STATUS, status=403, times=0),)})
    )
    stopped = undeploy("run", path, "--yes").run
    held, complete = list_runs(Path(".undeploy"))
    assert held.id == stopped
    with complete.lock():
        prune_runs([held, complete], datetime.now(UTC) + timedelta(days=1), with_snapshots=True)

    assert len(list_runs(Path(".undeploy"))) == 2
    assert "1 kept that can still be resumed" in capfd.readouterr().err


def test_runs_are_told_to_programs(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, folder: Path
) -> None:
    run = undeploy("run", plan(platform.urls["apim"]), "--yes").run
    broken = folder / ".undeploy" / "runs" / "20200101-000000-x-1"
    broken.mkdir(parents=True, mode=0o700)
    (broken / "journal.sqlite").write_bytes(b"not a journal")
    found = json.loads(undeploy("runs", "--format", "json").out)

    newest, oldest = found["runs"]
    assert (found["schema"], newest["id"], newest["run"]["state"]) == (1, run, "complete")
    assert (newest["totals"]["undeployed"], newest["restores"]) == (6, [])
    assert "not a" in oldest["error"]


def test_no_runs_are_an_empty_list_for_programs(undeploy: Undeploy) -> None:
    assert json.loads(undeploy("runs", "--format", "json").out) == {"schema": 1, "runs": []}


UP = SimulatorFixture(
    gateways=(
        ApinizerFixture(
            name="apim", targets=tuple(("Retail", f"proxy-{number}", "test") for number in range(6))
        ),
    )
)


def list_kept(path: Path) -> Path:
    """Have the plan keep snapshots."""
    path.write_text(path.read_text().replace("snapshot: off", "snapshot: best"))
    return path


def test_prune_keeps_the_last_snapshot_of_what_is_still_down(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    run = undeploy("run", list_kept(plan(platform.urls["apim"])), "--yes").run
    kept = undeploy("runs", "--prune", "0s")
    restore = undeploy("restore", run, "--yes").run
    pruned = undeploy("runs", "--prune", "0s")

    assert kept.out == ""
    assert "1 kept that hold the last snapshot of what is still down; --with-snapshots" in kept.err
    assert sorted(pruned.out.splitlines()) == [f"removed {run}", f"removed {restore}"]


def test_of_two_that_hold_a_snapshot_of_the_same_the_newer_one_is_kept(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    path = list_kept(plan(platform.urls["apim"]))
    older = undeploy("run", path, "--yes").run
    platform.refill(UP)  # somebody else has deployed them again
    newer = undeploy("run", path, "--yes").run
    pruned = undeploy("runs", "--prune", "0s")

    assert pruned.out.splitlines() == [f"removed {older}"]
    assert newer in undeploy("runs").out


def test_a_restore_is_kept_with_the_run_that_it_brings_back(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    """Else nobody would know any more what must not be resumed."""
    run = undeploy("run", list_kept(plan(platform.urls["apim"])), "--yes").run
    restore = undeploy("restore", run, "--yes", "--only", "apim/Retail/proxy-0/*").run

    assert undeploy("runs", "--prune", "0s").out == ""
    assert restore in undeploy("runs").out


def test_what_goes_with_prune_alone_or_not_with_it_is_said(undeploy: Undeploy) -> None:
    assert undeploy("runs", "--with-snapshots").status == 2
    assert undeploy("runs", "--prune", "0s", "--format", "json").status == 2


def test_what_several_restores_have_brought_back_is_not_told_of_the_newest_one() -> None:
    early, late = (datetime(2026, 11, day, 12, tzinfo=UTC) for day in (1, 2))
    restores = [
        RestoreReport(id="r1", begun=early, live=False),
        RestoreReport(id="r2", begun=late, live=False),
    ]

    def tell(*which: RestoreReport) -> str:
        overview = RunOverview(run=build_run(), totals=Totals(), restores=which, up_again=5)
        return describe_up_again(overview)

    assert tell() == ""
    assert tell(restores[0]).endswith(" by r1")
    told = tell(*restores)
    assert told.endswith(" by 2 restores")
    assert told.startswith("5 since 2026-11-01 ")
    assert tell(RestoreReport(id="r3", begun=None, live=True)) == "5 about to begin by r3"
