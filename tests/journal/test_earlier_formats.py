"""Runs that the program made before: every command that reads them, and what goes on with them.

``tests/samples/journals`` has a state folder for each format, and what the program of its time said of it.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands.runs import prune_runs
from orchestrator.journal.database import open_database
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.migrations import MIGRATIONS
from orchestrator.journal.run_lookup import list_runs
from orchestrator.journal.schema import FORMAT
from orchestrator.report.formats import FORMATS
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.process import RunningSimulators, start_simulators
from orchestrator.simulator.roma_fixture import RomaFixture
from tests.support.commands import Undeploy, run_command

SAMPLES = Path(__file__).parent.parent / "samples" / "journals"
STOPPED = "20261128-134414024-autumn-clean-up-6c6b"
COMPLETE = "20261128-134430012-spring-clean-up-4897"
RESTORE = "20261128-134434327-restore-spring-clean-up-6137"
FORMS_OF_ITS_TIME = sorted(
    path.suffix[1:] for path in (SAMPLES / "format-2" / "expected").glob("stopped.report.*")
)
"""The formats of a report that the program had when it made the runs of format 2."""
FIRST_FORMAT = "20261128-134547069-first-retirement-2b42"
SIGNED = "20261129-001405886-signed-retirement-c9fb"
SAMPLE_KEY = "the key of the sample journals"
RUNS = {"stopped": STOPPED, "complete": COMPLETE, "restore": RESTORE}
ADDRESSES = {"roma-eu": "http://127.0.0.1:18470", "apim": "http://127.0.0.1:18471"}
"""Where the simulators listened that the runs were made with."""

CAUSES = re.compile(r"^causes    .*\n(?: {10}.*\n)*", re.MULTILINE)
"""What a status says of an ended run since then."""

NAMES = re.compile(
    r',"names":\[[^\]]*\]| <span class="quiet">\(<bdi>[^<]*</bdi>\)</span>|(?<=`) \([^()]*\)(?=[, ])'
)
"""The names beside the ids of a cause's examples, which came later."""
PAGE_CODE = re.compile(
    r'<style>.*?</style>|<script>.*?</script>|<meta http-equiv="Content-Security-Policy"[^>]*>', re.DOTALL
)
"""The parts of the page that no journal changes: its style, its script, and the digests of both."""

AXIS_LABELS = re.compile(r'<line class="notch"[^>]*/>|<text class="(?:tick|flag)"[^>]*>[^<]*</text>')
"""The clock times and numbers at a chart: how many have room, and where, is the page's affair."""

REWORDED = {
    "Somebody stopped the run. Go on where it ended": "A person stopped the run. Go on where it ended",
}
"""Sentences for people that were written anew since: by the old text. All else is equal to the byte."""

ALWAYS_OPEN = "2000-01-01T00:00:00Z/2099-01-01T00:00:00Z"


def backend(number: int) -> str:
    return f"{number:032x}"


def roma_id(number: int) -> str:
    return f"roma-eu/{backend(number)}"


def apim_id(number: int) -> str:
    return f"apim/Retail/proxy-{number}/test"


def fixture_with(down: set[str]) -> SimulatorFixture:
    """Both platforms as the runs left them: all targets are deployed but those ``down``."""
    backends = {roma_id(number): backend(number) for number in range(8)}
    proxies = {apim_id(number): ("Retail", f"proxy-{number}", "test") for number in range(6)}
    return SimulatorFixture(
        gateways=(
            RomaFixture(
                name="roma-eu",
                project_id="0123456789abcdef0123456789abcdef",
                instance_id="f0fa1789-3b76-433b-a787-9892951c620e",
                targets=tuple(place for name, place in backends.items() if name not in down),
                down=tuple(place for name, place in backends.items() if name in down),
            ),
            ApinizerFixture(
                name="apim",
                targets=tuple(place for name, place in proxies.items() if name not in down),
                down=tuple(place for name, place in proxies.items() if name in down),
            ),
        )
    )


@pytest.fixture(scope="module")
def simulators() -> Iterator[RunningSimulators]:
    with start_simulators(fixture_with(set())) as running:
        yield running


@pytest.fixture
def undeploy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Undeploy:
    """Runs a command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UNDEPLOY_PROTECT_FILE", raising=False)
    monkeypatch.delenv("UNDEPLOY_STATE", raising=False)
    monkeypatch.setenv("ROMA_TOKEN", FAKE_TOKEN)
    monkeypatch.setenv("APINIZER_TOKEN", FAKE_TOKEN)

    return partial(run_command, capfd)


def unpack(format_of: int, folder: Path, urls: dict[str, str] | None = None) -> Path:
    """Copy the state folder of a format, and return it.

    With ``urls`` the plans in the journals name other addresses: those at which simulators listen now.
    """
    state = folder / ".undeploy"
    shutil.copytree(SAMPLES / f"format-{format_of}" / "runs", state / "runs")
    for path in (state, *state.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    for journal in state.rglob("journal.sqlite") if urls else ():
        with closing(sqlite3.connect(journal)) as connection, connection:
            for name, url in (urls or {}).items():
                statement = "UPDATE meta SET value = replace(value, ?, ?) WHERE key = 'plan'"
                connection.execute(statement, (ADDRESSES[name], url))
    return state


def expected(name: str) -> str:
    """Return what the program of its time said, in the words of today."""
    text = (SAMPLES / "format-2" / "expected" / name).read_text(encoding="utf-8")
    for before, now in REWORDED.items():
        text = text.replace(before, now)
    return text


def outcomes(undeploy: Undeploy, run: str) -> dict[str, str]:
    """Return the outcome of each target of a run, by its id."""
    report = json.loads(undeploy("report", run, "--format", "json").out)
    return {target["id"]: target["outcome"] for target in report["targets"]}


def targets_asked(simulators: RunningSimulators) -> set[str]:
    """Return the ids of the targets that a request was about; a login or a list is about none."""
    return {request.target for request in simulators.list_requests() if request.target is not None}


def format_in(journal: Path) -> int:
    # Immutable: SQLite would make files beside the sample, while another test copies the folder.
    with closing(sqlite3.connect(f"file:{journal}?immutable=1", uri=True)) as connection:
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return found


def test_a_sample_of_every_format_is_kept_and_leads_to_the_next_one() -> None:
    kept = {format_in(journal) for journal in SAMPLES.rglob("journal.sqlite")}

    assert kept == {*MIGRATIONS, FORMAT}
    assert sorted(MIGRATIONS) == list(range(1, FORMAT))


# --- format 2: what is read ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS_OF_ITS_TIME)
@pytest.mark.parametrize("run", RUNS)
def test_a_report_is_the_one_that_the_program_of_its_time_made(
    undeploy: Undeploy, tmp_path: Path, run: str, form: str
) -> None:
    unpack(2, tmp_path)

    told = undeploy("report", RUNS[run], "--format", form).out

    pages = (told, expected(f"{run}.report.{form}"))
    told, of_its_time = (AXIS_LABELS.sub("", PAGE_CODE.sub("", NAMES.sub("", text))) for text in pages)
    assert told == of_its_time


@pytest.mark.parametrize(
    "change",
    ["target SET id = 'other/x'", "target SET id = X'00'", "target SET id = 5", "attempt SET started = 'x'"],
)
def test_a_damaged_restore_keeps_nobody_from_reading_its_run(tmp_path: Path, change: str) -> None:
    runs = unpack(2, tmp_path) / "runs"
    with closing(sqlite3.connect(runs / RESTORE / "journal.sqlite")) as connection, connection:
        assert connection.execute(f"UPDATE {change}").rowcount

    with RunFolder(runs / COMPLETE).open_source() as source:
        assert [restore.id for restore in source.report.restores] == [RESTORE]


@pytest.mark.parametrize("run", RUNS)
def test_a_status_is_the_one_of_its_time(undeploy: Undeploy, tmp_path: Path, run: str) -> None:
    unpack(2, tmp_path)

    assert CAUSES.sub("", undeploy("status", RUNS[run]).out) == expected(f"{run}.status")
    told = undeploy("status", RUNS[run], "--format", "json").out
    assert NAMES.sub("", told) == expected(f"{run}.status.json")


@pytest.mark.parametrize(
    ("run", "target"), [("stopped", apim_id(0)), ("complete", roma_id(5)), ("restore", apim_id(4))]
)
def test_all_that_is_kept_of_a_target_is_shown_as_in_its_time(
    undeploy: Undeploy, tmp_path: Path, run: str, target: str
) -> None:
    unpack(2, tmp_path)

    told = undeploy("show", RUNS[run], target, "--format", "json").out
    # A snapshot of that time has no such key, and every one of today is told with it.
    assert told.count('"bindings":null,') == 1
    assert told.replace('"bindings":null,', "") == expected(f"{run}.show.json")


def test_a_remainder_is_the_one_of_its_time(undeploy: Undeploy, tmp_path: Path) -> None:
    unpack(2, tmp_path)

    assert undeploy("remainder", STOPPED).out == expected("stopped.remainder")


def test_the_runs_are_listed_as_in_their_time(undeploy: Undeploy, tmp_path: Path) -> None:
    unpack(2, tmp_path)

    assert undeploy("runs").out == expected("runs.text")
    assert undeploy("runs", "--format", "json").out == expected("runs.json")


# --- format 2: what goes on ----------------------------------------------------------------------------


@pytest.mark.long("runs real processes")
def test_a_stopped_run_is_resumed(undeploy: Undeploy, tmp_path: Path, simulators: RunningSimulators) -> None:
    simulators.refill(fixture_with({roma_id(2)}))
    unpack(2, tmp_path, dict(simulators.urls))

    ended = undeploy("resume", STOPPED, "--window", ALWAYS_OPEN)

    assert ended.status == 1, ended.err  # of the session before: one is failed
    found = outcomes(undeploy, STOPPED)
    assert found[roma_id(2)] == "undeployed"  # was unknown: a look found it down
    assert {found[name] for name in (roma_id(5), roma_id(6), apim_id(2))} == {"undeployed"}
    assert found[roma_id(7)] == "not_started"  # `control skip` of the session before holds
    assert targets_asked(simulators) == {roma_id(2), roma_id(5), roma_id(6), apim_id(2)}


def test_a_resume_without_the_options_of_the_session_before_sends_nothing(
    undeploy: Undeploy, tmp_path: Path, simulators: RunningSimulators
) -> None:
    """They hold its window: to guess another one could send outside of it."""
    simulators.refill(fixture_with(set()))
    state = unpack(2, tmp_path, dict(simulators.urls))
    with closing(sqlite3.connect(RunFolder(state / "runs" / STOPPED).journal)) as connection, connection:
        connection.execute("UPDATE session SET options = 'lost'")

    ended = undeploy("resume", STOPPED)

    assert (ended.status, "the options of session 1 cannot be read" in ended.err) == (2, True), ended.err
    assert targets_asked(simulators) == set()


def test_a_complete_run_is_restored(
    undeploy: Undeploy, tmp_path: Path, simulators: RunningSimulators
) -> None:
    taken = {roma_id(5), roma_id(6), apim_id(4), apim_id(5)}
    simulators.refill(fixture_with(taken))
    state = unpack(2, tmp_path, dict(simulators.urls))
    shutil.rmtree(state / "runs" / RESTORE)

    accepted = ("--accept", "new-front-end-id", "--accept", "lost-bindings")
    ended = undeploy("restore", COMPLETE, "--yes", *accepted)
    restored = list_runs(state)[0].id

    # Before bindings were kept nobody read what hung on the front-end APIs, so these cannot be whole.
    assert ended.status == 1, ended.err
    ends = {name: "failed" if name in (roma_id(5), roma_id(6)) else "restored" for name in taken}
    assert outcomes(undeploy, restored) == ends
    assert "what hung on its front-end API, which was never read" in ended.err


def test_a_restore_that_was_killed_is_resumed(
    undeploy: Undeploy, tmp_path: Path, simulators: RunningSimulators
) -> None:
    simulators.refill(fixture_with({roma_id(5), roma_id(6), apim_id(4)}))
    unpack(2, tmp_path, dict(simulators.urls))

    ended = undeploy("resume", RESTORE)

    assert ended.status == 1, ended.err  # two are left out
    assert outcomes(undeploy, RESTORE) == {
        apim_id(5): "restored",
        apim_id(4): "restored",
        roma_id(6): "not_started",
        roma_id(5): "not_started",
    }


def test_the_runs_are_pruned_once_nothing_needs_them(undeploy: Undeploy, tmp_path: Path) -> None:
    state, later = unpack(2, tmp_path), datetime(2099, 1, 1, tzinfo=UTC)

    prune_runs(list_runs(state), later)
    assert {run.id for run in list_runs(state)} == {STOPPED, COMPLETE, RESTORE}

    shutil.rmtree(state / "runs" / RESTORE)
    prune_runs(list_runs(state), later, with_snapshots=True)
    assert {run.id for run in list_runs(state)} == {STOPPED}


# --- the ledger: format 4 and before -------------------------------------------------------------------


def test_a_signed_journal_of_format_4_is_verified_as_in_its_time(
    undeploy: Undeploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack(4, tmp_path)
    monkeypatch.setenv("JOURNAL_KEY", SAMPLE_KEY)

    ended = undeploy("report", SIGNED, "--verify", "--journal-key", "env:JOURNAL_KEY")

    assert ended.status == 0, ended.out
    assert "all of them are signed with this key" in ended.out


@pytest.mark.long("runs real processes")
def test_a_journal_that_an_older_program_began_has_no_ledger_before_a_resume(
    undeploy: Undeploy, tmp_path: Path, simulators: RunningSimulators
) -> None:
    simulators.refill(fixture_with({roma_id(2)}))
    unpack(2, tmp_path, dict(simulators.urls))

    ended = undeploy("report", STOPPED, "--verify")
    assert (ended.status, "the journal has no ledger" in ended.out) == (2, True)

    # The resume converts the journal, and enters all that it finds: from here on a change is found.
    assert undeploy("resume", STOPPED, "--window", ALWAYS_OPEN).status == 1
    assert undeploy("report", STOPPED, "--verify").status == 0
    with closing(sqlite3.connect(RunFolder(tmp_path / ".undeploy" / "runs" / STOPPED).journal)) as it, it:
        it.execute("UPDATE attempt SET status = 204 WHERE status <> 204")
    ended = undeploy("report", STOPPED, "--verify")
    assert (ended.status, "the result of attempt" in ended.out) == (2, True)


# --- format 1 ------------------------------------------------------------------------------------------


def holds(whole: Any, part: Any) -> bool:
    """Return whether all of ``part`` is in ``whole``, which may have more keys."""
    match part:
        case dict():
            return all(key in whole and holds(whole[key], value) for key, value in part.items())
        case list():
            return len(whole) == len(part) and all(map(holds, whole, part))
        case _:
            return bool(whole == part)


def test_a_report_of_format_1_holds_all_that_its_own_program_said(undeploy: Undeploy, tmp_path: Path) -> None:
    unpack(1, tmp_path)
    of_its_time = (SAMPLES / "format-1" / "expected" / "report.json").read_text(encoding="utf-8")

    ended = undeploy("report", FIRST_FORMAT, "--format", "json")

    assert ended.status == 0, ended.err
    assert holds(json.loads(ended.out), json.loads(of_its_time))


@pytest.mark.parametrize(
    "command",
    [
        ("status", FIRST_FORMAT),
        ("show", FIRST_FORMAT, apim_id(1)),
        ("remainder", FIRST_FORMAT),
        ("runs",),
        *(("report", FIRST_FORMAT, "--format", form) for form in FORMATS),
    ],
    ids=" ".join,
)
def test_a_command_that_reads_leaves_a_journal_of_format_1_as_it_is(
    undeploy: Undeploy, tmp_path: Path, command: tuple[str, ...]
) -> None:
    journal = RunFolder(unpack(1, tmp_path) / "runs" / FIRST_FORMAT).journal
    before = journal.read_bytes()

    ended = undeploy(*command)

    assert (ended.status, "unreadable" in ended.out) == (0, False), ended.err
    assert journal.read_bytes() == before


def test_a_resume_converts_a_journal_of_format_1_and_goes_on_with_it(
    undeploy: Undeploy, tmp_path: Path, simulators: RunningSimulators
) -> None:
    simulators.refill(fixture_with({apim_id(1)}))
    journal = RunFolder(unpack(1, tmp_path, dict(simulators.urls)) / "runs" / FIRST_FORMAT).journal

    ended = undeploy("resume", FIRST_FORMAT)

    assert ended.status == 1, ended.err
    found = outcomes(undeploy, FIRST_FORMAT)
    assert found.pop(roma_id(1)) == "failed"
    assert set(found.values()) == {"undeployed"}
    assert targets_asked(simulators) == {apim_id(1), apim_id(2)}
    assert format_in(journal) == FORMAT


def test_a_conversion_that_fails_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = RunFolder(unpack(1, tmp_path) / "runs" / FIRST_FORMAT).journal
    monkeypatch.setitem(MIGRATIONS, 1, (*MIGRATIONS[1], "SELECT 1 FROM nowhere"))  # type: ignore[arg-type]

    with pytest.raises(Exception, match="nowhere"):
        open_database(journal, write=True)

    assert format_in(journal) == 1
    with closing(sqlite3.connect(journal)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(target)")]
    assert "step" not in columns
