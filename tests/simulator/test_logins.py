"""Tokens for passwords, at IAM and at Apinizer's manager."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from orchestrator.errors import UsageError
from orchestrator.simulator.accounts import SimulatedUser
from orchestrator.simulator.exchange import Delivery, DeliveryManner, RequestEffect
from orchestrator.simulator.faults import FaultScenario, FaultStorm
from orchestrator.simulator.gateway_fixture import FAKE_PASSWORD
from orchestrator.simulator.limits import RateLimit
from tests.support.simulated import (
    BACKEND,
    PLACE,
    PROJECT,
    TEST,
    SimulatedClient,
    apinizer,
    document,
    roma,
    status,
)

SHOW = f"/v2/{PLACE}/livedata-apis/{BACKEND}"
IAM = "/v3/auth/tokens?nocatalog=true"
MANAGER = "/apiops/auth/token"
FORM = "application/x-www-form-urlencoded"


def wish(password: str = FAKE_PASSWORD, user: str = "ops", domain: str = "acme") -> dict[str, Any]:
    who = {"name": user, "password": password, "domain": {"name": domain}}
    identity = {"methods": ["password"], "password": {"user": who}}
    return {"auth": {"identity": identity, "scope": {"project": {"id": PROJECT}}}}


def iam(client: SimulatedClient, body: object, kind: str = "application/json;charset=utf8") -> Delivery:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return client.send("POST", IAM, {"Content-Type": kind}, raw)


def ours(**fields: Any) -> SimulatedClient:
    user = SimulatedUser(name="ops", domain="acme", password=FAKE_PASSWORD)
    return SimulatedClient(roma(**{"users": (user,)} | fields))


def manager(client: SimulatedClient, kind: str = FORM, **form: str) -> Delivery:
    whole = {"grant_type": "client_credentials", "client_id": "ops", "client_secret": FAKE_PASSWORD} | form
    return client.send("POST", MANAGER, {"Content-Type": kind}, urlencode(whole).encode())


def theirs(**fields: Any) -> SimulatedClient:
    return SimulatedClient(
        apinizer(**{"users": (SimulatedUser(name="ops", password=FAKE_PASSWORD),)} | fields)
    )


class TestIam:
    def test_a_token_comes_in_its_header_with_its_end_in_the_body(self):
        client = ours(token_life=30)

        delivery = iam(client, wish())

        token = delivery.answer.headers["X-Subject-Token"]
        assert (status(delivery), delivery.effect) == (201, RequestEffect.GRANTED)
        ends = datetime.fromisoformat(document(delivery)["token"]["expires_at"])
        assert ends.timestamp() == client.now + 30
        assert token not in delivery.answer.body.decode()
        assert status(client.ask("GET", SHOW, token=token)) == 200

    def test_a_token_ends_at_its_announced_time(self):
        client = ours(token_life=30)
        reply = iam(client, wish())
        token, ends = reply.answer.headers["X-Subject-Token"], document(reply)["token"]["expires_at"]

        client.now += 29.9
        alive = client.ask("GET", SHOW, token=token)
        client.now += 0.1
        dead = client.ask("GET", SHOW, token=token)

        assert (status(alive), status(dead)) == (200, 401)
        assert document(dead)["error_code"] == "APIGW.0301"
        assert document(dead)["error_msg"].endswith(f"token expires, expires_at: {ends}")
        assert client.facts().denied == 1

    @pytest.mark.parametrize(
        "body", [wish("wrong"), wish(user="other"), wish(domain="other")], ids=["password", "user", "domain"]
    )
    def test_a_wrong_user_or_password_gets_a_401_in_iams_envelope(self, body):
        client = ours()

        delivery = iam(client, body)

        expected = {"code": 401, "message": "The username or password is wrong.", "title": "Unauthorized"}
        assert (status(delivery), document(delivery)) == (401, {"error": expected})
        assert "X-Subject-Token" not in delivery.answer.headers
        assert (client.facts().logins, client.facts().logins_refused, client.facts().denied) == (1, 1, 0)

    @pytest.mark.parametrize(
        ("change", "expected"),
        [({"methods": ["token"]}, 400), ({"methods": "password"}, 400), ({"password": {}}, 400)],
    )
    def test_a_body_of_another_form_is_a_400(self, change, expected):
        body = wish()
        body["auth"]["identity"] |= change

        assert status(iam(ours(), body)) == expected

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]"])
    def test_a_body_that_cannot_be_read_is_a_400(self, body):
        assert document(iam(ours(), body))["error"]["code"] == 400

    def test_a_body_of_another_type_is_a_400(self):
        assert status(iam(ours(), wish(), FORM)) == 400

    @pytest.mark.parametrize(
        ("scope", "expected"),
        [({"project": {"id": "another"}}, 404), ({"domain": {"name": "acme"}}, 400), ({}, 400)],
    )
    def test_a_token_is_for_the_project_of_the_instance(self, scope, expected):
        body = deepcopy(wish())
        body["auth"]["scope"] = scope

        delivery = iam(ours(), body)

        assert (status(delivery), delivery.effect) == (expected, RequestEffect.REFUSED)

    def test_a_user_with_a_second_factor_gets_no_token_for_a_password(self):
        user = SimulatedUser(name="ops", domain="acme", password=FAKE_PASSWORD, second_factor=True)
        client = ours(users=(user,))

        delivery = iam(client, wish())

        assert status(delivery) == 401
        assert "Multi-factor" in document(delivery)["error"]["message"]
        assert status(iam(client, wish("wrong"))) == 401

    def test_wrong_passwords_lock_the_user_even_with_the_right_one(self):
        client = ours(lock_seconds=60)
        wrong = [status(iam(client, wish("wrong"))) for _ in range(5)]

        locked = iam(client, wish())
        client.now += 60
        again = iam(client, wish())

        assert (wrong, status(locked), status(again)) == ([401] * 5, 403, 201)
        assert document(locked)["error"]["title"] == "Forbidden"
        facts = client.facts()
        assert (facts.logins, facts.logins_accepted, facts.logins_refused, facts.user_locks) == (7, 1, 6, 1)

    @pytest.mark.parametrize(("lock_after", "expected"), [(1, 403), (2, 201), (0, 201)])
    def test_how_many_is_a_setting(self, lock_after, expected):
        client = ours(lock_after=lock_after)
        iam(client, wish("wrong"))

        assert status(iam(client, wish())) == expected

    def test_a_login_needs_no_token_and_no_other_method_logs_in(self):
        assert status(ours().send("GET", IAM, {})) == 401


class TestManager:
    @pytest.mark.parametrize(
        ("expires_in", "told"),
        [
            ("3600", lambda _: 3600),
            ("epoch", lambda now: (now + 30) * 1000),
            ("milliseconds", lambda _: 30_000),
        ],
    )
    def test_a_token_comes_with_a_life_that_is_not_to_be_believed(self, expires_in, told):
        client = theirs(expires_in=expires_in, token_life=30)

        delivery = manager(client)

        body = document(delivery)
        assert (status(delivery), delivery.effect, body["token_type"]) == (
            200,
            RequestEffect.GRANTED,
            "Bearer",
        )
        assert body["expires_in"] == told(client.now)
        assert status(client.ask("DELETE", TEST, token=body["access_token"])) == 200

    def test_a_token_ends_without_a_word_of_when(self):
        client = theirs(token_life=30, errors="new")
        token = document(manager(client))["access_token"]
        client.now += 30

        delivery = client.ask("DELETE", TEST, token=token)

        assert (status(delivery), document(delivery)["resultMessage"]) == (401, "Token was expired!")

    @pytest.mark.parametrize("errors", ["old", "new"])
    @pytest.mark.parametrize(
        ("changes", "expected", "code"),
        [
            ({"client_secret": "wrong"}, 401, "unauthorized_client"),
            ({"client_id": "other"}, 401, "unauthorized_client"),
            ({"grant_type": "password"}, 400, "unsupported_grant_type"),
            ({"kind": "application/json"}, 400, "invalid_request"),
        ],
    )
    def test_a_refusal_has_the_oauth_form_whatever_the_other_errors_are(
        self, errors, changes, expected, code
    ):
        client = theirs(errors=errors)

        delivery = manager(client, **changes)

        assert (status(delivery), document(delivery)["error"]) == (expected, code)
        assert document(delivery)["error_description"]
        assert (client.facts().logins_refused, client.facts().user_locks) == (1, 0)

    def test_json_is_refused(self):
        body = msgspec.json.encode({"grant_type": "client_credentials", "client_id": "ops"})

        assert status(theirs().send("POST", MANAGER, {"Content-Type": "application/json"}, body)) == 400

    def test_a_password_of_any_kind_is_decoded_as_a_form_is(self):
        users = (SimulatedUser(name="Ayşe +&=%", password="ğ p+w&d=%20"),)
        client = theirs(users=users)

        assert status(manager(client, client_id=users[0].name, client_secret=users[0].password)) == 200

    def test_an_address_with_a_slash_is_none(self):
        assert status(theirs().ask("POST", MANAGER + "/")) == 404


LOGIN = {"roma-eu": (ours, lambda client: iam(client, wish()), 201), "apim": (theirs, manager, 200)}


@pytest.mark.parametrize("gateway", LOGIN)
@pytest.mark.parametrize(
    ("fault", "manner", "expected", "accepted"),
    [
        ("login:500", DeliveryManner.WHOLE, 500, 0),
        ("login:503@7", DeliveryManner.WHOLE, 503, 0),
        ("login:reset", DeliveryManner.RESET, 0, 0),
        ("login:reset-after", DeliveryManner.RESET, 0, 1),
        ("login:hang", DeliveryManner.HANG, 0, 0),
        ("login:slow@2", DeliveryManner.WHOLE, None, 1),
        ("login:login-page", DeliveryManner.WHOLE, 200, 0),
        ("any:429", DeliveryManner.WHOLE, 429, 0),
    ],
)
def test_faults_strike_logins_too(gateway, fault, manner, expected, accepted):
    make, log_in, usual = LOGIN[gateway]
    client = make()
    client.expect(script={gateway: (fault,)})

    struck = log_in(client)
    after = log_in(client)

    assert struck.manner is manner
    assert (struck.answer.status if struck.answer else 0) == (usual if expected is None else expected)
    assert status(after) == usual
    facts = client.facts()
    assert (facts.logins, facts.logins_accepted, facts.struck) == (2, accepted + 1, 1)


def test_a_struck_login_has_the_envelope_of_a_login():
    worlds = [ours(), theirs(errors="new")]
    for client, gateway in zip(worlds, LOGIN, strict=True):
        client.expect(script={gateway: ("login:500",)})

    assert document(iam(worlds[0], wish()))["error"]["title"] == "Internal Server Error"
    assert document(manager(worlds[1]))["error"] == "server_error"


def test_a_fault_of_a_login_strikes_nothing_else():
    client = ours()
    client.expect(script={"roma-eu": ("500", "look:502", "login:503")})

    assert status(iam(client, wish())) == 503
    assert status(client.ask("GET", SHOW)) == 502


def test_a_login_cannot_lie_as_an_undeploy_can():
    with pytest.raises(UsageError, match="a login"):
        theirs().expect(script={"apim": ("login:partial",)})


def test_a_storm_strikes_logins_where_it_names_them():
    client = ours()
    client.platforms.expect(FaultScenario(storm=FaultStorm(share=1, kinds=("login:502", "500"))))

    assert status(iam(client, wish())) == 502


def test_the_books_tell_a_login_from_other_requests_and_a_rate_does_not_count_it():
    client = ours(rate=RateLimit(per_second=1))
    iam(client, wish())
    iam(client, wish("wrong"))
    client.ask("GET", SHOW)

    seen = client.platforms.list_requests()

    assert [(one.login, one.effect, one.status) for one in seen] == [
        (True, RequestEffect.GRANTED, 201),
        (True, RequestEffect.REFUSED, 401),
        (False, RequestEffect.NONE, 200),
    ]
    assert (client.facts().requests, client.facts().looks) == (3, 1)
