"""report.json, schema 1."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

from msgspec.structs import replace

from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act
from tests.support.made_up_runs import (
    HOSTILE,
    STARTED,
    FakeReportSource,
    build_attempt,
    build_control,
    build_run,
    build_target,
    make_hostile_run,
    make_up_run,
    render_report,
)

TOTALS = [
    "targets",
    "undeployed",
    "already_undeployed",
    "failed",
    "unknown",
    "not_started",
    "requests",
    "retries",
]


def read(source: FakeReportSource) -> Any:
    return json.loads(render_report("json", source))


def test_the_whole_document() -> None:
    target = build_target(
        "apim/Retail/petstore-api/test",
        gateway="apim",
        evidence="deploymentResult",
        coordinates={"project": "Retail", "proxy": "petstore-api", "environment": "test"},
        attempts=(
            build_attempt(1, 500, None, "System error", seconds=0.12345),
            build_attempt(2, None, seconds=None, act=Act.LOOK, after=1.5),
        ),
    )
    totals = dict.fromkeys(TOTALS, 0) | {"targets": 1, "undeployed": 1, "requests": 2}

    assert read(FakeReportSource((target,), build_run(), controls=[build_control()])) == {
        "schema": 1,
        "run": {
            "id": "20261122-190003-7f3a",
            "act": "undeploy",
            "parent": None,
            "plan": "orders-retirement",
            "digest": "9c1b7a40e2d85f6633b0c4a1d7e8f92055aa10bb42cc93dd7e61f0a8b3c4d5e6",
            "rehearsal": False,
            "window": None,
            "approval": {"how": "none", "by": None},
            "sessions": [],
            "reason": "CHG-1042 scheduled maintenance",
            "started": "2026-11-22T19:00:03.412000Z",
            "ended": "2026-11-22T19:00:15.757600Z",
            "seconds": 12.346,
            "state": "complete",
            "stopped_by": None,
            "exit_status": 0,
            "journal_head": None,
            "engine": None,
        },
        "totals": totals,
        "gateways": [
            {
                "name": "apim",
                "kind": "apinizer",
                "url": "https://apim.example.com",
                "totals": totals,
                "seconds": {"p50": 0.123, "p95": 0.123, "p99": 0.123},
                "lane": "open",
                "warnings": [],
            }
        ],
        "waves": [{"name": "everything", "totals": totals}],
        "controls": [
            {
                "at": "2026-11-22T19:00:06.412000Z",
                "act": "limits roma-eu rate=5/s",
                "by": "alice",
                "from": "host-1, process 4711, pts/3",
            }
        ],
        "warnings": [],
        "targets": [
            {
                "id": "apim/Retail/petstore-api/test",
                "gateway": "apim",
                "kind": "apinizer",
                "wave": "everything",
                "project": "Retail",
                "proxy": "petstore-api",
                "environment": "test",
                "outcome": "undeployed",
                "reason": None,
                "evidence": "deploymentResult",
                "seconds": 0.123,
                "attempts": [
                    {
                        "number": 1,
                        "act": "undeploy",
                        "started": "2026-11-22T19:00:03.412000Z",
                        "seconds": 0.123,
                        "status": 500,
                        "code": None,
                        "message": "System error",
                    },
                    {
                        "number": 2,
                        "act": "look",
                        "started": "2026-11-22T19:00:04.912000Z",
                        "seconds": None,
                        "status": None,
                        "code": None,
                        "message": None,
                    },
                ],
            }
        ],
    }


def test_keys_stand_in_the_order_of_the_schema() -> None:
    report = read(FakeReportSource((build_target(),), build_run()))

    assert list(report) == ["schema", "run", "totals", "gateways", "waves", "controls", "warnings", "targets"]
    assert list(report["totals"]) == TOTALS
    assert list(report["targets"][0]) == [
        "id", "gateway", "kind", "wave", "ld_api_id", "outcome", "reason", "evidence", "seconds", "attempts",
    ]  # fmt: skip


def test_each_target_is_one_line() -> None:
    source = make_up_run(60)

    lines = [line for line in render_report("json", source).splitlines() if line.startswith('{"id":')]

    assert [json.loads(line.removesuffix(","))["id"] for line in lines] == [t.id for t in source.targets()]


def test_times_of_another_zone_become_utc() -> None:
    istanbul = timezone(timedelta(hours=3))
    run = replace(build_run(), started=STARTED.astimezone(istanbul), ended=None)
    attempt = replace(build_attempt(), started=datetime(2026, 11, 22, 22, 30, tzinfo=istanbul))

    report = read(FakeReportSource((build_target(attempts=(attempt,)),), run))

    assert report["run"]["started"] == "2026-11-22T19:00:03.412000Z"
    assert report["run"]["ended"] is None
    assert report["targets"][0]["attempts"][0]["started"] == "2026-11-22T19:30:00Z"


def test_every_outcome_is_written_as_its_word() -> None:
    report = read(FakeReportSource(tuple(build_target(f"roma-eu/{o}", o) for o in Outcome), build_run()))

    assert [target["outcome"] for target in report["targets"]] == [outcome.value for outcome in Outcome]


def test_a_run_without_targets_is_valid() -> None:
    report = read(FakeReportSource((), build_run()))

    lists = ("gateways", "waves", "controls", "targets")
    assert [report[name] for name in lists] == [[], [], [], []]


def test_hostile_texts_come_back_as_they_were() -> None:
    report = read(make_hostile_run())

    assert [target["attempts"][0]["message"] for target in report["targets"]] == list(HOSTILE)
    assert [control["act"] for control in report["controls"]] == list(HOSTILE)
