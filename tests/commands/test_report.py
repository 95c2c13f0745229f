import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.report.formats import FORMATS
from orchestrator.simulator.process import RunningSimulators
from orchestrator.system.writing import write_whole_file
from tests.support.commands import Undeploy

Write = Callable[..., Path]


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_made_again_is_the_one_of_the_run(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, folder: Path, form: str
) -> None:
    run = undeploy("run", plan(platform.urls["apim"]), "--yes").run
    kept = (folder / ".undeploy" / "runs" / run / FORMATS[form].file).read_text(encoding="utf-8")

    assert undeploy("report", "latest", "--format", form).out == kept
    assert undeploy("report", run, "--format", form, "-o", "again").out == ""
    assert (folder / "again").read_text(encoding="utf-8") == kept


def test_a_report_dir_gets_them_as_well(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, folder: Path
) -> None:
    undeploy("run", plan(platform.urls["apim"]), "--yes", "--report-dir", "here/too")

    assert json.loads((folder / "here" / "too" / "report.json").read_text())["totals"]["undeployed"] == 6


@pytest.mark.parametrize("run", ["latest", "nothing", "../.."])
def test_no_such_run_is_2(undeploy: Undeploy, run: str) -> None:
    ended = undeploy("report", run)

    assert (ended.status, ended.out) == (2, "")
    assert "no run" in ended.err


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_text("before")
    with pytest.raises(TypeError), write_whole_file(path) as out:
        out.writelines(["half", 7])  # type: ignore[list-item]  # what makes it fail

    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("letter", ["a", "\u00fc", "\u6771", "\U0001f680"])
def test_a_file_may_have_the_longest_name_that_a_folder_takes(tmp_path: Path, letter: str) -> None:
    path = tmp_path / (letter * (255 // len(letter.encode())))
    with write_whole_file(path) as out:
        out.write("all of it")

    assert path.read_text() == "all of it"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with write_whole_file(path) as out:
        out.write("all of it")

    assert os.read(reader, 100) == b"all of it"
    os.close(reader)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"), write_whole_file(tmp_path / "no" / "report"):
        pass


@pytest.mark.parametrize(
    ("name", "form"),
    [("r.json", "json"), ("r.XML", "junit"), ("r.html", "html"), ("r.md", "markdown"), ("r.csv", "csv")],
)
def test_the_ending_of_the_file_chooses_the_form(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, folder: Path, name: str, form: str
) -> None:
    undeploy("run", plan(platform.urls["apim"]), "--yes")
    wanted = undeploy("report", "latest", "--format", form).out

    assert undeploy("report", "latest", "-o", name).status == 0
    assert (folder / name).read_text(encoding="utf-8") == wanted
    assert undeploy("report", "latest", "--format", "csv", "-o", name, "--force").status == 0
    assert (folder / name).read_text(encoding="utf-8").startswith("id,gateway")


def test_a_file_that_is_there_is_not_replaced_without_force(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, folder: Path
) -> None:
    undeploy("run", plan(platform.urls["apim"]), "--yes")
    (folder / "r.html").write_text("mine")
    ended = undeploy("report", "latest", "-o", "r.html")

    assert (ended.status, (folder / "r.html").read_text()) == (2, "mine")
    assert "--force replaces it" in ended.err
