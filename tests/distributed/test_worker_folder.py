"""The folder of a worker is its own, whatever another worker does that starts at the same moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.distributed import worker
from orchestrator.journal.holder import HolderLock, take_lock


def test_two_workers_that_start_together_leave_one_another_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    with worker._hold_folder(state):
        pass

    def start_another(path: Path) -> HolderLock:
        monkeypatch.setattr(worker, "take_lock", take_lock)
        with worker._hold_folder(state):
            return take_lock(path)

    monkeypatch.setattr(worker, "take_lock", start_another)
    with worker._hold_folder(state) as folder:
        assert [path.name for path in folder.iterdir()] == ["lock"]
        with worker._hold_folder(state) as other:
            assert {path.name for path in (state / "workers").iterdir()} == {folder.name, other.name}

    assert list((state / "workers").iterdir()) == []


def test_what_a_killed_worker_left_goes_away(tmp_path: Path) -> None:
    left = tmp_path / "workers" / "worker-killed"
    left.mkdir(parents=True)
    left.parent.chmod(0o700)
    (left / "lock").touch()

    with worker._hold_folder(tmp_path) as folder:
        assert list(folder.parent.iterdir()) == [folder]
