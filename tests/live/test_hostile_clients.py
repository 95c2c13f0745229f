"""Clients that mean harm, or are broken: none keeps the page from the others, nor grows without bound."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, closing, suppress

import pytest

from orchestrator.live import connections
from orchestrator.live.address import PageAddress
from orchestrator.live.connections import MOST_CONNECTIONS
from tests.support.live_page import (
    LiveServer,
    ask,
    connect,
    follow,
    hang_up,
    make_request,
    open_session,
    post,
    read_head,
    serve_made_up,
)
from tests.support.made_up_status import make_status


async def assert_well(server: LiveServer) -> None:
    """Assert that another client still gets its answer, soon, and that no bug of ours was met."""
    async with asyncio.timeout(5):
        assert (await ask(server.address, "/state")).status == 200
    assert server.complaints == []


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /state HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n",
        b"GET /state HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: attacker.example\r\n\r\n",
        b"POST /control HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /control HTTP/1.1\r\nHost: ::1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        + b"".join(b"X-%d: y\r\n" % n for n in range(5000))
        + b"\r\n",
        b"GET http://attacker.example/state HTTP/1.1\r\nHost: attacker.example\r\n\r\n",
        b"CONNECT attacker.example:443 HTTP/1.1\r\nHost: attacker.example\r\n\r\n",
        b"\x00" * 1000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_request_of_a_browser_is_refused(sent: bytes) -> None:
    async with serve_made_up() as server:
        reader, writer = await connect(server.address)
        writer.write(sent)
        async with asyncio.timeout(5):
            status, _ = await read_head(reader)
        await hang_up(writer)
        await assert_well(server)

    assert 400 <= status < 500


@pytest.mark.long("waits on the real clock")
@pytest.mark.parametrize("begun", [b"", b"GET /state HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
async def test_a_head_that_never_ends_is_cut_off(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_PATIENCE", 1.0)
    async with serve_made_up() as server:
        reader, writer = await connect(server.address)

        async def drip() -> None:
            while True:
                writer.write(b"a")
                await asyncio.sleep(0.1)

        writer.write(begun)
        dripping = asyncio.create_task(drip()) if begun else None
        async with asyncio.timeout(5):
            rest = b""
            with suppress(ConnectionError):
                rest = await reader.read()
        if dripping is not None:
            dripping.cancel()
        await hang_up(writer)
        await assert_well(server)

    assert rest == b""


async def test_a_body_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.live.routes.BODY_PATIENCE", 0.5)
    async with serve_made_up() as server:
        cookie = await open_session(server)
        headers = {
            "Origin": server.address.url.rstrip("/"),
            "Content-Type": "application/json",
            "Content-Length": "100",
        }
        answer = await ask(server.address, "/control", "POST", headers | cookie, b"{")
        await assert_well(server)

    assert (answer.status, server.link.executed) == (408, [])


async def test_a_body_without_end_is_cut_off() -> None:
    async with serve_made_up() as server:
        cookie = await open_session(server)
        reader, writer = await connect(server.address)
        headers = {
            "Origin": server.address.url.rstrip("/"),
            "Content-Type": "application/json",
            "Transfer-Encoding": "chunked",
        }
        writer.write(make_request(server.address, "/control", "POST", headers | cookie))
        piece = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
        with suppress(ConnectionError):
            async with asyncio.timeout(10):
                while not reader.at_eof():
                    writer.write(piece)
                    await writer.drain()
        await hang_up(writer)
        await assert_well(server)

    assert server.link.executed == []


@pytest.mark.long("waits on the real clock")
async def test_a_thousand_connections_are_bounded_and_the_page_is_there_again() -> None:
    async with serve_made_up() as server:
        held = await asyncio.to_thread(_hold_connections, server.address, 1000)
        try:
            await asyncio.sleep(0.5)
            alive = sum(map(_is_open, held))
        finally:
            for each in held:
                each.close()
        await asyncio.sleep(0.3)
        await assert_well(server)

    assert alive <= MOST_CONNECTIONS


def _hold_connections(address: PageAddress, count: int) -> list[socket.socket]:
    return [socket.create_connection((address.host, address.port), timeout=10) for _ in range(count)]


@pytest.mark.long("waits on the real clock")
async def test_a_viewer_that_never_reads_is_left_out_and_then_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others get their events meanwhile, and the server keeps no more for it than one event."""
    monkeypatch.setattr(connections, "STUCK_PATIENCE", 1.0)
    monkeypatch.setattr(connections, "SWEEP", 0.2)
    monkeypatch.setattr("orchestrator.live.viewers.TICK", 0.002)
    monkeypatch.setattr("orchestrator.live.page_state.TICK", 0.002)
    monkeypatch.setattr("orchestrator.live.page_state._LEAST_AGE", 0.001)
    async with serve_made_up() as server:
        status = server.link.status
        with closing(socket.socket()) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect((server.address.host, server.address.port))
            deaf.sendall(make_request(server.address, "/events"))
            async with follow(server.address) as events:
                cut_off, number = False, 0
                async with asyncio.timeout(30):
                    while not cut_off:
                        number += 1
                        text = f"{number} {'x' * 3000}"
                        server.link.status = status | {"waits_for": text}
                        name, _, _ = await events.read_news()
                        assert name in ("delta", "stale")
                        cut_off = not _is_open(deaf)
        await assert_well(server)


def _is_open(connection: socket.socket) -> bool:
    """Return whether the other side has not reset the connection."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1


@pytest.mark.long("waits on the real clock")
async def test_a_client_that_does_not_take_a_long_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STUCK_PATIENCE", 1.0)
    monkeypatch.setattr(connections, "SWEEP", 0.2)
    async with serve_made_up() as server:
        server.link.status = make_status("running") | {"warnings": ["x" * 100_000] * 50}
        with closing(socket.socket()) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect((server.address.host, server.address.port))
            deaf.sendall(make_request(server.address, "/state"))
            async with asyncio.timeout(10):
                while _is_open(deaf):  # noqa: ASYNC110 - the kernel tells nobody
                    await asyncio.sleep(0.1)
        server.link.status = make_status("running")
        await assert_well(server)


@pytest.mark.long("waits on the real clock")
async def test_a_client_that_reads_slowly_gets_all_of_a_long_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STUCK_PATIENCE", 1.0)
    monkeypatch.setattr(connections, "SWEEP", 0.2)
    async with serve_made_up() as server:
        server.link.status = make_status("running") | {"warnings": ["x" * 100_000] * 20}
        reader, writer = await connect(server.address, limit=4096)
        writer.write(make_request(server.address, "/state"))
        _, headers = await read_head(reader)
        size, wanted = 0, int(headers["Content-Length"])
        while size < wanted:
            size += len(await reader.read(100_000))
            await asyncio.sleep(0.05)
        await hang_up(writer)

    assert size == wanted


async def test_wrong_tokens_keep_nobody_out() -> None:
    async with serve_made_up() as server:
        statuses = [(await post(server, "/session", {"token": f"guess {n}"})).status for n in range(12)]
        right = await post(server, "/session", {"token": server.guard.token})

    assert statuses == [403] * 12
    assert right.status == 200


@pytest.mark.parametrize("path", ["/session", "/control"])
async def test_a_body_with_deep_nests_is_no_bug_of_ours(path: str) -> None:
    """A field that nobody wants is skipped, and what is in it still nests."""
    async with serve_made_up() as server:
        cookie = await open_session(server)
        headers = {"Origin": server.address.url.rstrip("/"), "Content-Type": "application/json"}
        body = b'{"unwanted":' + b"[" * 4000
        answer = await ask(server.address, path, "POST", headers | cookie, body)
        await assert_well(server)

    assert answer.status == 400


async def test_a_cookie_that_is_no_text_is_no_session() -> None:
    async with serve_made_up() as server:
        await open_session(server)
        reader, writer = await connect(server.address)
        cookie = b'Cookie: %s="\xff"' % server.guard.cookie.encode()
        writer.write(b"GET /session HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n\r\n" % cookie)
        status, _ = await read_head(reader)
        await hang_up(writer)
        await assert_well(server)

    assert status == 200


async def test_requests_that_are_sent_ahead_get_their_answers_in_order() -> None:
    async with serve_made_up() as server:
        reader, writer = await connect(server.address)
        for path in ("/session", "/nothing", "/state"):
            writer.write(make_request(server.address, path, headers={"Connection": "keep-alive"}))
        statuses = []
        for _ in range(3):
            status, headers = await read_head(reader)
            await reader.readexactly(int(headers["Content-Length"]))
            statuses.append(status)
        await hang_up(writer)

    assert statuses == [200, 404, 200]


async def test_hostile_names_are_json_and_nothing_else() -> None:
    async with serve_made_up() as server:
        server.link.status = make_status("hostile")
        state = await ask(server.address, "/state")
        seq = state.json["seq"]
        async with follow(server.address, seq) as events:
            server.link.status = make_status("hostile") | {
                "waits_for": "a\nevent: end\ndata: {}\n\n\u2028\r\x00"
            }
            name, _, delta = await events.read_news()

    assert state.headers["Content-Type"] == "application/json; charset=utf-8"
    assert (name, delta["set"]["waits_for"]) == ("delta", "a\nevent: end\ndata: {}\n\n\u2028\r\x00")


async def test_the_end_of_the_server_waits_for_no_client() -> None:
    async with AsyncExitStack() as clients:
        async with serve_made_up() as server:
            for _ in range(5):
                await clients.enter_async_context(follow(server.address))
            _, writer = await connect(server.address)
            writer.write(b"POST /control HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            began = asyncio.get_running_loop().time()
        took = asyncio.get_running_loop().time() - began
        await hang_up(writer)

    assert took < 3.0
