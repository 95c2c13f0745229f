"""The diagnoses as lines for people, and as JSON for programs."""

from __future__ import annotations

import json

from orchestrator.doctor import lines
from orchestrator.doctor.findings import CHECKS, Finding, GatewayDiagnosis, complete_findings

FINE = (
    Finding.ok("version", "v1"),
    Finding.ok("targets", "3 of 5 looked at: 3 deployed"),
    Finding.ok("latency", "12 ms (median of 6)", 0.012),
)


def make_diagnosis(name: str, *found: Finding) -> GatewayDiagnosis:
    return GatewayDiagnosis(
        gateway=name, kind="roma", url="https://g", findings=complete_findings(found), requests=6
    )


WELL = make_diagnosis("roma-eu", *FINE)
WARNED = make_diagnosis("apim", *FINE, Finding.warning("tls", "ends in 3 days", "have it renewed", 259200.0))
ILL = make_diagnosis(
    "x",
    Finding.failure("name", "the name x.invalid cannot be resolved", "check the url"),
    Finding.failure("credential", "TOKEN is not set", "set it"),
)


def test_one_line_a_gateway_says_what_matters_most_and_what_to_do() -> None:
    assert list(lines.list_summaries([WELL, WARNED, ILL])) == [
        "roma-eu  ok    v1; 3 of 5 looked at: 3 deployed; 12 ms (median of 6)",
        "apim     warn  tls: ends in 3 days; have it renewed",
        "x        fail  name: the name x.invalid cannot be resolved; check the url (and 1 more: --table)",
    ]


def test_a_row_for_each_check_of_each_gateway() -> None:
    rows = list(lines.list_rows([WELL, ILL]))

    assert [row[:2] for row in rows] == [(name, check) for name in ("roma-eu", "x") for check in CHECKS]
    assert ("x", "credential", "fail", "TOKEN is not set", "set it") in rows
    assert {len(row) for row in rows} == {len(lines.HEADINGS)}


def test_the_json_holds_every_check_and_its_number() -> None:
    document = json.loads(lines.render_json("a plan", [WARNED, ILL], at=1_795_000_000.0))

    assert (document["schema"], document["plan"]) == (1, "a plan")
    assert document["checked"] == "2026-11-18T11:06:40Z"
    assert [(one["name"], one["state"]) for one in document["gateways"]] == [("apim", "warn"), ("x", "fail")]
    assert document["gateways"][0].keys() == {"name", "kind", "url", "state", "requests", "checks"}
    assert {
        "check": "tls",
        "state": "warn",
        "text": "ends in 3 days",
        "advice": "have it renewed",
        "value": 259200.0,
        "unread": False,
    } in document["gateways"][0]["checks"]


def test_what_could_mislead_the_eye_is_made_visible() -> None:
    hostile = make_diagnosis("x", Finding.failure("answer", "ok\x1b[2J\n\u202eelif", "no"))

    for text in [
        *lines.list_summaries([hostile]),
        *(cell for row in lines.list_rows([hostile]) for cell in row),
    ]:
        assert text.isprintable()
