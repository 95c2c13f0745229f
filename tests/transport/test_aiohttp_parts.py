"""The parts of aiohttp that its documentation does not promise: each as the exchange needs it, or found out.

If a test here fails with a newer aiohttp, ``transport/aiohttp_parts.py`` is the place to look at.
"""

import asyncio
import inspect
from typing import Any

import aiohttp
import pytest
from aiohttp import connector
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpResponseParser
from yarl import URL

from orchestrator.model.credentials import Secret
from orchestrator.model.http import Reply
from orchestrator.transport import aiohttp_parts, client
from orchestrator.transport.aiohttp_parts import (
    end_reply,
    find_differences,
    make_connector,
    make_parser,
    open_connection,
    parse_reply,
)
from orchestrator.transport.framing import FramingError
from orchestrator.transport.proxy import ProxyServer
from orchestrator.transport.route import Route
from tests.support.peer import NO_CONTENT, ask, listening, saying, serving

CHOOSE = client.choose_client
"""The choice that no fixture has replaced."""

pytestmark = pytest.mark.parametrize("client_name", ["exchange"], indirect=True)


class Owner:
    def pause_reading(self) -> None:
        pass

    def resume_reading(self, resume_parser: bool = True) -> None:
        pass


def parse(*pieces: bytes, largest: int = 1000, with_body: bool = True) -> Any:
    parser = make_parser(Owner(), asyncio.get_running_loop(), largest, with_body=with_body)
    return parser, [parse_reply(parser, piece) for piece in pieces]


async def test_this_aiohttp_has_all_parts() -> None:
    assert find_differences() == []
    assert client.describe_fallback() is None


# The signatures, so that a new argument or another order is noticed before its effect is.


async def test_the_parts_take_what_they_are_given() -> None:
    assert list(inspect.signature(aiohttp.TCPConnector.connect).parameters) == [
        "self",
        "req",
        "traces",
        "timeout",
    ]
    opening = set(inspect.signature(aiohttp.ClientRequest.__init__).parameters)
    assert {"method", "url", "loop", "proxy", "proxy_headers"} <= opening
    assert {"limit", "ttl_dns_cache", "ssl"} <= set(
        inspect.signature(aiohttp.TCPConnector.__init__).parameters
    )
    assert isinstance(connector.Connection.protocol, property)


# The connector: a connection that nothing was written to, and whose transport can be given another protocol.


async def test_a_connection_is_quiet_until_its_protocol_is_replaced() -> None:
    got: list[bytes] = []

    class Listener(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            got.append(data)
            done.set()

    done = asyncio.Event()
    async with serving(saying(NO_CONTENT)) as peer, make_connector(None) as made:
        fresh = await open_connection(made, Route(URL(peer.url)), 5.0)
        assert fresh.transport is not None
        assert not fresh.has_spoken
        await asyncio.sleep(0.05)
        assert peer.requests == []
        fresh.transport.set_protocol(Listener())
        fresh.transport.write(b"GET /a HTTP/1.1\r\n\r\n")
        await asyncio.wait_for(done.wait(), 5)
        fresh.transport.abort()
        fresh.lease.close()
    assert got == [NO_CONTENT]


async def test_bytes_that_come_before_a_request_show() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\r\n")
        await reader.read()

    async with listening(greet) as port, make_connector(None) as made:
        fresh = await open_connection(made, Route(URL(f"http://127.0.0.1:{port}")), 5.0)
        protocol = fresh.lease.protocol
        assert protocol is not None
        await asyncio.sleep(0.05)
        assert protocol.should_close
        fresh.lease.close()


async def test_a_closed_lease_closes_its_connection() -> None:
    async with serving(saying(NO_CONTENT)) as peer, make_connector(None) as made:
        fresh = await open_connection(made, Route(URL(peer.url)), 5.0)
        assert fresh.transport is not None
        fresh.lease.close()
        assert fresh.transport.is_closing()
        assert fresh.lease.protocol is None


async def test_a_connection_that_does_not_stand_in_time_is_told_as_that() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(silent) as port, make_connector(None) as made:
        route = Route(URL("https://roma.invalid"), ProxyServer(f"http://127.0.0.1:{port}"))
        with pytest.raises(aiohttp.ConnectionTimeoutError):
            await open_connection(made, route, 0.1)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_only_a_tunnel_is_opened_with_the_proxys_credential(scheme: str) -> None:
    async with (
        serving(saying(b"HTTP/1.1 502 X\r\nContent-Length: 0\r\n\r\n")) as peer,
        make_connector(None) as made,
    ):
        route = Route(URL(f"{scheme}://roma.invalid/a"), ProxyServer(peer.url, Secret("Basic eA==")))
        if scheme == "http":
            fresh = await open_connection(made, route, 5.0)
            fresh.lease.close()
            assert peer.requests == []
            return
        with pytest.raises(aiohttp.ClientHttpProxyError):
            await open_connection(made, route, 5.0)
    assert peer.head[0] == "CONNECT roma.invalid:443 HTTP/1.1"
    assert peer.headers["proxy-authorization"] == "Basic eA=="
    assert peer.headers["user-agent"] == "undeploy-orchestrator"


# The parser.


async def test_a_head_is_parsed_apart_from_its_body() -> None:
    _, (found, *rest) = parse(b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 4\r\n\r\n", b"ab", b"cd")
    head, body = found
    assert (head.code, head.headers["x-a"], head.should_close, head.compression) == (200, "b", False, None)
    assert (rest, body.is_eof(), body.total_bytes, body.read_nowait()) == ([None, None], True, 4, b"abcd")


async def test_chunks_are_joined() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    _, (found, *_) = parse(head, b"2\r\nab\r\n", b"2;x=y\r\ncd\r\n0\r\n", b"\r\n")
    assert found[1].is_eof()
    assert found[1].read_nowait() == b"abcd"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_a_body_stays_packed_and_its_coding_is_told(coding: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: 3\r\n\r\n".encode()
    _, (found, _) = parse(head, b"\x1f\x8b!")
    assert found[0].compression == coding
    assert found[1].read_nowait() == b"\x1f\x8b!"


@pytest.mark.parametrize("status", [200, 204, 304, 500])
@pytest.mark.parametrize("framing", ["Content-Length: 3", "Transfer-Encoding: chunked", "X: y"])
async def test_a_head_is_read_without_its_body(status: int, framing: str) -> None:
    _, (found,) = parse(f"HTTP/1.1 {status} X\r\n{framing}\r\n\r\n".encode(), with_body=False)
    assert found[0].code == status


async def test_a_body_of_unknown_length_ends_with_the_connection() -> None:
    parser, (found, _) = parse(b"HTTP/1.1 200 X\r\n\r\n", b"ab")
    assert not found[1].is_eof()
    assert found[0].should_close
    end_reply(parser)
    assert found[1].is_eof()
    assert found[1].read_nowait() == b"ab"


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\n", b"ab"),
        (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nab\r\n"),
    ],
    ids=["length", "chunks"],
)
async def test_a_body_that_is_cut_short_is_told(pieces: tuple[bytes, ...]) -> None:
    parser, _ = parse(*pieces)
    with pytest.raises(aiohttp.ClientPayloadError):
        end_reply(parser)


@pytest.mark.parametrize(
    "pieces",
    [
        (b"SSH-2.0-x\r\n\r\n",),
        (b"HTTP/1.1 2x0 OK\r\n\r\n",),
        (b"HTTP/1.1 200 X\r\nContent-Length: two\r\n\r\n",),
        (b"HTTP/1.1 200 X\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",),
        (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", b"zz\r\n"),
    ],
)
async def test_what_is_no_reply_is_refused(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(FramingError):
        parse(*pieces)


async def test_a_long_body_needs_no_pause_within_its_bound() -> None:
    paused: list[bool] = []

    class Strict(Owner):
        def pause_reading(self) -> None:
            paused.append(True)

    parser = make_parser(Strict(), asyncio.get_running_loop(), 100_000)
    found = parse_reply(parser, b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n")
    assert found is not None
    parse_reply(parser, bytes(100_000))
    assert found[1].read_nowait() == bytes(100_000)
    assert not paused


# An aiohttp that is otherwise.


def _fail(*_: object, **__: object) -> Any:
    raise AttributeError


async def _connect_otherwise(self: object, request: object) -> None:
    """Another signature."""


def _refuse_heads_alone(*given: Any, response_with_body: bool, **options: Any) -> Any:
    real = HttpResponseParser
    return real(*given, response_with_body=True, **options) if response_with_body else _fail()


def _parse_otherwise(**changed: object) -> Any:
    """Return what makes parsers with other options than they are given."""
    real = aiohttp_parts.HttpResponseParser
    return lambda *given, **options: real(*given, **{**options, **changed})


OTHERWISE: dict[str, tuple[object, str, object]] = {
    "connector": (aiohttp.TCPConnector, "connect", _connect_otherwise),
    "connection": (ResponseHandler, "should_close", property(lambda _: False)),
    "opening": (aiohttp, "ClientRequest", _fail),
    "head, chunks, end": (aiohttp_parts, "HttpResponseParser", _fail),
    "head": (aiohttp_parts, "HttpResponseParser", _refuse_heads_alone),
    "chunks": (aiohttp_parts, "HttpResponseParser", _parse_otherwise(auto_decompress=True)),
    "end": (aiohttp_parts, "HttpResponseParser", _parse_otherwise(read_until_eof=False)),
    "chunks, end": (aiohttp_parts, "HttpResponseParser", _parse_otherwise(response_with_body=False)),
}


@pytest.mark.parametrize("parts", OTHERWISE)
async def test_a_part_that_is_otherwise_is_found(parts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*OTHERWISE[parts])
    assert find_differences() == parts.split(", ")
    told = client.describe_fallback()
    assert told is not None
    assert f"({parts}), so requests are sent by a slower client" in told


async def test_an_aiohttp_that_is_otherwise_is_used_by_its_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "choose_client", CHOOSE)
    assert client.choose_client() == "exchange"
    monkeypatch.setattr(aiohttp_parts, "HttpResponseParser", _fail)
    assert client.choose_client() == "session"
    async with serving(saying(NO_CONTENT)) as peer:
        assert isinstance(await ask(f"{peer.url}/a"), Reply)
