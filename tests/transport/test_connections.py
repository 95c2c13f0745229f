"""Whose a reply is, and that every request has an end, as the socket sees it: no client is known here."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import pytest
import trustme

from orchestrator.model.http import Lost, Reply, Request, Send
from orchestrator.model.settings import Tls
from orchestrator.transport import aiohttp_parts, client, request_connection, session_connections
from tests.support.peer import HEADERS, NO_CONTENT, OK, SHORT, Peer, gateway, listening, saying, serving, take

connect = partial(client.connect, folder=Path(), environment={})
DENIED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}"
TIMEOUT_408 = b"HTTP/1.0 408 Request Time-out\r\nConnection: close\r\n\r\n<h1>408</h1>\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP = b"Content-Encoding: gzip\r\n"
SOON = 0.02
"""Seconds after which a peer says something that nobody has asked for."""
FAR = "http://gateway.test"


async def ask(send: Send, peer: Peer | str, method: str = "POST", body: bytes | None = b"{}") -> Reply | Lost:
    url = peer if isinstance(peer, str) else peer.url
    return await send(Request(method, f"{url}/a", HEADERS, body))


def statuses(*answers: Reply | Lost) -> list[int]:
    return [answer.status if isinstance(answer, Reply) else 0 for answer in answers]


# A reply to nobody.


@pytest.mark.promise(3)
@pytest.mark.parametrize("body", [None, b"{}"], ids=["no body", "body"])
@pytest.mark.parametrize(
    "stray",
    [NO_CONTENT, OK, TIMEOUT_408, b"HTTP/1.1 204 No Con", b"x", b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["204", "200", "408", "half a reply", "a byte", "a line end", "100"],
)
@pytest.mark.parametrize("after", [None, 0.0, SOON], ids=["with it", "behind it", "later"])
async def test_unsolicited_bytes_answer_no_request(
    stray: bytes, after: float | None, body: bytes | None
) -> None:
    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        if len(peer.requests) > 1:
            writer.write(DENIED)
        elif after is None:
            writer.write(OK + stray)
        else:
            writer.write(OK)
            await writer.drain()
            await asyncio.sleep(after)
            writer.write(stray)

    async with serving(answer) as peer, connect(gateway()) as send:
        first = await ask(send, peer, body=body)
        await asyncio.sleep(2 * SOON)
        second = await ask(send, peer, body=body)
        assert statuses(first, second) == [200, 403]
        assert (len(peer.requests), peer.connections) == (2, 2)


@pytest.mark.promise(3)
@pytest.mark.parametrize("after", [None, SOON], ids=["with it", "later"])
async def test_unsolicited_bytes_over_tls_answer_no_request(after: float | None, tmp_path: Path) -> None:
    ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        writer.write(DENIED if len(peer.requests) > 1 else OK if after else OK + NO_CONTENT)
        if after and len(peer.requests) == 1:
            await writer.drain()
            await asyncio.sleep(after)
            writer.write(NO_CONTENT)

    roma = gateway(tls=Tls(ca_file="ca.pem"))
    async with serving(answer, tls=context) as peer, client.connect(roma, tmp_path, {}) as send:
        first = await ask(send, peer)
        await asyncio.sleep(2 * SOON)
        second = await ask(send, peer)
    assert statuses(first, second) == [200, 403]


@contextmanager
def saying_too_much() -> Iterator[tuple[str, Callable[[], None]]]:
    """A server, and a function that makes it say one more reply and waits until the kernel has it; what the
    server is asked on another connection is denied."""
    said, go_on = threading.Event(), threading.Event()

    def serve(server: socket.socket) -> None:
        with server.accept()[0] as line:
            line.recv(65536)
            line.sendall(OK)
            go_on.wait()
            line.sendall(NO_CONTENT)
            said.set()
            with contextlib.suppress(OSError), server.accept()[0] as other:
                other.recv(65536)
                other.sendall(DENIED)

    def say_more() -> None:
        go_on.set()
        said.wait()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", say_more
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.promise(3)
@pytest.mark.parametrize("body", [None, b"{}"], ids=["no body", "body"])
async def test_bytes_that_were_not_read_yet_answer_no_request(body: bytes | None) -> None:
    """The stray reply is in the socket when the next request is made; the event loop has not turned since."""
    with saying_too_much() as (url, say_more):
        async with connect(gateway()) as send:
            first = await ask(send, url, body=body)
            say_more()
            second = await ask(send, url, body=body)
    assert statuses(first, second) == [200, 403]


@pytest.mark.promise(3)
@pytest.mark.parametrize("client_name", ["session"], indirect=True)
@pytest.mark.parametrize("body", [None, b"{}"], ids=["no body", "body"])
async def test_bytes_that_come_between_the_check_and_the_request_stop_the_request(
    body: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exchange has no such moment: it checks and writes in one turn of the event loop."""
    monkeypatch.setattr(session_connections.GuardedConnection, "is_idle", lambda _line, _now: True)
    with saying_too_much() as (url, say_more):
        async with connect(gateway()) as send:
            await ask(send, url, body=body)
            say_more()
            second = await ask(send, url, body=body)
    assert second == Lost(False, "something came before anything was asked, so nothing was sent")


async def test_a_server_that_speaks_first_is_sent_nothing() -> None:
    received: list[bytes] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        with contextlib.suppress(ConnectionError):
            received.append(await reader.read())

    async with listening(greet) as port, connect(gateway()) as send:
        answer = await ask(send, f"http://127.0.0.1:{port}")
    assert answer == Lost(False, "something came before anything was asked, so nothing was sent")
    assert not any(received)


@pytest.mark.promise(3)
@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize(
    ("lines", "rest"),
    [
        (b"Content-Length: 2\r\n", b"{}"),
        (b"Content-Length: 2\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b""),
        (b"", b"{}"),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
async def test_a_204_ends_with_its_head(status: int, lines: bytes, rest: bytes, apart: bool) -> None:
    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 %d X\r\n%s\r\n" % (status, lines)
        writer.write(head if apart else head + rest)
        if apart:
            await writer.drain()
            await asyncio.sleep(SOON)
            writer.write(rest)

    async with serving(answer) as peer, connect(gateway()) as send:
        answers = []
        for _ in range(3):
            answers.append(await ask(send, peer))
            await asyncio.sleep(2 * SOON if apart else 0)
        assert statuses(*answers) == [status] * 3
        assert peer.connections == 3


async def test_interim_replies_are_passed_over() -> None:
    interim = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\nContent-Length: 9\r\n\r\n"
    )
    async with serving(saying(interim + OK, OK)) as peer, connect(gateway()) as send:
        assert statuses(await ask(send, peer), await ask(send, peer)) == [200, 200]
        assert peer.connections == 1


@pytest.mark.parametrize(
    "reply",
    [
        OK,
        NO_CONTENT,
        CHUNKED + b"2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["length", "204", "chunks", "empty", "1.0"],
)
@pytest.mark.parametrize("tls", [False, True])
async def test_a_connection_at_rest_is_used_again(reply: bytes, tls: bool, tmp_path: Path) -> None:
    ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    roma = gateway(tls=Tls(ca_file="ca.pem"))
    async with (
        serving(saying(reply), tls=context if tls else None) as peer,
        client.connect(roma, tmp_path, {}) as send,
    ):
        for _ in range(4):
            assert isinstance(await ask(send, peer), Reply)
            assert isinstance(await ask(send, peer, body=None), Reply)
        assert peer.connections == 1


# Long heads.


@pytest.mark.parametrize("size", [9_120, 16_384, 64 * 1024, 200 * 1024])
async def test_a_long_header_is_read_and_sent(size: int) -> None:
    long = OK.replace(b"OK", b"OK\r\nX-Subject-Token: " + b"A" * size)
    async with serving(saying(long)) as peer, connect(gateway()) as send:
        reply = await ask(send, peer)
    assert isinstance(reply, Reply)
    assert reply.headers["x-subject-token"] == "A" * size


@pytest.mark.parametrize("size", [16_384, 60_000])
async def test_a_long_token_is_sent(size: int) -> None:
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        await writer.drain()

    async with listening(handle) as port, connect(gateway()) as send:
        answer = await send(Request("POST", f"http://127.0.0.1:{port}/a", {"X-Auth-Token": "A" * size}))
    assert isinstance(answer, Reply)
    assert b"A" * size in heads[0]


async def test_a_head_that_is_too_long_says_so() -> None:
    long = OK.replace(b"OK", b"OK\r\nX: " + b"y" * 300_000)
    async with serving(saying(long)) as peer, connect(gateway()) as send:
        answer = await ask(send, peer)
    assert answer == Lost(sent=True, detail="the head of the reply is larger than 262144 bytes")


# Replies without an end.


def _empty_blocks() -> tuple[bytes, bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    begun = packer.compress(b"") + packer.flush(zlib.Z_SYNC_FLUSH)
    blocks = b"\x00\x00\x00\xff\xff" * 20_000
    head = CHUNKED.replace(b"\r\n\r\n", b"\r\n" + GZIP + b"\r\n")
    return head + b"%x\r\n%s\r\n" % (len(begun), begun), b"%x\r\n%s\r\n" % (len(blocks), blocks)


def _bomb() -> tuple[bytes, bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(bytes(50_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    return CHUNKED.replace(b"\r\n\r\n", b"\r\n" + GZIP + b"\r\n"), b"%x\r\n%s\r\n" % (len(packed), packed)


ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000),
    "103 Early Hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" * 5_000),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 20_000),
    "one header": (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 100_000),
    "a reason": (b"HTTP/1.1 200 ", b"y" * 100_000),
    "blank lines": (b"", b"\r\n" * 50_000),
    "chunks of a byte": (CHUNKED, b"1\r\nx\r\n" * 20_000),
    "a chunk extension": (CHUNKED + b"1;", b"a" * 100_000),
    "chunk extensions": (CHUNKED, b"1;a=b\r\nx\r\n" * 20_000),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 20_000),
    "one trailer": (CHUNKED + b"0\r\nX: ", b"y" * 100_000),
    "a body": (b"HTTP/1.1 200 OK\r\n\r\n", b"y" * 100_000),
    "empty blocks": _empty_blocks(),
    "a bomb": _bomb(),
}


@contextmanager
def pouring(head: bytes, more: bytes, pause: float = 0.0) -> Iterator[str]:
    """Answer every request with ``head`` and then ``more`` without an end, from threads of their own."""
    server, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def pour(line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            line.recv(65536)
            line.sendall(head)
            while not over.wait(pause):
                line.sendall(more)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=pour, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}"
    over.set()
    server.shutdown(socket.SHUT_RDWR)
    server.close()


@asynccontextmanager
async def well() -> AsyncIterator[tuple[Peer, Send]]:
    """Another gateway, which is well."""
    async with serving(saying(OK)) as peer, connect(gateway()) as send:
        yield peer, send


@pytest.mark.promise(10)
@pytest.mark.parametrize("kind", ENDLESS)
async def test_a_reply_without_an_end_is_lost_soon_and_slows_no_other_request(kind: str) -> None:
    """The bound is in bytes, not in time: five requests at once cost less than any timeout."""
    with pouring(*ENDLESS[kind]) as url:
        async with connect(gateway(timeout=20.0)) as send, well() as (peer, other):
            began, used = time.monotonic(), time.thread_time()
            flood = asyncio.gather(*(ask(send, url) for _ in range(5)))
            slowest = 0.0
            while not flood.done():
                # The work in between, not the time: on a busy machine others take some of that.
                at = time.thread_time()
                assert isinstance(await ask(other, peer), Reply)
                slowest = max(slowest, time.thread_time() - at)
            answers = await flood
    assert all(isinstance(answer, Lost) and answer.sent for answer in answers), answers
    assert time.thread_time() - used < 3
    assert time.monotonic() - began < 10
    assert slowest < 2


@pytest.mark.promise(10)
@pytest.mark.parametrize(
    ("head", "more"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (CHUNKED, b"1\r\nx\r\n"),
        (CHUNKED + b"0\r\n", b"X: y\r\n"),
    ],
    ids=["interim replies", "a header", "chunks", "trailers"],
)
async def test_a_reply_that_drips_ends_with_the_timeout(head: bytes, more: bytes) -> None:
    with pouring(head, more, pause=SHORT / 10) as url:
        async with connect(gateway(timeout=SHORT)) as send:
            began = time.monotonic()
            assert await ask(send, url) == Lost(sent=True, detail="no whole reply in time")
            assert time.monotonic() - began < SHORT + 2


@pytest.mark.promise(10)
async def test_a_peer_that_reads_nothing_keeps_no_request_waiting() -> None:
    """Neither the request nor the closing of what it was sent through waits for a peer that does not read."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        began = time.monotonic()
        async with connect(gateway(timeout=SHORT)) as send:
            answer = await ask(send, f"http://127.0.0.1:{server.getsockname()[1]}", body=bytes(1_000_000))
    assert isinstance(answer, Lost)
    assert answer.sent
    assert time.monotonic() - began < SHORT + 2


async def test_a_large_request_may_be_answered_before_its_body_is_written() -> None:
    """A server that refuses a body need not read it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(DENIED)
        await reader.read()

    async with listening(handle) as port, connect(gateway()) as send:
        answer = await ask(send, f"http://127.0.0.1:{port}", body=bytes(300_000))
    assert statuses(answer) == [403]


# A name that moves.


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the name of a gateway resolves to, for who asks from now on."""
    now = ["127.0.0.1"]

    def resolve(host: str, port: int, *_args: object, **_options: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in now]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return now


def at(address: str, port: int, reply: bytes) -> AbstractAsyncContextManager[int]:
    """Serve at an address; every reply leaves the connection open."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await take(reader)
                writer.write(reply)

    return listening(handle, host=address, port=port)


async def test_a_name_is_asked_again_when_its_address_fails(addresses: list[str]) -> None:
    async with connect(gateway()) as send:
        async with at("127.0.0.1", 0, DENIED) as port:
            assert statuses(await ask(send, f"{FAR}:{port}")) == [403]
        addresses[:] = ["127.0.0.2"]
        async with at("127.0.0.2", port, OK):
            refused = await ask(send, f"{FAR}:{port}")
            assert isinstance(refused, Lost)
            assert not refused.sent
            assert statuses(await ask(send, f"{FAR}:{port}")) == [200]


async def test_a_name_is_asked_again_after_a_while_though_its_old_address_answers(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (aiohttp_parts, request_connection, session_connections):
        assert module.RESOLVED_FOR <= 60
        monkeypatch.setattr(module, "RESOLVED_FOR", SHORT)
    async with at("127.0.0.1", 0, OK) as port, at("127.0.0.2", port, DENIED), connect(gateway()) as send:
        assert statuses(await ask(send, f"{FAR}:{port}")) == [200]
        addresses[:] = ["127.0.0.2"]
        assert statuses(await ask(send, f"{FAR}:{port}")) == [200]
        await asyncio.sleep(2 * SHORT)
        assert statuses(await ask(send, f"{FAR}:{port}")) == [403]
