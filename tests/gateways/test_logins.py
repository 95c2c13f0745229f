"""Tokens for passwords: what is sent, and what an answer means, whatever its bytes."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from traceback import TracebackException
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.gateways.apinizer.login import ApinizerLoginFeature
from orchestrator.gateways.roma.login import NO_SECOND_FACTOR, RomaLoginFeature
from orchestrator.model.credentials import LoginGranted, LoginRejected, LoginUnclear, Secret
from orchestrator.model.http import Reply
from orchestrator.model.settings import CredentialReference, IamLogin
from tests.support.recorded import PROJECT

IAM = "https://iam.eu-west-101.myhuaweicloud.eu"
MANAGER = "https://apim.example.com"
PASSWORD = 'MARKER "&=+%/ ü€😀'
TOKEN = "MIIMARKERtoken+/=="
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
MARKER = "MARKER"

KEYSTONE = (
    b'{"error": {"code": 401, "message": "The username or password is wrong.", "title": "Unauthorized"}}'
)
RECEIPT = (
    b'{"receipt": {"methods": ["password"], "expires_at": "2026-11-22T10:00:00.000000Z"},'
    b' "required_auth_methods": [["totp", "password"]]}'
)


def iam_login(url: str = IAM, *, user: str = "ci-user", domain: str = "acme") -> RomaLoginFeature:
    password = CredentialReference(env="NOBODY_SETS_THIS")
    return RomaLoginFeature(IamLogin(url=url, user=user, domain=domain, password=password), PROJECT)


def read_iam(answer: Reply) -> LoginGranted | LoginRejected | LoginUnclear:
    return iam_login().read(answer)


def read_apinizer(answer: Reply) -> LoginGranted | LoginRejected | LoginUnclear:
    return ApinizerLoginFeature(MANAGER, "ci-user").read(answer)


def iam(password: str = PASSWORD, *, user: str = "ci-user", domain: str = "acme") -> Any:
    return iam_login(user=user, domain=domain).build_request(Secret(password))


def test_iam_is_asked_for_a_token_of_the_project() -> None:
    request = iam()

    assert (request.method, request.url) == ("POST", f"{IAM}/v3/auth/tokens?nocatalog=true")
    assert request.headers == {
        "Content-Type": "application/json;charset=utf8",
        "Accept": "application/json",
    }
    user = {"name": "ci-user", "password": PASSWORD, "domain": {"name": "acme"}}
    assert msgspec.json.decode(request.body) == {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"id": PROJECT}},
        }
    }


def test_apinizer_is_asked_with_a_form() -> None:
    request = ApinizerLoginFeature(MANAGER, "ci-user").build_request(Secret("se+cret &=%/"))

    assert (request.method, request.url) == ("POST", f"{MANAGER}/apiops/auth/token")
    assert request.headers == {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
    }
    assert request.body == (
        b"grant_type=client_credentials&client_id=ci-user&client_secret=se%2Bcret+%26%3D%25%2F"
    )


def test_a_slash_at_the_end_of_the_base_does_not_count() -> None:
    assert iam_login(f"{IAM}/").build_request(Secret("p")).url == iam().url
    assert (
        ApinizerLoginFeature(f"{MANAGER}/", "u").build_request(Secret("p")).url
        == f"{MANAGER}/apiops/auth/token"
    )


SENDABLE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(SENDABLE, SENDABLE)
def test_any_name_and_password_arrive_as_they_are(user: str, password: str) -> None:
    body = msgspec.json.decode(iam(password, user=user).body)
    form = ApinizerLoginFeature(MANAGER, user).build_request(Secret(password)).body or b""

    sent = body["auth"]["identity"]["password"]["user"]
    assert (sent["name"], sent["password"]) == (user, password)
    assert dict(parse_qsl(form.decode("ascii"), strict_parsing=True, errors="strict")) == {
        "grant_type": "client_credentials",
        "client_id": user,
        "client_secret": password,
    }


@pytest.mark.promise(9)
@pytest.mark.parametrize("password", ["", "MARKER\udcff"])
@pytest.mark.parametrize("url", [IAM, MANAGER])
def test_a_password_that_cannot_be_sent_is_refused_without_being_shown(url: str, password: str) -> None:
    with pytest.raises(ValueError, match="the password of a login") as caught:
        iam(password) if url == IAM else ApinizerLoginFeature(url, "ci-user").build_request(Secret(password))

    told = "".join(TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "password = •••" in told
    assert MARKER not in told[told.index("gateways/logins.py") :]  # without this test's own variables


@pytest.mark.parametrize("name", ["", "\udcff"])
def test_a_name_that_cannot_be_sent_is_refused(name: str) -> None:
    for keys in ({"user": name}, {"domain": name}):
        with pytest.raises(ValueError, match="the user, the domain or the project_id of a login"):
            iam("p", **keys)
    with pytest.raises(ValueError, match="the user of a login"):
        ApinizerLoginFeature(MANAGER, name).build_request(Secret("p"))


def reply(status: int, body: bytes = b"", **headers: str) -> Reply:
    return Reply(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, body, 1_800_000_000.0
    )


def expiring(when: str) -> bytes:
    return msgspec.json.encode({"token": {"expires_at": when, "methods": ["password"]}})


def granted(until: float | None = None) -> LoginGranted:
    return LoginGranted(Secret(TOKEN), until)


def unclear(message: str, wait: float | None = None, code: str | None = None) -> LoginUnclear:
    return LoginUnclear(code, message, wait)


NO_IAM_TOKEN = unclear("IAM answered 201 without a token in X-Subject-Token")

OF_IAM = {
    "granted": (
        reply(201, expiring("2026-11-23T10:00:00.500000Z"), x_subject_token=TOKEN),
        granted(1_795_428_000.5),
    ),
    "granted, in another zone": (
        reply(201, expiring("2026-11-23T13:00:00+03:00"), x_subject_token=f" {TOKEN} "),
        granted(1_795_428_000.0),
    ),
    "granted, without a zone": (
        reply(201, expiring("2026-11-23T10:00:00"), x_subject_token=TOKEN),
        granted(),
    ),
    "granted, at no time": (reply(201, expiring("tomorrow"), x_subject_token=TOKEN), granted()),
    "granted, time as a number": (
        reply(201, b'{"token": {"expires_at": 1795428000}}', x_subject_token=TOKEN),
        granted(),
    ),
    "granted, token as a text": (reply(201, b'{"token": "MARKER"}', x_subject_token=TOKEN), granted()),
    "granted, no body": (reply(201, x_subject_token=TOKEN), granted()),
    "granted, body cut short": (
        reply(201, expiring("2026-11-23T10:00:00Z")[:-9], x_subject_token=TOKEN),
        granted(),
    ),
    "201 without the header": (reply(201, expiring("2026-11-23T10:00:00Z")), NO_IAM_TOKEN),
    "201 with the token in the body": (reply(201, b'{"access_token": "MARKER"}'), NO_IAM_TOKEN),
    "201 with an empty header": (reply(201, x_subject_token=" "), NO_IAM_TOKEN),
    "201 with no token in the header": (reply(201, x_subject_token="MARKER MARKER"), NO_IAM_TOKEN),
    "200 with the header": (
        reply(200, HTML, x_subject_token=TOKEN),
        unclear("HTTP 200, an HTML page (50 bytes) is not how IAM answers a login; check its url"),
    ),
    "302": (
        reply(302, location="https://login.example.com/"),
        unclear("HTTP 302 to login.example.com is not how IAM answers a login; check its url"),
    ),
    "401, wrong password": (reply(401, KEYSTONE), LoginRejected(None, "The username or password is wrong.")),
    "401, IAM's envelope": (
        reply(401, b'{"error_code": "IAM.0001", "error_msg": "The user is locked"}'),
        LoginRejected("IAM.0001", "The user is locked"),
    ),
    "401, the gateway's envelope": (
        reply(401, b'{"error_code": "APIGW.0301", "error_msg": "Incorrect IAM", "request_id": "1"}'),
        LoginRejected("APIGW.0301", "Incorrect IAM"),
    ),
    "401, empty": (reply(401), LoginRejected(None, "HTTP 401 without a body")),
    "401, HTML": (reply(401, HTML), LoginRejected(None, "HTTP 401, an HTML page (50 bytes)")),
    "401, cut short": (
        reply(401, b'{"error_code": "IAM.0'),
        LoginRejected(None, "HTTP 401, JSON without a message of the vendor (21 bytes)"),
    ),
    "401, a code alone": (reply(401, b'{"error_code": "IAM.0001"}'), LoginRejected("IAM.0001", "IAM.0001")),
    "401, a second factor by its receipt": (
        reply(401, RECEIPT),
        LoginRejected(
            None, f"{NO_SECOND_FACTOR} (HTTP 401, JSON without a message of the vendor (132 bytes))"
        ),
    ),
    "403, a second factor in words": (
        reply(403, b'{"error_code": "IAM.0101", "error_msg": "MFA authentication is required."}'),
        LoginRejected("IAM.0101", f"{NO_SECOND_FACTOR} (MFA authentication is required.)"),
    ),
    "400": (
        reply(400, b'{"error": {"code": 400, "message": "Expecting to find domain in user."}}'),
        LoginRejected(None, "Expecting to find domain in user."),
    ),
    "403": (
        reply(403, b'{"error_code": "IAM.0002", "error_msg": "no\\npermission"}'),
        LoginRejected("IAM.0002", "no\\npermission"),
    ),
    "404": (
        reply(404, b'{"error_code": "APIGW.0101", "error_msg": "The API does not exist"}'),
        LoginRejected("APIGW.0101", "The API does not exist"),
    ),
    "429": (
        reply(429, b'{"error_code": "APIGW.0308", "error_msg": "threshold"}', retry_after="30"),
        unclear("threshold", 30.0, "APIGW.0308"),
    ),
    "429, empty": (reply(429), unclear("HTTP 429 without a body")),
    "500": (
        reply(500, b'{"error_code": "APIG.9999", "error_msg": "System error"}'),
        unclear("System error", None, "APIG.9999"),
    ),
    "502, HTML": (reply(502, HTML), unclear("HTTP 502, an HTML page (50 bytes)")),
    "503": (reply(503, b"", retry_after="2"), unclear("HTTP 503 without a body", 2.0)),
    "409": (reply(409, b"[1]"), unclear("HTTP 409, JSON without a message of the vendor (3 bytes)")),
}

NO_MANAGER_TOKEN = unclear("the manager answered 200 without a token in access_token")

OF_APINIZER = {
    "granted": (
        reply(200, b'{"access_token": "%b", "expires_in": 3600}' % TOKEN.encode()),
        granted(),
    ),
    "granted, another expires_in": (
        reply(200, b'{"access_token": "%b", "expires_in": 1795428000000}' % TOKEN.encode()),
        granted(),
    ),
    "200 with an empty token": (reply(200, b'{"access_token": ""}'), NO_MANAGER_TOKEN),
    "200 with a number": (reply(200, b'{"access_token": 1234}'), NO_MANAGER_TOKEN),
    "200 with true": (reply(200, b'{"access_token": true}'), NO_MANAGER_TOKEN),
    "200 with a line break in it": (reply(200, b'{"access_token": "MARKER\\r\\nX: 1"}'), NO_MANAGER_TOKEN),
    "200 with another key": (reply(200, b'{"token": "MARKER"}'), NO_MANAGER_TOKEN),
    "200, one level down": (reply(200, b'{"data": {"access_token": "MARKER"}}'), NO_MANAGER_TOKEN),
    "200, cut short": (reply(200, b'{"access_token": "MARKER'), NO_MANAGER_TOKEN),
    "200, a list": (reply(200, b'[{"access_token": "MARKER"}]'), NO_MANAGER_TOKEN),
    "200, a login page": (reply(200, HTML), NO_MANAGER_TOKEN),
    "200, empty": (reply(200), NO_MANAGER_TOKEN),
    "200 with an error": (
        reply(200, b'{"status": "FAILURE", "resultMessage": "Token is not valid!"}'),
        unclear("Token is not valid!"),
    ),
    "201": (
        reply(201, b'{"access_token": "MARKER"}'),
        unclear(
            "HTTP 201, JSON without a message of the vendor (26 bytes) is not how the manager answers a"
            " login; check url"
        ),
    ),
    "400, OAuth": (
        reply(400, b'{"error": "unsupported_grant_type", "error_description": "JSON is not accepted"}'),
        LoginRejected("unsupported_grant_type", "JSON is not accepted"),
    ),
    "401, OAuth": (
        reply(401, b'{"error": "invalid_client", "error_description": "Bad credentials"}'),
        LoginRejected("invalid_client", "Bad credentials"),
    ),
    "401, OAuth without a text": (
        reply(401, b'{"error": "invalid_client"}'),
        LoginRejected("invalid_client", "invalid_client"),
    ),
    "401, the other envelope": (
        reply(401, b'{"status": "FAILURE", "resultMessage": "Bad credentials"}'),
        LoginRejected(None, "Bad credentials"),
    ),
    "401, HTML": (reply(401, HTML), LoginRejected(None, "HTTP 401, an HTML page (50 bytes)")),
    "401, empty": (reply(401), LoginRejected(None, "HTTP 401 without a body")),
    "403": (
        reply(403, b'{"error": "forbidden", "error_description": "no"}'),
        LoginRejected("forbidden", "no"),
    ),
    "400, limited": (
        reply(400, b'{"error": "rate_limit_exceeded", "error_description": "slow", "retry_after": 7}'),
        unclear("slow", 7.0, "rate_limit_exceeded"),
    ),
    "404, HTML": (reply(404, HTML), unclear("HTTP 404, an HTML page (50 bytes)")),
    "429": (reply(429, b"", retry_after="9"), unclear("HTTP 429 without a body", 9.0)),
    "500": (
        reply(500, b'{"error": "server_error", "error_description": "unexpected"}'),
        unclear("unexpected", None, "server_error"),
    ),
    "503": (reply(503, HTML, retry_after="1"), unclear("HTTP 503, an HTML page (50 bytes)", 1.0)),
}


@pytest.mark.parametrize("name", OF_IAM)
def test_an_answer_of_iam_is_read(name: str) -> None:
    answer, wanted = OF_IAM[name]

    assert read_iam(answer) == wanted


@pytest.mark.parametrize(
    ("project", "lets_in"),
    [
        ({"id": PROJECT}, True),
        ({"id": PROJECT.upper()}, True),
        ({}, True),
        (None, True),
        ({"id": "fedcba9876543210fedcba9876543210"}, False),
        ({"id": 5}, False),
    ],
)
def test_a_token_for_another_project_lets_nobody_in(project: object, lets_in: bool) -> None:
    answer = reply(201, msgspec.json.encode({"token": {"project": project}}), x_subject_token=TOKEN)
    meaning = read_iam(answer)

    assert isinstance(meaning, LoginGranted if lets_in else LoginUnclear)
    assert lets_in or PROJECT in getattr(meaning, "message", "")


@pytest.mark.parametrize("name", OF_APINIZER)
def test_an_answer_of_the_manager_is_read(name: str) -> None:
    answer, wanted = OF_APINIZER[name]

    assert read_apinizer(answer) == wanted


@pytest.mark.parametrize(
    ("read", "granted", "rejected"),
    [(read_iam, [201], [400, 401, 403, 404]), (read_apinizer, [200], [400, 401, 403])],
)
def test_one_status_grants_and_few_reject(
    read: Callable[[Reply], object], granted: list[int], rejected: list[int]
) -> None:
    body = b'{"access_token": "%b"}' % TOKEN.encode()
    answers = {status: read(reply(status, body, x_subject_token=TOKEN)) for status in range(100, 600)}

    assert [status for status, answer in answers.items() if isinstance(answer, LoginGranted)] == granted
    assert [status for status, answer in answers.items() if isinstance(answer, LoginRejected)] == rejected


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["token", "error", "message"]), inner),
    max_leaves=8,
)
ERROR_KEYS = ["code", "error", "error_code", "error_msg", "receipt", "required_auth_methods", "resultMessage"]
KEYS = [*ERROR_KEYS, "access_token", "expires_at", "retry_after", "status", "token"]
FIELDS = st.dictionaries(st.sampled_from(KEYS), JSON_VALUES)
# Escaped as ASCII: the texts may hold what UTF-8 has no bytes for.
BODIES = st.binary() | FIELDS.map(lambda fields: json.dumps(fields).encode())


@given(
    status=st.sampled_from([200, 201, 302, 400, 401, 403, 404, 429, 500, 503]) | st.integers(100, 599),
    body=BODIES,
    headers=st.dictionaries(st.sampled_from(["x-subject-token", "retry-after", "content-type"]), st.text()),
)
@example(status=201, body=b'{"token": ' * 100_000, headers={"x-subject-token": TOKEN})
@example(status=201, body=expiring("0001-01-01T00:00:00+23:59"), headers={"x-subject-token": TOKEN})
@example(status=201, body=expiring("9999-12-31T23:59:59-23:59"), headers={"x-subject-token": TOKEN})
@example(status=401, body=b"\xff\xfe\x00", headers={})
def test_no_answer_raises_and_each_says_something(status: int, body: bytes, headers: dict[str, str]) -> None:
    for read in (read_iam, read_apinizer):
        meaning = read(Reply(status, headers, body, 0.0))
        if isinstance(meaning, LoginGranted):
            assert meaning.token.reveal().isascii()
        else:
            assert meaning.message
            assert meaning.message.isprintable()


@pytest.mark.promise(9)
@pytest.mark.parametrize("table", [OF_IAM, OF_APINIZER], ids=["iam", "apinizer"])
def test_no_reading_shows_a_token(
    table: dict[str, tuple[Reply, LoginGranted | LoginRejected | LoginUnclear]],
) -> None:
    read = read_iam if table is OF_IAM else read_apinizer
    for answer, _ in table.values():
        meaning = read(answer)
        assert not any(MARKER in form(meaning) for form in (repr, str, "{}".format, "{!r:>9}".format))


@pytest.mark.promise(9)
def test_requests_and_grants_show_no_secret_and_are_not_stored() -> None:
    values = (iam(), ApinizerLoginFeature(MANAGER, "ci-user").build_request(Secret(PASSWORD)), granted(1.0))

    assert not any(MARKER in form(value) for value in values for form in (repr, str, "{}".format))
    for store in (pickle.dumps, msgspec.json.encode):
        with pytest.raises(TypeError, match=r"[Ss]ecret"):
            store(granted())
