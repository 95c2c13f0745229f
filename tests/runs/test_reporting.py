"""The end of a session for people: its reports, and the message that tells of them."""

import errno
import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest
from msgspec.structs import replace

from orchestrator.commands.terminal.run_display import _make_last_message, _tell_troubles
from orchestrator.engine.ending import SessionResult
from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.errors import ExitStatus
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.publishing import name_folder, publish_draft
from orchestrator.report.values import Totals
from orchestrator.runs.reporting import _report, write_reports
from tests.support.journals import START, small

OPTIONS = RunOptions()
OLDER = "counts of an earlier session"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run whose folder has the report of an earlier session."""
    place = tmp_path / "draft"
    place.mkdir()
    small(place)
    folder = publish_draft(place, name_folder(tmp_path / "state", name="small", suffix="0001", at=START))
    (folder.path / "report.md").write_text(OLDER)
    return folder


def test_the_last_message_holds_the_report_of_this_end(run: RunFolder) -> None:
    result = write_reports(run, OPTIONS, ExitStatus.STOPPED)

    assert OLDER not in _make_last_message(result).body
    assert _make_last_message(result).body.startswith("# ")


def test_where_the_reports_cannot_be_written_the_last_message_says_so_in_place_of_older_counts(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("orchestrator.runs.reporting.write_all", fail)
    message = _make_last_message(write_reports(run, OPTIONS, ExitStatus.STOPPED))

    assert OLDER not in message.body
    assert "No space left on device" in message.body


def test_where_a_second_signal_left_no_time_for_reports_the_last_message_says_so(run: RunFolder) -> None:
    end = SessionResult(status=ExitStatus.INTERRUPTED, interrupted=True, cut=True)
    message = _make_last_message(_report(run, RunRequest(options=OPTIONS), end))

    assert OLDER not in message.body
    assert "the reports were not written; those in its folder may be of an earlier session" in message.body


def test_a_second_folder_that_takes_no_reports_leaves_the_message_as_it_is(
    run: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    result = write_reports(run, RunOptions(report_dir=tmp_path / "file"), ExitStatus.STOPPED)

    assert result.warnings
    assert _make_last_message(result).body.startswith("# ")


def test_a_journal_that_is_gone_after_the_reports_changes_no_end(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    result = write_reports(run, OPTIONS, ExitStatus.UNFINISHED)
    shutil.rmtree(run.path)
    _tell_troubles(replace(result, report=replace(result.report, totals=Totals(targets=1, failed=1))))

    assert "there is no journal here" in capsys.readouterr().err
