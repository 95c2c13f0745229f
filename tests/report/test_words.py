"""The sentences of the reports for people."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.report.advice import advise
from orchestrator.report.headline import compose_headline, describe_end, find_dangers
from orchestrator.report.values import (
    ChainedRun,
    GatewayReport,
    LatencyPercentiles,
    Report,
    RestoreOutlook,
    Totals,
)
from orchestrator.text.characters import make_visible
from orchestrator.text.formats import DASH, format_moment, format_per_second, format_span
from tests.support.made_up_runs import build_run, make_up_run, render_report


def report(lane: Any = "open", run: dict[str, Any] | None = None, **counts: int) -> Report:
    totals = Totals(targets=sum(counts.values()), **counts)
    gateway = GatewayReport(
        name="roma-eu", kind="roma", totals=totals, seconds=LatencyPercentiles(), lane=lane
    )
    return Report(run=build_run(**(run or {})), totals=totals, gateways=(gateway,), waves=())


@pytest.mark.parametrize(
    ("state", "counts", "sentence"),
    [
        ("complete", {}, "The run had no targets."),
        ("complete", {"undeployed": 60}, "All 60 targets are down."),
        ("complete", {"undeployed": 1}, "The one target is down."),
        ("complete", {"failed": 1}, "The one target is not down; 1 failed."),
        ("complete", {"failed": 60}, "None of 60 targets is down; 60 failed."),
        (
            "complete",
            {"undeployed": 58, "failed": 1, "unknown": 1},
            "58 of 60 targets are down; 1 failed, 1 is unknown.",
        ),
        ("complete", {"undeployed": 1, "unknown": 2}, "1 of 3 targets is down; 2 are unknown."),
        ("complete", {"already_undeployed": 2}, "All 2 targets are down; 2 already were."),
        (
            "stopped",
            {"undeployed": 9_000, "already_undeployed": 1, "not_started": 1_000},
            "Stopped early: 9,001 of 10,001 targets are down; 1 already was, 1,000 were not started.",
        ),
        (
            "interrupted",
            {"not_started": 1, "failed": 1},
            "Interrupted: none of 2 targets is down; 1 failed, 1 was not started.",
        ),
        ("killed", {"undeployed": 1, "unknown": 1}, "Killed: 1 of 2 targets is down; 1 is unknown."),
        ("running", {"undeployed": 2}, "Still running: all 2 targets are down."),
    ],
)  # fmt: skip
def test_the_headline_rounds_nothing(state: str, counts: dict[str, int], sentence: str) -> None:
    assert compose_headline(report(run={"state": state}, **counts)) == sentence


@pytest.mark.parametrize(
    ("run", "counts", "commands"),
    [
        ({"state": "complete", "exit_status": 0}, {"undeployed": 1}, []),
        (
            {"state": "complete", "exit_status": 1},
            {"failed": 1, "unknown": 1},
            ["undeploy remainder RUN -o rest.yaml"],
        ),
        ({"state": "interrupted", "exit_status": 130}, {"not_started": 1}, ["undeploy resume RUN"]),
        ({"state": "killed", "exit_status": None}, {"unknown": 1}, ["undeploy resume RUN"]),
        ({"state": "complete", "exit_status": 4}, {"not_started": 1}, ["undeploy resume RUN"]),
        (
            {"state": "stopped", "stopped_by": "stop_rule: failed 20%", "exit_status": 4},
            {"failed": 3, "not_started": 1},
            ["undeploy resume RUN --past-stop"],
        ),
        (
            {"state": "stopped", "stopped_by": "window: closed", "exit_status": 4},
            {"not_started": 1},
            ["undeploy resume RUN --window OPENS/CLOSES"],
        ),
        (
            {"state": "stopped", "stopped_by": "disk: full", "exit_status": 4},
            {"unknown": 1},
            ["undeploy resume RUN"],
        ),
        (
            {"state": "stopped", "stopped_by": "interrupt: alice stopped it", "exit_status": 4},
            {"not_started": 1},
            ["undeploy resume RUN"],
        ),
        (
            {"state": "stopped", "stopped_by": "parked", "exit_status": 4},
            {"not_started": 1},
            ["undeploy resume RUN"],
        ),
        ({"state": "running", "exit_status": None}, {"not_started": 1}, []),
    ],
)
def test_a_command_is_advised_only_where_it_helps(
    run: dict[str, Any], counts: dict[str, int], commands: list[str]
) -> None:
    said = [
        step.command.replace(build_run().id, "RUN")
        for step in advise(report(run=run, **counts))
        if step.command
    ]

    assert said == commands


def test_advice_for_a_run_without_open_ends() -> None:
    assert [step.text for step in advise(report(undeployed=3))] == ["Nothing is left to do."]


def test_advice_names_the_lanes_that_are_closed_or_parked_first() -> None:
    run = {"state": "stopped", "exit_status": 4}

    assert "roma-eu: closed" in advise(report("closed", run, not_started=1))[0].text
    assert "whether roma-eu answers again" in advise(report("parked", run, not_started=1))[0].text


@pytest.mark.parametrize(
    ("stopped_by", "lane", "sentence"),
    [
        ("interrupt: alice stopped it", "open", "A person stopped the run. Go on where it ended"),
        ("interrupt: alice stopped it", "parked", "A person stopped the run. Go on where it ended"),
        ("parked", "parked", "Then go on where it ended"),
        ("denied", "closed", "Then go on where it ended"),
        ("parked", "open", "Once the parked gateway answers again, go on where the run ended"),
    ],
)
def test_what_stopped_a_run_tells_when_it_can_go_on(stopped_by: str, lane: str, sentence: str) -> None:
    run = {"state": "stopped", "stopped_by": stopped_by, "exit_status": 4}

    *_, last = advise(report(lane, run, unknown=1, not_started=1))

    assert last.text == f"{sentence}; what is unknown is looked at first:"


@pytest.mark.parametrize(
    ("stopped_by", "lane"), [("parked", "parked"), ("parked", "open"), ("denied", "closed")]
)
def test_what_the_window_left_over_wants_another_window_whatever_else_was_wrong(
    stopped_by: str, lane: str
) -> None:
    run = {"state": "stopped", "stopped_by": stopped_by, "exit_status": 4}
    found = replace(report(lane, run, unknown=1, not_started=3), cut_off=2)

    *_, last = advise(found)

    assert "in another window" in last.text
    assert last.command.endswith(" --window OPENS/CLOSES")


def test_a_chain_comes_back_as_a_chain() -> None:
    run = {"state": "complete", "exit_status": 0}
    one = replace(
        report("open", run, undeployed=3), restore_outlook=RestoreOutlook(undeployed=3, restorable=3)
    )
    several = replace(one, chain=(ChainedRun(run=one.run, totals=one.totals),) * 2)

    assert advise(one)[-1].command == f"undeploy restore {one.run.id}"
    assert advise(several)[-1].command == f"undeploy restore {one.run.id} --chain"


def test_what_comes_after_something_that_is_not_down_waits_for_that() -> None:
    found = replace(report(run={"exit_status": 1}, failed=1, not_started=3), dependent=2)

    assert [step.text for step in advise(found)] == [
        "Read why 1 failed; a resume does not repeat it.",
        "2 were not started, because a target that they come after is not down: see to that one first.",
        "Read why 1 was not started.",
        "Once the causes are mended, make a plan of what is left:",
    ]


def test_advice_tells_that_failed_is_not_resumed_and_that_unknown_wants_eyes() -> None:
    told = " ".join(step.text for step in advise(report(failed=2, unknown=1, run={"exit_status": 1})))

    assert "2 failed; a resume does not repeat them" in told
    assert "Look at the 1 unknown on the gateway" in told


def test_the_ending_names_what_stopped_the_run() -> None:
    assert describe_end(build_run()) == "complete, exit status 0"
    assert (
        describe_end(build_run(state="stopped", stopped_by="window", exit_status=4))
        == "stopped by window, exit status 4"
    )
    assert describe_end(build_run(state="killed", exit_status=None)) == "killed"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, DASH), (0, "0 s"), (0.084, "84 ms"), (2.44, "2.4 s"), (2.0, "2 s"), (59.94, "59.9 s"),
        (60, "1 min"), (200.4, "3 min 20 s"), (7_500, "2 h 05 min"),
    ],
)  # fmt: skip
def test_durations_are_told_with_their_unit(seconds: float | None, text: str) -> None:
    assert format_span(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.9996, "1 s"), (59.96, "1 min"), (3_599.6, "1 h 00 min")])
def test_a_duration_that_rounds_up_takes_the_next_unit(seconds: float, text: str) -> None:
    assert format_span(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(0, "0/s"), (87.54, "87.5/s"), (100.0, "100/s"), (1234.5, "1,234.5/s")]
)
def test_rates_are_told_to_a_tenth(rate: float, text: str) -> None:
    assert format_per_second(rate) == text


def test_moments_are_told_in_utc() -> None:
    at = datetime(2026, 11, 22, 22, 0, tzinfo=timezone(timedelta(hours=3)))

    assert format_moment(at) == "2026-11-22 19:00:00 UTC"
    assert format_moment(None) == DASH


def test_what_misleads_the_eye_is_made_visible() -> None:
    assert make_visible("a\u202eb\x00\x1b\n\u200b\ufeff") == "a\\u202eb\\u0000\\u001b\\u000a\\u200b\\ufeff"
    assert make_visible("müşteri 顧客 \U0001f600") == "müşteri 顧客 \U0001f600"


def test_verification_switched_off_is_said_where_nobody_can_miss_it() -> None:
    """In the page (red), the Markdown and the JUnit properties; report.json has it among the warnings."""
    text = "insecure: any certificate is believed"
    account = make_up_run(6)
    first, *others = account.report.gateways
    shaky = replace(first, warnings=(*first.warnings, "the clock is off", text))
    account.report = replace(account.report, gateways=(shaky, *others))

    assert find_dangers(account.report) == ((first.name, text),)
    assert f'class="danger" role="alert"><bdi>{first.name}</bdi>: <bdi>{text}' in render_report(
        "html", account
    )
    assert "> 🔴 **" in render_report("markdown", account)
    assert f'<property name="warning" value="{first.name}: {text}"/>' in render_report("junit", account)
    assert text in render_report("json", account)
