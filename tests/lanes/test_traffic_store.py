"""The traffic store beside a gateway, over real sockets: what it tells, and faults that stay its own."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.errors import CredentialError
from orchestrator.gateways.apinizer.gateway import Apinizer
from orchestrator.lanes.environment import Environment, StoreAccess
from orchestrator.lanes.run_gate import RunGate
from orchestrator.lanes.traffic_store import StoreAnswer, ask_store
from orchestrator.lanes.usage_reader import UsageReader
from orchestrator.model.credentials import Secret, StoreCredential
from orchestrator.model.http import Lost, Reply, Request, Send
from orchestrator.model.reading import Operation
from orchestrator.model.settings import (
    Auth,
    CredentialReference,
    ElasticsearchStore,
    StoreAuth,
    UsageSources,
)
from orchestrator.model.usage import Usage
from orchestrator.runs.machine import make_real_environment
from orchestrator.transport.client import connect_store
from orchestrator.transport.credentials import resolve_store
from tests.support.elasticsearch import Call, ElasticsearchDouble
from tests.support.engine import Heard, environment, lane, played
from tests.support.recorded import target

HOURS = 72
PASSWORD = "a-password-that-nobody-may-see"
BASIC = "Basic " + base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
OURS = target("Retail", "orders-api", "production")
LISTS = {
    "environments": b'[{"id":"e1","name":"production"},{"id":"e2","name":"test"}]',
    "projects": b'[{"id":"p1","name":"Retail"}]',
}


def make_records(calls: int = 3, *, newest: float = 10.0, oldest: float = 400 * 3600.0) -> list[Call]:
    """Return so many calls of our proxy, one of another, and an old one; ages in seconds."""
    now = time.time()
    ours = [Call(now - newest - number, "e1", "p1", "orders-api") for number in range(calls)]
    return [*ours, Call(now - newest, "e1", "p1", "other"), Call(now - oldest, "e1", "p1", "orders-api")]


async def answer_as_manager(request: Request) -> Reply | Lost:
    """Answer the lists; the access report is not for this user."""
    name = request.url.rstrip("/").rpartition("/")[2]
    if name not in LISTS:
        return Reply(401, {}, b'{"status":"FAILURE","resultMessage":"Unauthorized API Access!"}', time.time())
    return Reply(200, {}, b'{"status":"SUCCESS","resultList":' + LISTS[name] + b"}", time.time())


class Told:
    """What one look at the use has told, and what was heard of the lane."""

    def __init__(self) -> None:
        self.usage: Usage | str = ""
        self.heard = Heard()
        self.state = ""


def look(
    double: ElasticsearchDouble,
    password: Callable[[], str] = lambda: PASSWORD,
    *,
    times: int = 1,
    store: dict[str, Any] | None = None,
    manager: Send = answer_as_manager,
) -> Told:
    """Read the use of one target ``times`` times. A refresh of the credential gives ``another-token``."""

    async def credential(_: Any) -> StoreCredential:
        return StoreCredential(Secret(BASIC), (Secret(password()), Secret(BASIC.removeprefix("Basic "))))

    async def material(_: Any) -> Secret:
        return Secret("another-token")

    async def ask(_: Operation) -> str:
        raise AssertionError("all is told by shared reads")

    told = Told()

    async def main() -> None:
        async with double.serve():
            keys = {"url": double.url, "index": "apinizer-log-apiproxy-*", **(store or {})}
            entry = Apinizer(
                name="apim",
                url="https://apim.example.com",
                auth=Auth(token=CredentialReference(env="T")),
                usage=UsageSources(elasticsearch=ElasticsearchStore(**keys)),
            )
            here = Environment(
                now=time.time,
                monotonic=time.monotonic,
                roll=lambda: 0.0,
                connect=lambda _: pytest.fail("the lane has its connection"),
                credential=material,
                store=StoreAccess(
                    connect=partial(connect_store, folder=Path(), environment={}), credential=credential
                ),
            )
            one = lane(entry, here, RunGate(), told.heard, send=manager)
            one.begin_step(1)
            reader = UsageReader(one, HOURS)
            for _ in range(times):
                told.usage = await reader.read(OURS, None, ask)
            told.state = one.state.state

    asyncio.run(main())
    return told


def calls_of(told: Told) -> tuple[int | None, str]:
    assert isinstance(told.usage, Usage)
    return told.usage.calls, told.usage.why or ""


def test_the_calls_of_a_proxy_are_read_once_for_many_looks() -> None:
    double = ElasticsearchDouble(make_records(3))
    double.wants = BASIC

    told = look(double, times=5)

    assert calls_of(told) == (3, "")
    assert len(double.searches) == 3  # the span of the log, and one aggregation for each environment
    assert told.heard.requests == 6
    assert told.state == "open"


@pytest.mark.promise(5)
@pytest.mark.parametrize("ends_at", ["environments", "projects"])
def test_a_token_that_expires_among_the_manager_s_lists_is_renewed_once_and_the_read_made_again(
    ends_at: str,
) -> None:
    """Taken for a missing role, the refusal would be remembered, and hide the calls to the end."""
    asked: list[tuple[str, str]] = []

    async def answer(request: Request) -> Reply | Lost:
        name = request.url.rstrip("/").rpartition("/")[2]
        token = request.headers["Authorization"].rpartition(" ")[2]
        asked.append((name, token))
        if token == "the-token" and ends_at in [each for each, _ in asked]:
            return Reply(401, {}, b'{"status":"FAILURE","resultMessage":"Token was expired!"}', time.time())
        return await answer_as_manager(request)

    double = ElasticsearchDouble(make_records(3))
    double.wants = BASIC

    told = look(double, manager=answer, times=2)

    assert calls_of(told) == (3, "")
    assert told.state == "open"
    assert [token for name, token in asked if name == ends_at] == ["the-token", "another-token"]
    assert len(asked) == 4


def test_many_proxies_come_in_pages_that_each_count_once() -> None:
    others = [Call(time.time(), "e1", "p1", f"proxy-{number:04}") for number in range(2500)]

    double = ElasticsearchDouble([*make_records(7), *others])

    assert calls_of(look(double)) == (7, "")
    assert sum("after" in str(search) for search in double.searches) == 2


def test_a_proxy_without_records_in_a_log_that_covers_the_hours_was_not_called() -> None:
    assert calls_of(look(ElasticsearchDouble(make_records(0)))) == (0, "")


def spoil(**fields: Any) -> Callable[[dict[str, Any]], tuple[int, Any]]:
    return lambda body: (200, {**body, **fields})


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], tuple[int, Any]], str]] = {
    "a search out of time": (spoil(timed_out=True), "the search ran out of time"),
    "a shard that failed": (
        spoil(_shards={"total": 3, "successful": 2, "failed": 1}),
        "2 of 3 shards of the index were searched",
    ),
    "a pattern without an index": (
        spoil(_shards={"total": 0, "successful": 0, "failed": 0}),
        "no index fits the name",
    ),
    "no index": (lambda _: (404, {"error": {"type": "index_not_found_exception"}}), "index_not_found"),
    "a login page": (lambda _: (200, b"<html>sign in</html>"), "an HTML page"),
    "a redirect": (lambda _: (302, b""), "HTTP 302"),
    "a server error": (lambda _: (503, {"error": {"type": "no_shard_available"}}), "no_shard_available"),
    "a cut reply": (lambda _: (200, b'{"took":1'), "HTTP 200"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_store_hides_the_calls_and_leaves_the_lane_alone(fault: str) -> None:
    double = ElasticsearchDouble(make_records())
    double.spoil, why = FAULTS[fault]

    told = look(double, times=4)

    calls, text = calls_of(told)
    assert calls is None
    assert text.startswith("the traffic log cannot tell: ")
    assert why in text
    assert told.state == "open"
    assert len(double.searches) <= 2


BUSY, DOWN = Reply(429, {}, b"{}", 0.0), Reply(503, {}, b"{}", 0.0)


@pytest.mark.parametrize(
    ("answer", "waited_for"),
    [
        (DOWN, True),
        (BUSY, True),
        (Lost(sent=True, detail="reset"), True),
        (Lost(sent=False, detail="nothing listens there"), False),
        (Reply(404, {}, b"{}", 0.0), False),
        (Reply(200, {}, b"<html>", 0.0), False),
    ],
)
def test_a_fault_that_may_be_over_in_some_minutes_is_told_apart(
    answer: Reply | Lost, waited_for: bool
) -> None:
    @asynccontextmanager
    async def connect(_: Any) -> AsyncIterator[Send]:
        async def send(_: Request) -> Reply | Lost:
            return answer

        yield send

    async def credential(_: Any) -> StoreCredential:
        return StoreCredential(Secret(BASIC), ())

    async def main() -> StoreAnswer:
        here = replace(environment(), store=StoreAccess(connect=connect, credential=credential))
        store = ElasticsearchStore(url="https://log.example.com", index="calls")
        entry = Apinizer(
            name="apim",
            url="https://apim.example.com",
            auth=Auth(token=CredentialReference(env="T")),
            usage=UsageSources(elasticsearch=store),
        )
        check = entry.traffic.make_check()
        assert check is not None
        return await ask_store(lane(entry, here, RunGate()), check.read)

    assert played(main).is_passing is waited_for


AGES: dict[str, tuple[Callable[[], list[Call]], str]] = {
    "dead since a day and more": (lambda: make_records(newest=30 * 3600.0), "newest record is 30.0 h old"),
    "younger than the hours": (lambda: make_records(oldest=20 * 3600.0), "oldest record is 20.0 h old"),
    "ahead of our clock": (lambda: make_records(newest=-2 * 3600.0), "2.0 h ahead of this machine's clock"),
    "empty": (list, "holds no record"),
    "without environments": (
        lambda: [*make_records(), Call(time.time(), None, None, None)],
        "name no environment",
    ),
}
"""By its age a log, made when its test begins: ages are told in tenths of an hour."""


@pytest.mark.parametrize("age", AGES)
def test_a_log_that_does_not_cover_the_hours_cannot_tell(age: str) -> None:
    make, why = AGES[age]

    calls, text = calls_of(look(ElasticsearchDouble(make())))

    assert calls is None
    assert why in text


def test_a_refused_credential_is_tried_once_and_repeated_nowhere() -> None:
    """Promise 9: a store that repeats the credential in its refusal does not bring it into a report."""
    double = ElasticsearchDouble(make_records())
    double.wants = "Basic another"

    told = look(double, times=3)

    calls, text = calls_of(told)
    assert calls is None
    assert "security_exception" in text
    assert len(double.credentials) == 1
    assert PASSWORD not in text
    assert BASIC.removeprefix("Basic ") not in text


def test_the_credential_does_not_follow_a_redirect_to_another_host() -> None:
    """Promise 9: nothing is sent to where a reply points."""

    async def main() -> None:
        async with (other := ElasticsearchDouble(make_records())).serve():
            double = ElasticsearchDouble(make_records())
            double.spoil = lambda _: (307, b"")
            await asyncio.to_thread(look, double)
            assert not other.searches

    asyncio.run(main())


def test_a_store_that_does_not_listen_costs_no_request() -> None:
    told = look(ElasticsearchDouble([]), store={"url": "http://127.0.0.1:9"})

    calls, text = calls_of(told)
    assert calls is None
    assert "the traffic log cannot tell: " in text
    assert told.state == "open"


def test_a_reference_without_a_value_hides_the_calls() -> None:
    def fail() -> str:
        raise CredentialError("gateway apim: usage.elasticsearch: the password {env: P} is not set")

    double = ElasticsearchDouble(make_records())

    calls, text = calls_of(look(double, fail))

    assert calls is None
    assert "{env: P} is not set" in text
    assert not double.searches


REFERENCE = CredentialReference(env="STORE_SECRET")
FORMS = [
    (StoreAuth(user="reader", password=REFERENCE), PASSWORD, BASIC),
    (StoreAuth(token=REFERENCE), "a-token", "Bearer a-token"),
    (StoreAuth(api_key=REFERENCE), "aWQ6c2VjcmV0LXBhcnQ=", "ApiKey aWQ6c2VjcmV0LXBhcnQ="),
    (None, "", ""),
]


@pytest.mark.parametrize(("auth", "value", "header"), FORMS)
def test_each_form_of_auth_makes_its_header(
    auth: StoreAuth | None, value: str, header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_SECRET", value)
    store = ElasticsearchStore(url="https://e.example.com", index="logs", auth=auth)
    entry = Apinizer(
        name="apim",
        url="https://apim.example.com",
        auth=Auth(token=CredentialReference(env="T")),
        usage=UsageSources(elasticsearch=store),
    )

    credential = resolve_store(entry, Path())

    assert credential.header.reveal() == header
    secrets = [secret.reveal() for secret in credential.secrets]
    assert value in secrets or not value
    assert "secret-part" in secrets or auth is None or auth.api_key is None
    with pytest.raises(CredentialError, match="not set") if auth else pytest.MonkeyPatch.context():
        monkeypatch.delenv("STORE_SECRET")
        resolve_store(entry, Path())
    assert replace(entry, usage=None).traffic_store is None


def test_the_password_of_the_proxy_before_the_store_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 9: also where the gateway itself has another proxy."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PASSWORD}@proxy.corp:3128")
    store = ElasticsearchStore(url="https://e.example.com", index="logs")
    entry = Apinizer(
        name="apim",
        url="https://apim.example.com",
        auth=Auth(token=CredentialReference(env="T")),
        proxy="http://other.corp:3128",
        usage=UsageSources(elasticsearch=store),
    )

    known = [each.reveal() for each in make_real_environment(Path()).passwords(entry)]

    assert any(PASSWORD in secret for secret in known)
    assert not make_real_environment(Path()).passwords(replace(entry, usage=None))
