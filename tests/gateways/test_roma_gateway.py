"""ROMA Connect's features: each is there, asks this very instance, and reads what only it can read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.gateways.roma.binding_types import BINDING_TYPES, BoundCreate, BoundRead
from orchestrator.gateways.roma.gateway import Roma
from orchestrator.gateways.roma.listing import BACKENDS
from orchestrator.gateways.roma.requests import DEFINITION, SHOW, encode_publish, encode_statistics
from orchestrator.model.credentials import Secret
from orchestrator.model.http import Reply
from orchestrator.model.reading import Act, Operation, Reading, Verdict
from tests.support.recorded import DEPLOY, INSTANCE, PARTS, PROJECT, UNDEPLOY, gateway, target

API = target(*PARTS["roma"])
TOKEN = Secret("FAKE-TOKEN")
BASE = f"https://roma.example.com/v2/{PROJECT}/apic/instances/{INSTANCE}"
IAM: dict[str, Any] = {
    "iam": {"url": "https://iam.example.com", "user": "u", "domain": "d", "password": {"env": "P"}}
}
FRONT, ENVIRONMENT = "5f918d104dc84480a75166ba", "DEFAULT_ENVIRONMENT_RELEASE_ID"


def read(operation: Operation, status: int, fields: Any = None, version: str = "v1") -> Reading:
    body = b"" if fields is None else json.dumps(fields).encode()
    return gateway("roma", api_version=version).read(operation, API, Reply(status, {}, body, 0.0))


def test_every_feature_asks_the_instance_of_the_plan() -> None:
    roma = gateway("roma", api_version="v2", auth=IAM)
    page = roma.listing.build_request(BACKENDS, 0, 9, TOKEN, now=0.0)
    owners = roma.bindings.build_owners("applications", 0, 9, TOKEN, now=0.0)
    urls = [
        page.url,
        owners.url,
        roma.health.build_greeting().request.url,
        roma.build_request(SHOW, API, TOKEN, note=None, now=0.0).url,
    ]

    assert [url for url in urls if not url.startswith(f"{BASE}/")] == []
    assert roma.login is not None
    assert roma.login.build_request(Secret("p")).url.startswith("https://iam.example.com/")
    assert PROJECT.encode() in (roma.login.build_request(Secret("p")).body or b"")
    assert roma.traffic.next_shared_read({}, 72) is not None
    assert roma.search.filters
    assert roma.restore.next_snapshot_read(API, {}, frozenset()) == DEFINITION


def test_without_an_iam_user_there_is_no_login() -> None:
    assert gateway("roma").login is None


def test_an_instance_that_is_moved_takes_its_iam_with_it() -> None:
    elsewhere = "http://127.0.0.1:9"
    bare, with_iam = gateway("roma").move_to(elsewhere), gateway("roma", auth=IAM).move_to(elsewhere)

    assert isinstance(bare, Roma)
    assert (bare.url, bare.auth) == (elsewhere, gateway("roma").auth)
    assert (with_iam.url, with_iam.auth.iam and with_iam.auth.iam.url) == (elsewhere, elsewhere)
    assert with_iam.auth.iam is not None
    assert with_iam.auth.iam.user == "u"


@pytest.mark.parametrize(
    ("operation", "status", "fields", "verdict"),
    [
        (UNDEPLOY, 204, None, Verdict.REMOVED),
        (UNDEPLOY, 200, None, Verdict.STRANGE),
        (DEPLOY, 200, {"id": "r", "ld_api_id": API.parts[0], "api_id": FRONT}, Verdict.REMOVED),
        (DEPLOY, 200, {"id": "r", "ld_api_id": "another"}, Verdict.STRANGE),
        (DEPLOY, 201, {"id": "r", "ld_api_id": API.parts[0]}, Verdict.STRANGE),
        (DEPLOY, 204, None, Verdict.STRANGE),
        (DEPLOY, 409, {"error_code": "APIG.3500", "error_msg": "busy"}, Verdict.REFUSED),
        (SHOW, 204, None, Verdict.UNCLEAR),
        (SHOW, 200, {"id": API.parts[0], "status": 4}, Verdict.UP),
    ],
)
def test_a_success_is_one_only_for_the_act_that_was_asked_for(
    operation: Operation, status: int, fields: Any, verdict: Verdict
) -> None:
    assert read(operation, status, fields).verdict is verdict


PUBLISHED = {"publish_id": "p1", "api_id": FRONT, "env_id": ENVIRONMENT}


@pytest.mark.parametrize(
    ("status", "fields", "verdict"),
    [
        (201, PUBLISHED, Verdict.REMOVED),
        (200, PUBLISHED, Verdict.REMOVED),
        (202, PUBLISHED, Verdict.STRANGE),
        (201, {**PUBLISHED, "env_id": "other"}, Verdict.STRANGE),
        (404, None, Verdict.REFUSED),
        (404, {"error_code": "APIG.3030", "error_msg": "no instance"}, Verdict.ELSEWHERE),
        (500, None, Verdict.DOUBT),
    ],
)
def test_a_publish_is_proved_by_its_own_record_alone(status: int, fields: Any, verdict: Verdict) -> None:
    assert read(encode_publish(FRONT, ENVIRONMENT), status, fields).verdict is verdict


def test_the_statistics_of_a_front_end_api_tell_its_calls() -> None:
    operation = encode_statistics(FRONT, 2)
    samples = [{"api_id": FRONT, "req_count": 3, "req_time": hour} for hour in ("19:00", "20:00")]

    told = read(operation, 200, {"list": samples})
    assert (told.verdict, told.kept) == (Verdict.TOLD, {"calls": 6})
    assert read(operation, 200, {"list": samples[:1]}).verdict is Verdict.UNCLEAR
    assert read(operation, 200, {"id": FRONT, "status": 4}).verdict is Verdict.UNCLEAR
    assert read(operation, 404, None).verdict is Verdict.NOT_OFFERED
    assert read(operation, 403, {"error_code": "APIG.1005"}).verdict is Verdict.UNCLEAR


def test_a_read_of_bindings_tells_its_list_and_a_create_its_pair() -> None:
    of = BINDING_TYPES["throttles"]
    listed = read(BoundRead(of, FRONT, ENVIRONMENT).operation, 200, {"total": 0, "size": 0, "throttles": []})
    create = BoundCreate(of, FRONT, ENVIRONMENT, "s1", "p1").operation

    assert create.act is Act.BIND
    assert listed.verdict is Verdict.TOLD
    assert read(create, 404, None).verdict is Verdict.REFUSED
    assert read(create, 201, {}).verdict is Verdict.STRANGE


def test_an_instance_gets_eight_requests_at_once_of_thirty_seconds_each_unless_the_plan_says_otherwise() -> (
    None
):
    roma = gateway("roma")

    assert (roma.concurrency, roma.reply_timeout) == (8, 30.0)
