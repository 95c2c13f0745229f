import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.process import RunningSimulators
from tests.support.commands import FIXTURE, PROXIES, Undeploy

Write = Callable[..., Path]


def read_run_id(name: str) -> str:
    return f"apim/Retail/{name}/test"


@pytest.fixture
def half(platform: RunningSimulators, plan: Write, undeploy: Undeploy) -> str:
    """The id of a run in which one target failed; one was protected and one left out by a filter."""
    platform.expect(FaultScenario(script={read_run_id(PROXIES[1]): ("403",)}))
    more = f"protect: ['{read_run_id(PROXIES[2])}']\nstop_when: {{failed: 99%}}\nat_most: 6"
    path = plan(platform.urls["apim"], more)
    ended = undeploy("run", path, "--yes", "--skip", read_run_id(PROXIES[3]))
    platform.expect(FaultScenario())
    assert ended.status == 1, ended.err
    assert f"undeploy remainder {ended.run} -o rest.yaml" in ended.err
    return ended.run


def test_a_remainder_is_checked_run_and_reported_with_its_parent(
    half: str, undeploy: Undeploy, folder: Path
) -> None:
    written = undeploy("remainder", "latest", "-o", "rest.yaml")
    checked = undeploy("check", "rest.yaml")
    ran = undeploy("run", "rest.yaml", "--yes")

    assert (written.status, written.out, written.err) == (0, "", "")
    assert "targets: 2" in checked.out
    assert ran.status == 0, ran.err
    report = json.loads(undeploy("report", ran.run).out)
    assert report["run"]["parent"] == half
    assert [target["id"] for target in report["targets"]] == [
        read_run_id(PROXIES[1]),
        read_run_id(PROXIES[3]),
    ]
    assert half in undeploy("report", ran.run, "--format", "markdown").out
    assert half in undeploy("report", ran.run, "--format", "html").out
    assert f'name="parent" value="{half}"' in undeploy("report", ran.run, "--format", "junit").out


def test_it_goes_to_stdout_with_the_reason_of_each_target(half: str, undeploy: Undeploy) -> None:
    out = undeploy("remainder", half).out

    assert f'parent: "{half}"' in out
    assert "      # failed: refused: " in out
    assert "      # not started: filtered: left out by --only, --skip or --wave\n" in out
    assert "Not in here: 1 that is protected." in out
    assert PROXIES[0] not in out


def test_a_file_that_is_there_is_kept_without_force(half: str, undeploy: Undeploy, folder: Path) -> None:
    (folder / "rest.yaml").write_text("mine")
    refused = undeploy("remainder", half, "-o", "rest.yaml")
    kept = (folder / "rest.yaml").read_text()
    forced = undeploy("remainder", half, "-o", "rest.yaml", "--force")

    assert (refused.status, kept, forced.status) == (2, "mine", 0)
    assert "--force" in refused.err
    assert (folder / "rest.yaml").read_text().startswith("# What run")
    (folder / "link").symlink_to("nowhere")
    assert undeploy("remainder", half, "-o", "link").status == 2


def test_of_a_finished_run_nothing_is_written(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, folder: Path
) -> None:
    run = undeploy("run", plan(platform.urls["apim"]), "--yes").run
    ended = undeploy("remainder", run, "-o", "rest.yaml")

    assert (ended.status, ended.out) == (2, "")
    assert f"nothing is left of run {run}" in ended.err
    assert not (folder / "rest.yaml").exists()


@pytest.mark.parametrize("run", ["latest", "nothing"])
def test_no_such_run_is_2(undeploy: Undeploy, run: str) -> None:
    assert undeploy("remainder", run).status == 2


def test_a_rehearsal_and_a_renamed_folder_have_none(
    half: str, plan: Write, undeploy: Undeploy, folder: Path
) -> None:
    rehearsed = undeploy("rehearse", plan()).run
    renamed = folder / ".undeploy" / "runs" / "My run"
    renamed.with_name(half).rename(renamed)

    assert "is a rehearsal" in undeploy("remainder", rehearsed).err
    assert "is not what a run is called" in undeploy("remainder", renamed).err


@pytest.mark.parametrize("parent", ["yesterday", "../20261122-190003412-a-1", "''"])
def test_a_parent_is_the_id_of_a_run(plan: Write, undeploy: Undeploy, parent: str) -> None:
    ended = undeploy("check", plan(more=f"parent: {parent}"))

    assert ended.status == 2
    assert "parent: " in ended.err


def test_the_digest_covers_the_parent(plan: Write, undeploy: Undeploy) -> None:
    said = [
        undeploy("check", plan(more=f"parent: 20261122-19000341{n}-a-7f3a")).out.splitlines()[-1]
        for n in "12"
    ]

    assert said[0] != said[1]


def test_a_remainder_elsewhere_finds_what_its_plan_named(
    platform: RunningSimulators, undeploy: Undeploy, plan: Write, folder: Path
) -> None:
    path = plan(platform.urls["apim"])
    (folder / "token").write_text(os.environ["APINIZER_TOKEN"])
    path.write_text(path.read_text().replace("{env: APINIZER_TOKEN}", "{file: token}"))
    platform.expect(FaultScenario(script={read_run_id(PROXIES[1]): ("403",)}))
    undeploy("run", path, "--yes")
    (folder / "deep" / "er").mkdir(parents=True)

    assert undeploy("remainder", "latest", "-o", "deep/er/rest.yaml").status == 0
    platform.refill(FIXTURE)
    platform.expect(FaultScenario())
    assert undeploy("run", "deep/er/rest.yaml", "--yes").status == 0
    assert platform.books().targets[read_run_id(PROXIES[1])].down


def test_the_resume_that_a_remainder_names_finds_its_run(
    platform: RunningSimulators, undeploy: Undeploy, plan: Write
) -> None:
    platform.expect(FaultScenario(script={read_run_id(PROXIES[0]): ("403",)}))
    path = plan(platform.urls["apim"], "stop_when: {failed: 0}")
    stopped = undeploy("run", path, "--yes", "--state", "else where")
    assert stopped.status == 4, stopped.err

    rest = undeploy("remainder", stopped.run, "--state", "else where").out

    assert f"# `undeploy resume {stopped.run} --state 'else where'` goes on with it as well" in rest
