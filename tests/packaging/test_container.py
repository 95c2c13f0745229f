"""The Containerfile of docs/examples copies files that exist, uses real options, and runs without root."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import pytest
import yaml

from docs.locks import DEVELOPMENT_LOCK, EXTRAS_LOCK, ROOT, RUNTIME_LOCK, read_lock
from orchestrator.cli import undeploy
from orchestrator.version import __version__

pytestmark = pytest.mark.source

EXAMPLES = ROOT / "docs" / "examples"
FILE = EXAMPLES / "Containerfile"
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
IMAGE = f"undeploy:{__version__}"


class Instruction(NamedTuple):
    """One instruction of a stage; stage 0 stands before the first FROM."""

    stage: int
    name: str
    words: str


def read_instructions() -> list[Instruction]:
    """Return the instructions, each on one line, without comments."""
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    found: list[Instruction] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, words = line.split(maxsplit=1)
            stage = (found[-1].stage if found else 0) + (name == "FROM")
            found.append(Instruction(stage, name, " ".join(words.split())))
    return found


INSTRUCTIONS = read_instructions()
ARGUMENTS = dict(each.words.split("=", 1) for each in INSTRUCTIONS if each.name == "ARG")


def find_all(name: str, stage: int) -> list[str]:
    return [each.words for each in INSTRUCTIONS if (each.name, each.stage) == (name, stage)]


def list_programs(stage: int) -> list[list[str]]:
    """Return the words of each program that the RUN instructions of a stage start."""
    commands = [part for words in find_all("RUN", stage) for part in words.split(" && ")]
    return [[word for word in shlex.split(part) if not re.match(r"[A-Z_]+=", word)] for part in commands]


def test_there_are_two_stages_of_one_slim_image() -> None:
    assert ARGUMENTS["BASE"].endswith("-slim")
    assert find_all("FROM", 1) == ["${BASE} AS build"]
    assert find_all("FROM", 2) == ["${BASE}"]


@pytest.mark.parametrize("lock", [RUNTIME_LOCK.name, EXTRAS_LOCK.name])
def test_every_file_that_is_copied_exists_and_is_not_ignored(lock: str) -> None:
    ignored = (EXAMPLES / "Containerfile.dockerignore").read_text(encoding="utf-8").split()
    sources = [word for words in find_all("COPY", 1) for word in words.replace("${LOCK}", lock).split()[:-1]]

    assert {lock, "orchestrator", "pyproject.toml", ".ci/build_hook.py"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not any(fnmatch.fnmatch(source, pattern) for pattern in ignored), source
    assert find_all("COPY", 2) == ["--from=build /opt/undeploy /opt/undeploy"]


def test_every_package_is_installed_by_its_hash() -> None:
    installs = [program for program in list_programs(1) if "install" in program]

    assert len(installs) == 3
    for program in installs:
        assert "--no-deps" in program
        assert "--require-hashes" in program or "--no-index" in program


def test_the_builder_is_taken_whole_from_the_lock() -> None:
    """Which packages hatchling needs can change with any new lock."""
    pins = read_lock(DEVELOPMENT_LOCK)
    needed = {"hatchling"}
    while more := {pin.name for pin in pins.values() if needed & set(pin.wanted_by)} - needed:
        needed |= more
    (program,) = [program for program in list_programs(1) if program[0] == "sed"]

    assert set(program[2].partition("(")[2].partition("\\)")[0].split("\\|")) == needed


def test_what_runs_has_no_root_and_fetches_nothing() -> None:
    deployment = yaml.safe_load((EXAMPLES / "worker-deployment.yaml").read_bytes())
    pod = deployment["spec"]["template"]["spec"]
    user = pod["securityContext"]["runAsUser"]

    assert find_all("USER", 2) == [f"{user}:{pod['securityContext']['runAsGroup']}"]
    assert [program[0] for program in list_programs(2)] == ["groupadd", "useradd", "install"]
    assert pod["containers"][0]["image"].endswith(f"/{IMAGE}")


def test_the_state_is_in_the_volume() -> None:
    (volume,) = find_all("VOLUME", 2)
    variables = dict(word.split("=", 1) for word in find_all("ENV", 2)[0].split())

    assert list_programs(2)[-1][-1] == volume
    # The program refuses a state folder that others may write to, as the root of a volume may be.
    assert variables["UNDEPLOY_STATE"].startswith(f"{volume}/")


@pytest.mark.long("loads a linter of 50 MB")
@pytest.mark.skipif(HADOLINT is None, reason="there is no hadolint here")
def test_the_linter_of_containers_finds_nothing() -> None:
    assert HADOLINT is not None
    found = subprocess.run(
        [HADOLINT, "--no-color", FILE], capture_output=True, text=True, timeout=60, check=False
    )

    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def parse(arguments: Sequence[str]) -> None:
    """Raise click's error if the command or an option does not exist."""
    # With the settings of the command line: click keeps the help option that it makes for the first context.
    ctx = click.Context(undeploy, info_name="undeploy", **undeploy.context_settings)
    if arguments[0].startswith("-"):
        undeploy.make_parser(ctx).parse_args(list(arguments))
        return
    command = undeploy.get_command(ctx, arguments[0])
    assert command is not None, arguments[0]
    command.make_parser(click.Context(command, parent=ctx)).parse_args(list(arguments[1:]))


def test_the_commands_that_are_shown_exist() -> None:
    (program,) = json.loads(find_all("ENTRYPOINT", 2)[0])
    shown = re.findall(
        rf"^#   docker run .* {re.escape(IMAGE)} (.+)$", FILE.read_text(encoding="utf-8"), re.MULTILINE
    )

    assert program == "undeploy"
    assert len(shown) == 5
    for arguments in [*map(shlex.split, shown), json.loads(find_all("CMD", 2)[0])]:
        parse(arguments)


@pytest.mark.parametrize("arguments", [["--nonsense"], ["run", "--nonsense"]])
def test_an_option_that_does_not_exist_is_found(arguments: list[str]) -> None:
    with pytest.raises(click.NoSuchOption):
        parse(arguments)


HELP = {
    "groupadd": ["groupadd", "--help"],
    "install": ["install", "--help"],
    "pip": [sys.executable, "-m", "pip", "install", "--help"],
    "python -m hatchling": [sys.executable, "-m", "hatchling", "build", "--help"],
    "python -m venv": [sys.executable, "-m", "venv", "--help"],
    "sed": ["sed", "--help"],
    "useradd": ["useradd", "--help"],
}


def name_tool(program: Sequence[str]) -> str:
    """Return the name in ``HELP`` of a program that is started."""
    name = program[0].rpartition("/")[2]
    return f"{name} -m {program[2]}" if name == "python" else name


@pytest.mark.long("starts each of the tools that the image is built with")
def test_the_tools_have_the_options_that_they_are_given() -> None:
    for program in [*list_programs(1), *list_programs(2)]:
        told = subprocess.run(HELP[name_tool(program)], capture_output=True, text=True, check=True).stdout
        for option in (word.partition("=")[0] for word in program if word.startswith("--")):
            assert option in told, (program, option)
