"""One made-up journal in every format, and as the commands for programs tell it: all have the same counts."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from io import StringIO
from random import Random
from typing import Any, NamedTuple

import pytest
from lxml import etree  # type: ignore[import-untyped]
from lxml import html as markup
from msgspec.structs import replace

from orchestrator.commands.status import render_json
from orchestrator.journal.report_source import JournalReportSource
from orchestrator.report.causes import group_causes
from orchestrator.report.formats.json import encode_totals
from orchestrator.report.writing import write_report
from tests.journal.test_report_source import Note, account, made_up, some_bounds
from tests.report.formats.test_html import rows as read_rows

FORMATS = ("json", "junit", "csv", "markdown", "html")
OUTCOMES = ("undeployed", "already_undeployed", "failed", "unknown", "not_started")
TROUBLE = OUTCOMES[2:]
LATE = 1.0005
"""Seconds that Python's own rounding and ours make different milliseconds of."""


class Told(NamedTuple):
    """One journal in each format, and the counts of its own."""

    formats: dict[str, str]
    status: Mapping[str, Any]
    overview: dict[str, int]
    causes: Counter[str]

    @property
    def report(self) -> Any:
        return json.loads(self.formats["json"])


@pytest.fixture(scope="module", params=[(seed, held) for seed in range(12) for held in (False, True)])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    seed, held = request.param
    random = Random(seed)
    made = made_up(random)
    # The targets of a wave stand together in a plan.
    waves = sorted(each.wave for each in made.targets)
    made = made._replace(
        targets=[replace(each, wave=wave) for each, wave in zip(made.targets, waves, strict=True)],
        ends=[end._replace(seconds=end.seconds and random.choice([end.seconds, LATE])) for end in made.ends],
    )
    notes: list[Note] = [*some_bounds(random, made), *_ask_besides(random)]
    with account(tmp_path_factory.mktemp("journal"), made, notes, held=held) as source:
        return _tell(source)


def _ask_besides(random: Random) -> Iterator[Note]:
    """Yield requests that belong to no single target: logins, and pages of lists."""
    for _ in range(random.randint(0, 5)):
        yield Note(random.random(), random.choice(["roma", "apim"]), "request", None)


def _tell(source: JournalReportSource) -> Told:
    texts = {}
    for name in FORMATS:
        out = StringIO()
        write_report(name, source, out)
        texts[name] = out.getvalue()
    overview = encode_totals(source.read_overview(requests=True).totals, "undeploy")
    causes = Counter[str]()
    for group in group_causes(source):
        causes[group.outcome] += group.count
    return Told(texts, json.loads(render_json(source, None)), overview, causes)


def count(targets: list[Any]) -> dict[str, int]:
    """Count the targets of report.json as its totals do, without what belongs to no single target."""
    outcomes = Counter(target["outcome"] for target in targets)
    sent = [[one for one in target["attempts"] if one.get("sent", True)] for target in targets]
    undeploys = [sum(one["act"] == "undeploy" for one in attempts) for attempts in sent]
    return {
        "targets": len(targets),
        **{name: outcomes[name] for name in OUTCOMES},
        "requests": sum(map(len, sent)),
        "retries": sum(max(0, several - 1) for several in undeploys),
    }


def test_the_totals_of_report_json_are_those_of_its_targets_its_waves_and_its_gateways(told: Told) -> None:
    report = told.report
    targets, totals = report["targets"], report["totals"]
    besides = totals["requests"] - count(targets)["requests"]

    assert totals == count(targets) | {"requests": count(targets)["requests"] + besides}
    for wave in report["waves"]:
        assert wave["totals"] == count([each for each in targets if each["wave"] == wave["name"]])
    for key in totals:
        assert sum(gateway["totals"][key] for gateway in report["gateways"]) == totals[key]
        assert sum(wave["totals"][key] for wave in report["waves"]) == totals[key] - besides * (
            key == "requests"
        )


def test_status_and_runs_have_the_totals_of_report_json(told: Told) -> None:
    report = told.report

    assert told.overview == report["totals"]
    assert {key: told.status[key] for key in ("run", "totals", "waves", "gateways")} == {
        key: report[key] for key in ("run", "totals", "waves", "gateways")
    }


def test_the_causes_are_of_all_targets_that_ended_without_the_goal(told: Told) -> None:
    report = told.report
    goes_on = report["run"]["state"] == "running"
    ended = [
        target
        for target in report["targets"]
        if not (goes_on and target["reason"] is None and target["outcome"] in ("unknown", "not_started"))
    ]
    wanted = Counter(target["outcome"] for target in ended if target["outcome"] in TROUBLE)
    in_status = Counter[str]()
    for group in told.status["causes"]:
        in_status[group["outcome"]] += group["count"]

    assert told.causes == in_status == wanted


def test_junit_has_the_counts_and_the_times_of_report_json(told: Told) -> None:
    report, root = told.report, etree.fromstring(told.formats["junit"].encode())
    totals = report["totals"]
    cases = root.findall("testsuite/testcase")

    assert int(root.get("tests")) == len(cases) == totals["targets"]
    assert (
        int(root.get("failures")) == len(root.findall(".//failure")) == totals["failed"] + totals["unknown"]
    )
    assert len(root.findall(".//skipped")) == totals["not_started"]
    for suite in root.findall("testsuite"):
        (wave,) = [wave for wave in report["waves"] if wave["name"] == suite.get("name")]
        assert int(suite.get("tests")) == len(suite.findall("testcase")) == wave["totals"]["targets"]
        assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
        assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
    assert float(root.get("time")) == report["run"]["seconds"]
    by_id = {target["id"]: target for target in report["targets"]}
    for case in cases:
        target = by_id.pop(case.get("name"))
        assert float(case.get("time")) == (target["seconds"] or 0)
        for failure in case.findall("failure"):
            lines = failure.text.split("\n")
            assert failure.get("type") == target["outcome"]
            assert len(lines) == (len(target["attempts"]) or 1)
            assert all(
                f" after {one['seconds']:.3f} s" in line
                for one, line in zip(target["attempts"], lines, strict=False)
                if one["seconds"] is not None
            )


def test_csv_has_a_row_for_each_target_of_report_json(told: Told) -> None:
    rows = list(csv.DictReader(StringIO(told.formats["csv"])))

    assert [row["id"] for row in rows] == [target["id"] for target in told.report["targets"]]
    for row, target in zip(rows, told.report["targets"], strict=True):
        sent = [one for one in target["attempts"] if one.get("sent", True)]
        assert (row["outcome"], row["reason"]) == (target["outcome"], target["reason"] or "")
        assert row["seconds"] == ("" if target["seconds"] is None else str(target["seconds"]))
        assert int(row["attempts"]) == len(sent)
        assert row["started"][:19] == (sent[0]["started"][:19] if sent else "")


def test_markdown_has_the_totals_of_report_json(told: Told) -> None:
    report, tables = told.report, read_tables(told.formats["markdown"])

    assert tables["Totals"] == [numbers(report["totals"])]
    for title in ("Waves", "Gateways"):
        named = report[title.lower()]
        assert [row[:8] for row in tables[title]] == [numbers(each["totals"]) for each in named]
    causes = tables.get("What is not down, by cause", [])
    assert sum(row[0] for row in causes) == told.causes.total()


def read_tables(text: str) -> dict[str, list[list[int]]]:
    """Return the numbers of each row of the first table under each title."""
    tables: dict[str, list[list[int]]] = {}
    for part in text.split("\n## ")[1:]:
        lines = [line for line in part.splitlines() if line.startswith("| ")]
        tables[part.splitlines()[0]] = [
            [int(cell) for cell in re.findall(r"(?<=\| )[0-9]+(?= \|)", line)] for line in lines[1:]
        ]
    return tables


def numbers(totals: Mapping[str, int]) -> list[int]:
    return list(totals.values())


def test_html_has_the_totals_and_the_targets_of_report_json(told: Told) -> None:
    report, root = told.report, markup.document_fromstring(told.formats["html"])
    tiles = [" ".join(tile.text_content().split()) for tile in root.find_class("tile")]
    wanted = {
        name.replace("_", " "): number for name, number in report["totals"].items() if name != "targets"
    }
    keys = ("id", "gateway", "wave", "outcome", "reason", "evidence", "seconds")

    assert tiles == [f"{name} {number}" for name, number in wanted.items()]
    assert [tuple(row[key] for key in keys) for row in read_rows(root)] == [
        tuple(target[key] for key in keys) for target in report["targets"]
    ]
