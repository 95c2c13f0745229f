"""report.md."""

from __future__ import annotations

import re

from msgspec.structs import replace

from orchestrator.model.outcome import Outcome
from orchestrator.model.usage import Usage
from orchestrator.report.formats.markdown import MAX_ROWS
from orchestrator.report.values import UseCounts, UsedTarget, UseReport, WaveReport
from tests.support.made_up_runs import (
    HOSTILE,
    FakeReportSource,
    build_attempt,
    build_control,
    build_run,
    build_target,
    make_hostile_run,
    make_up_run,
    render_report,
)


def test_a_ticket_reads_the_end_first_and_what_to_do_next() -> None:
    text = render_report("markdown", make_up_run(300, stopped=True))

    head = text.splitlines()[:3]
    assert head[0] == "# orders-retirement: undeploy run `20261122-190003-7f3a`"
    assert re.fullmatch(r"\*\*Stopped early: \d+ of 300 targets are down; .*were not started\.\*\*", head[2])
    assert "`undeploy resume 20261122-190003-7f3a --window OPENS/CLOSES`" in text


def test_every_section_is_there_in_order() -> None:
    titles = re.findall(r"^## (.*)$", render_report("markdown", make_up_run(300, stopped=True)), re.MULTILINE)

    assert titles == ["What to do next", "Totals", "What is not down, by cause", "Gateways", "Waves"]


def test_a_run_that_went_well_has_no_causes() -> None:
    assert "by cause" not in render_report("markdown", FakeReportSource((build_target(),), build_run()))


def test_the_persons_who_steered_the_run_are_named() -> None:
    acts = [build_control(), *(build_control(f"skip roma-eu/{n}", by="", origin="") for n in range(MAX_ROWS))]
    text = render_report("markdown", FakeReportSource((build_target(),), build_run(), controls=acts))

    steered = text[text.index("## Steered by hand") :].splitlines()
    assert steered[4] == (
        "| 2026-11-22 19:00:06 UTC | alice | host-1, process 4711, pts/3 | `limits roma-eu rate=5/s` |"
    )
    assert steered[5].split(" | ")[1:3] == ["–", "–"]  # noqa: RUF001  as it is shown
    assert steered[-1] == "and 1 more acts, see report.json"


def test_the_totals_are_those_of_the_report() -> None:
    source = make_up_run(300)
    totals = source.report.totals
    lines = render_report("markdown", source).splitlines()

    row = lines[lines.index("## Totals") + 4]

    assert [int(cell.replace(",", "")) for cell in row.strip("| ").split(" | ")] == [
        totals.targets, totals.undeployed, totals.already_undeployed, totals.failed, totals.unknown,
        totals.not_started, totals.requests, totals.retries,
    ]  # fmt: skip


def test_a_cause_gives_the_vendors_words_and_a_few_targets() -> None:
    failed = tuple(
        build_target(
            f"roma-eu/{n}",
            Outcome.FAILED,
            "absent: x",
            attempts=(build_attempt(1, 404, "APIG.3084", "gone"),),
        )
        for n in range(7)
    )
    failed = (replace(failed[0], name="orders|*v1*"), *failed[1:])

    text = render_report("markdown", FakeReportSource(failed, build_run(exit_status=1)))

    ids = ", ".join(["`roma-eu/0` (orders&#124;\\*v1\\*)", *(f"`roma-eu/{n}`" for n in range(1, 5))])
    assert f"| 7 | failed | `APIG.3084` | gone | `roma-eu` | {ids} and 2 more, see report.csv |" in text


def test_every_table_has_as_many_cells_in_each_row() -> None:
    for source in (make_up_run(300, stopped=True), make_hostile_run()):
        tables = re.findall(r"(?:^\|.*\n)+", render_report("markdown", source), re.MULTILINE)
        assert len(tables) > 3
        for table in tables:
            assert len({line.count("|") for line in table.splitlines()}) == 1


def test_its_length_does_not_grow_with_the_run() -> None:
    source = FakeReportSource(
        tuple(build_target(f"roma-eu/{n}", wave=f"wave {n}") for n in range(500)), build_run()
    )

    text = render_report("markdown", source)

    assert f"and {500 - MAX_ROWS} more waves, see report.json" in text
    assert len(text.splitlines()) < MAX_ROWS + 50


def test_what_is_left_out_of_a_table_is_in_the_report_that_is_named() -> None:
    """report.csv has the targets alone: neither warnings nor calls."""
    count = MAX_ROWS + 2
    source = FakeReportSource(
        tuple(build_target(f"gw-{n}/x", gateway=f"gw-{n}") for n in range(count)), build_run()
    )
    used = UsedTarget(id="gw-1/x", outcome=Outcome.UNDEPLOYED, usage=Usage(calls=1, hours=72))
    source.report = replace(
        source.report,
        gateways=tuple(replace(gateway, warnings=("in clear",)) for gateway in source.report.gateways),
        use=UseReport(
            counts=UseCounts(hours=72, targets=count, in_use=count, calls=count, not_told=0),
            left_alone=0,
            most_used=(used,) * count,
        ),
    )

    told = re.findall(r"^and 2 more (.*), see (.*)$", render_report("markdown", source), re.MULTILINE)

    assert told == [
        ("targets in use", "report.html"), ("gateways", "report.json"), ("warnings", "report.json"),
    ]  # fmt: skip


def test_nothing_hostile_becomes_markup() -> None:
    text = render_report("markdown", make_hostile_run())
    outside = re.sub(r"`[^`\n]*`", "", text).replace("<code>", "").replace("</code>", "")

    assert "<" not in outside
    assert not re.search(r"(?<!\\)[*_\[\]~]", outside.replace("**", ""))
    assert "@" not in outside
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "\x00" not in text


def test_a_pipe_or_a_backtick_is_shown_as_it_is() -> None:
    source = FakeReportSource((build_target(),), build_run())
    source.report = replace(
        source.report, waves=(WaveReport(name=HOSTILE[3 + 1], totals=source.report.totals),)
    )

    assert "<code>a&#124;b&#96;c&#96;&#96;d&#92;&#124;e</code>" in render_report("markdown", source)
