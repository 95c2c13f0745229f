"""Files that a person names, on file systems that cannot do all that a local one can."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.system.writing import sync_path, write_whole_file


def fail_at(monkeypatch: pytest.MonkeyPatch, kind: int, error: int) -> None:
    """Have each fsync of such a file fail."""

    def sync(handle: int) -> None:
        if stat.S_IFMT(os.fstat(handle).st_mode) == kind:
            raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", sync)


@pytest.mark.parametrize("error", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_is_written_where_no_folder_can_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    fail_at(monkeypatch, stat.S_IFDIR, error)

    with write_whole_file(tmp_path / "report") as out:
        out.write("all")

    assert (tmp_path / "report").read_text() == "all"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("kind", "error"), [(stat.S_IFREG, errno.EINVAL), (stat.S_IFDIR, errno.EIO)])
def test_any_other_fault_of_the_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int, error: int
) -> None:
    fail_at(monkeypatch, kind, error)

    with pytest.raises(UsageError, match="cannot write"), write_whole_file(tmp_path / "report") as out:
        out.write("all")


def test_a_file_is_synced_as_a_folder_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for path in (tmp_path, tmp_path / "file"):
        sync_path(path)
    with pytest.raises(FileNotFoundError):
        sync_path(tmp_path / "missing")
