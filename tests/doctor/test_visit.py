"""A visit to one gateway over real sockets: the order and number of requests, and the secrets it keeps."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.doctor.findings import FindingState, GatewayDiagnosis
from orchestrator.doctor.visit import GatewayProbe, visit_gateway
from orchestrator.errors import CredentialError
from orchestrator.gateways.apinizer.gateway import Apinizer
from orchestrator.model.credentials import AccessKeys, LoginPassword, Material, Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.settings import Auth, CredentialReference, IamLogin, ManagerLogin
from orchestrator.model.target import Target, TargetId
from orchestrator.runs.machine import make_real_environment
from orchestrator.transport.client import connect
from tests.gateways.third_kind import Beacon
from tests.support.peer import Peer, gateway, reset, saying, serving, silence

ENV = CredentialReference(env="X")
TOKEN = "a-token-that-nobody-may-see"
SIGNED = Auth(access_key=ENV, secret_key=ENV)
KEYS = AccessKeys(Secret("FAKEAK"), Secret("a-key-that-nobody-may-see"))


def make_reply(status: int, body: object, *, ahead: float = 0.0) -> bytes:
    """A whole reply, from a server whose clock is ``ahead`` of ours by so many seconds."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    date = formatdate(time.time() + ahead, usegmt=True)
    return f"HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw


def make_refusal(ahead: float = 0.0) -> bytes:
    body = {"error_code": "APIG.1002", "error_msg": f"Incorrect token {TOKEN}"}
    return make_reply(401, body, ahead=ahead)


LISTED = make_reply(200, {"size": 1, "total": 7, "apis": [{}]})
UP_0, UP_1 = (make_reply(200, {"id": str(number), "status": 4}) for number in range(2))
NO_PATH = make_reply(404, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"})
GONE = make_reply(404, {"error_code": "APIG.3084", "error_msg": "The livedata API does not exist"})


def make_targets(count: int) -> list[Target]:
    return [Target(number, TargetId(f"roma/{number}"), "roma", 0, (str(number),)) for number in range(count)]


async def run_visit(
    peer: Peer,
    material: Material | Exception = Secret(TOKEN),  # noqa: B008 - a value
    *,
    entry: Gateway | None = None,
    samples: int = 0,
    closes: float | None = None,
    patience: float = 20.0,
    **fields: Any,
) -> GatewayDiagnosis:
    async def credential(_: Gateway) -> Material:
        if isinstance(material, Exception):
            raise material
        return material

    environment = replace(
        make_real_environment(Path()),
        credential=credential,
        connect=partial(connect, folder=Path(), environment={}),
    )
    probe = GatewayProbe(
        gateway=replace(entry or gateway(**fields), url=peer.url),
        samples=make_targets(samples),
        total=samples,
        folder=Path(),
        closes=closes,
    )
    return await visit_gateway(probe, environment, patience=patience)


def find_finding(diagnosis: GatewayDiagnosis, check: str) -> tuple[FindingState, str]:
    (finding,) = (one for one in diagnosis.findings if one.check == check)
    return finding.state, finding.text


async def test_all_is_well() -> None:
    async with serving(saying(make_refusal(), LISTED, NO_PATH, UP_0, UP_1, GONE)) as peer:
        found = await run_visit(peer, samples=3)

    assert (found.requests, len(peer.requests)) == (6, 6)
    assert find_finding(found, "credential") == (FindingState.OK, "accepted; lists 7 backend APIs")
    assert find_finding(found, "version") == (FindingState.OK, "v1")
    assert find_finding(found, "looks") == (FindingState.OK, "show")
    assert find_finding(found, "targets")[1].startswith(
        "3 of 3 looked at: 2 deployed, 1 not found (APIG.3084"
    )
    assert found.state is FindingState.WARN


async def test_the_first_request_shows_no_credential() -> None:
    async with serving(saying(make_reply(200, b"<html>Sign in</html>"))) as peer:
        found = await run_visit(peer, samples=3)

    assert len(peer.requests) == 1
    assert TOKEN.encode() not in peer.requests[0]
    assert find_finding(found, "answer")[0] is FindingState.FAIL
    assert "credential" not in {one.check for one in found.worst}


@pytest.mark.parametrize("material", [Secret(TOKEN), KEYS])
async def test_a_refused_credential_is_sent_once_and_not_repeated_in_what_is_told(material: Material) -> None:
    auth = SIGNED if isinstance(material, AccessKeys) else Auth(token=ENV)
    async with serving(saying(make_refusal())) as peer:
        found = await run_visit(peer, material, samples=3, auth=auth)

    assert [b"FAKEAK" in request or TOKEN.encode() in request for request in peer.requests] == [False, True]
    assert find_finding(found, "credential")[0] is FindingState.FAIL
    assert "APIG.1002" in find_finding(found, "credential")[1]
    if isinstance(material, Secret):
        assert TOKEN not in repr(found)


async def test_a_clock_too_far_off_keeps_a_signature_from_being_sent() -> None:
    async with serving(saying(make_refusal(ahead=-1000))) as peer:
        signed = await run_visit(peer, KEYS, auth=SIGNED)
    async with serving(saying(make_refusal(ahead=-1000), LISTED)) as other:
        token = await run_visit(other)

    assert len(peer.requests) == 1
    assert find_finding(signed, "clock")[0] is FindingState.FAIL
    assert re.search(r"16 min (39|40|41) s behind", find_finding(signed, "clock")[1])
    assert find_finding(token, "clock")[0] is FindingState.WARN
    assert find_finding(token, "credential")[0] is FindingState.OK


@pytest.mark.parametrize(
    "form", ["%a %b %e %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S", "%a, %d %b %Y %H:%M:%S -0000"]
)
async def test_a_time_without_a_zone_is_not_this_machines_own(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    date = time.strftime(form, time.gmtime())
    silent = f"HTTP/1.1 401 X\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode()
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        async with serving(saying(silent, LISTED)) as peer:
            found = await run_visit(peer)
    finally:
        monkeypatch.undo()
        time.tzset()

    assert find_finding(found, "clock")[0] is FindingState.OK


async def test_a_gateway_that_does_not_say_its_time_is_no_worse_for_it() -> None:
    silent = b"HTTP/1.1 401 X\r\nDate: soon\r\nContent-Length: 0\r\n\r\n"
    async with serving(saying(silent, LISTED)) as peer:
        found = await run_visit(peer)

    assert find_finding(found, "clock")[0] is FindingState.UNKNOWN
    assert found.state is FindingState.OK


@pytest.mark.parametrize(
    ("own", "other", "state", "text"),
    [
        (LISTED, LISTED, FindingState.OK, "v1, and v2 answers too"),
        (LISTED, make_refusal(), FindingState.OK, "v1"),
        (NO_PATH, LISTED, FindingState.FAIL, "v1, which the plan means, does not answer; v2 does"),
        (NO_PATH, NO_PATH, FindingState.FAIL, "neither v1 nor v2 answers: APIGW.0101 The API does not exist"),
    ],
)
async def test_the_version_that_answers(own: bytes, other: bytes, state: FindingState, text: str) -> None:
    async with serving(saying(make_refusal(), own, other)) as peer:
        found = await run_visit(peer)

    assert find_finding(found, "version") == (state, text)
    assert len(peer.requests) == 3


async def test_a_reference_that_gives_nothing_is_told_beside_what_else_is_wrong() -> None:
    async with serving(saying(make_reply(503, b""))) as peer:
        found = await run_visit(peer, CredentialError("TOKEN is not set"))

    assert [one.check for one in found.worst] == ["answer", "credential"]
    assert find_finding(found, "credential") == (FindingState.FAIL, "TOKEN is not set")
    assert len(peer.requests) == 1


async def test_the_life_of_a_token_is_read_from_the_token() -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(time.time()) + 1800}).encode()).rstrip(b"=")
    token = Secret(f"aaaa.{claims.decode()}.bbbb")
    async with serving(saying(make_refusal(), LISTED)) as peer:
        found = await run_visit(peer, token, closes=time.time() + 7200)

    assert find_finding(found, "life")[0] is FindingState.WARN
    assert "before the window closes" in find_finding(found, "life")[1]
    assert found.state is FindingState.WARN


@pytest.mark.parametrize("answer", [silence, reset])
async def test_a_gateway_that_does_not_answer_is_told(
    answer: Callable[[Peer, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    async with serving(answer) as peer:
        found = await run_visit(peer, timeout=0.3)

    assert (find_finding(found, "answer")[0], len(peer.requests)) == (FindingState.FAIL, 1)
    assert find_finding(found, "latency")[0] is FindingState.UNKNOWN


@pytest.mark.long("waits on the real clock")
async def test_a_gateway_is_given_up_on_in_the_end() -> None:
    async with serving(silence) as peer:
        found = await run_visit(peer, patience=1.0)

    assert find_finding(found, "answer") == (FindingState.FAIL, "gave up after 1 s")
    assert find_finding(found, "port")[0] is FindingState.OK


MANAGER = Apinizer(
    name="apim", url="http://127.0.0.1", auth=Auth(login=ManagerLogin(user="ops", password=ENV)), timeout=5.0
)
HEALTHY = make_reply(200, b"OK")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_place_that_refuses_a_question_without_a_credential_has_refused_none(status: int) -> None:
    async with serving(saying(make_reply(status, {"error": "login first"}))) as peer:
        found = await run_visit(peer, entry=MANAGER)

    assert len(peer.requests) == 1
    (fault,) = found.worst
    assert fault.check == "answer"
    assert fault.text.startswith("it refuses a question that needs no credential")
    assert "check url" in fault.advice


async def test_a_refused_password_is_tried_once() -> None:
    no = make_reply(401, {"error": "invalid_client", "error_description": "no such user for hunter2-hunter2"})
    async with serving(saying(HEALTHY, no)) as peer:
        found = await run_visit(peer, LoginPassword(Secret("hunter2-hunter2")), entry=MANAGER)

    assert [request.split(maxsplit=2)[:2] for request in peer.requests] == [
        [b"GET", b"/apiops/test/healthcheck"],
        [b"POST", b"/apiops/auth/token"],
    ]
    assert find_finding(found, "credential")[0] is FindingState.FAIL
    assert "invalid_client" in find_finding(found, "credential")[1]
    assert "hunter2" not in repr(found)


async def test_a_login_without_an_answer_is_not_repeated() -> None:
    async with serving(saying(HEALTHY, make_reply(502, b""))) as peer:
        found = await run_visit(peer, LoginPassword(Secret("hunter2-hunter2")), entry=MANAGER)

    assert len(peer.requests) == 2
    assert find_finding(found, "credential")[0] is FindingState.FAIL


async def test_a_login_that_did_not_leave_is_not_counted() -> None:
    iam = IamLogin(url="http://p..invalid", user="me", domain="us", password=ENV)
    async with serving(saying(make_refusal())) as peer:
        found = await run_visit(peer, LoginPassword(Secret("hunter2-hunter2")), auth=Auth(iam=iam))

    assert (found.requests, len(peer.requests)) == (1, 1)
    assert "the name p..invalid cannot be resolved" in find_finding(found, "credential")[1]


async def test_a_user_without_projects_is_warned_of() -> None:
    granted = make_reply(200, {"access_token": "t0ken", "expires_in": 3600})
    hello, none = make_reply(200, b"Hello undeploy"), make_reply(200, {"status": "SUCCESS", "resultList": []})
    async with serving(saying(HEALTHY, granted, hello, none)) as peer:
        found = await run_visit(peer, LoginPassword(Secret("hunter2-hunter2")), entry=MANAGER)

    assert find_finding(found, "credential") == (FindingState.WARN, "the token's user may see no project")
    assert find_finding(found, "life")[1] == "renewed by a login when it ends"
    assert (found.state, found.requests) == (FindingState.WARN, 4)


async def test_a_gateway_that_wants_fewer_requests_gets_none_more() -> None:
    busy = make_reply(429, {"error_code": "APIGW.0308", "error_msg": "slow down"})
    async with serving(saying(make_refusal(), LISTED, LISTED, busy)) as peer:
        found = await run_visit(peer, samples=3)

    assert len(peer.requests) == 4
    assert find_finding(found, "targets")[0] is FindingState.WARN


async def test_nor_does_one_that_wants_fewer_while_its_version_is_asked_for() -> None:
    busy = make_reply(429, {"error_code": "APIGW.0308", "error_msg": "slow down"})
    async with serving(saying(make_refusal(), LISTED, busy)) as peer:
        found = await run_visit(peer, samples=3)

    assert len(peer.requests) == 3
    assert find_finding(found, "credential")[0] is FindingState.WARN
    assert find_finding(found, "version")[0] is find_finding(found, "targets")[0] is FindingState.UNKNOWN


async def test_a_credential_that_is_too_short_to_be_masked_is_warned_of() -> None:
    async with serving(saying(NO_PATH, LISTED, LISTED)) as peer:
        diagnosis = await run_visit(peer, Secret("short"))
    found = {finding.check: finding for finding in diagnosis.findings}["credential"]
    assert (found.state, found.text) == (FindingState.WARN, "accepted")
    assert found.advice.startswith("a credential of fewer than 8 characters")


async def test_a_kind_without_a_health_feature_is_asked_nothing_that_it_does_not_offer() -> None:
    auth = Auth(token=CredentialReference(env="NOBODY_SETS_THIS"))
    beacon = Beacon(name="lights", url="https://beacon.example.com", tenant="acme", auth=auth)
    async with serving(saying()) as peer:
        found = await run_visit(peer, entry=beacon)

    assert found.requests == 0
    assert [one.check for one in found.findings if one.state is FindingState.FAIL] == []
    assert find_finding(found, "version")[0] is FindingState.UNKNOWN
