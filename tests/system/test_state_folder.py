"""The state folder in the commands that the program advises."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from orchestrator.journal.folder import RunFolder
from orchestrator.system.state_folder import format_state_option
from tests.support.names import CHINESE, TURKISH


@pytest.mark.parametrize("name", ["kept", TURKISH, CHINESE, "it's", "a b", "$HOME", "a;b"])
def test_an_advised_command_names_the_folder_as_a_shell_reads_it(name: str) -> None:
    state = Path("runs of") / name

    for option in (format_state_option(state), RunFolder(state / "runs" / "r1").state_option):
        assert shlex.split(option) == ["--state", str(state)]


def test_the_default_folder_needs_no_option() -> None:
    assert format_state_option(Path(".undeploy")) == ""
    assert RunFolder(Path(".undeploy/runs/r1")).state_option == ""
