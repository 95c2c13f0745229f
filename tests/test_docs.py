"""The help texts in README.md are those of the program."""

import re
import shlex
from pathlib import Path

import click
import pytest

from orchestrator.cli import execute

README = Path(__file__).parent.parent / "README.md"
# A fenced block whose first line is a command that asks for help; what follows is what it prints.
BLOCK = re.compile(
    r"^```[a-z]*\n\$ undeploy (?P<arguments>[^\n]*--help)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


def blocks() -> dict[str, str]:
    text = README.read_text(encoding="utf-8") if README.exists() else ""
    return {found["arguments"]: found["text"] for found in BLOCK.finditer(text)}


@pytest.mark.parametrize("arguments", blocks())
def test_the_readme_shows_the_help_as_it_is(
    arguments: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(click.formatting, "FORCED_WIDTH", 80)
    assert execute(shlex.split(arguments)) == 0

    assert blocks()[arguments].strip() == capsys.readouterr().out.strip()


def test_the_readme_shows_the_help_of_the_program_and_of_run() -> None:
    assert {"--help", "run --help"} <= set(blocks())
