"""What a command loads before it does anything: a test on what is imported, not on a clock."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.finished_runs import make_finished_run
from orchestrator.gateways import KINDS

HEAVY = {"aiohttp", "anyio", "asyncio", "jinja2", "rich", "structlog", "tenacity", "uvloop"}
PROGRAM = """
import json, sys
from orchestrator.cli import execute
status = execute(sys.argv[1:])
loaded = sorted(sys.modules)
print(json.dumps([status, loaded]), file=sys.stderr)
"""
PLAN = """
version: 1
name: small
gateways:
  apim: {kind: apinizer, url: "https://apim.example.com", auth: {token: {env: NOT_SET}}}
targets:
  - {gateway: apim, project: Retail, proxy: petstore, environment: test}
"""


def loaded_by(*arguments: str, folder: Path) -> set[str]:
    root = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    status, loaded = json.loads(done.stderr.splitlines()[-1])
    assert status == 0, done.stderr
    return set(loaded)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["completion", "zsh"]])
def test_help_loads_nothing_but_the_command_line(arguments: list[str], tmp_path: Path) -> None:
    loaded = loaded_by(*arguments, folder=tmp_path)

    assert not loaded & {*HEAVY, "sqlite3", "yaml"}


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_load_no_values_either(argument: str, tmp_path: Path) -> None:
    """The names of the commands and their lines stand in the table."""
    assert not loaded_by(argument, folder=tmp_path) & {"msgspec", "importlib_metadata", "email"}


def test_the_version_is_told_without_git(tmp_path: Path) -> None:
    """The files of the repository are read, by the means that are loaded anyway."""
    assert not loaded_by("--version", folder=tmp_path) & {"pathlib", "subprocess"}


def test_check_loads_no_engine(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)

    loaded = loaded_by("check", "plan.yaml", folder=tmp_path)

    assert not loaded & HEAVY
    assert not loaded & {"email", "html", "ssl", "subprocess", "orchestrator.lanes.masking"}


def test_check_loads_no_feature_that_only_a_run_or_a_search_uses(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)

    loaded = loaded_by("check", "plan.yaml", folder=tmp_path)

    kinds = {f"orchestrator.gateways.{kind}" for kind in KINDS}
    features = ("health", "listing", "login", "search")
    assert kinds <= loaded
    assert not loaded & {f"{kind}.{feature}" for kind in kinds for feature in features}


@pytest.mark.parametrize("arguments", [[], ["--format", "json"]])
def test_runs_loads_no_engine(arguments: list[str], tmp_path: Path) -> None:
    make_finished_run(tmp_path / ".undeploy", 3)

    loaded = loaded_by("runs", *arguments, folder=tmp_path)

    assert not loaded & HEAVY
    assert not loaded & {
        "orchestrator.gateways",
        "orchestrator.journal.pending",
        "orchestrator.model.gateway",
        "yaml",
    }


@pytest.mark.parametrize("arguments", [["schema"], ["init"]])
def test_a_command_that_prints_a_text_loads_no_engine(arguments: list[str], tmp_path: Path) -> None:
    assert not loaded_by(*arguments, folder=tmp_path) & HEAVY
