"""A forward proxy that knows only the hosts of one network zone, as the border of a zone does."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias
from urllib.parse import urlsplit

from tests.support.peer import Handle, listening

Place: TypeAlias = tuple[str, int]
"""Host and port."""

_REFUSED = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class ZoneProxy:
    """Such a proxy. ``hosts`` maps the names of the zone to the places where they are."""

    def __init__(self, hosts: Mapping[str, Place]) -> None:
        self.hosts = dict(hosts)
        self.requests = 0
        """Requests for hosts of the zone."""
        self.strangers: list[str] = []
        """The other hosts that somebody asked for."""
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass the requests of one connection on; replies go back byte by byte, faults included."""
        upward: asyncio.StreamWriter | None = None
        back: asyncio.Task[None] | None = None
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    place = self._find(head)
                    if place is None:
                        writer.write(_REFUSED)
                        await writer.drain()
                        return
                    if upward is None:
                        down, upward = await asyncio.open_connection(*place)
                        back = asyncio.create_task(_pass_back(down, writer))
                    upward.write(_shorten(head) + await reader.readexactly(_length(head)))
        finally:
            # Whoever hangs up on the proxy hangs up on the gateway, which sees that its client went away.
            if upward is not None:
                upward.transport.abort()
            if back is not None:
                back.cancel()
                await asyncio.wait([back])

    def _find(self, head: bytes) -> Place | None:
        host = urlsplit(head.split(b" ", 2)[1].decode()).hostname or ""
        place = self.hosts.get(host)
        if place is None:
            self.strangers.append(host)
        else:
            self.requests += 1
        return place


async def _pass_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while some := await reader.read(65536):
            writer.write(some)
    writer.transport.abort() if reader.exception() else writer.close()


def _shorten(head: bytes) -> bytes:
    """Return the head with the path in the place of the whole address."""
    method, address, rest = head.split(b" ", 2)
    parts = urlsplit(address.decode())
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return b" ".join((method, path.encode(), rest))


def _length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)


@contextmanager
def run_zone_proxy(hosts: Mapping[str, Place]) -> Iterator[ZoneProxy]:
    """Serve such a proxy on a free port of loopback, in a thread of its own."""
    proxy = ZoneProxy(hosts)
    with run_beside(proxy.serve) as port:
        proxy.url = f"http://127.0.0.1:{port}"
        yield proxy


@contextmanager
def run_beside(serve: Handle, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Have ``serve`` called once a connection, in a thread of its own. Yields the port, on loopback."""
    ready: queue.Queue[tuple[int, Callable[[], None]]] = queue.Queue()

    async def work() -> None:
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        async with listening(serve, tls=tls) as port:
            ready.put((port, lambda: loop.call_soon_threadsafe(ended.set)))
            await ended.wait()
        # The transports close a turn of the loop later, those of TLS some turns.
        await asyncio.sleep(0.05)

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    port, end = ready.get(timeout=10)
    try:
        yield port
    finally:
        end()
        thread.join(10)
