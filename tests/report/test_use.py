"""The targets in use, as the reports for people list them, and the advice about them."""

from __future__ import annotations

import re

from msgspec.structs import replace

from orchestrator.model.outcome import Outcome
from orchestrator.model.usage import Usage
from orchestrator.report.advice import advise
from orchestrator.report.formats.markdown import MAX_ROWS
from orchestrator.report.values import UseCounts, UsedTarget, UseReport
from tests.support.made_up_runs import HOSTILE, FakeReportSource, build_run, build_target, render_report

SHOP = Usage(hours=72, calls=1204, callers=("web-shop", "billing"))
BLIND = Usage(hours=72, why="APIG.1005 No *permissions*", callers_unread="APIG.1005")


def make_run(*used: UsedTarget, left_alone: int = 0, in_use: int | None = None) -> FakeReportSource:
    """Return a run of three targets of which some are in use."""
    outcomes = [Outcome.NOT_STARTED if number < left_alone else Outcome.UNDEPLOYED for number in range(3)]
    targets = tuple(
        build_target(f"roma-eu/{number}", outcome, "in_use: x" if number < left_alone else None)
        for number, outcome in enumerate(outcomes)
    )
    source = FakeReportSource(targets, build_run(exit_status=1 if left_alone else 0))
    called = [one.usage.calls for one in used if one.usage.calls]
    counts = UseCounts(
        hours=72,
        targets=3,
        in_use=len(called) if in_use is None else in_use,
        calls=sum(called),
        not_told=sum(one.usage.calls is None for one in used),
    )
    use = UseReport(counts=counts, left_alone=left_alone, most_used=used)
    source.report = replace(source.report, use=use)
    return source


def use(number: int, usage: Usage, outcome: Outcome = Outcome.NOT_STARTED) -> UsedTarget:
    return UsedTarget(id=f"roma-eu/{number}", outcome=outcome, usage=usage)


TWO = make_run(use(0, SHOP), use(1, BLIND), left_alone=2)


def test_markdown_lists_the_targets_in_use_with_their_callers() -> None:
    text = render_report("markdown", TWO)
    section = text[text.index("## In use") : text.index("## Gateways")]

    assert "1 of 3 targets was called in 72 h, 1,204 times; of 1 it is not told.\n" in section
    assert "| `roma-eu/0` | 1,204 | web-shop, billing | not started |" in section
    assert "| `roma-eu/1` | not told | not told | not started |" in section
    assert "- `APIG.1005 No *permissions*`\n" in section


def test_the_page_lists_them_too_and_no_name_of_a_caller_is_markup() -> None:
    hostile = Usage(hours=72, calls=1, callers=HOSTILE)
    page = render_report("html", make_run(use(0, SHOP), use(1, hostile), use(2, BLIND), left_alone=3))
    section = page[page.index('<h2 id="use">') : page.index('<h2 id="gateways">')]

    assert "2 of 3 targets were called in 72 h, 1,205 times; of 1 it is not told." in section
    assert '<td class="number" data-label="Calls">1,204</td>' in section
    assert "<bdi>web-shop, billing</bdi>" in section
    assert "Not told: <bdi>APIG.1005 No *permissions*</bdi>." in section
    assert not re.search(r"<(script|img)", section)


def test_the_lists_are_bounded_and_the_rest_is_counted() -> None:
    used = [use(number, SHOP) for number in range(MAX_ROWS + 1)]
    text = render_report("markdown", make_run(*used, in_use=5000))

    assert text.count("| `roma-eu/") == MAX_ROWS
    assert f"and {5000 - MAX_ROWS:,} more targets in use" in text


def test_a_run_that_did_not_ask_says_nothing_of_use() -> None:
    source = FakeReportSource((build_target(),), build_run())

    assert "in use" not in render_report("markdown", source).lower()
    assert 'id="use"' not in render_report("html", source)
    assert 'name="in_use"' not in render_report("junit", source)


def test_a_run_whose_targets_are_unused_says_so_without_a_table() -> None:
    source = make_run()

    assert "## In use\n\n0 of 3 targets were called in 72 h.\n\n## Gateways" in render_report(
        "markdown", source
    )
    assert '<property name="in_use" value="0 of 3 targets were called in 72 h"/>' in render_report(
        "junit", source
    )


def test_the_advice_names_whom_to_ask_and_what_to_do_then() -> None:
    steps = [step.text for step in advise(TWO.report)]

    assert steps[0] == (
        "2 were left alone, because they are in use, or because nothing tells it: ask web-shop, billing; then"
        " raise in_use_over for what may go (in_use: warn where nothing tells it), and leave the rest out"
        " with --skip."
    )
    assert not [text for text in steps if "Read why" in text]
    (alone,) = [
        step.text
        for step in advise(make_run(use(0, BLIND), left_alone=1).report)
        if "left alone" in step.text
    ]
    # A higher bound would let nothing go of which no call is told.
    assert alone == (
        "1 was left alone, because nothing tells whether it is in use: ask those who call them; then say"
        " in_use: warn for what may go, and leave the rest out with --skip."
    )
