"""The file of a report that is made for the viewers of a run."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from orchestrator.journal.folder import RunFolder
from orchestrator.live import report_file
from orchestrator.live.report_file import ReportFile
from tests.support.journals import small


def test_two_viewers_at_once_get_one_file_and_none_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, made = tmp_path / "run", tmp_path / "made"
    run.mkdir(mode=0o700)
    made.mkdir()
    small(run)
    both = Barrier(2)
    write = report_file.write_report

    def write_when_both_do(*arguments: Any) -> None:
        with suppress(BrokenBarrierError):
            both.wait(0.3)
        write(*arguments)

    monkeypatch.setattr(tempfile, "tempdir", str(made))
    monkeypatch.setattr(report_file, "write_report", write_when_both_do)
    report = ReportFile()
    with ThreadPoolExecutor(2) as viewers:
        found = list(viewers.map(report.find, [RunFolder(run)] * 2))
    kept = [path for path in made.rglob("*") if path.is_file()]
    modes = {path.stat().st_mode & 0o777 for path in made.iterdir()}
    report.remove()

    assert found == kept * 2
    # A server of files looks for a packed one beside each: nobody else may put it there.
    assert modes == {0o700}
    assert list(made.iterdir()) == []
