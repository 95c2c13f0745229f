"""Options that people type out of habit."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from orchestrator.cli import undeploy as program
from orchestrator.journal.publishing import name_folder, publish_draft
from orchestrator.simulator.process import RunningSimulators
from tests.support.journals import START, small

Write = Callable[..., Path]
Undeploy = Callable[..., tuple[int, str, str]]


def count_runs(folder: Path) -> int:
    return len(list((folder / "runs").iterdir())) if folder.is_dir() else 0


def make_runs(state: Path) -> str:
    """Make two runs that have ended; return the id of the newer one."""
    for at in (START, START + 60.0):
        place = state.parent / f"draft-{at}"
        place.mkdir()
        small(place)
        newest = publish_draft(place, name_folder(state, name="clean-up", suffix="0001", at=at))
    return newest.id


def test_the_state_folder_is_named_before_the_command_behind_it_or_by_the_environment(
    platform: RunningSimulators,
    plan: Write,
    undeploy: Undeploy,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = plan(platform.urls["apim"])
    monkeypatch.setenv("UNDEPLOY_STATE", "environment")
    undeploy("run", path, "--yes")
    undeploy("--state", "before", "run", path, "--yes")
    undeploy("--state", "before", "run", path, "--yes", "--state", "behind")
    monkeypatch.setenv("UNDEPLOY_STATE", "")  # as a script leaves it that has none
    undeploy("run", path, "--yes")

    assert [count_runs(folder / name) for name in ("environment", "before", "behind", ".undeploy")] == [1] * 4
    told = [undeploy(*options, "runs")[1] for options in ((), ("--state", "before"), ("--state", "none"))]
    assert [text.count("clean-up") > 0 for text in told] == [True, True, False]
    assert undeploy("--state", "before", "report", "latest")[0] == 0


@pytest.mark.parametrize("command", ["check", "run", "rehearse", "init"])
def test_an_empty_name_of_a_file_is_not_this_folder(undeploy: Undeploy, folder: Path, command: str) -> None:
    """``undeploy check "$PLAN"`` where no such variable is set."""
    status, out, err = undeploy(command, "")

    assert (status, out) == (2, "")
    assert "it is empty" in err
    assert list(folder.iterdir()) == []


def test_the_first_event_has_the_option_that_names_the_state_folder(
    plan: Write, undeploy: Undeploy, folder: Path
) -> None:
    path = plan("https://apim.example.com")
    for state in ((), ("--state", "my runs")):
        undeploy("rehearse", path, "--storm", "0", "--events", "events.jsonl", *state)
        events = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
        begun = [event for event in events if event["event"] == "run_started"]

    assert [event["state_option"] for event in begun] == ["", " --state 'my runs'"]


def test_y_is_yes(platform: RunningSimulators, plan: Write, undeploy: Undeploy) -> None:
    assert undeploy("run", plan(platform.urls["apim"]), "-y")[0] == 0


@pytest.mark.parametrize("command", ["check", "preview", "run", "rehearse", "doctor"])
def test_f_names_the_plan(platform: RunningSimulators, plan: Write, undeploy: Undeploy, command: str) -> None:
    path = plan(platform.urls["apim"], more="reason: because")
    agreed = ("-y",) if command == "run" else ()

    assert undeploy(command, "-f", path, *agreed)[0] == 0
    assert undeploy(command, *agreed)[0] == 2


def test_targets_behind_the_option_are_none_of_them_the_plan(plan: Write, undeploy: Undeploy) -> None:
    ids = [f"apim/Retail/proxy-{number}/test" for number in (1, 2, 4)]
    status, out, err = undeploy("check", "-f", plan(), "--target", *ids)

    assert status == 0, err
    assert "targets: 3" in out
    assert undeploy("check", "-f", plan(), "another.yaml")[0] == 2


def test_v_is_the_log_from_info_on(platform: RunningSimulators, plan: Write, undeploy: Undeploy) -> None:
    path = plan(platform.urls["apim"])
    told = [undeploy("run", path, "-y", *more)[2] for more in ((), ("-v",), ("-v", "--log-level", "debug"))]

    assert ["run_started" in text for text in told] == [False, True, True]
    assert ["attempt_started" in text for text in told] == [False, False, True]


def test_dry_run_is_a_preview_and_sends_nothing(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, folder: Path
) -> None:
    path = plan(platform.urls["apim"])
    only = ("--only", "**/proxy-1/*")
    status, out, _ = undeploy("run", path, "--dry-run", "--yes", *only)
    shown = undeploy("preview", path, *only)[1]

    def settled(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith(("taken", "time"))]

    assert status == 0
    assert settled(out) == settled(shown)
    assert platform.books().gateways["apim"].undeploys == 0
    assert count_runs(folder / ".undeploy") == 0


def test_help_shows_what_the_option_shows(undeploy: Undeploy) -> None:
    assert undeploy("help")[:2] == undeploy("--help")[:2]
    for name in ("run", "report", "help"):
        assert undeploy("help", name)[:2] == undeploy(name, "--help")[:2]
    status, out, err = undeploy("help", "rnu")

    assert (status, out) == (2, "")
    assert "There is no command rnu. Did you mean run?" in err


@pytest.mark.parametrize(
    ("typed", "incomplete", "offered"),
    [
        ([], "--st", "--state"),
        (["run"], "--dr", "--dry-run"),
        (["run"], "-", "-y"),
        (["run"], "-", "-f"),
        (["run"], "-", "-v"),
        (["help"], "rem", "remainder"),
        ([], "he", "help"),
        (["control", "latest"], "", "pause"),
        (["control", "latest"], "li", "limits"),
    ],
)
def test_the_shell_completes_it(typed: list[str], incomplete: str, offered: str) -> None:
    completion = ShellComplete(program, {}, "undeploy", "_UNDEPLOY_COMPLETE")

    assert offered in [item.value for item in completion.get_completions(typed, incomplete)]


@pytest.mark.parametrize("command", ["resume", "report", "show", "restore", "remainder", "watch", "control"])
def test_a_missing_run_is_told_with_the_newest_one(undeploy: Undeploy, folder: Path, command: str) -> None:
    status, out, err = undeploy(command)
    assert (status, out) == (2, "")
    assert err.endswith("Error: name a run by its id, or `latest`\n")
    new = make_runs(folder / "kept")

    for arguments in ((command, "--state", "kept"), ("--state", "kept", command)):
        told = undeploy(*arguments)[2]
        assert told.endswith(f"Error: name a run by its id, or `latest` (now {new})\n")


def test_a_missing_plan_is_told_as_click_tells_it(undeploy: Undeploy) -> None:
    assert "Missing argument 'PLAN'." in undeploy("check")[2]
