"""The samples made from the vendors' documents judge the simulators, as they judge the readers.

For each situation that the simulators are made for: the same status, and every key of the sample with a value
of the same type. The simulators may say more than a sample does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.exchange import FaultKind, HttpAnswer, RequestEffect
from orchestrator.simulator.faults import InjectedFault
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.limits import RateLimit
from orchestrator.simulator.platforms import SimulatedPlatforms
from orchestrator.simulator.roma_fixture import BackendFixture, RomaFixture
from tests.support.simulated import BACKEND, INSTANCE, PLACE, PROJECT, SimulatedClient, apinizer, roma

SAMPLES = Path(__file__).parents[1] / "samples"
V1 = ("POST", f"/v1/{PLACE}/livedata-apis/undeploy", {"ld_api_id": BACKEND})
V2 = ("POST", f"/v2/{PLACE}/livedata-apis/{BACKEND}/undeploy", b"")
SHOW = ("GET", f"/v1/{PLACE}/livedata-apis/{BACKEND}", b"")
HISTORY_OF = f"/{{}}/{PLACE}/livedata-apis/{BACKEND}/deploy"
DEPLOY = ("POST", f"/v1/{PLACE}/livedata-apis/deploy", {"ld_api_id": BACKEND, "deploy_front_api": False})
DOWN = {"targets": (), "down": (BACKEND,)}
BARE = InjectedFault(kind=FaultKind.STATUS, status=503, retry_after="20", body="")
HASTY = RateLimit(per_second=0.1, burst=0)

# The sample, the instance's settings, what goes wrong, the request.
ROMA = {
    "undeploy-204": ({}, "", V1),
    "undeploy-204-v2": ({}, "", V2),
    "undeploy-404-gone": ({"targets": ()}, "", V1),
    "undeploy-404-gone-camel-case": ({"targets": (), "errors": "camel"}, "", V1),
    "undeploy-404-gone-bare": ({"targets": (), "errors": "bare"}, "", V1),
    "undeploy-404-gone-nested": ({"targets": (), "errors": "nested"}, "", V1),
    "undeploy-400-bad-token": ({"tokens": ("another",), "denied": 400}, "", V1),
    "undeploy-403-throttled": ({"rate": HASTY, "limit": (403, "APIGW.0308")}, "", V1),
    "show-unknown-status-2": ({"about": {BACKEND: BackendFixture(status=2)}}, "", SHOW),
    "undeploy-404-no-instance": ({"instance_id": "other"}, "", V1),
    "undeploy-404-not-published-v1": ({"dialects": ("v2",)}, "", V1),
    "undeploy-404-not-published-v2": ({"dialects": ("v1",)}, "", V2),
    "undeploy-404-no-service-behind": ({}, "404", V1),
    "undeploy-400-body-not-parsed": ({}, "", (V1[0], V1[1], b"{")),
    "undeploy-400-invalid-parameter": ({}, "", (V1[0], V1[1].replace(INSTANCE, "a%20b"), V1[2])),
    "undeploy-401-bad-token": ({"tokens": ("another",)}, "", V1),
    "undeploy-403-black-list": ({}, InjectedFault(kind=FaultKind.STATUS, status=403, code="APIGW.0302"), V1),
    "undeploy-429-retry-after": ({"rate": HASTY}, "", V1),
    "undeploy-429-policy-in-minutes": ({"rate": HASTY}, "", V1),
    "undeploy-500": ({}, "500", V1),
    "undeploy-502-no-backend": ({}, "502", V1),
    "undeploy-504-backend-timeout": ({}, "504", V1),
    "undeploy-503-retry-after": ({}, BARE, V1),
    "undeploy-502-html": ({}, "error-page", V1),
    "undeploy-200-html": ({}, "login-page", V1),
    "undeploy-200-empty": ({}, "empty", V1),
    "undeploy-302": ({}, "redirect", V1),
    "show-deployed": ({}, "", SHOW),
    "show-in-development": ({"targets": (), "down": (BACKEND,)}, "", SHOW),
    "show-gone": ({"targets": ()}, "", SHOW),
    "show-429": ({"rate": HASTY}, "", SHOW),
    "show-500": ({}, "look:500", SHOW),
    "show-html": ({}, "look:login-page", SHOW),
    "definition-deployed": ({}, "", SHOW),
    "history-v1": ({}, "", ("GET", HISTORY_OF.format("v1"), b"")),
    "history-v2": ({}, "", ("GET", HISTORY_OF.format("v2"), b"")),
    "history-html": ({}, "look:login-page", ("GET", HISTORY_OF.format("v2"), b"")),
    "deploy-200": (DOWN, "", DEPLOY),
    "deploy-400-invalid-parameter": (DOWN, "", (DEPLOY[0], DEPLOY[1], {"ld_api_id": BACKEND})),
    "deploy-404-gone": ({"targets": ()}, "", DEPLOY),
    "deploy-409-application": (DOWN, "", (DEPLOY[0], DEPLOY[1], {**DEPLOY[2], "roma_app_id": "other"})),
    "deploy-500": (DOWN, "deploy:500", DEPLOY),
    "deploy-200-html": (DOWN, "deploy:login-page", DEPLOY),
    "deploy-200-empty": (DOWN, "deploy:empty", DEPLOY),
}  # fmt: skip
OURS = ("MyProject", "petstore-api", "production")
PROXY = "/apiops/projects/MyProject/apiProxies/petstore-api/"
PLACED = f"{PROXY}environments/production/"
DELETE = ("DELETE", PLACED, b"")
STATUS = ("GET", f"{PLACED}deploy-status/", b"")
HEALTH = ("GET", f"{PLACED}route-health/", b"")
HISTORY = ("GET", f"{PROXY}deploy-histories/", b"")
WHOLE = ("GET", PROXY, b"")
POST = ("POST", PLACED, b"")
ROLLBACK = ("POST", f"{PROXY}deploy-histories/1/rollback/?environmentName=production", b"")
OFF = {"targets": (), "down": (OURS,)}
NEW = {"errors": "new"}
APINIZER = {
    "undeploy-200-shape-a": ({}, "", DELETE),
    "undeploy-200-shape-b": ({"shape": "b"}, "", DELETE),
    "undeploy-200-shape-a-row-false": ({}, "partial", DELETE),
    "undeploy-200-one-pod-of-two": ({"shape": "b"}, "partial", DELETE),
    "undeploy-200-no-deployment-result": ({}, "no-result", DELETE),
    "undeploy-200-no-rows": ({}, "empty-rows", DELETE),
    "undeploy-200-shape-b-nested": ({"shape": "b", "rows": "nested"}, "", DELETE),
    "undeploy-200-shape-b-environment-row": ({"shape": "b", "rows": "environment"}, "", DELETE),
    "undeploy-200-deployment-result-null": ({"shape": "b"}, "no-deployment", DELETE),
    "undeploy-200-overall-false-no-rows": ({}, "no-deployment", DELETE),
    "undeploy-400-one-pod-of-two": ({"shape": "b"} | NEW, "refused-partial", DELETE),
    "undeploy-400-rate-limit": ({"rate": HASTY, "limit_status": 400, "limit_header": False}, "", DELETE),
    "undeploy-403-rate-limit": ({"rate": HASTY, "limit_status": 403, "limit_header": False}, "", DELETE),
    "undeploy-500-rate-limit": ({"rate": HASTY, "limit_status": 500, "limit_header": False}, "", DELETE),
    "undeploy-200-html": ({}, "login-page", DELETE),
    "undeploy-200-empty": ({}, "empty", DELETE),
    "undeploy-302": ({}, "redirect", DELETE),
    "undeploy-400-deployment-result-shape-a": ({}, "refused-with-result", DELETE),
    "undeploy-400-not-deployed": (OFF, "", DELETE),
    "undeploy-400-not-deployed-result-message": (OFF | NEW, "", DELETE),
    "undeploy-400-not-exist": ({}, "", ("DELETE", PLACED.replace("petstore-api", "x"), b"")),
    "undeploy-400-environment-hidden": ({}, "", ("DELETE", PLACED.replace("production", "x"), b"")),
    "undeploy-400-empty-value": (NEW, "", ("DELETE", PLACED.replace("production", ""), b"")),
    "undeploy-400-project-hidden": (
        {"unknown_project": 400}, "", ("DELETE", PLACED.replace("MyProject", "x"), b"")
    ),
    "undeploy-404-not-found": ({}, "", ("DELETE", PLACED.replace("MyProject", "x"), b"")),
    "undeploy-404-html": ({}, "elsewhere", DELETE),
    "undeploy-404-latin": (
        {"charset": "ISO-8859-9"}, "", ("DELETE", PLACED.replace("MyProject", "M%C3%BC%C5%9Fteri"), b"")
    ),
    "undeploy-401-invalid-token": ({"tokens": ("another",)}, "", DELETE),
    "undeploy-400-token-expired": ({"tokens": ("another",), "denied": 400} | NEW, "", DELETE),
    "deploy-status-400-token-expired": ({"tokens": ("another",), "denied": 400} | NEW, "", STATUS),
    "undeploy-401-token-not-valid": ({"tokens": ("another",)} | NEW, "", DELETE),
    "undeploy-429-rate-limit": ({"rate": HASTY}, "", DELETE),
    "undeploy-500": ({}, "500", DELETE),
    "undeploy-500-result-message": (NEW, "500", DELETE),
    "undeploy-503-retry-after": ({}, BARE, DELETE),
    "undeploy-502-html": ({}, "error-page", DELETE),
    "deploy-status-deployed": ({}, "", STATUS),
    "deploy-status-edited": ({"edited": (OURS,)}, "", STATUS),
    "deploy-status-undeployed": (OFF, "", STATUS),
    "deploy-status-success-outside": (OFF | {"lists": "success"}, "", STATUS),
    "deploy-status-404-older-server": ({"looks": False}, "", STATUS),
    "deploy-status-false-in-quotes": (OFF, "look:quoted", STATUS),
    "deploy-status-html": ({}, "look:login-page", STATUS),
    "route-health-served": ({}, "", HEALTH),
    "route-health-gone": (OFF, "", HEALTH),
    "route-health-gone-not-loaded": (OFF | {"not_loaded": True}, "", HEALTH),
    "route-health-no-pod-answers": ({}, "no-pods", HEALTH),
    "route-health-pod-not-reached": (OFF | {"not_loaded": True}, "pod-unreached", HEALTH),
    "route-health-gone-without-the-record": (OFF | {"tells_record": False}, "", HEALTH),
    "route-health-404-older-server": ({"looks": False}, "", HEALTH),
    "deploy-histories-newest-undeploys": (OFF, "", HISTORY),
    "deploy-histories-newest-deploys": ({}, "", HISTORY),
    "deploy-histories-oldest-first": (OFF | {"oldest_first": True}, "", HISTORY),
    "deploy-histories-404-older-server": ({"histories": False}, "", HISTORY),
    "proxy-deployed": ({}, "", WHOLE),
    "proxy-undeployed": (OFF, "", WHOLE),
    "proxy-no-deployments": ({"deployments": False}, "", WHOLE),
    "proxy-without-the-list-around-it": (OFF | {"bare_proxy": True}, "", WHOLE),
    "deploy-200-shape-a": (OFF, "", POST),
    "deploy-200-shape-b": (OFF | {"shape": "b"}, "", POST),
    "deploy-200-one-pod-of-two": (OFF | {"shape": "b"}, "deploy:partial", POST),
    "deploy-200-no-deployment-result": (OFF, "deploy:no-result", POST),
    "deploy-400-not-exist": ({}, "", ("POST", PLACED.replace("petstore-api", "x"), b"")),
    "rollback-200": (OFF, "", ROLLBACK),
    "rollback-200-deployment-failed": (OFF, "deploy:partial", ROLLBACK),
    "rollback-400-revision-gone": (OFF | NEW, "", (ROLLBACK[0], ROLLBACK[1].replace("/1/", "/99/"), b"")),
}  # fmt: skip


def answered(
    fixture: RomaFixture | ApinizerFixture,
    target: str,
    fault: str | InjectedFault,
    request: tuple[str, str, object],
) -> HttpAnswer:
    client = SimulatedClient(fixture)
    if fault:
        client.expect(script={target: (fault,)})
    answer = client.ask(*request).answer
    assert answer is not None
    return answer


def unlike(sample: object, ours: object, where: str = "body") -> list[str]:
    """What the sample has and ours lacks, or has of another type."""
    if isinstance(sample, dict) and isinstance(ours, dict):
        missing = [f"{where}.{key} is missing" for key in sample.keys() - ours.keys()]
        shared = sample.keys() & ours.keys()
        return missing + [one for key in shared for one in unlike(sample[key], ours[key], f"{where}.{key}")]
    if isinstance(sample, list) and isinstance(ours, list):
        if sample and not ours:
            return [f"{where} is empty"]
        return unlike(sample[0], ours[0], f"{where}[0]") if sample else []
    return [] if type(sample) is type(ours) else [f"{where} is {ours!r} for {sample!r}"]


def compare(kind: str, name: str, answer: HttpAnswer) -> None:
    folder = SAMPLES / kind / name
    reply = json.loads((folder / "reply.json").read_text())
    body = (folder / "body").read_bytes() if (folder / "body").exists() else b""
    headers = {key.lower() for key in reply.get("headers", {})}

    assert answer.status == reply["status"]
    assert ("retry-after" in headers) <= ("Retry-After" in answer.headers)
    try:
        sample = json.loads(decode(body, reply.get("headers", {})))
    except ValueError:
        assert reply["status"] >= 400 or bool(answer.body) == bool(body)
        assert answer.headers.get("Content-Type", "").partition(";")[0] != "application/json"
    else:
        assert unlike(sample, json.loads(decode(answer.body, answer.headers))) == []


def decode(body: bytes, headers: Mapping[str, str]) -> str:
    """Return a body as text, in the character set that its headers name."""
    told = next((value for key, value in headers.items() if key.lower() == "content-type"), "")
    return body.decode(told.partition("charset=")[2] or "utf-8")


@pytest.mark.parametrize("name", ROMA)
def test_roma_can_say_what_the_sample_says(name):
    fields, fault, request = ROMA[name]

    answer = answered(roma(**fields), f"roma-eu/{BACKEND}", fault, request)

    compare("roma", name, answer)
    told = json.loads(answer.body) if b"error_code" in answer.body and "rate" not in fields else {}
    if told:
        sample = json.loads((SAMPLES / "roma" / name / "body").read_bytes())
        assert told.get("error", told)["error_code"] == sample.get("error", sample)["error_code"]


@pytest.mark.parametrize("name", APINIZER)
def test_apinizer_can_say_what_the_sample_says(name):
    fields, fault, request = APINIZER[name]

    fixture = apinizer(**{"targets": (OURS,), "down": ()} | fields)

    compare("apinizer", name, answered(fixture, "apim/MyProject/petstore-api/production", fault, request))


def test_roma_shows_a_front_end_api_as_the_sample_does():
    client = SimulatedClient(roma())
    history = json.loads(client.ask("GET", HISTORY_OF.format("v2"), b"").answer.body)
    front = history["histories"][0]["api_id"]
    compare("roma", "front-200", client.ask("GET", f"/v2/{PLACE}/apis/{front}", b"").answer)
    compare("roma", "front-404-gone", client.ask("GET", f"/v2/{PLACE}/apis/{front[::-1]}", b"").answer)


# The sample, what goes wrong, and what differs in the body of the publish.
PUBLISHES = {
    "publish-201": ("", {}),
    "publish-404-no-environment": ("", {"env_id": "7a1ad0c350844ee69479b47df9a881cb"}),
    "publish-404-no-front-end": ("", {"api_id": "0" * 32}),
    "publish-400-invalid-parameter": ("publish:400", {}),
    "publish-401": ("publish:401", {}),
    "publish-403": ("publish:403", {}),
    "publish-500": ("publish:500", {}),
    "publish-200-html": ("publish:login-page", {}),
}


@pytest.mark.parametrize("name", PUBLISHES)
def test_roma_answers_a_publish_as_the_sample_does(name):
    fault, differs = PUBLISHES[name]
    client = SimulatedClient(roma(about={BACKEND: BackendFixture(environments=("a", "b"))}))
    history = json.loads(client.ask("GET", HISTORY_OF.format("v2"), b"").answer.body)
    client.expect(script={f"roma-eu/{BACKEND}": (fault,) if fault else ()})
    wish = {"action": "online", "env_id": "b", "api_id": history["histories"][0]["api_id"], **differs}
    compare("roma", name, client.ask("POST", f"/v2/{PLACE}/apis/action", wish).answer)


def test_roma_joins_several_environments_as_the_sample_does():
    client = SimulatedClient(roma(about={BACKEND: BackendFixture(environments=("a", "b"))}))
    history = json.loads(client.ask("GET", HISTORY_OF.format("v2"), b"").answer.body)
    front = history["histories"][0]["api_id"]
    answer = client.ask("GET", f"/v2/{PLACE}/apis/{front}", b"").answer
    compare("roma", "front-in-two-environments", answer)
    assert {json.loads(answer.body)[key].count("|") for key in ("run_env_id", "publish_id")} == {1}


REQUESTS = sorted(
    folder for kind in ("roma", "apinizer") for folder in (SAMPLES / kind / "requests").iterdir()
)


@pytest.mark.parametrize("folder", REQUESTS, ids=lambda folder: f"{folder.parts[-3]}-{folder.name}")
def test_every_sample_request_is_understood(folder):
    request = json.loads((folder / "request.json").read_text())
    body = (folder / "body").read_bytes() if (folder / "body").exists() else b""
    turkish = ("Sipariş Yönetimi", "a/b%c?d#e+f", "prod ortamı")  # noqa: RUF001 - Turkish
    fixture: RomaFixture | ApinizerFixture = apinizer(
        targets=(OURS, turkish), down=(), tokens=("FAKE-TOKEN",)
    )
    if folder.parts[-3] == "roma":
        fixture = roma(tokens=("FAKE-TOKEN",), project_id=PROJECT, statistics="owner")
    platforms = SimulatedPlatforms(SimulatorFixture(gateways=(fixture,)))

    delivery = platforms.handle(
        fixture.name, request["method"], request["path"], request["headers"], body, now=0.0
    )

    assert delivery.answer is not None
    # These samples name the front-end API, or its publication, of a document, which no simulator knows.
    of_front = folder.name.startswith(("publish", "bind", "bound", "statistics"))
    is_unknown = of_front and any(code in delivery.answer.body for code in (b"APIG.3002", b"APIG.3012"))
    assert is_unknown or 200 <= delivery.answer.status < 300
    assert (delivery.effect is RequestEffect.DOWN) == folder.name.startswith("undeploy")
