"""The parts of ROMA Connect's replies: errors in any spelling, states, policies, what they amount to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.gateways.naming import OF_ANOTHER
from orchestrator.gateways.roma.replies import (
    ErrorReply,
    give_hint,
    judge_definition,
    make_reading,
    parse_error,
    read_definition,
    read_look,
    read_refusal,
    read_refused_look,
    read_refused_publish,
    tell_no_absence,
)
from orchestrator.model.http import Reply
from orchestrator.model.reading import LookFacts, Reading, Verdict
from tests.support.recorded import PARTS

API = PARTS["roma"][0]
FRONT = "5f918d104dc84480a75166ba99efff21"
GONE, NO_INSTANCE, NO_PATH, NO_SERVICE = "APIG.3084", "APIG.3030", "APIGW.0101", "APIGW.0103"


def answer(status: int, fields: Any = None, **headers: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, names, b"" if fields is None else json.dumps(fields).encode(), 0.0)


def fault(code: str | None, text: str = "said") -> dict[str, str]:
    return {"error_msg": text} | ({"error_code": code} if code else {})


# --- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"error_code": "A.1", "error_msg": "one"}, "A.1", "one"),
        ({"errorCode": "A.1", "errorMsg": "one"}, "A.1", "one"),
        ({"code": " A.1 ", "message": "one"}, "A.1", "one"),
        ({"error": {"error_code": "A.1", "error_msg": "one"}}, "A.1", "one"),
        ({"message": "outer", "error": {"code": "A.1", "message": "inner"}}, "A.1", "inner"),
        ({"message": "outer", "error": {"code": "A.1"}}, "A.1", "outer"),
        ({"code": "A.1", "error": {"code": "B.2", "message": "inner"}}, "A.1", "inner"),
        ({"message": "alone"}, None, "alone"),
        ({"code": 7}, None, "HTTP 400, JSON without a message of the vendor (11 bytes)"),
        (None, None, "HTTP 400 without a body"),
    ],
)
def test_an_error_has_its_code_and_its_text_under_any_spelling_and_one_level_down(
    fields: Any, code: str | None, text: str
) -> None:
    assert parse_error(answer(400, fields)) == ErrorReply(code, text)


@pytest.mark.promise(4)
@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (200, GONE, Verdict.STRANGE),
        (302, None, Verdict.STRANGE),
        (399, GONE, Verdict.STRANGE),
        (400, GONE, Verdict.ABSENT),
        (500, GONE, Verdict.ABSENT),
        (401, None, Verdict.DENIED),
        (401, GONE, Verdict.DENIED),
        (400, "APIGW.0301", Verdict.DENIED),
        (499, "APIG.1002", Verdict.DENIED),
        (500, "APIG.1002", Verdict.DOUBT),
        (429, None, Verdict.BUSY),
        (403, "APIC.0308", Verdict.BUSY),
        (500, "APIC.0308", Verdict.DOUBT),
        (404, NO_SERVICE, Verdict.DOUBT),
        (400, NO_SERVICE, Verdict.CONTESTED),
        (404, None, Verdict.ELSEWHERE),
        (404, "A.1", Verdict.ELSEWHERE),
        (400, NO_INSTANCE, Verdict.ELSEWHERE),
        (500, NO_PATH, Verdict.ELSEWHERE),
        (400, None, Verdict.CONTESTED),
        (400, "ROMA.1006", Verdict.REFUSED),
        (403, None, Verdict.REFUSED),
        (403, "ROMA.12001", Verdict.REFUSED),
        (408, None, Verdict.DOUBT),
        (409, None, Verdict.REFUSED),
        (499, None, Verdict.REFUSED),
        (500, None, Verdict.DOUBT),
        (503, None, Verdict.DOUBT),
    ],
)
def test_the_code_of_a_refusal_counts_before_its_status(
    status: int, code: str | None, verdict: Verdict
) -> None:
    found = read_refusal(answer(status, fault(code)), "v1")

    assert found.verdict is verdict
    assert (found.code, found.message) == (code, "said")
    assert found.evidence == ("code" if verdict is Verdict.ABSENT else None)
    assert bool(found.hint) == (verdict is Verdict.ELSEWHERE)


def test_a_503_that_names_a_wait_is_the_lane_s() -> None:
    assert read_refusal(answer(503, retry_after="3"), "v1").verdict is Verdict.BUSY
    assert read_refusal(answer(502, retry_after="3"), "v1").verdict is Verdict.DOUBT


@pytest.mark.parametrize(
    ("code", "version", "hint"),
    [
        (NO_INSTANCE, "v1", "check instance_id, project_id and the region in url"),
        (NO_INSTANCE, "v2", "check instance_id, project_id and the region in url"),
        (None, "v1", "try api_version: v2"),
        (NO_PATH, "v1", "try api_version: v2"),
        ("A.1", "v1", "check url, project_id and instance_id"),
        (None, "v2", "check url, project_id and instance_id"),
        (NO_PATH, "v2", "check url, project_id and instance_id"),
    ],
)
def test_a_wrong_place_has_a_hint_to_the_key_that_is_wrong(code: str | None, version: Any, hint: str) -> None:
    assert give_hint(code, version) == hint


@pytest.mark.promise(4)
@pytest.mark.parametrize(
    ("text", "is_ours"),
    [
        (f"The API does not exist. id:{API}", True),
        (f"ld_api_id = '{API}' does not exist", True),
        ("The API does not exist. id:another", False),
        (f"id: another, id: {API}", True),
        ("id: another, ID: athird", False),
        ("The API does not exist", True),
    ],
)
def test_a_missing_api_is_ours_unless_all_ids_in_the_text_are_others(text: str, is_ours: bool) -> None:
    undeploy, look = (
        read_refusal(answer(404, fault(GONE, text)), "v1", API),
        read_refused_look(answer(404, fault(GONE, text)), API),
    )

    assert undeploy.verdict is (Verdict.ABSENT if is_ours else Verdict.STRANGE)
    assert look.verdict is (Verdict.ABSENT if is_ours else Verdict.UNCLEAR)
    for found in (undeploy, look):
        assert found.message == (text if is_ours else f"{OF_ANOTHER}: {text}")
    assert read_refusal(answer(404, fault(GONE, text)), "v1").verdict is Verdict.ABSENT
    assert read_refused_look(answer(404, fault(GONE, text))).verdict is Verdict.ABSENT


def test_ids_far_behind_in_a_text_say_nothing() -> None:
    text = f"{'x' * 2048} id: another"

    assert read_refusal(answer(404, fault(GONE, text)), "v1", API).verdict is Verdict.ABSENT
    assert read_refusal(answer(404, fault(GONE, f"id: another {text}")), "v1", API).verdict is Verdict.STRANGE


def test_an_id_in_the_text_of_another_refusal_says_nothing() -> None:
    assert read_refusal(answer(400, fault("A.1", "id: another")), "v1", API).verdict is Verdict.CONTESTED


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (404, None, Verdict.REFUSED),
        (404, GONE, Verdict.REFUSED),
        (404, NO_PATH, Verdict.REFUSED),
        (404, NO_INSTANCE, Verdict.ELSEWHERE),
        (404, NO_SERVICE, Verdict.DOUBT),
        (500, None, Verdict.DOUBT),
        (403, None, Verdict.REFUSED),
    ],
)
def test_a_publish_has_come_to_the_right_place_unless_its_instance_is_missing(
    status: int, code: str | None, verdict: Verdict
) -> None:
    found = read_refused_publish(answer(status, fault(code)), "v1")

    assert found.verdict is verdict
    assert bool(found.hint) == (verdict is Verdict.ELSEWHERE)
    assert found.evidence is None


# --- looks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (404, None, Verdict.NOT_OFFERED),
        (404, NO_PATH, Verdict.NOT_OFFERED),
        (404, NO_SERVICE, Verdict.UNCLEAR),
        (404, GONE, Verdict.ABSENT),
        (400, None, Verdict.UNCLEAR),
        (302, None, Verdict.UNCLEAR),
        (500, None, Verdict.UNCLEAR),
        (401, None, Verdict.DENIED),
        (429, None, Verdict.BUSY),
    ],
)
def test_a_refused_look_closes_no_lane(status: int, code: str | None, verdict: Verdict) -> None:
    found = read_look("show", API, answer(status, fault(code)))

    assert found.verdict is verdict
    assert found.hint == ""


def test_a_read_of_many_finds_no_single_api_missing() -> None:
    absent = read_refused_look(answer(404, fault(GONE)))
    other = read_refused_look(answer(500))

    told = tell_no_absence(absent)
    assert (told.verdict, told.evidence, told.code) == (Verdict.UNCLEAR, None, GONE)
    assert tell_no_absence(other) is other


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"status": 1}, Verdict.DOWN),
        ({"status": 3}, Verdict.DOWN),
        ({"status": 4}, Verdict.UP),
        ({"status": 2}, Verdict.UNCLEAR),
        ({"status": 0}, Verdict.UNCLEAR),
        ({"status": "4"}, Verdict.UNCLEAR),
        ({"status": True}, Verdict.UNCLEAR),
        ({}, Verdict.UNCLEAR),
        ({"status": 4, "error_code": "A.1"}, Verdict.UNCLEAR),
        ({"status": 4, "errorCode": "A.1"}, Verdict.UNCLEAR),
    ],
)
def test_only_the_documented_states_tell_anything(fields: dict[str, Any], verdict: Verdict) -> None:
    found = read_definition(fields, fields, "otherwise")

    assert judge_definition(fields) is verdict
    assert (found.verdict, found.kept) == (verdict, fields)
    assert found.message == ("otherwise" if verdict is Verdict.UNCLEAR else None)
    assert found.evidence == (None if verdict is Verdict.UNCLEAR else "look")


@pytest.mark.parametrize(
    ("changed", "revision"),
    [("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"), ("x" * 300, None), (None, None)],
)
def test_the_time_of_the_last_change_stands_for_a_revision_where_it_can_be_kept(
    changed: str | None, revision: str | None
) -> None:
    for status, deployed in ((4, True), (3, False)):
        found = read_definition({"status": status, "modified_time": changed}, None)
        assert found.facts == LookFacts(deployed=deployed, revision=revision)


@pytest.mark.parametrize(
    ("via", "fields", "verdict", "kept"),
    [
        ("show", {"id": API, "status": 4}, Verdict.UP, False),
        ("definition", {"id": API, "status": 4}, Verdict.UP, True),
        ("show", {"id": "another", "status": 4}, Verdict.UNCLEAR, False),
        ("definition", {"id": "another", "status": 4}, Verdict.UNCLEAR, False),
        ("show", [], Verdict.UNCLEAR, False),
        ("history", {"deploys": []}, Verdict.TOLD, True),
        ("history", {"id": "another"}, Verdict.TOLD, True),
        ("history", [], Verdict.UNCLEAR, False),
        (f"front/{FRONT}", {"id": FRONT, "ld_api_id": API}, Verdict.TOLD, True),
        (f"front/{FRONT}", {"id": FRONT}, Verdict.TOLD, True),
        (f"front/{FRONT}", {"id": API}, Verdict.UNCLEAR, False),
        (f"front/{FRONT}", {"id": FRONT, "ld_api_id": "another"}, Verdict.UNCLEAR, False),
        (f"front/{FRONT}", [], Verdict.UNCLEAR, False),
    ],
)
def test_a_read_is_believed_that_names_no_other_thing(
    via: str, fields: Any, verdict: Verdict, kept: bool
) -> None:
    found = read_look(via, API, answer(200, fields))

    assert (found.verdict, found.kept) == (verdict, fields if kept else None)
    if verdict is Verdict.UNCLEAR:
        assert found.message == (
            "HTTP 200, JSON without a message of the vendor (2 bytes)" if fields == [] else OF_ANOTHER
        )


@pytest.mark.promise(4)
@pytest.mark.parametrize(
    ("status", "code", "text", "verdict"),
    [
        (404, "APIG.3002", "no such API", Verdict.ABSENT),
        (404, "APIG.3002", f"no such API, id:{FRONT}", Verdict.ABSENT),
        (404, "APIG.3002", "no such API, id:another", Verdict.UNCLEAR),
        (404, "APIG.3002", f"no such API, id:another, id:{FRONT}", Verdict.ABSENT),
        (404, NO_INSTANCE, "no instance", Verdict.UNCLEAR),
        (404, NO_PATH, "no path", Verdict.UNCLEAR),
        (404, None, "no path", Verdict.UNCLEAR),
        (404, NO_SERVICE, "no service", Verdict.UNCLEAR),
        (500, "APIG.3002", "no such API", Verdict.UNCLEAR),
        (401, None, "no", Verdict.DENIED),
    ],
)
def test_a_front_end_api_is_gone_by_the_service_s_own_code_alone(
    status: int, code: str | None, text: str, verdict: Verdict
) -> None:
    found = read_look(f"front/{FRONT}", API, answer(status, fault(code, text)))

    assert found.verdict is verdict
    assert (found.code, found.message) == (code, text)


# --- waits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "header", "wait", "rate"),
    [
        ("limit:6,time:2 second", None, 2.0, 3.0),
        ("Limit: 6 , Time: 2 Minute", None, 120.0, 0.05),
        ("limit:3600,time:1hour", None, 3600.0, 1.0),
        ("limit:6,time:2 second", "7", 7.0, 3.0),
        ("limit:0,time:2 second", None, None, None),
        ("limit:6,time:0 second", None, None, None),
        ("slow down", None, None, None),
        ("slow down", "7", 7.0, None),
    ],
)
def test_a_throttling_policy_in_the_text_gives_the_rate_and_where_no_header_does_the_wait(
    text: str, header: str | None, wait: float | None, rate: float | None
) -> None:
    headers = {"retry_after": header} if header else {}
    reply = answer(429, **headers)
    busy = make_reading(Verdict.BUSY, reply, ErrorReply("A.1", text))

    assert (busy.wait, busy.rate) == (wait, pytest.approx(rate) if rate else rate)
    other = make_reading(Verdict.DOUBT, reply, ErrorReply("A.1", text))
    assert (other.wait, other.rate) == (None, None)


def test_a_reading_without_words_has_none() -> None:
    assert make_reading(Verdict.DOUBT, answer(500), ErrorReply(None, None)) == Reading(verdict=Verdict.DOUBT)
