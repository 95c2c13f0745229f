"""The headline of a report, the words of an ending, and the warnings that no reader may miss."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.model.outcome import Outcome
from orchestrator.report.headline import EndVerdict, compose_headline, describe_end, find_dangers, judge_end
from tests.support.made_up_runs import (
    FakeReportSource,
    build_report,
    build_run,
    build_target,
    make_up_run,
    render_report,
)


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
    assert compose_headline(build_report(run={"state": state}, **counts)) == sentence


def _end(**run: Any) -> str:
    return describe_end(build_report(run=run, undeployed=3))


def test_the_ending_names_what_stopped_the_run() -> None:
    assert _end() == "complete, exit status 0"
    assert _end(state="stopped", stopped_by="window", exit_status=4) == "stopped by window, exit status 4"
    assert _end(state="killed", exit_status=None) == "killed"
    signal = {"state": "interrupted", "stopped_by": "interrupt: SIGTERM was received", "exit_status": 130}
    assert _end(**signal) == "interrupted: SIGTERM was received, exit status 130"


JUDGED = [
    ({"undeployed": 16}, "complete", "good"),
    ({"undeployed": 15, "already_undeployed": 1}, "complete", "good"),
    ({"failed": 16}, "ended, nothing is down", "bad"),
    ({"unknown": 1}, "ended, nothing is down", "bad"),
    ({"undeployed": 15, "failed": 1}, "ended with failures", "bad"),
    ({"undeployed": 15, "unknown": 1}, "ended in doubt", "bad"),
    ({"undeployed": 15, "not_started": 1}, "ended, not all was started", "over"),
    ({}, "complete", "over"),
]


@pytest.mark.parametrize(("counts", "words", "tone"), JUDGED)
def test_complete_and_green_is_only_what_left_nothing_to_be_wished_for(
    counts: dict[str, int], words: str, tone: str
) -> None:
    assert judge_end(build_report(**counts)) == EndVerdict(words, tone)


@pytest.mark.parametrize(
    ("state", "lane", "counts", "tone"),
    [
        ("running", "open", {"failed": 9}, "going"),
        ("stopped", "open", {"undeployed": 3}, "over"),
        ("stopped", "closed", {"undeployed": 3}, "bad"),
        ("interrupted", "open", {"undeployed": 3, "failed": 1}, "bad"),
        ("killed", "open", {"undeployed": 3}, "bad"),
    ],
)
def test_a_run_that_ended_before_its_time_is_judged_by_what_is_broken(
    state: str, lane: str, counts: dict[str, int], tone: str
) -> None:
    assert judge_end(build_report(lane, run={"state": state}, **counts)) == EndVerdict(state, tone)


def test_the_badge_of_the_page_has_the_colour_of_the_verdict() -> None:
    bad = [build_target(f"roma-eu/{number}", Outcome.FAILED, "refused: x") for number in range(16)]

    page = render_report("html", FakeReportSource(bad, build_run(exit_status=1)))

    assert '<span class="state tone-bad">ended, nothing is down</span>' in page


def test_no_reader_can_miss_that_verification_is_switched_off() -> None:
    """In the page (red), the Markdown and the JUnit properties; report.json has it among the warnings."""
    text = "insecure: any certificate is believed"
    source = make_up_run(6)
    first, *others = source.report.gateways
    shaky = replace(first, warnings=(*first.warnings, "the clock is off", text))
    source.report = replace(source.report, gateways=(shaky, *others))

    assert find_dangers(source.report) == ((first.name, text),)
    assert f'class="danger" role="alert"><bdi>{first.name}</bdi>: <bdi>{text}' in render_report(
        "html", source
    )
    assert "> 🔴 **" in render_report("markdown", source)
    assert f'<property name="warning" value="{first.name}: {text}"/>' in render_report("junit", source)
    assert text in render_report("json", source)
