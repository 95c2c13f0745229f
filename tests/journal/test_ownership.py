"""Which folders of a state folder must be this user's alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import RunError
from orchestrator.journal.ownership import check_run, check_state


@pytest.mark.parametrize("name", ["", "runs", "rehearsals", "workers"])
@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_folder_in_which_others_may_put_journals_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    state = tmp_path / "state"
    place = state / name
    place.mkdir(parents=True)
    state.chmod(0o700)
    check_state(state)
    place.chmod(mode)

    with pytest.raises(RunError, match=f"{place} may be written to by others"):
        check_state(state)


@pytest.mark.parametrize("check", [check_state, check_run])
def test_a_folder_that_no_json_could_name_is_refused(tmp_path: Path, check: Callable[[Path], None]) -> None:
    folder = tmp_path / os.fsdecode(b"l\xe4ufe") / "runs" / "20261130-195839316-real-d2e7"
    folder.mkdir(parents=True, mode=0o700)

    with pytest.raises(RunError, match="is not UTF-8"):
        check(folder)
