"""The parts of Apinizer's replies: errors in either envelope, rows in either shape, what they amount to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.gateways.apinizer.replies import (
    NAMELESS,
    ErrorEnvelope,
    find_error,
    is_success,
    judge_error,
    judge_rejection,
    list_rows,
    make_reading,
    may_be_hidden,
    names_another_target,
    read_rollback,
    read_undeploy,
    read_undeploy_with_care,
)
from orchestrator.gateways.naming import OF_ANOTHER
from orchestrator.model.http import Reply
from orchestrator.model.reading import Reading, Verdict
from tests.support.recorded import PARTS, target

OURS = target(*PARTS["apinizer"])
PROJECT, NAME, ENVIRONMENT = PARTS["apinizer"]
ROW: dict[str, Any] = {"success": True, "environmentName": ENVIRONMENT}
POD: dict[str, Any] = {"success": True, "podName": "w1", "envName": ENVIRONMENT}


def answer(status: int, fields: Any, **headers: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, names, json.dumps(fields).encode(), 0.0)


def undeploy(code: int, **fields: Any) -> Reading:
    return read_undeploy(OURS, answer(code, fields))


def by_pods(*pods: dict[str, Any], **overall: Any) -> dict[str, Any]:
    """The body of a reply in the shape that names pods."""
    return {"status": "SUCCESS", "deploymentResult": {"success": True, "detailList": list(pods), **overall}}


def say(code: str | None, plain: str) -> ErrorEnvelope:
    """An error that names nothing of another target."""
    return ErrorEnvelope(code, plain, of_another=False)


# --- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code", "plain"),
    [
        (None, None, None),
        ({}, None, None),
        ({"error": "Not Found"}, None, None),
        ({"error": 404}, None, None),
        ({"status": "SUCCESS"}, None, None),
        ({"status": "FAILURE"}, None, ""),
        ({"error": "not_found"}, "not_found", ""),
        ({"error": "e2_x", "error_description": "No"}, "e2_x", "no"),
        ({"resultMessage": "First", "error_description": "second"}, None, "first"),
        ({"resultMessage": " ", "error_description": "second"}, None, "second"),
        ({"error": "Bad", "resultMessage": "x"}, None, "x"),
        ({"resultMessage": f"Proxy ({NAME}) of (name: {PROJECT}) x"}, None, "proxy () of () x"),
        ({"resultMessage": "Proxy (not found) x"}, None, "proxy () x"),
    ],
)
def test_an_error_is_one_by_its_code_its_text_or_its_status(
    body: dict[str, Any] | None, code: str | None, plain: str | None
) -> None:
    found = find_error(body, OURS)

    assert (found and found.code, found and found.plain) == (code, plain)


@pytest.mark.parametrize(
    ("text", "of_another"),
    [
        (f"ApiProxy with name ({NAME}) is not found!", False),
        ("ApiProxy with name (elsewhere) is not found!", True),
        ("Api Proxy (elsewhere) is not found", True),
        (f"Project ({PROJECT}): ApiProxy ({NAME}) is not found", False),
        (f"Project ({PROJECT}): ApiProxy (elsewhere) is not found", True),
        ("PROJECT (elsewhere) not found", True),
        ("environment (name: elsewhere) not found", True),
        (f"environment (name: {ENVIRONMENT}) not found", False),
        ("pod (elsewhere) not found", False),
        (f"ApiProxy ({NAME[:3]}", False),
        ("ApiProxy (", False),
        ("ApiProxy (elsewhere", True),
    ],
)
def test_a_text_is_about_another_target_where_it_names_another_thing(text: str, of_another: bool) -> None:
    found = find_error({"resultMessage": text}, OURS)

    assert found is not None
    assert found.of_another is of_another
    nameless = find_error({"resultMessage": text}, NAMELESS)
    assert nameless is not None
    assert not nameless.of_another


@pytest.mark.parametrize("name", ["Pay (old)", "Project (x)", "a) b", "(", "x (y (z))"])
def test_a_name_with_brackets_is_still_ours(name: str) -> None:
    ours = target(PROJECT, name, ENVIRONMENT)
    text = f"ApiProxy ({name}) is not found in Environment ({ENVIRONMENT})"
    own = find_error({"resultMessage": text}, ours)
    others = find_error({"resultMessage": text.replace(f"({ENVIRONMENT})", "(elsewhere)")}, ours)

    assert own is not None
    assert others is not None
    assert (own.of_another, others.of_another) == (False, True)


def test_a_name_with_brackets_is_ours_also_in_other_letters() -> None:
    found = find_error(
        {"resultMessage": "ApiProxy (X (Y)) is not found"}, target(PROJECT, "x (y)", ENVIRONMENT)
    )

    assert found is not None
    assert not found.of_another


@pytest.mark.parametrize(
    ("code", "plain", "verdict"),
    [
        (None, "you have no required permission", Verdict.REFUSED),
        ("not_found", "required permission", Verdict.REFUSED),
        (None, "token is not valid", Verdict.DENIED),
        (None, "the token was expired", Verdict.DENIED),
        (None, "invalid token", Verdict.DENIED),
        (None, "user must be authenticated", Verdict.DENIED),
        ("not_found", "", Verdict.ABSENT),
        ("not_found", "odd", Verdict.ABSENT),
        (None, "project () is not found", Verdict.ABSENT),
        (None, "project () is not found or no privilege", Verdict.ABSENT),
        (None, "no privilege", Verdict.REFUSED),
        ("bad_request", "odd", None),
        (None, "", None),
    ],
)
def test_words_that_leave_no_choice_have_their_verdict(
    code: str | None, plain: str, verdict: Verdict | None
) -> None:
    assert judge_error(say(code, plain)) is verdict
    assert judge_error(None) is None


@pytest.mark.parametrize(
    ("plain", "missing"),
    [
        ("the proxy was deleted, it does not exist", True),
        ("the pod was lost, it does not exist", False),
        ("proxy is up, it was not found", True),
        ("not found: api proxy ()", True),
        ("not found: api proxy (), ask the owner of the gateway", True),
        ("not found: gateway pod", False),
        ("not found", False),
        ("sorry; environment () doesn't exist", True),
        ("the given api-proxy could not be found", True),
        ("such project does not exist because a node was not found", True),
        ("environment () cannot be reached - the worker does not exist", False),
        ("environment () pod not found", False),
        ("deploy history is not found for api proxy ()", False),
    ],
)
def test_the_clause_with_not_found_must_begin_with_our_thing(plain: str, missing: bool) -> None:
    assert (judge_error(say(None, plain)) is Verdict.ABSENT) is missing


@pytest.mark.parametrize(
    ("error", "hidden"),
    [
        (None, False),
        (say("not_found", ""), True),
        (say("not_found", "no privilege or project not found"), True),
        (say("not_found", "the pod was not found"), True),
        (say("not_found", "project () not found"), False),
        (say("not_found", "no route matched"), True),
    ],
)
def test_a_target_may_be_hidden_where_the_words_leave_that_open(
    error: ErrorEnvelope | None, hidden: bool
) -> None:
    assert may_be_hidden(error) is hidden


# --- rows -------------------------------------------------------------------------------------------------


def test_rows_come_in_the_order_of_the_reply_however_deep() -> None:
    result = {
        "success": True,
        "deploymentResults": [
            {
                "environmentName": "e1",
                "success": True,
                "detailList": [{"podName": "w1"}, {"podIp": "10.0.0.2"}],
            },
            {"envName": "e2", "success": False, "detail": "no", "message": "more"},
        ],
        "detailList": [{"success": "true", "podName": "w3", "message": "odd"}],
    }
    rows = list_rows({"deploymentResult": result})

    assert [(row.name, row.success, row.text, row.leaf) for row in rows] == [
        ("unnamed", True, None, False),
        ("e1", True, None, False),
        ("w1", None, None, True),
        ("10.0.0.2", None, None, True),
        ("e2", False, "no", True),
        ("w3", None, "odd", True),
    ]
    assert [row.is_placed for row in rows] == [False, True, True, True, True, True]


@pytest.mark.parametrize("body", [None, {}, {"deploymentResult": None}, {"deploymentResult": [ROW]}])
def test_without_a_result_there_are_no_rows(body: dict[str, Any] | None) -> None:
    assert list_rows(body) == ()


@pytest.mark.parametrize("below", ["odd", {"a": ROW}, [None], [7], [[ROW]]])
def test_a_row_that_cannot_be_read_is_one_that_says_nothing(below: Any) -> None:
    overall, row = list_rows({"deploymentResult": {"success": True, "detailList": below}})

    assert (row.name, row.success, row.leaf, row.is_placed) == ("unnamed", None, True, False)
    assert not overall.leaf


def test_a_row_that_cannot_be_read_hides_none_behind_it() -> None:
    rows = list_rows({"deploymentResult": {"success": True, "detailList": [None, POD]}})

    assert [(row.name, row.success) for row in rows[1:]] == [("unnamed", None), ("w1", True)]


@pytest.mark.parametrize(
    ("fields", "success"),
    [
        ({"success": True}, True),
        ({"success": True, "status": "SUCCESS"}, True),
        ({"success": True, "error": "x"}, None),
        ({"success": True, "status": "FAILURE"}, None),
        ({"success": False, "error": "x"}, False),
        ({"success": False, "status": "FAILURE"}, False),
        ({"success": 1}, None),
    ],
)
def test_a_row_that_contradicts_its_own_success_proves_nothing(
    fields: dict[str, Any], success: bool | None
) -> None:
    (row,) = list_rows({"deploymentResult": fields})

    assert row.success is success


@pytest.mark.parametrize(
    ("body", "success"),
    [
        ({"success": True}, True),
        ({"status": "SUCCESS"}, True),
        ({"success": True, "status": "SUCCESS"}, True),
        ({"success": True, "status": None}, True),
        ({"success": False, "status": "SUCCESS"}, False),
        ({"success": True, "status": "FAILURE"}, False),
        ({"success": True, "error": "x"}, False),
        ({"success": "true"}, False),
        ({"status": "success"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_the_outer_part_says_success_in_either_form_and_nowhere_the_opposite(
    body: dict[str, Any] | None, success: bool
) -> None:
    assert is_success(body) is success


@pytest.mark.parametrize(
    ("level", "another"),
    [
        ({}, False),
        ({"projectName": PROJECT, "apiProxyName": NAME, "environmentName": ENVIRONMENT}, False),
        ({"projectName": "x"}, True),
        ({"apiProxyName": "x"}, True),
        ({"proxyName": "x"}, True),
        ({"apiName": "x"}, True),
        ({"environmentName": "x"}, True),
        ({"envName": "x"}, True),
        ({"name": "x"}, False),
        ({"envName": None}, False),
    ],
)
def test_any_level_may_name_another_target(level: dict[str, Any], another: bool) -> None:
    assert names_another_target(OURS, level) is another
    assert names_another_target(OURS, {}, level) is another


# --- what the lane hears ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (answer(200, {"error": "rate_limit_exceeded"}), None),
        (answer(299, {}), None),
        (answer(300, {"error": "rate_limit_exceeded"}), Verdict.BUSY),
        (answer(400, {"error": "rate_limit_exceeded"}), Verdict.BUSY),
        (answer(429, {}), Verdict.BUSY),
        (answer(503, {}, retry_after="3"), Verdict.BUSY),
        (answer(503, {}), None),
        (answer(502, {}, retry_after="3"), None),
        (answer(401, {}), Verdict.DENIED),
        (answer(403, {}), None),
    ],
)
def test_a_reply_concerns_the_whole_lane_by_its_status_or_its_code(
    reply: Reply, verdict: Verdict | None
) -> None:
    assert judge_rejection(reply, json.loads(reply.body)) is verdict


@pytest.mark.parametrize(
    ("fields", "header", "wait"),
    [({"retry_after": 7}, "3", 7.0), ({}, "3", 3.0), ({"retry_after": 0}, "3", 3.0), ({}, "soon", None)],
)
def test_the_wait_of_a_busy_gateway_is_in_its_body_or_its_header(
    fields: dict[str, Any], header: str, wait: float | None
) -> None:
    reply = answer(429, fields, retry_after=header)

    assert make_reading(Verdict.BUSY, reply, fields).wait == wait
    assert make_reading(Verdict.DOUBT, reply, fields).wait is None


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"error": "bad_request", "error_description": "No"}, "bad_request", "No"),
        ({"error": "Bad request"}, None, "Bad request"),
        ({"error": {"a": 1}}, None, "HTTP 400, JSON without a message of the vendor (19 bytes)"),
        ({"resultMessage": "First", "error": "e"}, "e", "First"),
    ],
)
def test_a_reading_has_the_vendor_s_code_and_words(
    fields: dict[str, Any], code: str | None, message: str
) -> None:
    found = make_reading(Verdict.REFUSED, answer(400, fields), fields)

    assert (found.code, found.message) == (code, message)
    assert make_reading(Verdict.REFUSED, answer(400, fields), fields, message="own").message == "own"


# --- an undeploy ------------------------------------------------------------------------------------------


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, by_pods(POD, POD), Verdict.REMOVED),
        (200, by_pods({**POD, "sign": 1}), Verdict.REMOVED),
        (200, by_pods({"success": True, "podName": "w1"}), Verdict.REMOVED),
        (200, by_pods({"success": True}), Verdict.STRANGE),
        (200, by_pods(POD, {"success": True}), Verdict.STRANGE),
        (200, by_pods({**POD, "envName": ENVIRONMENT.upper()}), Verdict.STRANGE),
        (200, by_pods({**POD, "envName": "elsewhere"}), Verdict.STRANGE),
        (200, by_pods({**POD, "success": "true"}), Verdict.STRANGE),
        (200, by_pods(), Verdict.STRANGE),
        (200, by_pods(POD, success=None), Verdict.STRANGE),
        (201, by_pods(POD), Verdict.STRANGE),
        (302, {}, Verdict.STRANGE),
        (399, {}, Verdict.STRANGE),
        (400, {}, Verdict.CONTESTED),
        (403, {}, Verdict.REFUSED),
        (407, {}, Verdict.REFUSED),
        (408, {}, Verdict.DOUBT),
        (409, {}, Verdict.REFUSED),
        (499, {}, Verdict.REFUSED),
        (500, {}, Verdict.DOUBT),
        (500, {"error": "not_found"}, Verdict.DOUBT),
        (404, {}, Verdict.ELSEWHERE),
        (404, {"error": "not_found"}, Verdict.ABSENT),
        (404, {"error": "odd_code"}, Verdict.REFUSED),
        (403, {"error": "not_found"}, Verdict.REFUSED),
        (409, {"resultMessage": "Project not found"}, Verdict.REFUSED),
        (400, {"resultMessage": "invalid token"}, Verdict.DENIED),
    ],
)
def test_what_a_reply_to_an_undeploy_means(status: int, body: dict[str, Any], verdict: Verdict) -> None:
    found = read_undeploy(OURS, answer(status, body))

    assert found.verdict is verdict
    assert read_undeploy_with_care(OURS, answer(status, body)) == found
    evidence = {Verdict.REMOVED: "deploymentResult", Verdict.ABSENT: "code"}
    assert found.evidence == evidence.get(verdict)


@pytest.mark.promise(3)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_false_row_under_success_is_partial_with_every_status(status: int) -> None:
    failed = {"success": False, "podName": "w2", "envName": ENVIRONMENT, "message": "timeout"}
    found = undeploy(status, **by_pods(POD, failed))

    assert (found.verdict, found.pods, found.more_pods, found.pod_count) == (Verdict.PARTIAL, ("w2",), 0, 2)
    assert found.message == "w2: timeout"


def test_an_overall_failure_whose_rows_are_fine_is_told_in_its_own_words() -> None:
    found = undeploy(200, **by_pods(POD, success=False, message="not all"))

    assert (found.verdict, found.pods, found.pod_count, found.message) == (Verdict.PARTIAL, (), 1, "not all")
    assert undeploy(200, **by_pods(POD, success=False)).message is not None


def test_of_environments_that_failed_the_pods_below_are_named() -> None:
    failed = {"success": False, "podName": "w2"}
    environments = [
        {"success": False, "environmentName": ENVIRONMENT, "detailList": [POD, failed]},
        {
            "success": False,
            "environmentName": ENVIRONMENT,
            "detailList": [{"success": True, "podName": "w3"}],
        },
    ]
    body = {"status": "SUCCESS", "deploymentResult": {"success": False, "deploymentResults": environments}}
    found = undeploy(200, **body)
    without = undeploy(
        200, status="SUCCESS", deploymentResult={"success": False, "deploymentResults": environments[1:]}
    )

    assert (found.pods, found.pod_count, found.message) == (("w2",), 3, "w2")
    assert (without.pods, without.pod_count) == ((ENVIRONMENT,), 1)


@pytest.mark.parametrize(("count", "counted"), [(8, ""), (9, "9 of 10 failed: ")])
def test_many_failures_are_counted_before_the_first_of_them(count: int, counted: str) -> None:
    failed = [{"success": False, "podName": f"w{number}"} for number in range(count)]
    message = undeploy(200, **by_pods(POD, *failed)).message or ""

    assert message == counted + "; ".join(f"w{number}" for number in range(8))


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_result_without_success_outside_is_no_proof_and_what_was_tried_exists(status: int) -> None:
    tried = {
        "success": False,
        "detailList": [{"success": False, "podName": "w2", "message": "Project not found"}],
    }
    found = undeploy(status, error="not_found", deploymentResult=tried)

    assert found.verdict is (Verdict.DOUBT if status == 500 else Verdict.CONTESTED)
    if status < 500:
        assert found.message == "w2: Project not found"
    alone = undeploy(400, error="not_found", error_description="Project not found", deploymentResult={})
    assert alone.verdict is Verdict.ABSENT, "a result without rows shows nothing that was tried"


def test_what_names_another_target_says_nothing_of_ours() -> None:
    for body in ({"projectName": "x", **by_pods(POD)}, by_pods({**POD, "apiProxyName": "x"})):
        found = read_undeploy(OURS, answer(200, body))
        assert (found.verdict, found.message) == (Verdict.STRANGE, OF_ANOTHER)


@pytest.mark.promise(4)
@pytest.mark.parametrize(
    ("status", "code", "verdict", "hidden"),
    [
        (404, "not_found", Verdict.ABSENT, True),
        (400, "not_found", Verdict.ABSENT, True),
        (400, "bad_request", Verdict.CONTESTED, False),
        (404, "bad_request", Verdict.CONTESTED, False),
    ],
)
def test_a_missing_target_that_is_another_one_is_never_gone_as_wanted(
    status: int, code: str, verdict: Verdict, hidden: bool
) -> None:
    text = "ApiProxy with name (elsewhere) is not found!"
    found = undeploy(status, error=code, error_description=text)

    assert (found.verdict, found.hidden) == (verdict, hidden)
    assert found.message == f"{OF_ANOTHER}: {text}"
    assert (found.evidence == "code") == (verdict is Verdict.ABSENT)


def test_a_bare_404_names_what_to_check() -> None:
    assert undeploy(404).hint == "check url: it is the manager's address, without /apiops"
    assert undeploy(500).hint == ""


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    ("status", "body", "is_answer"),
    [
        (200, {"success": True}, True),
        (200, {"status": "SUCCESS", "resultMessage": "done"}, True),
        (200, {"status": "SUCCESS", "deploymentResult": None}, True),
        (202, {"success": True}, False),
        (200, {"success": "true"}, False),
        (200, {"success": False}, False),
        (200, {}, False),
        (200, {"success": True, "proxyName": "another"}, False),
        (302, {"success": True}, False),
    ],
)
def test_a_success_without_a_result_proves_nothing_and_is_no_fault_of_the_gateway(
    status: int, body: dict[str, Any], is_answer: bool
) -> None:
    for read in (read_undeploy, read_rollback):
        found = read(OURS, answer(status, body))
        assert (found.verdict, found.is_answer) == (Verdict.STRANGE, is_answer)


# --- a rollback -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, by_pods(POD), Verdict.STRANGE),
        (200, by_pods({**POD, "success": False}), Verdict.STRANGE),
        (400, {"resultMessage": "Revision 7 of project not found"}, Verdict.REFUSED),
        (404, {"error": "not_found", "error_description": "Revision was not found"}, Verdict.REFUSED),
        (404, {"error": "not_found", "error_description": "Revision is odd"}, Verdict.ABSENT),
        (404, {"error": "not_found", "error_description": "Project not found"}, Verdict.ABSENT),
        (400, {"resultMessage": "odd"}, Verdict.CONTESTED),
        (500, {"resultMessage": "Revision not found"}, Verdict.DOUBT),
        (500, by_pods({**POD, "success": False}), Verdict.PARTIAL),
        (401, {}, Verdict.DENIED),
    ],
)
def test_a_rollback_is_proved_by_a_look_alone_and_a_missing_revision_is_no_missing_proxy(
    status: int, body: dict[str, Any], verdict: Verdict
) -> None:
    assert read_rollback(OURS, answer(status, body)).verdict is verdict


@pytest.mark.parametrize("pod", [POD, {**POD, "success": False}])
def test_a_rollback_that_names_pods_is_an_answer_of_the_gateway_and_none_of_its_faults(
    pod: dict[str, Any],
) -> None:
    assert read_rollback(OURS, answer(200, by_pods(pod))).is_answer
