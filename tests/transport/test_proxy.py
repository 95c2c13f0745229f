"""Which proxy a request goes through, by rule and through a real one."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import CredentialError, UsageError
from orchestrator.model.credentials import Secret
from orchestrator.model.http import Lost, Reply, Request
from orchestrator.model.settings import Tls
from orchestrator.transport.client import check_connection, connect
from orchestrator.transport.proxy import ProxyServer, list_passwords, read_proxies
from tests.support.forwarding import Forward, forwarding
from tests.support.peer import (
    CREDENTIAL,
    HEADERS,
    NO_CONTENT,
    SHORT,
    Answer,
    Peer,
    ask,
    gateway,
    hanging_up_after,
    reset,
    saying,
    serving,
    silence,
    unsent,
)
from tests.support.ports import find_free_port

PASSWORD = "a:pass@word-that-nobody-may-see"
PASS = quote(PASSWORD, safe="")
"""The password as it stands in an address."""
BASIC = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()
A, B = "http://a.example.com:3128", "http://b.example.com:3128"


def chosen(environment: dict[str, str], scheme: str, host: str, port: int = 443) -> str | None:
    proxy = read_proxies(None, environment).choose(scheme, host, port)
    return None if proxy is None else proxy.url


# By rule.


@pytest.mark.parametrize(
    ("environment", "scheme", "proxy"),
    [
        ({}, "https", None),
        ({"HTTPS_PROXY": A}, "https", A),
        ({"https_proxy": A}, "https", A),
        ({"https_proxy": A, "HTTPS_PROXY": B}, "https", A),
        ({"https_proxy": "", "HTTPS_PROXY": B}, "https", B),
        ({"HTTPS_PROXY": A}, "http", None),
        ({"HTTP_PROXY": A}, "http", A),
        ({"http_proxy": A}, "https", None),
        ({"HTTP_PROXY": A, "HTTPS_PROXY": B}, "https", B),
        ({"ALL_PROXY": A}, "https", None),
        ({"HTTPS_PROXY": "a.example.com:3128"}, "https", A),
        ({"HTTPS_PROXY": "HTTP://A.example.com:3128/"}, "https", A),
        ({"HTTPS_PROXY": "https://a.example.com"}, "https", "https://a.example.com"),
        ({"HTTPS_PROXY": "http://[::1]:3128"}, "https", "http://[::1]:3128"),
    ],
)
def test_a_variable_names_the_proxy_of_its_scheme(
    environment: dict[str, str], scheme: str, proxy: str | None
) -> None:
    assert chosen(environment, scheme, "roma.example.com") == proxy


@pytest.mark.parametrize(
    ("entry", "host", "direct"),
    [
        ("example.com", "example.com", True),
        ("example.com", "roma.example.com", True),
        ("example.com", "badexample.com", False),
        ("example.com", "example.com.evil.net", False),
        (".example.com", "roma.example.com", True),
        (".example.com", "example.com", True),
        ("*.example.com", "roma.example.com", True),
        ("EXAMPLE.com.", "Roma.Example.COM.", True),
        ("a.com,example.com", "roma.example.com", True),
        (" a.com , example.com ", "roma.example.com", True),
        ("a.com example.com", "roma.example.com", True),
        ("*", "roma.example.com", True),
        ("a.com,*", "192.0.2.7", True),
        ("", "roma.example.com", False),
        (",.,", "roma.example.com", False),
        ("example.com:443", "roma.example.com", True),
        ("example.com:8443", "roma.example.com", False),
        ("example.com:x", "roma.example.com", False),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7:443", "192.0.2.7", True),
        ("192.0.2.7:80", "192.0.2.7", False),
        ("2.7", "192.0.2.7", False),
        ("192.0.2.0/24", "192.0.2.7", True),
        ("192.0.2.9/24", "192.0.2.7", True),
        ("192.0.3.0/24", "192.0.2.7", False),
        ("192.0.2.0/24", "roma.example.com", False),
        ("::1", "::1", True),
        ("[::1]", "::1", True),
        ("[::1]:443", "::1", True),
        ("[::1]:80", "::1", False),
        ("0:0:0:0:0:0:0:1", "::1", True),
        ("fd00::/8", "fd12::1", True),
        ("fd00::/8", "192.0.2.7", False),
        ("localhost", "127.0.0.1", False),
        ("127.0.0.0/8", "127.0.0.1", True),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", True),
        ("xn--bcher-kva.example", "roma.xn--bcher-kva.example", True),
        ("b\xfccher.example", "xn--bcher-kva.example", True),
        ("B\xdcCHER.example", "XN--BCHER-KVA.example", True),
        ("xn--bcher-kva.example", "xn--bcher-kvb.example", False),
        ("192.0.2.0/24", "::ffff:192.0.2.7", True),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
    ],
)
def test_no_proxy_spares_the_hosts_that_it_covers(entry: str, host: str, direct: bool) -> None:
    assert (chosen({"HTTPS_PROXY": A, "NO_PROXY": entry}, "https", host) is None) == direct
    assert (chosen({"HTTPS_PROXY": A, "no_proxy": entry}, "https", host) is None) == direct


def test_the_loopback_goes_through_the_proxy_unless_it_is_spared() -> None:
    assert chosen({"HTTP_PROXY": A}, "http", "127.0.0.1", 80) == A
    assert chosen({"HTTP_PROXY": A}, "http", "localhost", 80) == A


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_gateways_own_proxy_stands_in_place_of_the_environment(scheme: str) -> None:
    environment = {"HTTPS_PROXY": B, "HTTP_PROXY": B, "NO_PROXY": "*"}
    proxy = read_proxies(A, environment).choose(scheme, "roma.example.com", 443)
    assert proxy == ProxyServer(A)


@pytest.mark.promise(9)
def test_the_proxys_credential_is_no_part_of_its_address() -> None:
    proxies = read_proxies(None, {"HTTPS_PROXY": f"http://me:{PASS}@a.example.com:3128"})
    proxy = proxies.choose("https", "roma.example.com", 443)
    assert proxy == ProxyServer(A, Secret(BASIC))
    assert proxy.place == "a.example.com:3128"
    assert PASSWORD not in repr(proxies)
    assert BASIC not in repr(proxies)


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    "value",
    [
        "socks5://me:s3cret@a.example.com:1080",
        "http://me:s3cret@",
        "http://me:s3cret@a.example.com:port",
        "http://me:s3cret@a.example.com:0",
        "http://me:s3cret@[::1",
        "http://me:s3cret@ü.example.com",
        "://s3cret",
        "http://me:20#s3cret@a.example.com:3128",
        "http://me:20/s3cret@a.example.com:3128",
        "http://me:20?s3cret@a.example.com:3128",
        "http://me:20\\s3cret#@a.example.com:3128",
        "me:20#s3cret@a.example.com:3128",
        "http://me:s3cret#20@a.example.com:3128",
        "http://20#s3cret@a.example.com:3128",
        "http://me:s3cret@a.example.com:3128/#@",
        "http://a b.example.com:3128",
        "http://me:s3\tcret@a.example.com:3128",
    ],
)
def test_a_text_that_is_no_proxy_is_refused_by_the_name_of_its_variable(value: str) -> None:
    with pytest.raises(UsageError, match=r"^https_proxy holds no address of a proxy; write it as") as told:
        read_proxies(None, {"https_proxy": value})
    assert "s3cret" not in str(told.value)


@pytest.mark.promise(9)
def test_a_refused_password_with_special_characters_comes_with_a_hint() -> None:
    with pytest.raises(
        UsageError, match=r"HTTP_PROXY holds .*write #, / and \? in a password as %23, %2F, %3F"
    ):
        read_proxies(None, {"HTTP_PROXY": "http://svc:20#24Gizli@proxy.corp:3128"})
    written = read_proxies(None, {"HTTP_PROXY": "http://svc:20%2324Gizli@proxy.corp:3128"})
    basic = base64.b64encode(b"svc:20#24Gizli").decode()
    assert written.choose("http", "a", 80) == ProxyServer("http://proxy.corp:3128", Secret(f"Basic {basic}"))


@pytest.mark.promise(9)
def test_the_mask_knows_a_proxys_password() -> None:
    environment = {"HTTPS_PROXY": f"http://me:{PASS}@a.example.com:3128", "HTTP_PROXY": B}
    assert list_passwords(None, environment) == (Secret(PASSWORD),)
    assert list_passwords(A, environment) == ()
    assert list_passwords(None, {"HTTP_PROXY": "http://a-token@a.example.com:3128"}) == (Secret("a-token"),)


def test_a_connection_that_cannot_open_is_reported_before_it_opens(tmp_path: Path) -> None:
    check_connection(gateway(proxy=A), tmp_path, {"HTTP_PROXY": "socks5://a.example.com"})
    with pytest.raises(UsageError):
        check_connection(gateway(), tmp_path, {"HTTP_PROXY": "socks5://a.example.com"})
    with pytest.raises(CredentialError):
        check_connection(gateway(tls=Tls(ca_file="none.pem")), tmp_path, {})


def test_a_port_of_any_length_breaks_no_choice() -> None:
    entry = f"gateway.example.com:{'9' * 5000}"
    assert chosen({"HTTPS_PROXY": A, "NO_PROXY": entry}, "https", "gateway.example.com", 443) == A


@given(entry=st.text(), host=st.text(min_size=1), port=st.integers(1, 65535))
def test_no_entry_of_no_proxy_breaks_the_choice(entry: str, host: str, port: int) -> None:
    assert chosen({"HTTPS_PROXY": A, "NO_PROXY": entry}, "https", host, port) in (A, None)


# Through a real one.


@pytest.fixture(scope="module")
def forward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forward]:
    with forwarding(tmp_path_factory.mktemp("forward")) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forward]:
    """One that wants a user and a password."""
    with forwarding(tmp_path_factory.mktemp("strict"), "--basic-auth", f"me:{PASSWORD}") as proxy:
        yield proxy


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def secured(ca: trustme.CA, answer: Answer) -> AsyncIterator[Peer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    async with serving(answer, tls=context) as peer:
        yield peer


@pytest.fixture
def folder(tmp_path: Path, ca: trustme.CA) -> Path:
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path


TRUSTED = Tls(ca_file="ca.pem")


async def test_http_goes_through_the_proxy_of_the_environment(forward: Forward) -> None:
    async with serving(saying(NO_CONTENT)) as peer:
        reply = await ask(f"{peer.url}/v1/a%2Fb?x=%20", environment={"HTTP_PROXY": forward.url})
        await forward.said(peer.url.removeprefix("http://"))
    assert isinstance(reply, Reply)
    assert peer.head[0] == "POST /v1/a%2Fb?x=%20 HTTP/1.1"
    assert peer.headers["x-auth-token"] == CREDENTIAL
    assert "via" in peer.headers


@pytest.mark.promise(9)
async def test_https_goes_through_a_tunnel_that_carries_no_credential(
    forward: Forward, ca: trustme.CA, folder: Path
) -> None:
    async with secured(ca, saying(NO_CONTENT)) as peer:
        reply = await ask(
            f"{peer.url}/a", folder=folder, tls=TRUSTED, environment={"https_proxy": forward.url}
        )
        place = peer.url.removeprefix("https://")
        log = await forward.said(f"CONNECT {place}")
    assert isinstance(reply, Reply)
    assert peer.headers["x-auth-token"] == CREDENTIAL
    assert "via" not in peer.headers
    assert CREDENTIAL not in log


async def test_the_plans_proxy_is_taken_without_any_environment(
    forward: Forward, ca: trustme.CA, folder: Path
) -> None:
    async with secured(ca, saying(NO_CONTENT)) as peer:
        lane = gateway(tls=TRUSTED, proxy=forward.url)
        async with connect(lane, folder, {"NO_PROXY": "*"}) as send:
            replies = [await send(Request("DELETE", f"{peer.url}/a", HEADERS)) for _ in range(5)]
        await forward.said(f"CONNECT {peer.url.removeprefix('https://')}")
    assert all(isinstance(reply, Reply) for reply in replies)
    assert (len(peer.requests), peer.connections) == (5, 1)


async def test_a_host_in_no_proxy_is_reached_directly(forward: Forward) -> None:
    async with serving(saying(NO_CONTENT)) as peer:
        place = peer.url.removeprefix("http://")
        environment = {"HTTP_PROXY": forward.url, "NO_PROXY": f"example.com,{place}"}
        reply = await ask(f"{peer.url}/a", environment=environment)
    assert isinstance(reply, Reply)
    assert "via" not in peer.headers
    assert place not in forward.log


@pytest.mark.parametrize("spared", ["xn--bcher-kva.localhost", "b\xfccher.localhost"])
async def test_a_host_with_an_encoded_name_is_reached_directly(spared: str) -> None:
    environment = {"HTTP_PROXY": "http://proxy.invalid:3128", "NO_PROXY": spared}
    detail = await unsent("http://xn--bcher-kva.localhost:1/a", environment=environment)
    assert "proxy" not in detail


async def test_a_name_of_a_proxy_that_no_resolver_takes_is_told() -> None:
    told = await unsent("http://roma.invalid/a", environment={"HTTP_PROXY": "http://p..invalid:3128"})
    assert told == "the name p..invalid cannot be resolved"


@pytest.mark.promise(9)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_a_password_gets_it_from_the_environment(
    strict: Forward, ca: trustme.CA, folder: Path, scheme: str
) -> None:
    url = strict.url.replace("://", f"://me:{PASS}@")
    opened = secured(ca, saying(NO_CONTENT)) if scheme == "https" else serving(saying(NO_CONTENT))
    environment = {"HTTPS_PROXY": url, "HTTP_PROXY": url}
    async with opened as peer:
        reply = await ask(f"{peer.url}/a", folder=folder, tls=TRUSTED, environment=environment)
    assert isinstance(reply, Reply)
    assert "proxy-authorization" not in peer.headers
    assert PASSWORD.encode() not in b"".join(peer.requests)


@pytest.mark.promise(9)
@pytest.mark.parametrize("user", ["", "me:wr0ng-one@"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_us_sent_nothing(
    strict: Forward, ca: trustme.CA, folder: Path, scheme: str, user: str
) -> None:
    url = strict.url.replace("://", f"://{user}")
    opened = secured(ca, saying(NO_CONTENT)) if scheme == "https" else serving(saying(NO_CONTENT))
    async with opened as peer:
        environment = {"HTTPS_PROXY": url, "HTTP_PROXY": url}
        detail = await unsent(f"{peer.url}/a", folder=folder, tls=TRUSTED, environment=environment)
    assert detail == (
        f"the proxy {strict.place} refused the way to 127.0.0.1: 407 Proxy Authentication Required;"
        " a user and password for it may stand in HTTPS_PROXY or HTTP_PROXY (http://user:password@…)"
    )
    assert peer.connections == 0


# Proxies that fail.


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_cannot_be_reached_sent_nothing(scheme: str) -> None:
    port = find_free_port()
    detail = await unsent(f"{scheme}://roma.example.com/a", proxy=f"http://127.0.0.1:{port}")
    assert detail == f"no connection to the proxy 127.0.0.1:{port}: connection refused"


async def test_a_proxy_without_an_address_sent_nothing() -> None:
    detail = await unsent("https://roma.example.com/a", proxy="http://proxy.invalid:3128")
    assert detail == "the name proxy.invalid cannot be resolved"


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(
            saying(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
            "refused the way to roma.example.com: 502 Bad Gateway",
            id="502",
        ),
        pytest.param(
            saying(f"HTTP/1.1 403 {PASSWORD}\r\nContent-Length: 0\r\n\r\n".encode()),
            "refused the way to roma.example.com: 403 Forbidden",
            id="403",
        ),
        pytest.param(
            saying(b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n"),
            "refused the way to roma.example.com: 599",
            id="599",
        ),
        pytest.param(hanging_up_after(b""), "it did not answer as a proxy does", id="closed"),
        pytest.param(reset, "it did not answer as a proxy does", id="reset"),
        pytest.param(
            hanging_up_after(b"hello, this is not HTTP\r\n\r\n"),
            "it did not answer as a proxy does",
            id="garbage",
        ),
        pytest.param(silence, "no connection in time through the proxy", id="silence"),
        pytest.param(saying(b"HTTP/1.1 200 Connec"), "no connection in time through the proxy", id="stalls"),
    ],
)
async def test_a_tunnel_that_does_not_open_sent_nothing(answer: Answer, words: str) -> None:
    async with serving(answer) as peer:
        url = peer.url.replace("://", f"://me:{PASS}@")
        within = SHORT if "in time" in words else 5.0
        detail = await unsent("https://roma.example.com/a", environment={"HTTPS_PROXY": url}, timeout=within)
    assert words in detail
    assert peer.url.removeprefix("http://") in detail
    assert PASSWORD not in detail
    assert peer.head[0] == "CONNECT roma.example.com:443 HTTP/1.1"
    assert peer.headers["proxy-authorization"] == BASIC
    assert peer.headers["user-agent"] == "undeploy-orchestrator"
    assert CREDENTIAL.encode() not in b"".join(peer.requests)


async def test_a_tunnel_that_breaks_in_the_handshake_sent_nothing() -> None:
    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with serving(answer) as peer:
        detail = await unsent("https://roma.example.com/a", proxy=peer.url)
    assert detail == "no connection to roma.example.com:443: it was closed during the handshake"


async def test_a_gateways_own_fault_is_no_fault_of_the_proxy() -> None:
    """Plain http: the reply may be the gateway's, so a 502 leaves the same doubt as without a proxy."""
    async with serving(saying(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")) as peer:
        reply = await ask("http://roma.example.com/a", proxy=peer.url)
    assert isinstance(reply, Reply)
    assert reply.status == 502
    assert peer.head[0] == "POST http://roma.example.com/a HTTP/1.1"


async def test_a_connection_that_drops_behind_the_proxy_leaves_doubt() -> None:
    async with serving(hanging_up_after(b"")) as peer:
        result = await ask("http://roma.example.com/a", proxy=peer.url)
    assert result == Lost(sent=True, detail="the connection was closed before a reply")


async def test_a_proxy_may_be_reached_by_tls_itself(ca: trustme.CA, folder: Path) -> None:
    """The plan's authorities vouch for it as they do for the gateway."""
    async with secured(ca, saying(NO_CONTENT)) as peer:
        reply = await ask("http://roma.example.com/a", folder=folder, tls=TRUSTED, proxy=peer.url)
        detail = await unsent("http://roma.example.com/a", proxy=peer.url)
    assert isinstance(reply, Reply)
    assert "is signed by an authority that is not known here" in detail
