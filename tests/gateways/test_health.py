"""What is asked of a gateway as a whole, and what its replies say."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.credentials import AccessKeys, Secret
from orchestrator.model.http import Reply
from orchestrator.model.reading import HealthCheck, Operation, Reading, Verdict
from tests.support.recorded import TOKEN, every_kind, feature, gateway, our_target

NOW = 1_795_000_000.0
KEYS = AccessKeys(Secret("FAKEAK"), Secret("fakeSk"))


def reply(status: int, body: Any = b"", **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, headers, raw, NOW)


def checks(kind: str, **fields: Any) -> list[HealthCheck]:
    return [*feature(kind, "health", **fields).build_checks(Secret(TOKEN), now=NOW)]


def verdict(check: HealthCheck, answer: Reply) -> Verdict | str:
    read = check.read(answer)
    return read if isinstance(read, str) else read.verdict


@pytest.mark.parametrize("kind", every_kind("health"))
def test_nothing_that_is_asked_can_change_anything(kind: str) -> None:
    for check in [feature(kind, "health").build_greeting(), *checks(kind)]:
        assert check.request.method == "GET"
        assert check.request.body is None
        assert urlsplit(check.request.url).hostname == urlsplit(gateway(kind).url).hostname


@pytest.mark.parametrize("kind", every_kind("health"))
def test_the_greeting_shows_no_credential_and_the_checks_show_it_in_headers_only(kind: str) -> None:
    assert feature(kind, "health").build_greeting().request.headers.keys() == {"Accept"}
    for check in checks(kind):
        assert any(TOKEN in text for text in check.request.headers.values())
        assert TOKEN not in check.request.url


@pytest.mark.parametrize("kind", every_kind("health"))
@given(status=st.integers(100, 599), body=st.binary(max_size=80))
def test_no_bytes_make_a_read_fail(kind: str, status: int, body: bytes) -> None:
    for check in [feature(kind, "health").build_greeting(), *checks(kind)]:
        assert isinstance(check.read(reply(status, body)), str | Reading)


@pytest.mark.parametrize(("version", "order"), [("v1", ["v1", "v2"]), ("v2", ["v2", "v1"])])
def test_roma_is_asked_for_its_shortest_list_in_both_versions(version: str, order: list[str]) -> None:
    asked = checks("roma", api_version=version)

    assert [check.name for check in asked] == order
    for check in asked:
        parts = urlsplit(check.request.url)
        assert parts.path.startswith(f"/{check.name}/")
        assert parts.path.endswith("/livedata-apis")
        assert parts.query == "limit=1&offset=0"


def test_roma_is_greeted_by_its_shortest_list_too() -> None:
    parts = urlsplit(gateway("roma").health.build_greeting().request.url)

    assert parts.path.endswith("/livedata-apis")
    assert parts.query == "limit=1&offset=0"


def test_roma_is_asked_with_a_signature_where_access_keys_are_in_use() -> None:
    for check in gateway("roma").health.build_checks(KEYS, now=NOW):
        assert check.request.headers["Authorization"].startswith("SDK-HMAC-SHA256 Access=FAKEAK")
        assert check.request.headers["X-Project-Id"]


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (200, {"apis": [{}], "total": 1234, "size": 1}, "lists 1,234 backend APIs"),
        (200, {"apis": []}, "lists its backend APIs"),
        (200, b"<html>Sign in</html>", Verdict.STRANGE),
        (201, {"apis": [{}], "total": 1}, Verdict.STRANGE),
        (204, b"", Verdict.STRANGE),
        (302, b"", Verdict.STRANGE),
        (399, b"", Verdict.STRANGE),
        (400, b"", Verdict.CONTESTED),
        (401, {"error_code": "APIG.1002", "error_msg": "no"}, Verdict.DENIED),
        (403, {"error_code": "APIG.1005", "error_msg": "no"}, Verdict.REFUSED),
        (404, {"error_code": "APIGW.0101", "error_msg": "no"}, Verdict.ELSEWHERE),
        (404, {"error_code": "APIG.3030", "error_msg": "no"}, Verdict.ELSEWHERE),
        (429, {"error_code": "APIGW.0308", "error_msg": "no"}, Verdict.BUSY),
        (500, {"error_code": "APIG.9999", "error_msg": "no"}, Verdict.DOUBT),
    ],
)
def test_roma_s_list(status: int, body: Any, wanted: Verdict | str) -> None:
    ours, other = checks("roma")

    assert verdict(ours, reply(status, body)) == wanted
    # A rejected credential and a 429 concern all requests, and say nothing of a version.
    if isinstance(wanted, str) or wanted in (Verdict.DENIED, Verdict.BUSY):
        assert verdict(other, reply(status, body)) == wanted
    else:
        assert verdict(other, reply(status, body)) is Verdict.NOT_OFFERED


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (200, Verdict.STRANGE),
        (302, Verdict.STRANGE),
        (399, Verdict.STRANGE),
        (400, Verdict.STRANGE),
        (429, Verdict.BUSY),
        (499, Verdict.STRANGE),
        (500, Verdict.UNCLEAR),
        (503, Verdict.UNCLEAR),
        (401, "refuses a request without a credential, as it should"),
        (403, "refuses a request without a credential, as it should"),
        (404, Verdict.STRANGE),
    ],
)
def test_roma_s_greeting_is_a_refusal(status: int, wanted: Verdict | str) -> None:
    assert verdict(gateway("roma").health.build_greeting(), reply(status)) == wanted


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (400, "ROMA.1000", "refuses a request without a credential, as it should"),
        (400, "APIG.2000", "answers a request without a credential with APIG.2000"),
        (404, "APIGW.0101", "answers a request without a credential with APIGW.0101"),
    ],
)
def test_roma_s_greeting_may_be_refused_by_a_code_of_the_vendor(status: int, code: str, told: str) -> None:
    refused = reply(status, {"error_code": code, "error_msg": "no"})

    assert verdict(gateway("roma").health.build_greeting(), refused) == told


@pytest.mark.parametrize("status", [400, 404, 405])
def test_another_server_is_shown_no_credential_of_roma(status: int) -> None:
    greeting = gateway("roma").health.build_greeting()

    assert verdict(greeting, reply(status, b"<html><h1>Not Found</h1></html>")) is Verdict.STRANGE


@pytest.mark.parametrize(
    ("answered", "served", "text", "hint"),
    [
        ({"v1", "v2"}, True, "v1, and v2 answers too", ""),
        ({"v1"}, True, "v1", ""),
        ({"v2"}, False, "v1, which the plan means, does not answer; v2 does", "write api_version: v2"),
        (set(), False, "neither v1 nor v2 answers", "check url, project_id and instance_id"),
    ],
)
def test_roma_s_dialect(answered: set[str], served: bool, text: str, hint: str) -> None:
    found = gateway("roma").health.describe_version(frozenset(answered), {})

    assert (found.served, found.text, found.hint) == (served, text, hint)


def test_apinizer_is_asked_by_its_connection_tests() -> None:
    manager = gateway("apinizer", url="https://apim.example.com/")
    asked = [manager.health.build_greeting(), *manager.health.build_checks(Secret(TOKEN), now=NOW)]

    assert [check.request.url for check in asked] == [
        "https://apim.example.com/apiops/test/healthcheck",
        "https://apim.example.com/apiops/test/hello/undeploy",
        "https://apim.example.com/apiops/projects/",
    ]
    with pytest.raises(ValueError, match="access keys"):
        manager.health.build_checks(KEYS, now=NOW)


PROJECTS = {"status": "SUCCESS", "resultList": [{"name": "a"}, {"name": "b"}], "resultCount": 2}


@pytest.mark.parametrize(
    ("check", "status", "body", "wanted"),
    [
        ("healthcheck", 200, b"OK", "says that it is well"),
        ("healthcheck", 200, b'"OK"\n', "says that it is well"),
        ("healthcheck", 200, b"<html>OK</html>", Verdict.STRANGE),
        ("healthcheck", 201, b"OK", Verdict.STRANGE),
        ("healthcheck", 302, b"", Verdict.STRANGE),
        ("healthcheck", 399, b"", Verdict.STRANGE),
        ("healthcheck", 400, b"", Verdict.UNCLEAR),
        ("healthcheck", 404, b"<html>", Verdict.NOT_OFFERED),
        ("hello", 200, b"Hello undeploy", "greets the token's user"),
        ("hello", 201, b"Hello undeploy", Verdict.STRANGE),
        ("hello", 200, b"<html>", Verdict.STRANGE),
        ("hello", 401, {"error": "invalid_token"}, Verdict.DENIED),
        ("hello", 400, {"resultMessage": "Token was expired!"}, Verdict.DENIED),
        ("hello", 403, {"error": "access_denied"}, Verdict.REFUSED),
        ("hello", 404, b"<html>", Verdict.NOT_OFFERED),
        ("hello", 502, b"", Verdict.UNCLEAR),
        ("projects", 200, PROJECTS, "sees 2 projects"),
        ("projects", 200, {**PROJECTS, "resultList": [{}]}, "sees 1 project"),
        ("projects", 200, {**PROJECTS, "resultList": []}, Verdict.REFUSED),
        ("projects", 200, {**PROJECTS, "status": "FAILURE"}, Verdict.STRANGE),
        ("projects", 200, {**PROJECTS, "resultList": {}}, Verdict.STRANGE),
        ("projects", 201, PROJECTS, Verdict.STRANGE),
        ("projects", 403, {"error": "invalid_token", "resultMessage": "Token was expired"}, Verdict.REFUSED),
        ("projects", 404, {"resultMessage": "Token was expired"}, Verdict.DENIED),
        ("projects", 429, {"error": "rate_limit_exceeded"}, Verdict.BUSY),
    ],
)
def test_apinizer_s_connection_tests(check: str, status: int, body: Any, wanted: Verdict | str) -> None:
    named = {one.name: one for one in [gateway("apinizer").health.build_greeting(), *checks("apinizer")]}

    assert verdict(named[check], reply(status, body)) == wanted


def test_what_stands_in_front_of_a_gateway_has_a_hint_and_a_refusal_of_its_own_has_none() -> None:
    def hint(check: HealthCheck, answer: Reply) -> str:
        read = check.read(answer)
        assert isinstance(read, Reading)
        return read.hint

    wrong = "check url: it is the manager's address, without /apiops"
    hello, projects = checks("apinizer")
    assert hint(hello, reply(200, b"<html>")).endswith(wrong)
    assert hint(hello, reply(404, b"")) == wrong
    assert hint(hello, reply(403, {"error": "access_denied"})) == ""
    assert "add the token's user" in hint(projects, reply(200, {**PROJECTS, "resultList": []}))
    assert hint(gateway("roma").health.build_greeting(), reply(200, b"<html>"))
    assert hint(checks("roma")[0], reply(200, b"<html>"))


@pytest.mark.parametrize(
    ("answered", "looks", "served", "text"),
    [
        ({"hello"}, {"deploy-status": True}, True, "2026.09.0 or newer"),
        ({"hello"}, {"deploy-status": False, "proxy": True}, True, "before 2026.09.0"),
        ({"projects"}, {}, True, "only a target could tell"),
        (set(), {}, False, "nothing that a manager offers"),
    ],
)
def test_apinizer_s_dialect(answered: set[str], looks: dict[str, bool], served: bool, text: str) -> None:
    found = gateway("apinizer").health.describe_version(frozenset(answered), looks)

    assert found.served is served
    assert text in found.text
    assert bool(found.hint) == (not served)


@pytest.mark.parametrize("kind", every_kind())
def test_the_looks_of_a_kind_are_the_reads_that_its_looks_go_through(kind: str) -> None:
    entry, gone_through = gateway(kind), set()
    for verdict in (Verdict.DOWN, Verdict.UP, Verdict.UNCLEAR, Verdict.TOLD, Verdict.NOT_OFFERED):
        seen: dict[str, Reading] = {}
        while isinstance(found := entry.next_look(our_target(kind), seen, frozenset(), None), Operation):
            gone_through.add(found)
            seen[found.via] = Reading(verdict=verdict)

    assert set(entry.LOOKS) == gone_through
    assert len(entry.LOOKS) == len(gone_through)
