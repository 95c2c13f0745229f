import json
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.plan.schema import make_plan_schema
from tests.support.command_lines import find_command_lines

Undeploy = Callable[..., tuple[int, str, str]]


def test_the_starter_plan_is_valid_as_it_is(undeploy: Undeploy, folder: Path) -> None:
    status, out, err = undeploy("init")

    assert (status, out) == (0, "")
    assert "undeploy check plan.yaml" in err
    assert undeploy("check", "plan.yaml")[0] == 0


def test_the_window_in_the_starter_plan_is_yet_to_come(undeploy: Undeploy, folder: Path) -> None:
    undeploy("init")
    path = folder / "plan.yaml"
    path.write_text(path.read_text().replace("# window:", "window:"))

    status, out, _ = undeploy("check", "plan.yaml")

    assert status == 0
    assert "window: " in out
    assert "the window closed" not in out


def test_a_file_that_exists_is_left_as_it_is(undeploy: Undeploy, folder: Path) -> None:
    (folder / "mine.yaml").write_text("mine")
    status, _, err = undeploy("init", "mine.yaml")

    assert (status, (folder / "mine.yaml").read_text()) == (2, "mine")
    assert "left as it is" in err


def test_a_folder_that_is_not_there_is_told(undeploy: Undeploy) -> None:
    assert undeploy("init", "no/plan.yaml")[::2] == (
        2,
        "cannot write no/plan.yaml: No such file or directory\n",
    )


def test_the_schema_is_a_json_schema(undeploy: Undeploy) -> None:
    status, out, _ = undeploy("schema")

    assert status == 0
    assert "$schema" in json.loads(out)


def test_the_starter_plan_names_the_file_that_schema_writes(undeploy: Undeploy, folder: Path) -> None:
    undeploy("init")
    modeline, hint, *_ = (folder / "plan.yaml").read_text().splitlines()
    _, _, name = modeline.partition("# yaml-language-server: $schema=")
    (arguments,) = find_command_lines(hint)

    assert undeploy(*arguments) == (0, "", "")
    assert json.loads((folder / name).read_text()) == make_plan_schema()


def test_a_schema_that_is_there_is_replaced_by_force_only(undeploy: Undeploy, folder: Path) -> None:
    (folder / "mine.json").write_text("mine")

    assert undeploy("schema", "-o", "mine.json")[0] == 2
    assert (folder / "mine.json").read_text() == "mine"
    assert undeploy("schema", "-o", "mine.json", "--force")[0] == 0
    assert (folder / "mine.json").read_text() == undeploy("schema")[1]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_knows_the_subcommands(
    undeploy: Undeploy, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the printed script asks the program for, each time that a word is completed."""
    monkeypatch.setenv("_UNDEPLOY_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "undeploy re")
    monkeypatch.setenv("COMP_CWORD", "1" if shell == "zsh" else "re")
    with pytest.raises(SystemExit) as ended:
        undeploy()

    assert ended.value.code == 0
