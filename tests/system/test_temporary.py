"""Folders and files that are gone after their use."""

import tempfile
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.system.temporary import make_temporary_folder, open_temporary_file


def test_a_folder_is_gone_after_its_block() -> None:
    with make_temporary_folder() as folder:
        (folder / "file").write_text("x")

    assert not folder.exists()


def test_a_system_without_a_place_for_temporary_files_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))

    with pytest.raises(UsageError, match="TMPDIR"), make_temporary_folder():
        pass
    with pytest.raises(UsageError, match="TMPDIR"), open_temporary_file():
        pass
