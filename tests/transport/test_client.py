"""What goes over the wire, to the byte, and what is made of everything that can come back or fail to."""

import asyncio
import contextlib
import gzip
import socket
import time
import tracemalloc
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses
from msgspec.structs import replace
from yarl import URL

from orchestrator.model.http import LARGEST_BODY, Lost, Reply, Request
from orchestrator.transport import client
from tests.support.peer import (
    CREDENTIAL,
    HEADERS,
    NO_CONTENT,
    OK,
    SHORT,
    Answer,
    Peer,
    ask,
    assert_fit_to_be_read,
    gateway,
    hanging_up_after,
    listening,
    reset,
    saying,
    serving,
    silence,
    unsent,
)
from tests.support.ports import find_free_port

connect = partial(client.connect, folder=Path(), environment={})
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FAULT = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nfault"


async def lost(answer: Answer, *, within: float = 5.0) -> Lost:
    """Ask a peer once; it must have been asked once, and no more."""
    async with serving(answer) as peer:
        result = await ask(f"{peer.url}/a", timeout=within)
        assert len(peer.requests) == 1
    assert isinstance(result, Lost)
    assert_fit_to_be_read(result.detail)
    return result


# What is sent.


@pytest.mark.parametrize(
    "target",
    ["/v1/a%2Fb/c%20d/%C3%BC%25/", "/a/../b/./c", "/v1/x%7Ey~z?id=%2F&q=a+b", "/a//b", "/%2e%2e/x", "/"],
)
async def test_a_path_is_sent_as_the_caller_wrote_it(target: str) -> None:
    async with serving(saying(NO_CONTENT)) as peer:
        reply = await ask(peer.url + target, "DELETE")
    assert isinstance(reply, Reply)
    assert peer.head[0] == f"DELETE {target} HTTP/1.1"


async def test_a_delete_without_a_body_says_so_and_names_no_type() -> None:
    async with serving(saying(NO_CONTENT)) as peer:
        await ask(f"{peer.url}/a", "DELETE")
    assert set(peer.headers) == {
        "host",
        "x-auth-token",
        "authorization",
        "user-agent",
        "accept",
        "accept-encoding",
        "content-length",
    }
    assert peer.headers["content-length"] == "0"
    assert peer.headers["user-agent"] == "undeploy-orchestrator"
    assert peer.headers["host"] == peer.url.removeprefix("http://")
    assert peer.headers["x-auth-token"] == CREDENTIAL


async def test_a_post_without_a_body_says_that_it_has_none() -> None:
    async with serving(saying(NO_CONTENT)) as peer:
        await ask(f"{peer.url}/a", "POST")
    assert peer.headers["content-length"] == "0"
    assert "content-type" not in peer.headers
    assert "transfer-encoding" not in peer.headers


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_a_body_is_sent_whole_and_untouched(method: str) -> None:
    body = '{"id": "ü"}'.encode()
    async with serving(saying(NO_CONTENT)) as peer:
        await ask(f"{peer.url}/a", method, body)
    assert peer.body == body
    assert peer.headers["content-length"] == str(len(body))
    assert "content-type" not in peer.headers


async def test_a_content_type_is_sent_where_the_request_has_one() -> None:
    async with serving(saying(NO_CONTENT)) as peer, connect(gateway()) as send:
        await send(Request("POST", f"{peer.url}/a", {"Content-Type": "application/json"}, b"{}"))
    assert peer.headers["content-type"] == "application/json"


async def test_netrc_is_not_heeded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password guessed\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with serving(saying(NO_CONTENT)) as peer, connect(gateway()) as send:
        reply = await send(Request("POST", f"{peer.url}/a", {}))
    assert isinstance(reply, Reply)
    assert "authorization" not in peer.headers


async def test_cookies_are_not_kept() -> None:
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=abc; Path=/\r\nContent-Length: 0\r\n\r\n"
    async with serving(saying(cookie)) as peer, connect(gateway()) as send:
        named = peer.url.replace("127.0.0.1", "localhost")  # a jar would not take the cookie of a number
        for _ in range(2):
            await send(Request("POST", f"{named}/a", HEADERS))
    assert len(peer.requests) == 2
    assert "cookie" not in peer.headers


# What comes back.


async def test_a_reply_is_handed_on_whole() -> None:
    answer = saying(
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Type: application/json\r\n"
        b"X-Request-Id: r1\r\nX-Subject-Token: t1\r\nServer: nginx\r\nContent-Length: 2\r\n\r\n{}"
    )
    before = time.time()
    async with serving(answer) as peer:
        reply = await ask(f"{peer.url}/a")
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (503, b"{}")
    assert reply.headers == {
        "retry-after": "7",
        "content-type": "application/json",
        "x-request-id": "r1",
        "x-subject-token": "t1",
    }
    assert before <= reply.at <= time.time()


async def test_all_waits_that_a_reply_asks_for_are_handed_on() -> None:
    answer = saying(
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nretry-after: 30\r\nContent-Length: 0\r\n\r\n"
    )
    async with serving(answer) as peer:
        reply = await ask(f"{peer.url}/a")
    assert isinstance(reply, Reply)
    assert reply.headers == {"retry-after": "1, 30"}


STATUSES = [200, 204, 302, 400, 401, 404, 429, 500, 503]


@pytest.mark.parametrize("status", STATUSES)
async def test_no_status_is_an_error_here(status: int) -> None:
    async with serving(saying(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)) as peer:
        reply = await ask(f"{peer.url}/a")
    assert isinstance(reply, Reply)
    assert reply.status == status


@pytest.mark.parametrize("client_name", ["session"], indirect=True)
@pytest.mark.parametrize("status", STATUSES)
async def test_no_status_is_an_error_for_the_session(status: int) -> None:
    with aioresponses() as vendor:
        vendor.post("http://roma.invalid/a", status=status, body=b"{}", response_class=MockedResponse)
        reply = await ask("http://roma.invalid/a")
        (call,) = vendor.requests["POST", URL("http://roma.invalid/a")]
    assert isinstance(reply, Reply)
    assert reply.status == status
    assert call.kwargs["allow_redirects"] is False


class MockedResponse(aiohttp.ClientResponse):
    """aioresponses does not know an argument that aiohttp asks for since 3.14."""

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **{"stream_writer": Mock(output_size=0), **named})  # type: ignore[arg-type]


@pytest.mark.promise(3)
@pytest.mark.promise(9)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_takes_no_credential_along(status: int) -> None:
    async with serving(saying(OK)) as elsewhere:
        location = f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere.url}/b\r\nContent-Length: 0\r\n\r\n"
        async with serving(saying(location.encode())) as peer:
            reply = await ask(f"{peer.url}/a")
    assert isinstance(reply, Reply)
    assert reply.status == status
    assert reply.headers["location"] == f"{elsewhere.url}/b"
    assert (len(peer.requests), elsewhere.connections) == (1, 0)


async def test_a_reply_without_a_length_ends_with_its_connection() -> None:
    async with serving(hanging_up_after(b"HTTP/1.1 200 OK\r\n\r\n{}")) as peer:
        reply = await ask(f"{peer.url}/a")
    assert isinstance(reply, Reply)
    assert reply.body == b"{}"


def compressed(body: bytes, encoding: bytes, length: int | None = None) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (encoding, len(body) if length is None else length) + body


@pytest.mark.parametrize(
    ("encoding", "press"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)], ids=["gzip", "deflate"]
)
async def test_a_compressed_body_is_read(encoding: bytes, press: Callable[[bytes], bytes]) -> None:
    text = b'{"success": true}' * 1000
    async with serving(saying(compressed(press(text), encoding))) as peer:
        reply = await ask(f"{peer.url}/a")
    assert isinstance(reply, Reply)
    assert reply.body == text


@pytest.mark.long("sends a very large body")
async def test_a_body_that_swells_beyond_measure_is_lost_before_it_fills_the_memory() -> None:
    press = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(press.compress(bytes(1 << 20)) for _ in range(256)) + press.flush()
    async with serving(saying(compressed(bomb, b"gzip"))) as peer:
        tracemalloc.start()
        try:
            result = await ask(f"{peer.url}/a")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert result == Lost(sent=True, detail=f"the reply is larger than {LARGEST_BODY} bytes")
    assert peak < 16 * LARGEST_BODY


async def test_a_body_of_the_largest_size_is_read_and_one_more_byte_is_lost() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    answer = saying(
        head % LARGEST_BODY + bytes(LARGEST_BODY), head % (LARGEST_BODY + 1) + bytes(LARGEST_BODY + 1), OK
    )
    async with serving(answer) as peer, connect(gateway()) as send:
        whole, large, after = [await send(Request("GET", f"{peer.url}/a", HEADERS)) for _ in range(3)]
    assert isinstance(whole, Reply)
    assert len(whole.body) == LARGEST_BODY
    assert large == Lost(sent=True, detail=f"the reply is larger than {LARGEST_BODY} bytes")
    assert isinstance(after, Reply)


async def test_each_request_bounds_its_own_reply() -> None:
    """Also on a connection that an earlier request used, whether or not the head tells the length."""
    size = 3 * LARGEST_BODY
    long = [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size),
        CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (size, bytes(size)),
        compressed(gzip.compress(bytes(size)), b"gzip"),
    ]
    answer = saying(OK, *(each for each in long for _ in range(2)))
    async with serving(answer) as peer, connect(gateway()) as send:
        asked = Request("GET", f"{peer.url}/a", HEADERS)
        assert isinstance(await send(asked), Reply)
        for _ in long:
            page = await send(replace(asked, largest=size))
            assert isinstance(page, Reply)
            assert len(page.body) == size
            lost = Lost(sent=True, detail=f"the reply is larger than {size - 1} bytes")
            assert await send(replace(asked, largest=size - 1)) == lost


async def test_a_body_without_end_is_lost() -> None:
    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            await writer.drain()

    assert "larger than" in (await lost(answer)).detail


# What fails after bytes of the request may have arrived: always in doubt.


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(hanging_up_after(b""), id="closed"),
        pytest.param(reset, id="reset"),
        pytest.param(hanging_up_after(b"HTTP/1.1 204 No Con"), id="status line cut"),
        pytest.param(hanging_up_after(b"HTTP/1.1 204 No Content\r\nServer: x"), id="headers cut"),
        pytest.param(hanging_up_after(OK[:-1]), id="body cut"),
        pytest.param(
            hanging_up_after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
            id="chunks cut",
        ),
        pytest.param(hanging_up_after(b"hello, this is not HTTP\r\n\r\n"), id="garbage"),
        pytest.param(hanging_up_after(b"HTTP/1.1 two-hundred OK\r\n\r\n"), id="no number"),
        pytest.param(hanging_up_after(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9), id="TLS"),
        pytest.param(hanging_up_after(b"SSH-2.0-OpenSSH_9.2\r\n"), id="SSH"),
        pytest.param(hanging_up_after(OK.replace(b"OK", b"OK\r\nX: " + bytes(20_000))), id="header too long"),
        pytest.param(hanging_up_after(OK.replace(b"Length: 2", b"Length: two")), id="length is no number"),
        pytest.param(saying(compressed(b"this is not gzip", b"gzip")), id="not gzip"),
        pytest.param(hanging_up_after(compressed(gzip.compress(b"x" * 99)[:-9], b"gzip", 99)), id="gzip cut"),
    ],
)
async def test_a_reply_that_cannot_be_read_is_lost_after_the_request_was_sent(answer: Answer) -> None:
    assert (await lost(answer)).sent


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(silence, id="nothing"),
        pytest.param(saying(b"HTTP/1.1 204 No Content\r\nServer: slow"), id="headers"),
        pytest.param(saying(OK[:-1]), id="body"),
        pytest.param(saying(b"HTTP/1.1 100 Continue\r\n\r\n"), id="only an interim reply"),
    ],
)
async def test_a_reply_that_stalls_is_lost_in_time(answer: Answer) -> None:
    before = time.monotonic()
    result = await lost(answer, within=SHORT)
    assert result == Lost(sent=True, detail="no whole reply in time")
    assert SHORT <= time.monotonic() - before < SHORT + 2


async def test_a_reply_that_drips_does_not_outlast_the_timeout() -> None:
    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(SHORT / 10)

    assert (await lost(answer, within=SHORT)).detail == "no whole reply in time"


# What fails before: nothing has arrived, and that is known.


async def test_a_refused_connection_sent_nothing() -> None:
    port = find_free_port()
    detail = await unsent(f"http://127.0.0.1:{port}/a")
    assert detail == f"no connection to 127.0.0.1:{port}: connection refused"


@pytest.mark.parametrize(
    "name",
    [
        "roma.invalid",
        pytest.param("a..invalid", id="empty part"),
        pytest.param(f"{'a' * 64}.invalid", id="overlong part"),
        pytest.param("xn--a.invalid", id="encodes no name"),
    ],
)
async def test_an_unknown_name_sent_nothing(name: str) -> None:
    assert await unsent(f"http://{name}/a") == f"the name {name} cannot be resolved"


async def test_plain_http_where_tls_was_expected_sent_nothing() -> None:
    async def blunt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with listening(blunt) as port:
        detail = await unsent(f"https://127.0.0.1:{port}/a")
    assert detail is not None
    assert detail.startswith(f"no TLS connection to 127.0.0.1:{port}: what answers there speaks no TLS;")


async def test_a_tls_handshake_that_stalls_sent_nothing() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(handle) as port:
        assert await unsent(f"https://127.0.0.1:{port}/a", timeout=SHORT) == "no connection in time"


async def test_a_connection_that_stalls_sent_nothing() -> None:
    with socket.socket() as deaf, contextlib.ExitStack() as crowd:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):  # more than wait in its queue: the next one gets no answer to its SYN
            caller = crowd.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())
        port = deaf.getsockname()[1]
        assert await unsent(f"http://127.0.0.1:{port}/a", timeout=SHORT) == "no connection in time"


@pytest.mark.promise(9)
@pytest.mark.parametrize("value", [f"{CREDENTIAL}\n", f"{CREDENTIAL}\r\nX: y", "x\0y"])
async def test_a_credential_that_is_no_header_is_never_shown(value: str) -> None:
    async with serving(saying(NO_CONTENT)) as peer, connect(gateway()) as send:
        result = await send(Request("POST", f"{peer.url}/a", {"X-Auth-Token": value}))
    assert isinstance(result, Lost)
    assert not peer.requests
    assert result.detail == "the request, or its reply, is not HTTP"


# Connections.


@pytest.mark.promise(2)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("drop", [hanging_up_after(b""), reset], ids=["closed", "reset"])
async def test_a_kept_connection_that_drops_is_not_asked_twice(method: str, drop: Answer) -> None:
    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        await (saying(NO_CONTENT) if len(peer.requests) == 1 else drop)(peer, writer)

    async with serving(answer) as peer, connect(gateway()) as send:
        first = await send(Request(method, f"{peer.url}/a", HEADERS))
        second = await send(Request(method, f"{peer.url}/a", HEADERS))
        await asyncio.sleep(0)
    assert isinstance(first, Reply)
    assert isinstance(second, Lost)
    assert second.sent
    assert (len(peer.requests), peer.connections) == (2, 1)


async def test_one_connection_serves_all_that_is_sent_in_turn() -> None:
    async with serving(saying(FAULT, OK, NO_CONTENT, FAULT, NO_CONTENT)) as peer, connect(gateway()) as send:
        for _ in range(20):
            assert isinstance(await send(Request("POST", f"{peer.url}/a", HEADERS, b"{}")), Reply)
    assert (len(peer.requests), peer.connections) == (20, 1)


async def test_as_many_go_at_once_as_the_gateway_takes() -> None:
    together = 150
    all_here = asyncio.Event()

    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        if len(peer.requests) == together:
            all_here.set()
        await all_here.wait()
        writer.write(NO_CONTENT)

    async with serving(answer) as peer, connect(gateway(concurrency=together)) as send:
        replies = await asyncio.gather(
            *(send(Request("POST", f"{peer.url}/{number}", HEADERS)) for number in range(together))
        )
    assert all(isinstance(reply, Reply) for reply in replies)


async def test_a_cancelled_request_leaves_the_pool_usable() -> None:
    arrived = asyncio.Event()

    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        if arrived.is_set():
            writer.write(NO_CONTENT)
        arrived.set()

    async with serving(answer) as peer, connect(gateway(concurrency=1)) as send:
        pending = asyncio.ensure_future(send(Request("POST", f"{peer.url}/a", HEADERS)))
        await arrived.wait()
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
        assert isinstance(await send(Request("POST", f"{peer.url}/a", HEADERS)), Reply)
