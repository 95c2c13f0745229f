"""The manual page and the completion files, which the wheel installs, are those of the command line."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from docs import manual
from docs.locks import ROOT
from orchestrator.cli import COMMANDS

pytestmark = pytest.mark.source


@pytest.mark.parametrize("path", [manual.PAGE, *manual.COMPLETIONS.values()], ids=lambda path: path.name)
def test_the_file_is_as_the_command_line_is(path: Path) -> None:
    made = manual.make_files()[path]

    assert path.read_text(encoding="utf-8") == made, "python -m docs.manual writes it anew"


def test_every_command_has_its_section() -> None:
    sections = re.findall(r'^\.SS "undeploy (\w+)', manual.PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert sections == list(COMMANDS)


def test_every_variable_of_ours_is_described() -> None:
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "orchestrator").rglob("*.py"))
    read = {name for text in sources for name in re.findall(r"\"(UNDEPLOY_[A-Z_]+)\"", text)}

    assert read
    assert read == {name for name in manual.ENVIRONMENT if name.startswith("UNDEPLOY_")}


@pytest.mark.parametrize(
    ("text", "roff"),
    [
        ("--on URL", "\\-\\-on URL"),
        (".undeploy/runs", "\\&.undeploy/runs"),
        ("'quoted'", "\\&'quoted'"),
        ("a\\b and `run --yes`", "a\\eb and \\fBrun \\-\\-yes\\fR"),
    ],
)
def test_no_text_is_taken_for_a_request(text: str, roff: str) -> None:
    assert manual.escape(text) == roff


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_page_is_set_without_a_warning() -> None:
    command = ["groff", "-k", "-man", "-ww", "-Tutf8", "-P-c", str(manual.PAGE)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)

    assert ended.stderr == ""
    assert "undeploy run [OPTIONS] PLAN" in re.sub(r".\x08", "", ended.stdout)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_the_command_once_it_has_read_its_file() -> None:
    script = f"source '{manual.COMPLETIONS['bash']}' && complete -p undeploy"
    ended = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=True)

    assert ended.stdout.strip() == "complete -o nosort -F _undeploy_completion undeploy"
    assert ended.stderr == ""
