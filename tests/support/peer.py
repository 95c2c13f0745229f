"""A server on the loopback that sends any bytes: what a gateway, or a proxy, may do on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from orchestrator.gateways.roma.gateway import Roma
from orchestrator.model.http import Lost, Reply, Request
from orchestrator.model.settings import Auth, CredentialReference, Limits
from orchestrator.transport.client import connect

CREDENTIAL = "a-credential-that-nobody-may-see"
HEADERS = {"X-Auth-Token": CREDENTIAL, "Authorization": f"Bearer {CREDENTIAL}"}
SHORT = 0.3
"""Seconds that a reply may take in a test that waits for the timeout."""
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Peer:
    """The requests that such a server got, and its address."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""

    @property
    def head(self) -> list[str]:
        """The lines of the last request before its body."""
        return self.requests[-1].partition(b"\r\n\r\n")[0].decode().split("\r\n")

    @property
    def body(self) -> bytes:
        return self.requests[-1].partition(b"\r\n\r\n")[2]

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in self.head[1:])}


Answer = Callable[[Peer, asyncio.StreamWriter], Awaitable[None]]


async def take(reader: asyncio.StreamReader) -> bytes:
    """Read one whole request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
    )
    return head + await reader.readexactly(length)


@asynccontextmanager
async def serving(
    answer: Answer, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Peer]:
    """Serve ``answer`` on a free port of the loopback; it is called once a request."""
    peer = Peer()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                peer.requests.append(await take(reader))
                await answer(peer, writer)

    async with listening(handle, tls=tls, host=host) as port:
        named = f"[{host}]" if ":" in host else host
        peer.url = f"{'https' if tls else 'http'}://{named}:{port}"
        yield peer


Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(
    handle: Handle, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    """Give the port on which ``handle`` is called once a connection, which is closed behind it."""
    open_now: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_now.add(task)
        try:
            await handle(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            writer.transport.abort()
            open_now.discard(task)

    server = await asyncio.start_server(accept, host, port, backlog=256, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for task in tuple(open_now):
            task.cancel()
        await asyncio.gather(*open_now)


def saying(*replies: bytes) -> Answer:
    """Answer the requests in turn; the last reply is for all that follow."""

    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        writer.write(replies[min(len(peer.requests), len(replies)) - 1])

    return answer


def hanging_up_after(reply: bytes) -> Answer:
    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return answer


async def silence(peer: Peer, writer: asyncio.StreamWriter) -> None:
    """Say nothing, and leave the connection open."""


async def reset(peer: Peer, writer: asyncio.StreamWriter) -> None:
    """Drop the connection with a reset in place of an end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def gateway(*, concurrency: int = 8, **fields: Any) -> Roma:
    """Return the gateway that sends; each request has its own address."""
    roma = Roma(
        name="roma",
        url="http://127.0.0.1",
        auth=Auth(token=CredentialReference(env="TOKEN")),
        limits=Limits(concurrency=concurrency),
        timeout=5.0,
        project_id="p",
        instance_id="i",
    )
    return replace(roma, **fields)


async def ask(
    url: str,
    method: str = "POST",
    body: bytes | None = None,
    *,
    folder: Path = Path(),
    environment: dict[str, str] | None = None,
    **fields: Any,
) -> Reply | Lost:
    """Send one request with a credential; ``fields`` are the gateway's."""
    async with connect(gateway(**fields), folder, environment or {}) as send:
        return await send(Request(method, url, HEADERS, body))


async def unsent(url: str, **fields: Any) -> str:
    """Ask, assert that no request was sent, and return the message for people."""
    result = await ask(url, **fields)
    assert isinstance(result, Lost), result
    assert not result.sent, result
    assert_fit_to_be_read(result.detail)
    return result.detail


def assert_fit_to_be_read(detail: str) -> None:
    assert detail
    assert CREDENTIAL not in detail
    assert not any(sign in detail for sign in ("<", "Error(", "('", "Traceback", "\n"))
