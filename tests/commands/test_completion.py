"""The completions that a shell gets for the arguments of a command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.journal.publishing import name_folder, publish_draft
from tests.support.journals import START, small


def kept(state: Path, suffix: str, *, rehearsal: bool = False) -> str:
    place = state.parent / f"draft-{suffix}"
    place.mkdir(parents=True)
    small(place)
    return publish_draft(place, name_folder(state, name="x", suffix=suffix, at=START, rehearsal=rehearsal)).id


def complete_line(folder: Path, line: str, **variables: str) -> list[str]:
    """Return the completions that bash gets at the end of ``line``."""
    words = line.split(" ")
    env = {**os.environ, "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    command = [sys.executable, "-m", "orchestrator"]
    ended = subprocess.run(
        command,
        cwd=folder,
        env=env | {"_UNDEPLOY_COMPLETE": "bash_complete"} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return [row.partition(",")[2] for row in ended.stdout.splitlines()]


@pytest.fixture
def ids(tmp_path: Path) -> list[str]:
    """Two runs and a rehearsal, the newest first."""
    state = tmp_path / ".undeploy"
    return [kept(state, "0002"), kept(state, "0001"), kept(state, "0003", rehearsal=True)]


def test_the_ids_of_runs_are_offered(tmp_path: Path, ids: list[str]) -> None:
    assert complete_line(tmp_path, "undeploy status ") == ["latest", *ids]
    assert complete_line(tmp_path, "undeploy report 2") == ids
    assert complete_line(tmp_path, "undeploy resume l") == ["latest"]


@pytest.mark.parametrize(
    ("line", "variables"),
    [
        ("undeploy restore --state there/.undeploy 2", {}),
        ("undeploy --state there/.undeploy show 2", {}),
        ("undeploy control 2", {"UNDEPLOY_STATE": "there/.undeploy"}),
    ],
)
def test_they_are_those_of_the_state_folder_that_is_meant(
    tmp_path: Path, ids: list[str], line: str, variables: dict[str, str]
) -> None:
    one = kept(tmp_path / "there" / ".undeploy", "0009")

    assert ids
    assert complete_line(tmp_path, line, **variables) == [one]
