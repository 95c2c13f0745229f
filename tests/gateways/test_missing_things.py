"""What a manager misses is ours only where its words say so: a pod, a record or a licence is no proxy."""

from __future__ import annotations

import json

import pytest

from orchestrator.gateways.apinizer.replies import read_undeploy
from orchestrator.model.http import Reply
from orchestrator.model.reading import Reading, Verdict
from tests.support.recorded import PARTS, target

PROXY = target(*PARTS["apinizer"])
PROJECT, NAME, ENVIRONMENT = PARTS["apinizer"]

OURS = (
    f"ApiProxy with name ({NAME}) is not found!",
    f"The Api Proxy ({NAME}) was not found",
    f"ApiProxy with name ({NAME}) can not be deployed to Environment({ENVIRONMENT}) because it is not exist!",
    f"Undeployment failed: Environment ({ENVIRONMENT}) does not exist",
    f"Not found: ApiProxy ({NAME})",
    f"The requested project ({PROJECT}) could not be found.",
    f"API-proxy ({NAME}) doesn't exist in environment ({ENVIRONMENT})",
    "environment not found",
)
ANOTHERS = (
    "Gateway pod was not found, ApiProxy still active",
    f"Deploy history is not found for ApiProxy ({NAME})!",
    f"Environment ({ENVIRONMENT}) gateway pod is not found!",
    f"Environment ({ENVIRONMENT}) cannot be reached: pod not found",
    f"Could not undeploy ApiProxy ({NAME}) since the worker was not found",
    f"ApiProxy ({NAME}) is deployed; its policy was not found",
    f"The certificate of environment ({ENVIRONMENT}) does not exist",
    f"License for project ({PROJECT}) does not exist",
    "Class not found: com.example.ProxyService",
)


def read(status: int, **fields: object) -> Reading:
    return read_undeploy(PROXY, Reply(status, {}, json.dumps(fields).encode(), 0.0))


@pytest.mark.promise(4)
@pytest.mark.parametrize("text", OURS)
def test_a_target_that_is_missing_does_not_exist(text: str) -> None:
    for fields in ({"error": "bad_request", "error_description": text}, {"resultMessage": text}):
        found = read(400, **fields)
        assert (found.verdict, found.hidden) == (Verdict.ABSENT, False)
    assert not read(404, error="not_found", error_description=text).hidden


@pytest.mark.promise(4)
@pytest.mark.parametrize("text", ANOTHERS)
def test_what_else_is_missing_is_no_target_that_does_not_exist(text: str) -> None:
    for fields in ({"error": "bad_request", "error_description": text}, {"resultMessage": text}):
        assert read(400, **fields).verdict is Verdict.CONTESTED
    coded = read(404, error="not_found", error_description=text)
    assert (coded.verdict, coded.hidden) == (Verdict.ABSENT, True)  # never "gone as wanted"


@pytest.mark.promise(4)
@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize(("obeyed", "verdict"), [(True, Verdict.STRANGE), (False, Verdict.CONTESTED)])
def test_what_an_undeploy_was_tried_on_exists(status: int, obeyed: bool, verdict: Verdict) -> None:
    row = {"environmentName": ENVIRONMENT, "success": obeyed}
    tried = {"success": obeyed, "deploymentResults": [row]}
    found = read(status, error="not_found", error_description=OURS[0], deploymentResult=tried)
    assert found.verdict is verdict
