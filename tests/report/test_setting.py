"""What every report says of the run as a whole: what was done, to which gateways, when, by whom, and whether
it was a rehearsal."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from orchestrator.model.outcome import Outcome
from orchestrator.report.advice import advise
from orchestrator.report.formats import FORMATS
from orchestrator.report.headline import compose_headline
from orchestrator.report.values import ApprovalReport, RunApproval, SessionReport, WindowReport
from tests.support.made_up_runs import STARTED, FakeReportSource, build_run, build_target, render_report

RULE = "stop_rule: failed: 5 of 20 (25%) in wave everything, limit 20%"
FIRST = SessionReport(
    started=STARTED, ended=STARTED + timedelta(hours=1), exit_status=4, by="alice", host="ops-1"
)
SECOND = SessionReport(
    started=STARTED + timedelta(days=1), ended=None, exit_status=None, by="bob", host="ops-2"
)


def build_source(*, rehearsal: bool = False) -> FakeReportSource:
    run = replace(
        build_run(state="stopped", stopped_by=RULE, exit_status=4),
        rehearsal=rehearsal,
        window=WindowReport(opens=None, closes=STARTED + timedelta(hours=4), origin="option"),
        approval=ApprovalReport(how="digest", by="alice on ops-1"),
        sessions=(FIRST, SECOND),
    )
    made = FakeReportSource((build_target(outcome=Outcome.FAILED, reason="refused: no"),), run)
    made.report = replace(made.report, approval=RunApproval(how="digest", by="alice on ops-1", at=STARTED))
    return made


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_whether_it_was_a_rehearsal(name: str) -> None:
    real, rehearsed = render_report(name, build_source()), render_report(name, build_source(rehearsal=True))

    assert real != rehearsed
    words = {
        "json": ('"rehearsal":false', '"rehearsal":true'),
        "csv": (",undeploy,no\n", ",undeploy,yes\n"),
        "junit": ('name="rehearsal" value="false"', 'name="rehearsal" value="true"'),
        "markdown": ("| Act | undeploy |", "| Act | rehearsal of an undeploy |"),
        "html": ("<dd>undeploy</dd>", "<dd>rehearsal of an undeploy</dd>"),
    }.get(name, ("", "rehearsal"))
    assert words[0] in real
    assert words[1] in rehearsed
    if name in ("markdown", "html"):
        assert "simulators stood in for the gateways" in rehearsed
        assert "simulators" not in real


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_names_each_gateway_s_url(name: str) -> None:
    assert "https://roma-eu.example.com" in render_report(name, build_source())


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "csv"])
@pytest.mark.parametrize(
    "said",
    ["alice", "bob", "ops-2", "limit 20%", "in wave everything", "5 of 20"],
    ids=lambda said: said.replace(" ", "_"),
)
def test_every_format_but_the_table_names_sessions_approval_and_rule(name: str, said: str) -> None:
    assert said in render_report(name, build_source())


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("json", '"window":{"opens":null,"closes":"2026-11-22T23:00:03.412000Z","from":"option"}'),
        ("markdown", "until 2026-11-22 23:00:03 UTC, by --window or --close-at, not by the plan"),
        ("html", "until 2026-11-22 23:00:03 UTC, by --window or --close-at, not by the plan"),
        ("junit", "until 2026-11-22 23:00:03 UTC, by --window or --close-at, not by the plan"),
    ],
)
def test_the_window_is_named_with_its_origin(name: str, window: str) -> None:
    assert window in render_report(name, build_source())


def test_a_rehearsal_leaves_nothing_to_go_on_with() -> None:
    report = build_source(rehearsal=True).report

    assert compose_headline(report) == "Rehearsal: stopped early: the one target is not down; 1 failed."
    assert not [step.command for step in advise(report) if step.command]
    assert advise(report)[0].text.startswith("This was a rehearsal: simulators stood in for the gateways")
