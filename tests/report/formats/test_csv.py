"""report.csv."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO

import pytest

from orchestrator.model.outcome import Outcome
from orchestrator.report.formats.csv import COLUMNS
from tests.support.made_up_runs import (
    HOSTILE,
    FakeReportSource,
    build_attempt,
    build_run,
    build_target,
    make_hostile_run,
    make_up_run,
    render_report,
)


def rows(source: FakeReportSource) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(render_report("csv", source), newline="")))


def test_a_row_tells_the_target_and_its_last_request() -> None:
    attempts = (
        build_attempt(1, 500, "APIG.9999", "System error"),
        build_attempt(2, 404, "APIG.3084", "gone", after=1),
    )
    target = build_target("roma-eu/bd42", Outcome.FAILED, "absent: gone", evidence="code", attempts=attempts)

    assert rows(FakeReportSource((target,), build_run())) == [
        {
            "id": "roma-eu/bd42",
            "gateway": "roma-eu",
            "kind": "roma",
            "wave": "everything",
            "outcome": "failed",
            "reason": "absent: gone",
            "evidence": "code",
            "started": "2026-11-22T19:00:03.412Z",
            "seconds": "0.247",
            "attempts": "2",
            "last_act": "undeploy",
            "last_status": "404",
            "last_code": "APIG.3084",
            "last_message": "gone",
            "coordinates": '{"ld_api_id":"bd42"}',
            "url": "https://roma-eu.example.com",
            "run": "20261122-190003-7f3a",
            "act": "undeploy",
            "rehearsal": "no",
        }
    ]


def test_an_unknown_value_is_an_empty_cell() -> None:
    row = rows(FakeReportSource((build_target(outcome=Outcome.NOT_STARTED),), build_run()))[0]

    assert {name for name in COLUMNS if row[name] == ""} == {
        "reason", "evidence", "started", "seconds", "last_act", "last_status", "last_code", "last_message",
    }  # fmt: skip


def test_one_row_a_target_in_the_order_of_the_plan() -> None:
    source = make_up_run(60)

    assert [row["id"] for row in rows(source)] == [target.id for target in source.targets()]


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_cell_begins_as_a_formula_and_ids_come_back(first: str) -> None:
    name = f"{first}cmd|' /C calc'!A0"

    row = rows(FakeReportSource((build_target(name, reason=name, wave=name),), build_run()))[0]

    assert row["id"] == row["reason"] == row["wave"] == f"'{name}"
    assert row["id"].removeprefix("'") == name


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "'", "\uff1d"])
def test_no_cell_begins_as_a_formula_where_a_semicolon_separates_cells(first: str) -> None:
    """Excel opens the file so at a double click in Turkish and German, whatever stands in quotes."""
    name = f"a, b;{first}cmd|' /C calc'!A0;{first}2;c - d; e"
    made = build_target(f"apim/{name}", reason=name, coordinates={"project": name})
    source = FakeReportSource((made,), build_run())

    cells = render_report("csv", source).splitlines()[1].split(";")
    assert not [cell for cell in cells if cell.startswith(first) and first != "'"]
    assert [re.sub("(^|;)'(?=[=+@'\uff1d-])", r"\1", rows(source)[0][key]) for key in ("id", "reason")] == [
        f"apim/{name}", name,
    ]  # fmt: skip
    assert json.loads(rows(source)[0]["coordinates"]) == {"project": name}


def test_coordinates_are_json_with_the_names_of_the_plan() -> None:
    coordinates = {"project": "a,b", "proxy": '"quoted"', "environment": "ü"}
    row = rows(FakeReportSource((build_target(coordinates=coordinates),), build_run()))[0]

    assert json.loads(row["coordinates"]) == coordinates


@pytest.mark.parametrize("control", ["\r", "\n", "\t", "\x00", "\x1b", "\x85"])
def test_a_target_is_one_line_whatever_a_message_holds(control: str) -> None:
    attempt = build_attempt(1, 400, None, f"{control}=1+1{control}")
    source = FakeReportSource((build_target(attempts=(attempt,)),), build_run())

    assert len(render_report("csv", source).splitlines()) == 2
    assert rows(source)[0]["last_message"] == "\\u{0:04x}=1+1\\u{0:04x}".format(ord(control))


def test_hostile_texts_come_back_but_for_control_characters() -> None:
    ids = [row["id"].removeprefix("roma-eu/") for row in rows(make_hostile_run())]
    plain = [text for text in HOSTILE if not any(ord(sign) < 0x20 for sign in text)]

    assert len(ids) == len(HOSTILE)
    assert set(plain) < set(ids)
