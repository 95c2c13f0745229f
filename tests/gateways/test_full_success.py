"""The quick reader of a full success never believes what the careful one does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.gateways.apinizer.full_success import count_proven_rows
from orchestrator.gateways.apinizer.replies import FULL_EVIDENCE, read_undeploy_with_care
from orchestrator.model.http import Reply
from orchestrator.model.reading import Verdict
from orchestrator.model.target import Target, TargetId

TARGET = Target(1, TargetId("apim/P/api/prod"), "apim", 0, ("P", "api", "prod"))

ROW = {"environmentName": "prod", "success": True, "message": "Undeployment successful"}
POD = {"envName": "prod", "podName": "w-1", "podIp": "10.0.0.1", "success": True, "responseTime": 41}
BY_ENVIRONMENT = {"success": True, FULL_EVIDENCE: {"success": True, "deploymentResults": [ROW]}}
BY_POD = {
    "status": "SUCCESS",
    "resultMessage": "done: all of it",
    FULL_EVIDENCE: {"success": True, "responseTime": 80.5, "detailList": [POD, {**POD, "podName": "w-2"}]},
}

VALUES = st.sampled_from(
    [True, False, None, "true", "SUCCESS", "FAILURE", "prod", "PROD", "test", "", " ", "a:b", 0, 1, [], {},
     [None], [ROW]]
)  # fmt: skip
KEYS = st.sampled_from(
    ["success", "status", "error", "environmentName", "envName", "apiProxyName", "podName", "detailList",
     "deploymentResults", "resultMessage", "deploymentResult"]
)  # fmt: skip


def make_reply(body: bytes, status: int = 200) -> Reply:
    """Return a reply of the manager."""
    return Reply(status, {"content-type": "application/json;charset=UTF-8"}, body, 0.0)


def write(value: Any) -> str:
    """Return JSON; of an object that is written as pairs, a key may stand there twice."""
    if isinstance(value, list) and value and all(isinstance(one, tuple) for one in value):
        return "{" + ",".join(f"{json.dumps(key)}: {write(each)}" for key, each in value) + "}"
    if isinstance(value, dict):
        return write(list(value.items())) if value else "{}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    return json.dumps(value)


@st.composite
def spoilt_bodies(draw: st.DrawFn) -> str:
    """Draw one of the two shapes with a few keys replaced, added, repeated or left out, on any level."""
    body = draw(st.sampled_from([BY_ENVIRONMENT, BY_POD]))

    def spoil(value: Any) -> Any:
        if isinstance(value, list):
            return [spoil(one) for one in value]
        if not isinstance(value, dict):
            return value
        pairs = [(key, spoil(each)) for key, each in value.items()]
        match draw(st.integers(0, 5)):
            case 0:
                pairs.append((draw(KEYS), draw(VALUES)))
            case 1:
                pairs.insert(0, (draw(KEYS), draw(VALUES)))
            case 2:
                pairs.pop(draw(st.integers(0, len(pairs) - 1)))
        return pairs or {}

    text = write(spoil(body))
    return text.replace(":", "\\u003a", 1) if draw(st.integers(0, 20)) == 0 else text


@given(spoilt_bodies(), st.sampled_from([200, 200, 200, 202, 400, 500]))
def test_what_the_quick_reader_believes_the_careful_one_believes(text: str, status: int) -> None:
    reply = make_reply(text.encode(), status)
    if rows := count_proven_rows(TARGET, reply):
        careful = read_undeploy_with_care(TARGET, reply)
        assert (careful.verdict, careful.evidence) == (Verdict.REMOVED, FULL_EVIDENCE)
        assert careful.pod_count == rows


@pytest.mark.parametrize(("body", "rows"), [(BY_ENVIRONMENT, 1), (BY_POD, 2)])
def test_both_documented_shapes_are_read_quickly(body: dict[str, Any], rows: int) -> None:
    assert count_proven_rows(TARGET, make_reply(json.dumps(body).encode())) == rows


HEAD = b'{"success": true, "deploymentResult": {"success": true, "deploymentResults": '
PROD = b'"environmentName": "prod"'


@pytest.mark.parametrize(
    "body",
    [
        HEAD.replace(b"{", b'{"success": false, ', 1) + b"[{" + PROD + b', "success": true}]}}',
        HEAD + b"[{" + PROD + b', "success": false, "succ\\u0065ss": true, "message": "a\\u003ab"}]}}',
        HEAD + b"[]}}",
        HEAD + b'[{"success": true}]}}',
        HEAD.replace(b'"success": true, ', b"", 1) + b"[{" + PROD + b', "success": true}]}}',
        HEAD + b'[{"environmentName": "pr\xff", "success": true}]}}',
        b"<html>",
        b"",
    ],
)
def test_anything_else_is_left_to_the_careful_reader(body: bytes) -> None:
    assert count_proven_rows(TARGET, make_reply(body)) == 0


@pytest.mark.parametrize("status", [201, 202, 204, 400, 500])
def test_a_success_has_the_status_200(status: int) -> None:
    assert count_proven_rows(TARGET, make_reply(json.dumps(BY_POD).encode(), status)) == 0


TEST = {**ROW, "environmentName": "test"}


def make_overall(**fields: Any) -> dict[str, Any]:
    """Return a success by environment whose overall result says something else."""
    return {**BY_ENVIRONMENT, FULL_EVIDENCE: {**BY_ENVIRONMENT[FULL_EVIDENCE], **fields}}


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({**BY_POD, "success": True}, 2),
        ({**BY_POD, "success": False}, 0),
        ({**BY_ENVIRONMENT, "status": "FAILURE"}, 0),
        ({**BY_POD, "status": "FAILURE"}, 0),
        ({FULL_EVIDENCE: BY_POD[FULL_EVIDENCE]}, 0),
        (make_overall(success=False), 0),
        (make_overall(environmentName="prod"), 1),
        (make_overall(envName="prod", environmentName="prod"), 1),
        (make_overall(environmentName="test"), 0),
        (make_overall(envName="test", environmentName="prod"), 0),
        (make_overall(deploymentResults=[ROW, ROW]), 2),
        (make_overall(deploymentResults=[ROW, TEST]), 0),
        (make_overall(deploymentResults=[ROW, {**ROW, "success": False}]), 0),
        (make_overall(deploymentResults=[{**ROW, "envName": "prod"}]), 1),
        (make_overall(deploymentResults=[{**ROW, "envName": "test"}]), 0),
        (make_overall(deploymentResults=[ROW, {"success": True, "podName": "w-1"}]), 0),
        (make_overall(detailList=[POD]), 0),
        (make_overall(deploymentResults=[]), 0),
        (make_overall(sign="x"), 0),
    ],
)
def test_every_row_names_the_environment_and_nothing_says_anything_else(
    body: dict[str, Any], rows: int
) -> None:
    assert count_proven_rows(TARGET, make_reply(json.dumps(body).encode())) == rows


@pytest.mark.parametrize("text", ["a: b", "a\\u003ab", "a\\u003Ab"])
def test_a_colon_in_a_text_does_not_hide_a_key_that_stands_there_twice(text: str) -> None:
    once = b'{"success": true, "resultMessage": "%s", "deploymentResult": {"success": true, ' % text.encode()
    rows = b'"deploymentResults": [{"environmentName": "prod", "success": true}]}}'

    assert count_proven_rows(TARGET, make_reply(once + rows)) == ("u003" not in text)
    assert count_proven_rows(TARGET, make_reply(once + b'"success": true, ' + rows)) == 0
