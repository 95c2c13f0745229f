"""How far a gateway is reached, over real sockets on the loopback."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from orchestrator.doctor import route as reaching
from orchestrator.doctor.findings import Finding, FindingState
from orchestrator.doctor.route import RouteCheck, check_route
from orchestrator.model.settings import Tls
from tests.support.forwarding import forwarding
from tests.support.peer import NO_CONTENT, Peer, gateway, listening, saying, serving

DAY = 86400.0
CREDENTIALS = "user:the-proxy-s-own-password"


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def folder(tmp_path: Path, ca: trustme.CA) -> Path:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path


async def check_route_of(
    url: str, folder: Path = Path(), closes: float | None = None, **fields: Any
) -> RouteCheck:
    environment = fields.pop("environment", {})
    entry = gateway(url=url, **fields)
    return await check_route(entry, folder, now=time.time(), closes=closes, environment=environment)


def find_finding(result: RouteCheck, check: str) -> Finding:
    (finding,) = (one for one in result.findings if one.check == check)
    return finding


def list_shown(ca: trustme.CA, *names: str, days: float = 90) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    end = datetime.now(UTC) + timedelta(days=days)
    begun = datetime.now(UTC) - timedelta(days=100)
    ca.issue_cert(*names or ("127.0.0.1",), not_before=begun, not_after=end).configure_cert(context)
    return context


@asynccontextmanager
async def make_secure(ca: trustme.CA, *names: str, days: float = 90) -> AsyncIterator[Peer]:
    async with serving(saying(NO_CONTENT), tls=list_shown(ca, *names, days=days)) as peer:
        yield peer


async def test_a_name_that_nobody_has_is_told() -> None:
    result = await check_route_of("https://nowhere.invalid")

    assert not result.whole
    assert find_finding(result, "name").state is FindingState.FAIL
    assert "nowhere.invalid cannot be resolved" in find_finding(result, "name").text
    assert "url" in find_finding(result, "name").advice


async def test_a_port_that_nobody_listens_on_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        result = await check_route_of(f"http://127.0.0.1:{port}")

    assert not result.whole
    assert find_finding(result, "name").state is FindingState.OK
    assert find_finding(result, "port").text == f"no connection to 127.0.0.1:{port}: connection refused"


async def test_plain_http_is_well_on_the_loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(saying(NO_CONTENT)) as peer:
        well = await check_route_of(peer.url)
        monkeypatch.setattr(reaching, "list_warnings", lambda _: ["in clear"])
        ill = await check_route_of(peer.url)

    assert well.whole
    assert find_finding(well, "tls").state is FindingState.OK
    assert ill.whole
    assert (find_finding(ill, "tls").state, find_finding(ill, "tls").text) == (FindingState.WARN, "in clear")
    assert peer.requests == []


@pytest.mark.parametrize(("days", "state"), [(90, FindingState.OK), (13, FindingState.WARN)])
async def test_a_certificate_that_is_believed_has_so_many_days_left(
    ca: trustme.CA, folder: Path, days: int, state: FindingState
) -> None:
    async with make_secure(ca, days=days) as peer:
        result = await check_route_of(peer.url, folder, tls=Tls(ca_file="ca.pem"))

    assert result.whole
    assert find_finding(result, "tls").state is state
    assert find_finding(result, "tls").value == pytest.approx(days * DAY, abs=10)
    assert f"{days - 1} days" in find_finding(result, "tls").text
    assert peer.requests == []


async def test_a_certificate_that_ends_within_the_window_is_warned_of(ca: trustme.CA, folder: Path) -> None:
    async with make_secure(ca, days=40) as peer:
        closes = time.time() + 50 * DAY
        result = await check_route_of(peer.url, folder, closes, tls=Tls(ca_file="ca.pem"))

    assert find_finding(result, "tls").state is FindingState.WARN
    assert "before the window closes" in find_finding(result, "tls").text


@pytest.mark.parametrize(
    ("trusted", "name", "days", "told"),
    [
        (False, "127.0.0.1", 90, "authority"),
        (True, "other.example.com", 90, "not for 127.0.0.1"),
        (True, "127.0.0.1", -1, "has expired"),
    ],
)
async def test_a_certificate_that_is_not_believed_ends_the_way(
    ca: trustme.CA, folder: Path, trusted: bool, name: str, days: float, told: str
) -> None:
    async with make_secure(ca, name, days=days) as peer:
        plain = await check_route_of(peer.url, folder, tls=Tls(ca_file="ca.pem" if trusted else None))
        blind = await check_route_of(
            peer.url, folder, tls=Tls(ca_file="ca.pem" if trusted else None, insecure=True)
        )

    assert not plain.whole
    assert find_finding(plain, "tls").state is FindingState.FAIL
    assert told in find_finding(plain, "tls").text
    assert blind.whole
    assert find_finding(blind, "tls").state is FindingState.WARN
    assert told in find_finding(blind, "tls").text
    assert peer.requests == []


async def test_doing_without_verification_needlessly_is_told(ca: trustme.CA, folder: Path) -> None:
    async with make_secure(ca) as peer:
        result = await check_route_of(peer.url, folder, tls=Tls(ca_file="ca.pem", insecure=True))

    assert find_finding(result, "tls").state is FindingState.WARN
    assert "good without" in find_finding(result, "tls").text


async def test_a_port_that_speaks_no_tls_is_told(folder: Path) -> None:
    async def rude(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ready\r\n")
        await writer.drain()

    async with listening(rude) as port:
        result = await check_route_of(f"https://127.0.0.1:{port}")

    assert not result.whole
    assert find_finding(result, "tls").state is FindingState.FAIL
    assert "Error" not in find_finding(result, "tls").text


async def test_silence_in_place_of_tls_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching, "STEP_SECONDS", 0.2)

    async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with listening(silent) as port:
        result = await check_route_of(f"https://127.0.0.1:{port}")

    assert find_finding(result, "tls").text == f"no TLS handshake with 127.0.0.1:{port} in time"


async def test_a_file_of_the_plan_that_is_missing_is_told() -> None:
    result = await check_route_of("https://127.0.0.1:9", tls=Tls(ca_file="gone.pem"))

    assert not result.whole
    assert "gone.pem" in find_finding(result, "tls").text


@pytest.mark.long("starts a proxy")
async def test_the_certificate_is_read_through_a_proxy(ca: trustme.CA, folder: Path) -> None:
    (folder / "proxy").mkdir()
    with forwarding(folder / "proxy", "--basic-auth", CREDENTIALS) as forward:
        async with make_secure(ca) as peer:
            environment = {"https_proxy": f"http://{CREDENTIALS}@{forward.place}"}
            result = await check_route_of(
                peer.url, folder, tls=Tls(ca_file="ca.pem"), environment=environment
            )
            refused = await check_route_of(
                peer.url, folder, tls=Tls(ca_file="ca.pem"), environment={"https_proxy": forward.url}
            )

    assert result.whole
    assert find_finding(result, "proxy").text == f"through {forward.place}"
    assert find_finding(result, "tls").value == pytest.approx(90 * DAY, abs=10)
    assert not refused.whole
    assert "answers 407" in find_finding(refused, "tls").text
    assert "password" not in repr(result) + repr(refused)


@pytest.mark.parametrize("said", [b"hello\r\n", b"", b"HTTP/1.1 503 Not Now\r\n\r\n", b"\xff\r\n\r\n"])
async def test_a_proxy_that_does_not_let_us_through_is_told(said: bytes) -> None:
    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    async with listening(odd) as port:
        result = await check_route_of("https://gateway.example.com", proxy=f"http://127.0.0.1:{port}")

    assert not result.whole
    assert find_finding(result, "tls").state is FindingState.FAIL
    assert f"the proxy 127.0.0.1:{port}" in find_finding(result, "tls").text


async def test_what_is_no_address_of_a_proxy_is_told_without_repeating_it() -> None:
    result = await check_route_of(
        "https://gateway.example.com", environment={"https_proxy": "ftp://u:hidden@x"}
    )

    assert not result.whole
    assert find_finding(result, "proxy").state is FindingState.FAIL
    assert "hidden" not in repr(result)


@pytest.mark.parametrize(
    ("own", "blamed"), [("http://nowhere.invalid:1", "key proxy"), (None, "HTTPS_PROXY")]
)
async def test_it_is_the_proxy_s_name_that_must_resolve(own: str | None, blamed: str) -> None:
    environment = {} if own else {"https_proxy": "http://nowhere.invalid:1"}
    result = await check_route_of("https://127.0.0.1", environment=environment, proxy=own)

    assert "nowhere.invalid" in find_finding(result, "name").text
    assert blamed in find_finding(result, "name").advice
