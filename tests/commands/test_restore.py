"""undeploy restore as a command: its refusals, its outlook, and the agreement to it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from orchestrator.commands.restore import tell_left_out
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.run_lookup import list_runs
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.process import RunningSimulators, start_simulators
from orchestrator.simulator.roma_fixture import RomaFixture
from orchestrator.text.counting import count_noun
from tests.support.commands import CommandResult, Undeploy
from tests.support.terminal import on_a_terminal

Write = Callable[..., Path]

PROJECT, INSTANCE = "0123456789abcdef0123456789abcdef", "f0fa1789"
APIS = ("a1", "a2", "a3")
PROXIES = (("Retail", "p1", "test"), ("Retail", "p2", "test"))
FIXTURE = SimulatorFixture(
    gateways=(
        RomaFixture(name="roma-eu", project_id=PROJECT, instance_id=INSTANCE, targets=APIS),
        ApinizerFixture(name="apim", targets=PROXIES, edited=PROXIES[:1]),
    )
)
STATE = Path(".undeploy")


@pytest.fixture(scope="session")
def _both() -> Iterator[RunningSimulators]:
    with start_simulators(FIXTURE) as running:
        yield running


@pytest.fixture
def both(_both: RunningSimulators, folder: Path, monkeypatch: pytest.MonkeyPatch) -> RunningSimulators:
    """Both platforms, with everything deployed, and a plan of all of it in ``plan.yaml``."""
    _both.refill(FIXTURE)
    _both.expect(FaultScenario())
    monkeypatch.setenv("TOKEN", FAKE_TOKEN)
    write(_both, folder)
    return _both


def write(running: RunningSimulators, folder: Path, more: str = "") -> Path:
    path = folder / "plan.yaml"
    quick = "auth: {token: {env: TOKEN}}, retry: {attempts: 2, first: 1ms}"
    path.write_text(
        f"version: 1\nname: maintenance\n{more}\ngateways:\n"
        f"  roma-eu: {{kind: roma, url: '{running.urls['roma-eu']}', project_id: '{PROJECT}',"
        f" instance_id: {INSTANCE}, {quick}}}\n"
        f"  apim: {{kind: apinizer, url: '{running.urls['apim']}', {quick}}}\n"
        "targets:\n"
        f"  - {{gateway: roma-eu, ld_api_ids: [{', '.join(APIS)}]}}\n"
        "  - {gateway: apim, project: Retail, proxies: [p1, p2], environment: test}\n"
    )
    return path


def up(running: RunningSimulators) -> set[str]:
    return {target.id for target in running.books().targets.values() if not target.down}


def test_a_dry_run_tells_what_would_come_back_and_sends_nothing(
    both: RunningSimulators, undeploy: Undeploy
) -> None:
    run = undeploy("run", "plan.yaml", "--yes").run
    sent = both.books().requests
    ended = undeploy("restore", "latest", "--dry-run")
    accepting = undeploy("restore", run, "--dry-run", "--accept", "new-front-end-id", "--roll-back")

    assert (ended.status, both.books().requests) == (0, sent)
    assert ended.out.splitlines()[:-1] == [
        f"restore of {run} (maintenance)",
        "comes back: 1",
        "left out:   4",
        "            3 of them want --accept new-front-end-id",
        "            1 of them wants --accept unpublished-edits",
    ]
    assert re.fullmatch("digest: [0-9a-f]{64}", ended.out.splitlines()[-1])
    assert accepting.out.splitlines()[1:5] == [
        "comes back: 5",
        "with them:  roma-eu: 3 front-end APIs with nothing bound to them",
        "accepted:   new-front-end-id",
        "roll-back:  the working definition of each Apinizer proxy is overwritten by its revision",
    ]
    assert accepting.out.splitlines()[-1] != ended.out.splitlines()[-1]
    assert len(list_runs(STATE)) == 1


def read_digest(ended: CommandResult) -> str:
    return ended.out.splitlines()[-1].removeprefix("digest: ")


def test_the_digest_of_a_dry_run_approves_that_very_restore(
    both: RunningSimulators, undeploy: Undeploy
) -> None:
    run = undeploy("run", "plan.yaml", "--yes").run
    whole = read_digest(undeploy("restore", run, "--dry-run"))
    other = undeploy("restore", run, "--accept", "new-front-end-id", "--approve", whole[:32])
    less = undeploy("restore", run, "--only", "apim/**", "--approve", whole[:32])
    short = undeploy("restore", run, "--approve", whole[:31])
    sent = both.books().requests
    ended = undeploy("restore", run, "--approve", whole[:32].upper())

    assert [other.status, less.status, short.status] == [2, 2, 2]
    assert "another restore was approved" in other.err
    assert "`undeploy restore RUN --dry-run` prints it" in short.err
    assert both.books().requests > sent
    assert ended.status == 1  # what was left out counts in a restore
    assert ended.run.startswith(run[:4])
    assert up(both) == {"apim/Retail/p2/test"}


def test_another_run_of_the_same_plan_has_another_digest(both: RunningSimulators, undeploy: Undeploy) -> None:
    first = undeploy("run", "plan.yaml", "--yes").run
    undeploy("restore", first, "--yes", "--accept", "new-front-end-id", "--accept", "unpublished-edits")
    second = undeploy("run", "plan.yaml", "--yes").run

    told = [undeploy("restore", run, "--dry-run", "--only", "roma-eu/**") for run in (first, second)]
    assert read_digest(told[0]) != read_digest(told[1])


def test_without_a_terminal_it_wants_to_be_told(both: RunningSimulators, undeploy: Undeploy) -> None:
    run = undeploy("run", "plan.yaml", "--yes").run
    sent = both.books().requests
    ended = undeploy("restore", run)

    assert (ended.status, ended.out, both.books().requests) == (2, "", sent)
    assert "run it with --yes, or with --approve" in ended.err
    assert len(list_runs(STATE)) == 1


def test_what_is_refused(both: RunningSimulators, folder: Path, undeploy: Undeploy) -> None:
    run = undeploy("run", "plan.yaml", "--yes").run
    restore = undeploy("restore", run, "--yes", "--only", "apim/Retail/p2/*").run
    rehearsal = undeploy("rehearse", "plan.yaml").run
    again = undeploy("run", "plan.yaml", "--yes", "--only", "roma-eu/**").run  # all down by then
    sent = both.books().requests
    with RunFolder(STATE / "runs" / run).lock():
        live = undeploy("restore", run, "--yes")
    told = {
        "is a restore itself; restore the run " + run: undeploy("restore", restore, "--yes"),
        "was a rehearsal": undeploy("restore", rehearsal, "--yes"),
        "it took nothing down": undeploy("restore", again, "--yes"),
        "there is no run 'nonesuch'": undeploy("restore", "nonesuch", "--yes"),
        "--only x/* matches nothing that the run took down": undeploy(
            "restore", run, "--yes", "--only", "x/*"
        ),
        "is going on": live,
        "Invalid value for '--accept'": undeploy("restore", run, "--yes", "--accept", "anything"),
    }

    for words, ended in told.items():
        assert (ended.status, ended.out) == (2, ""), words
        assert words in ended.err
    assert both.books().requests == sent
    assert up(both) == {"apim/Retail/p2/test"}


def test_a_run_without_snapshots_cannot_be_restored(
    both: RunningSimulators, folder: Path, undeploy: Undeploy
) -> None:
    write(both, folder, "snapshot: off")
    undeploy("run", "plan.yaml", "--yes")
    ended = undeploy("restore", "latest", "--yes")

    assert ended.status == 2
    assert "5 targets went down that no snapshot had seen deployed" in ended.err


def test_a_run_whose_plan_is_gone_is_told(both: RunningSimulators, undeploy: Undeploy) -> None:
    run = undeploy("run", "plan.yaml", "--yes").run
    (STATE / "runs" / run / "plan.yaml").unlink()
    ended = undeploy("restore", run, "--yes")

    assert ended.status == 2
    assert "cannot be read" in ended.err


def test_the_advice_to_bring_the_chain_back_has_the_engine_of_this_restore(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("orchestrator.commands.restore._list_left_out", lambda *_: iter([("r2", 3)]))

    tell_left_out(RunFolder(Path("kept/runs/r1")), Path("kept"), on="--on temporal://t:7233/n --tls")

    told = capsys.readouterr().err
    assert "`undeploy restore r1 --chain --on temporal://t:7233/n --tls --state kept`" in told


@pytest.mark.parametrize("is_damaged", [False, True])
def test_other_runs_of_the_chain_are_named_also_one_that_cannot_be_read(
    both: RunningSimulators, undeploy: Undeploy, *, is_damaged: bool
) -> None:
    state = ("--state", "kept")
    assert undeploy("run", "plan.yaml", "--yes", "--only", "roma-eu/a1", *state).status == 0
    assert undeploy("remainder", "latest", "-o", "rest.yaml", *state).status == 0
    assert undeploy("run", "rest.yaml", "--yes", *state).status == 0
    second, first = list_runs(Path("kept"))
    if is_damaged:
        with closing(sqlite3.connect(second.journal)) as journal, journal:
            journal.execute("UPDATE target SET wave = 1")

    told = undeploy("restore", first.id, "--dry-run", *state)

    assert told.status == 0, told
    assert f"{second.id}: 4" in told.err if not is_damaged else second.id in told.err
    command = f"`undeploy restore {first.id} --chain --state kept`"
    assert (command in told.err, "cannot be read" in told.err) == (not is_damaged, is_damaged)


def test_latest_is_never_a_restore_and_runs_tell_them_apart(
    both: RunningSimulators, undeploy: Undeploy
) -> None:
    run = undeploy("run", "plan.yaml", "--yes").run
    restore = undeploy("restore", "latest", "--yes", "--accept", "new-front-end-id").run
    listed = undeploy("runs").out.splitlines()
    cells = [line.split() for line in listed]
    again = undeploy("resume", "latest", "--after-restore")

    assert "-restore-maintenance-" in restore
    assert [line[0] for line in cells[1:]] == [restore, run]
    assert [line[5] for line in cells[1:]] == ["restore", "undeploy"]
    assert cells[1][-5:] == ["5", "4", "0", "0", "1"]
    assert again.run == run


def test_the_reports_of_both_name_each_other(both: RunningSimulators, undeploy: Undeploy) -> None:
    run = undeploy("run", "plan.yaml", "--yes")
    restore = undeploy("restore", "latest", "--yes", "--accept", "new-front-end-id")
    page = undeploy("report", restore.run, "--format", "markdown").out
    report = msgspec.json.decode(undeploy("report", restore.run, "--format", "json").out)

    assert f"undeploy restore {run.run}" in run.err
    assert f"| Parent | `{run.run}` |" in page
    assert "| Snapshots | 5 of 5 targets |" in undeploy("report", run.run, "--format", "markdown").out
    assert (report["run"]["act"], report["run"]["parent"]) == ("restore", run.run)
    assert report["totals"] == {
        "targets": 5, "restored": 4, "already_deployed": 0, "failed": 0, "unknown": 0, "not_started": 1,
        "requests": report["totals"]["requests"], "retries": 0,
    }  # fmt: skip
    assert {one["act"] for target in report["targets"] for one in target["attempts"]} == {"look", "deploy"}
    for name in ("json", "markdown", "html", "csv", "junit"):
        told = undeploy("report", restore.run, "--format", name).out
        told = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", told, flags=re.DOTALL)
        assert "undeployed" not in told
        assert " down" not in told
    command = f"undeploy restore {run.run} --accept new-front-end-id --accept unpublished-edits"
    assert command in restore.err


@pytest.mark.parametrize(("answer", "accept", "count"), [("y", ["new-front-end-id"], 4), ("n", [], 1)])
def test_new_ids_are_asked_for_once_and_the_digest_is_typed(
    both: RunningSimulators, undeploy: Undeploy, answer: str, accept: list[str], count: int
) -> None:
    undeploy("run", "plan.yaml", "--yes")
    options = [word for name in accept for word in ("--accept", name)]
    short = read_digest(undeploy("restore", "latest", "--dry-run", *options))[:8]
    status, shown = on_a_terminal(f"{answer}\n{short}\n", "restore", "latest")

    assert status == 1, shown
    assert shown.count("3 front-end APIs would get a new id. Bring them back all the same? [y/N]") == 1
    assert ("accepted:   new-front-end-id" in shown) == (answer == "y")
    assert f"To restore {count_noun(count, 'target')}, type the restore's digest, {short}: " in shown
    assert len(up(both)) == count
    assert "apim/Retail/p2/test" in shown[: shown.index("type the restore's digest")]
    assert "typed, by " in (list_runs(STATE)[0].path / "report.md").read_text()


def test_what_is_not_agreed_to_leaves_nothing_behind(
    both: RunningSimulators, undeploy: Undeploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undeploy("run", "plan.yaml", "--yes")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    sent = both.books().requests
    status, shown = on_a_terminal("y\n\n", "restore", "latest")

    assert status == 2, shown
    assert "not agreed to; nothing was sent" in shown
    assert both.books().requests == sent
    assert list((tmp_path / "temporary").iterdir()) == []
    assert len(list_runs(STATE)) == 1
