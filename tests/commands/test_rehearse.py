import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.commands.rehearse import explain_dropped_waits, judge_report
from orchestrator.engine.options import RunOptions
from orchestrator.errors import ExitStatus
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan, Wave, Window
from orchestrator.model.reading import Act
from orchestrator.report.values import (
    AttemptReport,
    PaceTimeline,
    Report,
    RunReport,
    RunTimeline,
    TargetReport,
    Totals,
)
from orchestrator.runs.rehearsal import compare_counts, find_disagreements
from orchestrator.simulator.books import SimulatorBooks, TargetFacts
from tests.support.commands import Undeploy

Write = Callable[..., Path]

BARE = Plan(name="p", gateways=(), waves=())
WINDOW = Window(None, datetime(2026, 11, 23, tzinfo=UTC))


def test_a_rehearsal_needs_no_credential_and_tells_what_was_seen(plan: Write, undeploy: Undeploy) -> None:
    ended = undeploy("rehearse", plan("https://apim.example.com"), "--seed", "3")

    assert ended.status == 0
    counts = dict(re.findall(r"^(requests|targets down) +(\d+ +\d+)$", ended.out, re.MULTILINE))
    assert counts["targets down"].split() == ["6", "6"]
    assert len(set(counts["requests"].split())) == 1
    assert "The report agrees with the simulators." in ended.out


@pytest.mark.parametrize(
    ("plan", "options", "told"),
    [
        (BARE, RunOptions(), None),
        (replace(BARE, window=WINDOW), RunOptions(), "window does"),
        (replace(BARE, window=WINDOW), RunOptions(window=WINDOW), None),
        (
            replace(BARE, window=WINDOW, waves=(Wave(name="w", pause_after=5.0, proceed="ask"),)),
            RunOptions(),
            "window, pauses and questions do",
        ),
    ],
)
def test_a_rehearsal_names_the_waits_that_it_leaves_out(
    plan: Plan, options: RunOptions, told: str | None
) -> None:
    expected = [] if told is None else [f"The plan's {told} not hold in a rehearsal."]

    assert list(explain_dropped_waits(plan, options)) == expected


def test_a_rehearsal_has_no_window_to_wait_for(plan: Write, undeploy: Undeploy) -> None:
    """A command line of ``run`` may become one of ``rehearse`` by its first word."""
    window = "window: {opens: 2999-01-01T00:00:00Z, closes: 2999-01-01T02:00:00Z}"

    status, _, err = undeploy("rehearse", plan(more=window), "--wait", "--storm", "0")

    assert status == 0, err


def test_a_rehearsal_says_at_its_beginning_that_pauses_do_not_hold(plan: Write, undeploy: Undeploy) -> None:
    later = "window: {opens: 2999-01-01T00:00:00Z, closes: 2999-01-01T01:00:00Z}"
    ended = undeploy("rehearse", plan("https://apim.example.com", later), "--storm", "0")

    assert ended.status == 0
    assert ended.err.startswith("The plan's window does not hold in a rehearsal.\n")


def test_a_rehearsal_asks_the_simulators_traffic_log_with_no_credential(
    plan: Write, undeploy: Undeploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan that keeps what is in use is rehearsed to its end, and no address of it is contacted."""
    monkeypatch.delenv("ELASTIC_PASSWORD", raising=False)
    path = plan("https://apim.example.com", "in_use: refuse")
    store = (
        "url: 'https://127.0.0.1:9', index: 'apinizer-log-apiproxy-*', proxy: 'http://127.0.0.1:9',"
        " tls: {ca_file: nowhere.pem}, auth: {user: reader, password: {env: ELASTIC_PASSWORD}}"
    )
    key = f"usage: {{elasticsearch: {{{store}}}}}, limits: "
    path.write_text(path.read_text().replace("limits: ", key))

    ended = undeploy("rehearse", path, "--seed", "3")

    assert ended.status == 0, ended
    assert re.search(r"^targets down +6 +6$", ended.out, re.MULTILINE)
    assert "The report agrees with the simulators." in ended.out


def test_a_rehearsal_is_kept_apart_and_cannot_be_resumed(plan: Write, undeploy: Undeploy) -> None:
    run = undeploy("rehearse", plan("https://apim.example.com"), "--storm", "0").run

    assert undeploy("runs").out == ""
    assert run in undeploy("runs", "--rehearsals").out
    assert undeploy("resume", "latest").status == 2
    resumed = undeploy("resume", run)
    assert (resumed.status, resumed.out) == (2, "")
    assert "is a rehearsal" in resumed.err


@pytest.mark.long("rehearses twice")
def test_a_storm_is_the_same_for_the_same_seed(plan: Write, undeploy: Undeploy) -> None:
    path = plan("https://apim.example.com")
    struck = [
        int(re.findall(r"struck by a fault +(\d+)", undeploy("rehearse", path, *options).out)[0])
        for options in (
            ["--storm", "40%:500-after"],
            ["--storm", "40%:500-after", "--seed", "1"],
            ["--storm", "0"],
        )
    ]

    assert struck[0] == struck[1] > 0
    assert struck[2] == 0


def test_faults_that_do_not_fit_are_2(plan: Write, undeploy: Undeploy, folder: Path) -> None:
    (folder / "faults.json").write_text('{"script": 7}')

    assert undeploy("rehearse", plan(), "--faults", "faults.json").status == 2
    (folder / "faults.json").write_text('{"script": {"apim": ["5o2"]}}')
    refused = undeploy("rehearse", plan(), "--faults", "faults.json")
    assert refused.status == 2
    assert refused.err.startswith(
        "the simulators did not start: no fault is called '5o2'; there are a status"
    )
    (folder / "faults.json").write_text('{"scrip": {"apim": ["502"]}}')
    misspelt = undeploy("rehearse", plan(), "--faults", "faults.json")
    assert (misspelt.status, "`scrip`" in misspelt.err) == (2, True)
    assert undeploy("rehearse", plan(), "--storm", "much").status == 2


class FixedReport:
    """An account of a few targets."""

    def __init__(self, *targets: TargetReport, requests: int) -> None:
        at = datetime(2026, 11, 22, tzinfo=UTC)
        self._targets = targets
        self.report = Report(
            run=RunReport(
                id="r",
                plan="p",
                digest="d",
                reason=None,
                started=at,
                ended=at,
                seconds=1.0,
                state="complete",
                stopped_by=None,
                exit_status=0,
            ),
            totals=Totals(targets=len(targets), requests=requests),
            gateways=(),
            waves=(),
        )

    def targets(self) -> Iterable[TargetReport]:
        return self._targets

    def trouble(self) -> Iterable[TargetReport]:
        return ()

    def timeline(self, buckets: int) -> RunTimeline:
        return RunTimeline(width=1.0, ended=(), requests=())

    def pace_timelines(self, buckets: int) -> tuple[PaceTimeline, ...]:
        return ()


def make_target_report(outcome: Outcome, undeploys: int = 1) -> TargetReport:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    attempt = AttemptReport(
        number=1, act=Act.UNDEPLOY, started=at, seconds=0.1, status=200, code=None, message=None
    )
    return TargetReport(
        id="apim/a",
        gateway="apim",
        kind="apinizer",
        wave="w",
        coordinates={},
        outcome=outcome,
        reason=None,
        evidence=None,
        seconds=0.1,
        attempts=(attempt,) * undeploys,
    )


def make_books(*, down: bool, down_by: int = 0, undeploys: int = 1, requests: int = 1) -> SimulatorBooks:
    facts = TargetFacts(
        id="apim/a",
        down=down,
        undeploys=undeploys,
        looks=0,
        deploys=0,
        down_by=down_by,
        down_at=0.0,
        destroyed=False,
    )
    return SimulatorBooks(requests=requests, gateways={}, targets={"apim/a": facts}, destroyed=())


@pytest.mark.parametrize(
    ("books", "outcome", "lie"),
    [
        (make_books(down=True, down_by=1), Outcome.UNDEPLOYED, None),
        (make_books(down=True), Outcome.ALREADY_UNDEPLOYED, None),
        (make_books(down=True, down_by=1), Outcome.UNKNOWN, None),
        (make_books(down=False), Outcome.FAILED, None),
        (make_books(down=False), Outcome.UNDEPLOYED, "the report says undeployed, and it is still up"),
        (
            make_books(down=True, down_by=7),
            Outcome.FAILED,
            "the report says failed, and request 7 took it down",
        ),
        (make_books(down=True, down_by=7), Outcome.NOT_STARTED, "the report says not_started, and request 7"),
        (make_books(down=True, down_by=2, undeploys=2), Outcome.UNDEPLOYED, "2 undeploy requests arrived"),
        (
            make_books(down=True, down_by=1, requests=3),
            Outcome.UNDEPLOYED,
            "3 requests arrived, the report counts 1",
        ),
    ],
)
def test_a_report_that_lies_is_found(books: SimulatorBooks, outcome: Outcome, lie: str | None) -> None:
    found = list(find_disagreements(books, FixedReport(make_target_report(outcome), requests=1)))

    assert len(found) == (lie is not None)
    assert lie is None or lie in found[0]


def test_an_attempt_that_the_run_held_back_is_no_disagreement() -> None:
    told = make_target_report(Outcome.NOT_STARTED)
    held_back = replace(told, attempts=(replace(told.attempts[0], status=None, sent=False),))
    books = make_books(down=False, undeploys=0, requests=0)
    (undeploys,) = (
        row for row in compare_counts(books, FixedReport(held_back, requests=0)) if "undeploy" in row[0]
    )

    assert list(find_disagreements(books, FixedReport(held_back, requests=0))) == []
    assert undeploys == ("undeploy requests", "0", "0")


def test_a_disagreement_is_status_3(capsys: pytest.CaptureFixture[str]) -> None:
    told = FixedReport(make_target_report(Outcome.UNDEPLOYED), requests=1)
    written: list[str] = []

    assert judge_report(make_books(down=False), told, ExitStatus.DONE, write=written.append) is ExitStatus.BUG
    assert "bug of ours" in capsys.readouterr().err
    assert (
        judge_report(make_books(down=True), told, ExitStatus.UNFINISHED, write=written.append)
        is ExitStatus.UNFINISHED
    )
