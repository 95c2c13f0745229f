"""A disk that is full in the middle of a run, and one that cannot be written at all."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.stage import Stage, roma_id

pytestmark = pytest.mark.long("fills and remounts real disks under running processes")

QUICK = "retry: {first: 5ms, ceiling: 20ms}"


@contextmanager
def _mounted(place: Path, options: str) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    # a state folder that others may write to is refused, and tmpfs begins as one
    command = ["mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "tmpfs", str(place)]
    if os.getuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _files_end_at(size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_a_disk_that_fills_up_stops_the_run_and_a_resume_ends_it(staged: Callable[..., Stage]) -> None:
    stage = staged(300, 150)
    plan = stage.write_plan(roma=QUICK, apim=QUICK)
    place = stage.folder / ".undeploy"
    with _mounted(place, "size=400k"):
        ended = stage.undeploy("run", plan, "--yes")
        stage.assert_intents()
        told = stage.undeploy("report", "latest")
        subprocess.run(["mount", "-o", "remount,size=32m", str(place)], check=True)
        narrowed = stage.undeploy("resume", "latest", "--only", roma_id(0), "--only", roma_id(299))
        kept = [each["reason"] for each in stage.report()["targets"] if each["outcome"] == "not_started"]
        resumed = stage.undeploy("resume", "latest")

        assert narrowed.status == 4, narrowed.err
        assert kept
        assert all(reason.startswith("disk: ") for reason in kept)
        assert ended.status == 4, ended.err
        assert stage.platform.books().gateways["roma-eu"].undeploys > 0
        assert "disk: " in ended.err
        assert "full" in ended.err
        assert told.status == 0, told.err
        run = json.loads(told.out)["run"]
        assert (run["state"], run["exit_status"]) == ("stopped", 4)
        assert run["stopped_by"].startswith("disk: ")
        assert resumed.status == 0, resumed.err
        assert stage.report()["run"]["state"] == "complete"
        stage.assert_truth()
        stage.assert_intents()


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.parametrize("kilobytes", [96, 200])
def test_a_journal_that_may_not_grow_stops_the_run_and_a_resume_ends_it(
    staged: Callable[..., Stage], kilobytes: int
) -> None:
    stage = staged(150, 80)
    plan = stage.write_plan(roma=QUICK, apim=QUICK)
    ended = stage.undeploy("run", plan, "--yes", preexec_fn=lambda: _files_end_at(kilobytes * 1024))
    stage.assert_intents()
    report = json.loads((stage.run / "report.json").read_text())["run"]
    known = {target.id for target in stage.journal().values() if target.outcome == "undeployed"}
    before = {name: facts.undeploys for name, facts in stage.platform.books().targets.items()}
    resumed = stage.undeploy("resume", "latest")
    after = {name: facts.undeploys for name, facts in stage.platform.books().targets.items()}

    assert ended.status == 4, ended.err
    assert "disk: " in ended.err
    assert "Stopped early: " in ended.err  # and neither killed nor still going on
    assert "See to the disk" in ended.err
    assert (report["state"], report["exit_status"]) == ("stopped", 4)
    assert report["stopped_by"].startswith("disk: ")
    assert resumed.status == 0, resumed.err
    assert {name: after[name] for name in known} == {name: before[name] for name in known}
    stage.assert_truth()
    stage.assert_intents()


@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_a_state_folder_that_is_moved_away_stops_the_run_and_a_resume_ends_it(
    staged: Callable[..., Stage],
) -> None:
    """SQLite writes on into a file without a name: all that follows would be down without a record."""
    stage = staged(40, 20, latency=0.02)
    plan, place, elsewhere = stage.write_plan(), stage.folder / ".undeploy", stage.folder / "elsewhere"
    with stage.started("run", plan, "--yes") as process:
        stage.wait_for_requests(12, process)
        place.rename(elsewhere)
        _, told = process.communicate(timeout=30)
    sent = sum(books.undeploys for books in stage.platform.books().gateways.values())
    elsewhere.rename(place)
    resumed = stage.undeploy("resume", "latest")

    assert process.returncode == 4, told
    assert "disk: " in told
    assert "somebody removed the journal, or moved it" in told
    assert "Traceback" not in told
    assert sent < 60
    assert resumed.status == 0, resumed.err
    stage.assert_truth()
    stage.assert_intents()


def test_a_temporary_folder_without_room_sends_nothing(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0)
    ended = stage.undeploy("run", stage.write_plan(), "--yes", preexec_fn=lambda: _files_end_at(8 * 1024))

    assert (ended.status, ended.out, stage.requests()) == (2, "", 0)
    assert "nothing was sent" in ended.err
    assert "TMPDIR" in ended.err


def test_a_state_folder_that_is_a_file_sends_nothing(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0)
    (stage.folder / ".undeploy").write_text("")
    ended = stage.undeploy("run", stage.write_plan(), "--yes")

    assert (ended.status, ended.out, stage.requests()) == (2, "", 0)
    assert ".undeploy: this is a file, and runs are kept in a folder" in ended.err


def test_a_state_folder_on_a_read_only_disk_sends_nothing(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0)
    with _mounted(stage.folder / ".undeploy", "size=1m,ro"):
        ended = stage.undeploy("run", stage.write_plan(), "--yes")

    assert (ended.status, ended.out, stage.requests()) == (2, "", 0)
    assert "Read-only file system" in ended.err


def test_a_run_on_a_disk_that_became_read_only_is_read_and_not_resumed(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 2)
    place = stage.folder / ".undeploy"
    with _mounted(place, "size=8m"):
        stage.expect({"apim": ("hang",)})
        plan = stage.write_plan()
        with stage.started("run", plan, "--yes") as process:
            stage.wait_for_requests(5, process)
            process.kill()
            process.communicate()
        sent = stage.settled()
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        listed, told = stage.undeploy("runs"), stage.undeploy("report", "latest")
        resumed = stage.undeploy("resume", "latest")

        assert listed.status == 0, listed.err
        assert "killed" in listed.out
        assert told.status == 0, told.err
        assert resumed.status == 2, resumed.err
        assert "Read-only file system" in resumed.err
        assert stage.requests() == sent


def test_an_ended_run_is_read_on_a_read_only_disk(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 2)
    place = stage.folder / ".undeploy"
    with _mounted(place, "size=8m"):
        assert stage.undeploy("run", stage.write_plan(), "--yes").status == 0
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        listed, told = stage.undeploy("runs"), stage.undeploy("report", "latest", "--format", "markdown")

        assert listed.status == 0, listed.err
        assert "complete" in listed.out, listed.out
        assert told.status == 0, told.err
        assert "undeployed" in told.out


def test_reports_that_cannot_be_written_do_not_fail_the_run(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 2)
    (stage.folder / "reports").mkdir()
    with _mounted(stage.folder / "reports", "size=4k"):
        ended = stage.undeploy("run", stage.write_plan(), "--yes", "--report-dir", "reports")

    assert ended.status == 0
    assert "reports" in ended.err
    stage.assert_truth()


def _remove_journal(folder: Path) -> None:
    for path in folder.glob("journal.sqlite*"):
        path.unlink()


def _empty_journal(folder: Path) -> None:
    os.truncate(folder / "journal.sqlite", 0)


def _open_folder_to_others(folder: Path) -> None:
    folder.chmod(0o777)


@pytest.mark.promise(10)
@pytest.mark.parametrize("spoil", [_remove_journal, _empty_journal, _open_folder_to_others])
def test_a_run_whose_journal_another_program_spoils_has_not_sent_nothing(
    staged: Callable[..., Stage], spoil: Callable[[Path], None]
) -> None:
    """The status 2 would say that nothing was sent, and 3 that the program has a bug."""
    stage = staged(150, 0)
    plan = stage.write_plan(roma=f"limits: {{concurrency: 4, rate: 60/s}}, {QUICK}")
    with stage.started("run", plan, "--yes") as process:
        stage.wait_for_requests(40, process)
        spoil(stage.run)
        _, told = process.communicate(timeout=60)

    assert process.returncode == 4, told
    assert "requests may have been sent" in told
    assert "bug of ours" not in told
