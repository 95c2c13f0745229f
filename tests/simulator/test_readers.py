"""Readers and simulators were written apart; here they meet: each vendor's login, and a signed request."""

from __future__ import annotations

import pytest
from msgspec import structs
from yarl import URL

from orchestrator.gateways import KINDS
from orchestrator.gateways.roma.requests import DEFINITION, HISTORY, SHOW
from orchestrator.model.credentials import Access, AccessKeys, LoginGranted, LoginRejected, Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Reply, Request
from orchestrator.model.plan import Plan, Wave
from orchestrator.model.reading import DEPLOY, UNDEPLOY
from orchestrator.model.settings import Auth, CredentialReference, IamLogin, ManagerLogin
from orchestrator.model.target import Target, TargetId
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_KEYS, FAKE_PASSWORD, FAKE_SECURITY_TOKEN, FAKE_TOKEN
from orchestrator.simulator.platforms import SimulatedPlatforms
from tests.support.simulated import BACKEND, INSTANCE, PROJECT, roma

NOW = 1_600_498_693.0
SOMEWHERE = CredentialReference(env="NOBODY_SETS_THIS")
URL_OF = "http://127.0.0.1:38471"


def gateway(kind: str, auth: Auth) -> Gateway:
    place = {"project_id": PROJECT, "instance_id": INSTANCE} if kind == "roma" else {}
    return KINDS[kind](name="there", url=URL_OF, auth=auth, **place)


def target(kind: str) -> Target:
    parts = (BACKEND,) if kind == "roma" else ("Retail", "petstore", "test")
    return Target(1, TargetId("/".join(("there", *parts))), "there", 0, parts)


def client(entry: Gateway, kind: str) -> SimulatedPlatforms:
    plan = Plan(name="plan", gateways=(entry,), waves=(Wave(name="all"),))
    return SimulatedPlatforms(SimulatorFixture.from_plan(plan, [target(kind)]), now=NOW)


def sent(platforms: SimulatedPlatforms, request: Request, now: float = NOW) -> Reply:
    path = URL(request.url, encoded=True).raw_path_qs
    body = request.body or b""
    delivery = platforms.handle("there", request.method, path, request.headers, body, now=now)
    assert delivery.answer is not None
    headers = {name.lower(): value for name, value in delivery.answer.headers.items()}
    return Reply(delivery.answer.status, headers, delivery.answer.body, now)


def undeployed(
    platforms: SimulatedPlatforms, entry: Gateway, kind: str, access: Access, now: float = NOW
) -> int:
    return sent(
        platforms, entry.build_request(UNDEPLOY, target(kind), access, note="why", now=now), now
    ).status


LOGINS = {
    "roma": Auth(iam=IamLogin(url=URL_OF, user="ops ş", domain="acme", password=SOMEWHERE)),
    "apinizer": Auth(login=ManagerLogin(user="ops ş&=", password=SOMEWHERE)),
}


@pytest.mark.parametrize("kind", LOGINS)
def test_a_login_gives_a_token_that_lets_an_undeploy_in_until_it_ends(kind):
    entry = gateway(kind, LOGINS[kind])
    platforms = client(entry, kind)

    granted = entry.login.read(sent(platforms, entry.login.build_request(Secret(FAKE_PASSWORD))))

    assert isinstance(granted, LoginGranted)
    assert granted.until == (NOW + 86_400 if kind == "roma" else None)
    assert undeployed(platforms, entry, kind, granted.token, NOW + 86_400) == 401
    assert undeployed(platforms, entry, kind, granted.token) in (200, 204)


@pytest.mark.parametrize("kind", LOGINS)
def test_a_wrong_password_is_a_rejection(kind):
    entry = gateway(kind, LOGINS[kind])

    assert isinstance(
        entry.login.read(sent(client(entry, kind), entry.login.build_request(Secret("wrong")))), LoginRejected
    )


@pytest.mark.parametrize("session", [None, FAKE_SECURITY_TOKEN])
def test_a_signed_undeploy_is_let_in_and_one_with_another_secret_is_not(session):
    token = SOMEWHERE if session else None
    entry = gateway("roma", Auth(access_key=SOMEWHERE, secret_key=SOMEWHERE, security_token=token))
    platforms = client(entry, "roma")
    more = Secret(session) if session else None
    bad, good = (
        AccessKeys(Secret(FAKE_KEYS.access), Secret(secret), more) for secret in ("other", FAKE_KEYS.secret)
    )

    assert [undeployed(platforms, entry, "roma", keys) for keys in (bad, good)] == [401, 204]
    assert platforms.books().gateways["there"].bad_signatures == 1


@pytest.mark.promise(11)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_what_repeats_a_definition_with_its_scripts_has_room_in_a_reply(version: str) -> None:
    """A history has no pages: a year of nightly deploys is one reply, with the scripts in each record."""
    entry = structs.replace(gateway("roma", Auth(token=SOMEWHERE)), api_version=version)
    fixture = roma(name="there", script_bytes=1_500_000)
    platforms = SimulatedPlatforms(SimulatorFixture(gateways=(fixture,)), now=NOW)
    api = structs.replace(target("roma"), deploy='{"deploy_front_api":false}')

    for operation in (SHOW, DEFINITION, UNDEPLOY, DEPLOY, HISTORY):
        request = entry.build_request(operation, api, Secret(FAKE_TOKEN), note=None, now=NOW)
        reply = sent(platforms, request)

        assert reply.status in (200, 204)
        assert len(reply.body) <= request.largest, operation
