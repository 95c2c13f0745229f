"""The simulators on sockets, as a client sees them."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import hmac
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from orchestrator.errors import UsageError
from orchestrator.simulator.accounts import SimulatedUser
from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_KEYS, FAKE_PASSWORD, FAKE_TOKEN
from orchestrator.simulator.limits import RateLimit, TokenExpiry
from orchestrator.simulator.platforms import SimulatedPlatforms
from orchestrator.simulator.server import serve_platforms
from tests.support.simulated import BACKEND, PLACE, PROJECT, TEST, apinizer, roma

UNDEPLOY = f"/v2/{PLACE}/livedata-apis/{BACKEND}/undeploy"
TARGETS = {"roma-eu": f"roma-eu/{BACKEND}", "apim": "apim/Retail/petstore/test"}
HEADERS = {
    "X-Auth-Token": FAKE_TOKEN,
    "Authorization": f"Bearer {FAKE_TOKEN}",
    "Content-Type": "application/json",
}


DEPLOY = UNDEPLOY.removesuffix("/undeploy") + "/deploy"


def signed(host: str, canonical_path: str, date: str) -> dict[str, str]:
    """The headers of a POST without a body, put together by hand as the vendor's page shows it."""
    lines = ["POST", canonical_path, "", f"host:{host}", f"x-sdk-date:{date}", "", "host;x-sdk-date"]
    request = "\n".join([*lines, hashlib.sha256(b"").hexdigest()])
    text = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.new(FAKE_KEYS.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    claim = f"Access={FAKE_KEYS.access}, SignedHeaders=host;x-sdk-date, Signature={signature}"
    return {"X-Sdk-Date": date, "Authorization": f"SDK-HMAC-SHA256 {claim}"}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=HEADERS, timeout=aiohttp.ClientTimeout(total=10)) as client:
        client._retry_connection = False
        yield client


async def sent(
    session: aiohttp.ClientSession, base: str, method: str, path: str, **more: object
) -> tuple[int, bytes]:
    url = URL(base + path, encoded=True)
    async with session.request(method, url, allow_redirects=False, **more) as reply:
        return reply.status, await reply.read()


async def undeployed(session: aiohttp.ClientSession, urls: dict[str, str], gateway: str) -> tuple[int, bytes]:
    method, path = {"roma-eu": ("POST", UNDEPLOY), "apim": ("DELETE", TEST)}[gateway]
    return await sent(session, urls[gateway], method, path)


def both(*faults: str) -> SimulatedPlatforms:
    script = dict.fromkeys(TARGETS.values(), faults)
    return SimulatedPlatforms(SimulatorFixture(gateways=(roma(), apinizer())), FaultScenario(script=script))


@pytest.mark.parametrize(("gateway", "expected"), [("roma-eu", 204), ("apim", 200)])
async def test_each_gateway_answers_on_a_port_of_its_own(session, gateway, expected):
    async with serve_platforms(both()) as urls:
        status, _ = await undeployed(session, urls, gateway)

    assert status == expected
    assert len(set(urls.values())) == 2


async def test_a_204_has_neither_body_nor_type(session):
    async with serve_platforms(both()) as urls, session.post(urls["roma-eu"] + UNDEPLOY) as reply:
        assert (await reply.read(), reply.headers.get("Content-Type")) == (b"", None)


async def test_the_path_is_used_as_the_client_wrote_it(session):
    parts = ("a/b", "c d", "e%")
    platforms = SimulatedPlatforms(SimulatorFixture(gateways=(apinizer(targets=(parts,), down=()),)))

    async with serve_platforms(platforms) as urls:
        path = "/apiops/projects/a%2Fb/apiProxies/c%20d/environments/e%25/"
        status, _ = await sent(session, urls["apim"], "DELETE", path)

    assert (status, platforms.list_requests()[0].path) == (200, path)


LOST = {
    "reset": (aiohttp.ClientOSError, False),
    "reset-after": (aiohttp.ClientOSError, True),
    "garbage": (aiohttp.ClientResponseError, False),
    "garbage-after": (aiohttp.ClientResponseError, True),
}


@pytest.mark.parametrize("gateway", TARGETS)
@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_reply_is_lost_with_or_without_the_effect(session, gateway, fault):
    platforms = both(fault)
    error, effect = LOST[fault]

    async with serve_platforms(platforms) as urls:
        with pytest.raises(error):
            await undeployed(session, urls, gateway)

    facts = platforms.books().targets[TARGETS[gateway]]
    assert (facts.undeploys, facts.down) == (1, effect)


async def test_a_reset_is_a_reset_and_no_orderly_end(session):
    async with serve_platforms(both("reset")) as urls:
        with pytest.raises(aiohttp.ClientOSError) as lost:
            await undeployed(session, urls, "roma-eu")

    assert lost.value.errno == errno.ECONNRESET


@pytest.mark.parametrize(
    ("gateway", "error"), [("roma-eu", aiohttp.ServerDisconnectedError), ("apim", aiohttp.ClientPayloadError)]
)
async def test_a_cut_answer_breaks_off_in_its_body_or_its_head(session, gateway, error):
    async with serve_platforms(both("cut")) as urls:
        with pytest.raises(error):
            await undeployed(session, urls, gateway)


@pytest.mark.parametrize(("fault", "effect"), [("hang", False), ("hang-after", True)])
async def test_a_hanging_request_gets_nothing_until_its_client_leaves(session, fault, effect):
    platforms = both(fault)

    async with serve_platforms(platforms) as urls:
        with pytest.raises(TimeoutError):
            await sent(session, urls["roma-eu"], "POST", UNDEPLOY, timeout=aiohttp.ClientTimeout(total=0.1))
        status, _ = await undeployed(session, urls, "roma-eu")

    assert status == 204
    assert platforms.books().targets[TARGETS["roma-eu"]].down_by == (1 if effect else 2)


async def test_a_late_answer_has_had_its_effect_at_once(session):
    platforms = both("slow@5")

    async with serve_platforms(platforms) as urls:
        with pytest.raises(TimeoutError):
            await sent(session, urls["apim"], "DELETE", TEST, timeout=aiohttp.ClientTimeout(total=0.1))

    assert platforms.books().targets[TARGETS["apim"]].down


async def test_a_slow_answer_comes_whole(session):
    async with serve_platforms(both("slow@0.01")) as urls:
        assert (await undeployed(session, urls, "roma-eu"))[0] == 204


@pytest.mark.parametrize(
    ("fault", "expected", "start"),
    [("500", 500, b'{"err'), ("login-page", 200, b"<!doc"), ("error-page", 502, b"<!doc"),
     ("empty", 200, b""), ("redirect", 302, b"")],
)  # fmt: skip
@pytest.mark.parametrize("gateway", TARGETS)
async def test_a_strange_answer_arrives_unchanged(session, gateway, fault, expected, start):
    async with serve_platforms(both(fault)) as urls:
        status, body = await undeployed(session, urls, gateway)

    assert (status, body[:5]) == (expected, start)


async def test_the_rate_limit_goes_by_the_servers_clock(session):
    times = iter([0.0, 0.0, 0.0, 0.5, 1.0])
    fixture = roma(rate=RateLimit(per_second=1, burst=2))
    async with serve_platforms(
        SimulatedPlatforms(SimulatorFixture(gateways=(fixture,))), clock=lambda: next(times)
    ) as urls:
        statuses = [(await undeployed(session, urls, "roma-eu"))[0] for _ in range(5)]

    assert statuses == [204, 204, 429, 429, 204]


async def test_a_token_may_expire_in_mid_run(session):
    platforms = SimulatedPlatforms(SimulatorFixture(gateways=(roma(expiry=TokenExpiry(requests=2)),)))

    async with serve_platforms(platforms) as urls:
        statuses = [(await undeployed(session, urls, "roma-eu"))[0] for _ in range(3)]

    assert statuses == [204, 204, 401]


async def test_a_login_at_iam_gives_a_token_that_ends(session):
    clock = iter([0.0, 1.0, 61.0])
    user = SimulatedUser(name="ops", domain="acme", password=FAKE_PASSWORD)
    platforms = SimulatedPlatforms(SimulatorFixture(gateways=(roma(users=(user,), token_life=60),)))
    who = {"name": "ops", "password": FAKE_PASSWORD, "domain": {"name": "acme"}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": who}},
                     "scope": {"project": {"id": PROJECT}}}}  # fmt: skip

    async with serve_platforms(platforms, clock=lambda: next(clock)) as urls:
        url = urls["roma-eu"] + "/v3/auth/tokens?nocatalog=true"
        async with session.post(url, json=body) as reply:
            token = reply.headers["X-Subject-Token"]
        more = {"headers": {"X-Auth-Token": token}}
        replies = [await sent(session, urls["roma-eu"], "POST", UNDEPLOY, **more) for _ in range(2)]

    assert reply.status == 201
    assert [status for status, _ in replies] == [204, 401]


async def test_a_login_at_the_manager_gives_a_token(session):
    fixture = apinizer(users=(SimulatedUser(name="ops", password="p w+d&ş"),))
    form = {"grant_type": "client_credentials", "client_id": "ops", "client_secret": "p w+d&ş"}
    plain = {"Content-Type": "application/x-www-form-urlencoded"}

    async with serve_platforms(SimulatedPlatforms(SimulatorFixture(gateways=(fixture,)))) as urls:
        async with session.post(urls["apim"] + "/apiops/auth/token", data=form, headers=plain) as reply:
            token = (await reply.json())["access_token"]
        status, _ = await sent(
            session, urls["apim"], "DELETE", TEST, headers={"Authorization": f"Bearer {token}"}
        )

    assert (reply.status, status) == (200, 200)


async def test_a_signature_over_the_address_of_the_socket_is_let_in(session):
    platforms = SimulatedPlatforms(SimulatorFixture(gateways=(roma(keys=(FAKE_KEYS,)),)))

    async with serve_platforms(platforms, clock=lambda: 1_600_498_693.0) as urls:
        host = urls["roma-eu"].removeprefix("http://")
        headers = signed(host, f"{UNDEPLOY}/", "20200919T065813Z")
        replies = [
            await sent(session, urls["roma-eu"], "POST", path, headers=headers) for path in (DEPLOY, UNDEPLOY)
        ]

    assert [status for status, _ in replies] == [401, 204]
    assert platforms.books().gateways["roma-eu"].bad_signatures == 1


async def test_the_world_may_begin_anew_while_a_request_is_open(session):
    platforms = both("slow@0.1")
    arrived = asyncio.Event()

    def clock() -> float:
        arrived.set()
        return 0.0

    async with serve_platforms(platforms, clock=clock) as urls:
        waiting = asyncio.ensure_future(undeployed(session, urls, "roma-eu"))
        await arrived.wait()
        platforms.refill(SimulatorFixture(gateways=(roma(), apinizer())), now=0.0)
        status, _ = await waiting

    assert (status, platforms.books().requests) == (204, 0)


async def test_the_control_address_is_on_every_port_and_in_no_books(session):
    platforms = both()

    async with serve_platforms(platforms) as urls:
        replies = [await sent(session, url, "GET", "/_books") for url in urls.values()]
        await sent(session, urls["apim"], "POST", "/_faults", data=b'{"script": {"apim": ["any:503@3"]}}')
        status, _ = await undeployed(session, urls, "apim")

    assert replies[0] == replies[1]
    assert (status, platforms.books().requests) == (503, 1)


async def test_a_taken_port_is_refused_in_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError) as refused:
            async with serve_platforms(both(), port=port):
                pass
    assert str(refused.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another --port"
    )


async def test_a_port_beyond_the_last_one_is_refused_in_a_sentence():
    with pytest.raises(UsageError, match="65536: the highest port is 65535; choose another"):
        async with serve_platforms(both(), port=65536):
            pass


async def test_open_requests_do_not_hold_the_end_up(session):
    arrived = asyncio.Event()

    def clock() -> float:
        arrived.set()
        return 0.0

    async with serve_platforms(both("hang"), clock=clock) as urls:
        waiting = asyncio.ensure_future(undeployed(session, urls, "roma-eu"))
        await arrived.wait()

    with pytest.raises(aiohttp.ClientError):
        await waiting
