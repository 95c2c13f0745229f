"""All simulated gateways together: what a request meets, and what the books say of it."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.model.reading import Act
from orchestrator.simulator.accounts import SimulatedUser
from orchestrator.simulator.exchange import DeliveryManner, RequestEffect
from orchestrator.simulator.faults import NAMES, FaultScenario, FaultStorm
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_KEYS, FAKE_TOKEN
from orchestrator.simulator.keys import AccessKey
from orchestrator.simulator.limits import RateLimit, TokenExpiry
from orchestrator.simulator.platforms import SimulatedPlatforms
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

UNDEPLOY = f"/v2/{PLACE}/livedata-apis/{BACKEND}/undeploy"
SHOW = f"/v2/{PLACE}/livedata-apis/{BACKEND}"
TARGET = f"roma-eu/{BACKEND}"
BOTH = {
    "roma-eu": (roma, UNDEPLOY, "POST", TARGET),
    "apim": (apinizer, TEST, "DELETE", "apim/Retail/petstore/test"),
}


@pytest.mark.parametrize("gateway", BOTH)
@pytest.mark.parametrize(
    ("fault", "manner", "answer", "effect"),
    [
        ("500", DeliveryManner.WHOLE, 500, RequestEffect.NONE),
        ("500-after", DeliveryManner.WHOLE, 500, RequestEffect.DOWN),
        ("slow@3", DeliveryManner.WHOLE, None, RequestEffect.DOWN),
        ("hang", DeliveryManner.HANG, 0, RequestEffect.NONE),
        ("hang-after", DeliveryManner.HANG, 0, RequestEffect.DOWN),
        ("reset", DeliveryManner.RESET, 0, RequestEffect.NONE),
        ("reset-after", DeliveryManner.RESET, 0, RequestEffect.DOWN),
        ("garbage", DeliveryManner.GARBAGE, 0, RequestEffect.NONE),
        ("cut", DeliveryManner.CUT, None, RequestEffect.DOWN),
        ("login-page", DeliveryManner.WHOLE, 200, RequestEffect.NONE),
        ("error-page", DeliveryManner.WHOLE, 502, RequestEffect.NONE),
        ("empty", DeliveryManner.WHOLE, 200, RequestEffect.NONE),
        ("redirect", DeliveryManner.WHOLE, 302, RequestEffect.NONE),
        ("elsewhere", DeliveryManner.WHOLE, 404, RequestEffect.NONE),
    ],
)
def test_each_fault_has_its_manner_answer_and_effect(gateway, fault, manner, answer, effect):
    fixture, path, method, target = BOTH[gateway]
    client = SimulatedClient(fixture())
    client.expect(script={target: (fault,)})

    delivery = client.ask(method, path)

    usual = {"roma-eu": 204, "apim": 200}[gateway]
    assert (delivery.manner, delivery.effect) == (manner, effect)
    assert (delivery.answer.status if delivery.answer else 0) == (usual if answer is None else answer)
    assert client.platforms.books().targets[target].down == (effect is RequestEffect.DOWN)
    assert delivery.delay == (3.0 if fault == "slow@3" else 0.0)


def test_a_status_comes_in_the_vendors_envelope_with_the_wait_as_written():
    client = SimulatedClient(roma())
    client.expect(script={TARGET: ("503@7",)})

    delivery = client.ask("POST", UNDEPLOY)

    assert document(delivery)["error_code"] == "APIG.9999"
    assert delivery.answer.headers["Retry-After"] == "7"


def test_latency_delays_every_answer():
    assert SimulatedClient(roma(latency=0.25)).ask("GET", SHOW).delay == 0.25


def test_a_request_that_is_turned_away_uses_up_no_scripted_fault():
    client = SimulatedClient(roma(rate=RateLimit(per_second=1)))
    client.expect(script={TARGET: ("500",)})

    statuses = [status(client.ask("POST", UNDEPLOY, token="wrong"))]
    statuses += [status(client.ask("GET", SHOW)), status(client.ask("POST", UNDEPLOY))]
    client.now += 10
    statuses += [status(client.ask("POST", UNDEPLOY))]

    assert statuses == [401, 200, 429, 500]


def test_an_expired_token_is_a_401_until_a_new_one_comes():
    client = SimulatedClient(roma(tokens=("first-token", "second-token"), expiry=TokenExpiry(requests=1)))

    tokens = ("first-token", "first-token", "second-token", "second-token")
    assert [status(client.ask("GET", SHOW, token=token)) for token in tokens] == [200, 401, 200, 200]


def test_the_books_count_by_target_and_by_gateway():
    client = SimulatedClient(roma())
    client.expect(script={TARGET: ("500", "reset-after")})
    for _ in range(3):
        client.ask("POST", UNDEPLOY)
    client.ask("GET", SHOW)
    client.ask("POST", f"/v2/{PLACE}/livedata-apis/nobody/undeploy")

    books = client.platforms.books()

    facts, gateway = books.targets[TARGET], books.gateways["roma-eu"]
    assert (facts.undeploys, facts.looks, facts.down, facts.down_by, facts.down_at) == (
        3,
        1,
        True,
        2,
        client.now,
    )
    assert (gateway.requests, gateway.undeploys, gateway.looks, gateway.struck) == (5, 4, 1, 2)
    assert (gateway.strays, gateway.down, books.requests, books.destroyed) == (1, 2, 5, ())


def test_every_request_is_seen_in_the_order_of_its_arrival():
    client = SimulatedClient(roma())
    client.expect(script={TARGET: ("reset-after",)})
    client.ask("POST", UNDEPLOY)
    client.ask("GET", SHOW + "?x=1")
    client.ask("GET", "/elsewhere")

    seen = client.platforms.list_requests()

    assert [one.number for one in seen] == [1, 2, 3]
    assert [(one.act, one.target, one.status, one.effect, one.fault) for one in seen] == [
        (Act.UNDEPLOY, TARGET, None, RequestEffect.DOWN, "reset-after"),
        (Act.LOOK, TARGET, 200, RequestEffect.NONE, None),
        (None, None, 404, RequestEffect.NONE, None),
    ]
    assert seen[1].path == SHOW + "?x=1"
    assert client.platforms.list_requests(after=1, limit=1) == [seen[1]]


def test_the_books_keep_so_many_requests_and_count_all():
    platforms = SimulatedPlatforms(SimulatorFixture(gateways=(roma(),), keep=2))
    for _ in range(5):
        platforms.handle("roma-eu", "GET", SHOW, {}, b"", now=0.0)

    assert (len(platforms.list_requests()), platforms.books().requests) == (2, 5)


@pytest.mark.promise(9)
def test_no_credential_is_in_the_books():
    secrets = ("s3cret-token", "s3cret-password", "s3cret-key", "s3cret-session")
    token, password, secret, session = secrets
    users = (SimulatedUser(name="u", domain="d", password=password),)
    keys = (AccessKey(access="ak", secret=secret, security_token=session),)
    client = SimulatedClient(roma(tokens=(token,), users=users, keys=keys))
    body = {"auth": {"identity": {"methods": ["password"], "password": {
        "user": {"name": "u", "password": password, "domain": {"name": "d"}}}},
        "scope": {"project": {"id": PROJECT}}}}  # fmt: skip
    login = client.send("POST", LOGINS[0], {"Content-Type": "application/json"}, json.dumps(body).encode())
    granted = login.answer.headers["X-Subject-Token"]
    for one in (*secrets, granted):
        client.ask("GET", f"{SHOW}?token={one}", {"password": one}, token=one)

    written = msgspec.json.encode([client.platforms.books(), client.platforms.list_requests()]).decode()

    assert status(login) == 201
    assert [one for one in (*secrets, granted) if one in written] == []


def test_changes_of_one_proxy_that_overlap_are_noticed():
    platforms = SimulatedPlatforms(SimulatorFixture(gateways=(apinizer(),)))
    headers = {"authorization": f"Bearer {FAKE_TOKEN}"}
    paths = [TEST, TEST.replace("test", "production")]

    open_ones = [platforms.handle("apim", "DELETE", path, headers, b"", now=0.0) for path in paths]
    facts = platforms.books().gateways["apim"]
    for delivery in open_ones:
        platforms.finish("apim", delivery)
    platforms.handle("apim", "DELETE", TEST, headers, b"", now=0.0)

    assert (facts.together, facts.overlaps) == (2, 1)
    assert platforms.books().gateways["apim"].overlaps == 1


def test_a_bad_seed_or_fault_is_refused_in_a_sentence():
    with pytest.raises(UsageError, match="same name"):
        SimulatedPlatforms(SimulatorFixture(gateways=(roma(), roma())))
    with pytest.raises(UsageError, match="no gateway"):
        SimulatedPlatforms(SimulatorFixture(gateways=()))
    with pytest.raises(UsageError, match="the gateways are roma-eu"):
        SimulatedPlatforms(
            SimulatorFixture(gateways=(roma(),)), FaultScenario(script={"apim/a/b/c": ("500",)})
        )


def test_new_faults_replace_the_old_ones_or_change_nothing():
    client = SimulatedClient(roma())
    client.expect(script={TARGET: ("500",)})

    with pytest.raises(UsageError):
        client.expect(script={TARGET: ("partial",)})
    assert status(client.ask("POST", UNDEPLOY)) == 500
    client.expect(script={TARGET: ("409",)})
    assert status(client.ask("POST", UNDEPLOY)) == 409


def test_a_new_seed_begins_with_empty_books():
    client = SimulatedClient(roma())
    client.ask("POST", UNDEPLOY)
    client.platforms.refill(SimulatorFixture(gateways=(roma(targets=("a", "b"), down=()),)), now=client.now)

    books = client.platforms.books()
    assert (books.requests, set(books.targets)) == (0, {"roma-eu/a", "roma-eu/b"})
    with pytest.raises(UsageError, match="roma-eu"):
        client.platforms.refill(SimulatorFixture(gateways=(apinizer(),)), now=client.now)


def test_an_answer_that_was_open_when_the_world_began_anew_ends_without_a_trace():
    platforms = SimulatedPlatforms(SimulatorFixture(gateways=(roma(),)))
    headers = {"X-Auth-Token": FAKE_TOKEN}
    old = platforms.handle("roma-eu", "POST", UNDEPLOY, headers, b"", now=0.0)
    platforms.refill(SimulatorFixture(gateways=(roma(),)), now=0.0)

    new = platforms.handle("roma-eu", "POST", UNDEPLOY, headers, b"", now=0.0)
    platforms.finish("roma-eu", old)
    platforms.handle("roma-eu", "POST", UNDEPLOY, headers, b"", now=0.0)
    facts = platforms.books().gateways["roma-eu"]
    platforms.finish("roma-eu", new)

    assert (facts.together, facts.overlaps) == (2, 1)


def test_a_new_seed_that_does_not_fit_changes_nothing():
    platforms = SimulatedPlatforms(SimulatorFixture(gateways=(roma(),)))
    opened = platforms.handle("roma-eu", "POST", UNDEPLOY, {"X-Auth-Token": FAKE_TOKEN}, b"", now=0.0)

    with pytest.raises(UsageError, match="partial"):
        platforms.refill(
            SimulatorFixture(gateways=(roma(),)), FaultScenario(script={TARGET: ("partial",)}), now=0.0
        )

    assert (platforms.books().requests, len(platforms.list_requests())) == (1, 1)
    platforms.finish("roma-eu", opened)


SEGMENTS = st.sampled_from(
    ["", "v1", "v2", PROJECT, "apic", "instances", PLACE, "livedata-apis", "undeploy", "deploy", "apis",
     BACKEND, "apiops", "projects", "Retail", "apiProxies", "petstore", "environments", "test",
     "deploy-status", "%2F", "%", "route-health", "deploy-histories", "1", "rollback", "%ff", "?limit=x",
     "v3", "auth", "tokens", "token", "?nocatalog=true", "?limit=9&status=4", "ş",
     "\udc80", "?environmentName=test", "hello", "%00"]
) | st.text(max_size=8)  # fmt: skip
LOGINS = ("/v3/auth/tokens?nocatalog=true", "/apiops/auth/token")
SIGNATURES = [
    f"SDK-HMAC-SHA256{claim}"
    for claim in ("", f" Access=ş, SignedHeaders=x-sdk-date, Signature={'0' * 64}",
                  f" Access={FAKE_KEYS.access}, SignedHeaders=x-odd;x-sdk-date, Signature={'0' * 64}")
]  # fmt: skip
PATHS = st.lists(SEGMENTS, max_size=12).map("/".join)
BODIES = st.binary(max_size=40) | st.recursive(
    st.none() | st.booleans() | st.text() | st.integers(),
    lambda inner: st.dictionaries(st.sampled_from(["ld_api_id", "description", "persistent"]), inner),
).map(lambda value: json.dumps(value).encode())


@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT", "*"]),
    path=PATHS | st.sampled_from([UNDEPLOY, SHOW, TEST, f"{TEST}route-health/", *LOGINS]),
    body=BODIES,
    fault=st.sampled_from(sorted(NAMES)),
    token=st.sampled_from([FAKE_TOKEN, "ş", ""]),
    authorization=st.sampled_from([None, *SIGNATURES]),
    kind=st.sampled_from(["application/json", "application/x-www-form-urlencoded", "ş"]),
)
def test_no_request_makes_the_core_raise(method, path, body, fault, token, authorization, kind):
    storm = FaultScenario(storm=FaultStorm(share=0.5, kinds=(f"any:{fault}",)))
    fixture = SimulatorFixture(gateways=(roma(keys=(FAKE_KEYS,)), apinizer(shape="b")))
    platforms = SimulatedPlatforms(fixture, storm)

    for name in platforms.names:
        headers = {
            "X-Auth-Token": token,
            "Authorization": authorization or f"Bearer {token}",
            "X-Sdk-Date": "19700101T000000Z",
            "Content-Type": kind,
            "X-Odd": "\udc80\ud800",
        }
        delivery = platforms.handle(name, method, path, headers, body, now=1.0)
        platforms.finish(name, delivery)
        assert delivery.answer is not None or delivery.manner is not DeliveryManner.WHOLE
    assert msgspec.json.encode([platforms.books(), platforms.list_requests()])
