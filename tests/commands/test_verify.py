"""`undeploy report --verify`: what it prints, and how it ends."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.journal.folder import RunFolder
from orchestrator.journal.run_lookup import list_runs
from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.process import RunningSimulators
from tests.support.commands import Undeploy

Write = Callable[..., Path]
KEY = "a key for the journals of these tests"


@pytest.fixture
def run(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, monkeypatch: pytest.MonkeyPatch
) -> RunFolder:
    """A run that has ended, signed."""
    monkeypatch.setenv("JOURNAL_KEY", KEY)
    ended = undeploy("run", plan(platform.urls["apim"]), "--yes", "--journal-key", "env:JOURNAL_KEY")
    assert ended.status == 0, ended.err
    return list_runs(Path(".undeploy"))[0]


def change(run: RunFolder, statement: str) -> None:
    with closing(sqlite3.connect(run.journal)) as connection, connection:
        connection.execute(statement)


def test_a_journal_that_nobody_changed_is_0(run: RunFolder, undeploy: Undeploy) -> None:
    ended = undeploy("report", "latest", "--verify", "--journal-key", "env:JOURNAL_KEY")

    head = json.loads((run.path / "report.json").read_text())["run"]["journal_head"]
    first, signed, last = ended.out.splitlines()
    assert (ended.status, ended.err) == (0, "")
    assert first.startswith("the journal is as it was written: ")
    assert signed == "all of them are signed with this key"
    assert last == f"head: {head}"
    assert undeploy("report", "latest", "--verify", "--head", head.upper()).status == 0


def test_a_journal_that_was_changed_is_2_and_says_where(run: RunFolder, undeploy: Undeploy) -> None:
    change(run, "UPDATE target SET outcome = 'failed' WHERE id = 'apim/Retail/proxy-1/test'")

    ended = undeploy("report", "latest", "--verify")

    assert ended.status == 2
    assert ended.out.startswith("the outcome of apim/Retail/proxy-1/test was changed after commit ")
    assert "outcome was undeployed and is failed" in ended.out


def test_the_report_beside_the_journal_tells_that_its_end_was_cut_off(
    run: RunFolder, undeploy: Undeploy
) -> None:
    """A journal that was replaced as a whole agrees with itself; the report names another head."""
    report = run.path / "report.json"
    head = json.loads(report.read_text())["run"]["journal_head"]
    report.write_text(report.read_text().replace(head, "0" * 64))

    ended = undeploy("report", "latest", "--verify")

    assert ended.status == 2
    assert ended.out.startswith(
        "report.json names the head 0000000000000000…, which the ledger does not have"
    )
    assert undeploy("report", "latest", "--verify", "--head", "f" * 64).status == 2


def test_another_key_is_2(run: RunFolder, undeploy: Undeploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_KEY", "another key than the one of the run")

    ended = undeploy("report", "latest", "--verify", "--journal-key", "env:JOURNAL_KEY")

    assert (ended.status, "not signed with this key" in ended.out) == (2, True)
    assert KEY.encode() not in b"".join(path.read_bytes() for path in run.path.iterdir())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--verify", "--format", "json"), "--verify makes no report"),
        (("--verify", "--chain"), "--verify makes no report"),
        (("--head", "0" * 64), "--head and --journal-key go with --verify"),
        (("--journal-key", "env:X"), "--head and --journal-key go with --verify"),
        (("--verify", "--head", "12"), "64 hexadecimal digits"),
        (("--verify", "--journal-key", KEY), "neither env:NAME nor file:PATH"),
    ],
    ids=str,
)
def test_options_that_cannot_be_meant_are_2(
    run: RunFolder, undeploy: Undeploy, options: tuple[str, ...], told: str
) -> None:
    ended = undeploy("report", "latest", *options)

    assert (ended.status, told in ended.err, KEY in ended.err) == (2, True, False)


def test_a_resume_without_the_key_says_that_it_signs_nothing(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_KEY", KEY)
    platform.expect(FaultScenario(script={"apim/Retail/proxy-1/test": ("403",)}))
    path = plan(platform.urls["apim"], "stop_when: {failed: 0}")
    stopped = undeploy("run", path, "--yes", "--journal-key", "env:JOURNAL_KEY")
    assert stopped.status == 4, stopped.err

    ended = undeploy("resume", "latest", "--past-stop")

    assert "the journal is signed, and without --journal-key this session signs nothing" in ended.err
