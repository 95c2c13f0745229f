import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.commands.runs import remove_old
from orchestrator.journal.folder import list_runs
from orchestrator.simulator.exchange import Kind
from orchestrator.simulator.faults import Fault, Faults
from orchestrator.simulator.process import Running

if TYPE_CHECKING:
    from conftest import Ended

Write = Callable[..., Path]
Undeploy = Callable[..., "Ended"]


def test_an_empty_folder_has_no_runs(undeploy: Undeploy) -> None:
    ended = undeploy("runs")

    assert (ended.status, ended.out) == (0, "")
    assert "no runs in .undeploy" in ended.err


def test_runs_stand_with_their_state_and_counts(platform: Running, plan: Write, undeploy: Undeploy) -> None:
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


@pytest.mark.parametrize(("age", "removed"), [("30d", False), ("0s", True)])
def test_prune_removes_what_is_complete_and_old(
    platform: Running, plan: Write, undeploy: Undeploy, age: str, removed: bool
) -> None:
    run = undeploy("run", plan(platform.urls["apim"]), "--yes").run
    ended = undeploy("runs", "--prune", age)

    assert ended.status == 0
    assert (f"removed {run}" in ended.out) is removed
    assert (undeploy("runs").out == "") is removed


def test_prune_keeps_what_is_going_on_and_what_can_be_resumed(
    platform: Running, plan: Write, undeploy: Undeploy, capfd: pytest.CaptureFixture[str]
) -> None:
    path = plan(platform.urls["apim"], more="stop_when: {failed: 0}")
    undeploy("run", path, "--yes")
    platform.expect(Faults(script={"apim": (Fault(kind=Kind.STATUS, status=403, times=0),)}))
    stopped = undeploy("run", path, "--yes").run
    held, complete = list_runs(Path(".undeploy"))
    assert held.id == stopped
    with complete.locked():
        remove_old([held, complete], datetime.now(UTC) + timedelta(days=1))

    assert len(list_runs(Path(".undeploy"))) == 2
    assert "1 kept that can still be resumed" in capfd.readouterr().err


def test_runs_are_told_to_programs(platform: Running, plan: Write, undeploy: Undeploy, folder: Path) -> None:
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
