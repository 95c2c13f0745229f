"""What the exchange keeps of its connections, and that either client makes the same of a reply."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from orchestrator.model.http import LARGEST_BODY, Lost, Reply, Request, Send
from orchestrator.transport import client, idle_connections
from orchestrator.transport.exchange import Exchange
from orchestrator.transport.route import ClientSettings
from tests.support.peer import (
    HEADERS,
    NO_CONTENT,
    OK,
    SHORT,
    Answer,
    Peer,
    gateway,
    hanging_up_after,
    listening,
    reset,
    saying,
    serving,
)

connect = partial(client.connect, folder=Path(), environment={})
exchange_alone = pytest.mark.parametrize("client_name", ["exchange"], indirect=True)


@asynccontextmanager
async def opened(within: float = 5.0) -> AsyncIterator[Exchange]:
    exchange = Exchange(ClientSettings(choose_proxy=lambda *_: None, tls=None, reply_timeout=within))
    try:
        yield exchange
    finally:
        await exchange.close()


async def ask(send: Send, peer: Peer | str, body: bytes | None = None) -> Reply | Lost:
    url = peer if isinstance(peer, str) else peer.url
    return await send(Request("POST", f"{url}/a", HEADERS, body))


# The same reply, by either client.

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"
PACKED = gzip.compress(b"a text")
REPLIES: dict[str, bytes] = {
    "length": HEAD + b"Content-Length: 2\r\n\r\n{}",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\nX: y\r\n\r\n",
    "none": HEAD + b"\r\n",
    "unknown length": HEAD + b"\r\nto the end",
    "204": b"HTTP/1.1 204 X\r\nContent-Length: 9\r\n\r\n",
    "304": b"HTTP/1.1 304 X\r\n\r\n",
    "302": b"HTTP/1.1 302 X\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
    "407": b"HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n",
    "interim": b"HTTP/1.1 103 X\r\nContent-Length: 5\r\n\r\n" + OK,
    "1.0": b"HTTP/1.0 200 OK\r\n\r\n{}",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}",
    "bare line ends": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "folded": HEAD + b"X-Request-Id: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
    "same length twice": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}!",
    "length and chunks": HEAD
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "negative length": HEAD + b"Content-Length: -2\r\n\r\n{}",
    "gzip": HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED,
    "gzip in chunks": HEAD
    + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    % (len(PACKED), PACKED),
    "no gzip": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "empty gzip": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
    "identity": HEAD + b"Content-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
    "body cut": HEAD + b"Content-Length: 9\r\n\r\n{}",
    "chunks cut": HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{}",
    "bad chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "space before the colon": HEAD + b"X-Request-Id : a\r\nContent-Length: 2\r\n\r\n{}",
    "a header without a colon": HEAD + b"nonsense\r\nContent-Length: 2\r\n\r\n{}",
    "a NUL in a header": HEAD + b"X-Request-Id: a\0b\r\nContent-Length: 2\r\n\r\n{}",
    "another coding": HEAD + b"Transfer-Encoding: gzip\r\n\r\n{}",
    "too long": HEAD + b"Content-Length: %d\r\n\r\n" % (LARGEST_BODY + 1),
    "HTTP/2": b"HTTP/2 200\r\nContent-Length: 2\r\n\r\n{}",
    "nothing": b"",
    "Latin": HEAD + b"X-Request-Id: M\xfc\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.promise(3)
@exchange_alone
@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("name", REPLIES)
async def test_either_client_makes_the_same_of_a_reply(
    name: str, split: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        for byte in REPLIES[name] if split else ():
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        if not split:
            writer.write(REPLIES[name])
        await hanging_up_after(b"")(peer, writer)

    answers = []
    for each in client.CLIENTS:
        monkeypatch.setattr(client, "choose_client", lambda each=each: each)
        async with serving(answer) as peer, connect(gateway()) as send:
            answers.append(await ask(send, peer))
    one, other = (
        (got.status, dict(got.headers), got.body) if isinstance(got, Reply) else got for got in answers
    )
    assert one == other


# Connections.


@exchange_alone
async def test_the_newest_connection_is_used_first() -> None:
    """So that those that are not needed any more grow old, and are closed."""
    together = asyncio.Event()
    lines: list[object] = []

    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        lines.append(writer)
        if len(peer.requests) == 3:
            together.set()
        await together.wait()
        writer.write(NO_CONTENT)

    async with serving(answer) as peer, opened() as exchange:
        await asyncio.gather(*(ask(exchange.send, peer) for _ in range(3)))
        for _ in range(4):
            await ask(exchange.send, peer)
        assert peer.connections == 3
        assert len(set(map(id, lines[3:]))) == 1


@exchange_alone
async def test_a_connection_at_rest_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_connections, "KEPT_FOR", SHORT / 2)
    closed = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(NO_CONTENT)
        await reader.read()
        closed.set()

    async with listening(handle) as port, opened() as exchange:
        await ask(exchange.send, f"http://127.0.0.1:{port}")
        await asyncio.wait_for(closed.wait(), 5)


@exchange_alone
async def test_a_connection_whose_request_has_not_left_whole_carries_no_other() -> None:
    """The reply came before the body was read: what is left of it would stand before the next request."""
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await asyncio.sleep(60)

    async with listening(handle) as port, connect(gateway()) as send:
        url = f"http://127.0.0.1:{port}"
        assert isinstance(await ask(send, url, bytes(20_000_000)), Reply)
        assert isinstance(await ask(send, url), Reply)
        assert connections == 2


@pytest.mark.promise(3)
@exchange_alone
async def test_a_body_of_unknown_length_whose_connection_breaks_is_no_reply() -> None:
    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\nhalf")
        await asyncio.sleep(0.05)
        await reset(peer, writer)

    async with serving(answer) as peer, opened() as exchange:
        got = await ask(exchange.send, peer)
    assert got == Lost(sent=True, detail="the connection broke: connection reset by peer")


@pytest.mark.parametrize("answered", [0, 1, 20])
async def test_the_deadline_is_each_requests_own(answered: int) -> None:
    """Also of a request on a connection that carried others: their timer is not its own."""

    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        if len(peer.requests) <= answered:
            await asyncio.sleep(SHORT / 30)
            writer.write(NO_CONTENT)

    async with serving(answer) as peer, connect(gateway(timeout=SHORT)) as send:
        for _ in range(answered):
            assert isinstance(await ask(send, peer), Reply)
        began = asyncio.get_running_loop().time()
        assert await ask(send, peer) == Lost(sent=True, detail="no whole reply in time")
        assert SHORT - 0.01 <= asyncio.get_running_loop().time() - began < SHORT + 2


@exchange_alone
async def test_many_requests_wait_for_one_timer() -> None:
    loop = asyncio.get_running_loop()
    asked = 0
    real = loop.call_at

    def count(*given: object, **named: object) -> asyncio.TimerHandle:
        nonlocal asked
        asked += 1
        return real(*given, **named)  # type: ignore[arg-type]

    async with serving(saying(NO_CONTENT)) as peer, opened() as exchange:
        await ask(exchange.send, peer)
        loop.call_at = count  # type: ignore[method-assign]
        try:
            for _ in range(50):
                await ask(exchange.send, peer)
        finally:
            loop.call_at = real  # type: ignore[method-assign]
    assert asked == 0


@exchange_alone
async def test_nothing_is_open_after_the_end() -> None:
    gone = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        gone.set()

    async with listening(handle) as port:
        async with opened() as exchange:
            waiting = asyncio.ensure_future(ask(exchange.send, f"http://127.0.0.1:{port}"))
            await asyncio.sleep(0.05)
        assert isinstance(await waiting, Lost)
        await asyncio.wait_for(gone.wait(), 5)


@pytest.mark.promise(3)
async def test_a_request_that_is_cancelled_within_a_body_leaves_no_connection_behind() -> None:
    """The last bytes that came look like the end of the chunks, and are part of one."""
    arrived = asyncio.Event()

    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        if len(peer.requests) > 1:
            writer.write(OK)
            return
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\n0\r\n\r\n")
        await writer.drain()
        arrived.set()

    async with serving(answer) as peer, connect(gateway()) as send:
        waiting = asyncio.ensure_future(ask(send, peer))
        await arrived.wait()
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert isinstance(await ask(send, peer), Reply)
        assert peer.connections == 2


# Addresses.


@pytest.mark.parametrize(
    "url",
    [
        "",
        "roma",
        "/a",
        "ftp://h/a",
        "http://",
        "http:///a",
        "http://[::1/a",
        "http://h:x/a",
        "http://u@h/a",
        "http://u:1@h/a",
        r"http://u\h/a",
    ],
)
@exchange_alone
async def test_an_address_that_is_none_sends_nothing(url: str) -> None:
    async with opened() as exchange:
        assert await exchange.send(Request("GET", url, {})) == Lost(False, "the address is not a URL")


@pytest.mark.parametrize(
    ("rest", "target"), [("", "/"), ("?a=b", "/?a=b"), ("/a?b#c", "/a?b"), ("/", "/"), ("/a?b=/c", "/a?b=/c")]
)
async def test_the_target_is_what_follows_the_host(rest: str, target: str) -> None:
    async with serving(saying(NO_CONTENT)) as peer, connect(gateway()) as send:
        for _ in range(2):
            assert isinstance(await send(Request("POST", peer.url + rest, HEADERS)), Reply)
            assert peer.head[0] == f"POST {target} HTTP/1.1"
        assert peer.connections == 1


async def test_a_port_that_begins_as_another_is_another_server() -> None:
    """An address without a path must not be taken for that of a known server."""
    async with serving(saying(NO_CONTENT)) as peer, connect(gateway()) as send:
        assert isinstance(await send(Request("GET", f"{peer.url}/", HEADERS)), Reply)
        other = f"{peer.url}0"  # a port beyond 65535, or where nothing listens
        assert isinstance(await send(Request("GET", other, HEADERS)), Lost)
        assert len(peer.requests) == 1


async def test_two_servers_share_no_connection() -> None:
    def naming(name: bytes) -> Answer:
        return saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name)

    async with serving(naming(b"a")) as a, serving(naming(b"b")) as b, connect(gateway()) as send:
        for _ in range(3):
            for peer, name in ((a, b"a"), (b, b"b")):
                got = await ask(send, peer)
                assert isinstance(got, Reply)
                assert got.body == name
        assert (a.connections, b.connections) == (1, 1)
