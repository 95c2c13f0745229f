"""An attempt that never left this machine is shown as such, and no report counts it as a request."""

from __future__ import annotations

import csv
import json
from io import StringIO

from orchestrator.commands.show import render_text
from orchestrator.model.outcome import Outcome
from orchestrator.report.page.rows import RowWriter
from orchestrator.report.values import TargetRecord
from tests.support.made_up_runs import (
    STARTED,
    FakeReportSource,
    build_attempt,
    build_run,
    build_target,
    render_report,
)

HELD_BACK = "interrupt: an operator's orders"
TARGET = build_target(
    outcome=Outcome.UNKNOWN,
    reason=HELD_BACK,
    attempts=(
        build_attempt(1, None, None, HELD_BACK, seconds=0.0, sent=False),
        build_attempt(2, 500, "APIG.9999", "System error", after=2.0),
    ),
)
SOURCE = FakeReportSource((TARGET,), build_run())


def test_json_marks_it() -> None:
    attempts = json.loads(render_report("json", SOURCE))["targets"][0]["attempts"]

    assert [attempt.get("sent") for attempt in attempts] == [False, None]
    assert attempts[0]["message"] == HELD_BACK


def test_csv_counts_what_was_sent_and_begins_with_it() -> None:
    (row,) = csv.DictReader(StringIO(render_report("csv", SOURCE), newline=""))

    assert row["attempts"] == "1"
    assert row["started"] == TARGET.attempts[1].started.isoformat(timespec="milliseconds").replace(
        "+00:00", "Z"
    )


def test_junit_and_show_say_that_it_was_not_sent() -> None:
    lines = list(render_text(TargetRecord(target=TARGET, snapshot=None, approved=None, restores=())))

    assert "1 undeploy: not sent after 0.000 s: interrupt: " in render_report("junit", SOURCE)
    assert "requests  1" in lines
    assert any("not sent" in line and HELD_BACK in line for line in lines)


def test_the_page_marks_it_behind_its_cells() -> None:
    pieces: list[str] = []
    writer = RowWriter(pieces.append, STARTED)
    writer.begin()
    writer.write((TARGET,))
    writer.end()

    attempts = json.loads("".join(pieces))["rows"][0][7]
    assert [attempt[6:] for attempt in attempts] == [[1], []]
