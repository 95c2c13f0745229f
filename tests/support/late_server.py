"""A server whose connections stand late, so that something may happen before they do."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme


class LateServer:
    """A server in front of another one. What its connections bring waits before the first byte goes on: with
    TLS that is the first of the handshake.
    """

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self.port = 0
        self.knocked = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[LateServer]:
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            yield self
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            first = await reader.read(65536)
            self.knocked.set()
            await self.may_go_on.wait()
            back, forth = await asyncio.open_connection("127.0.0.1", self._behind)
            try:
                forth.write(first)
                await asyncio.gather(_copy(reader, forth), _copy(back, writer))
            finally:
                forth.transport.abort()
        except (asyncio.CancelledError, ConnectionError):
            pass  # the test is over
        finally:
            writer.transport.abort()
            self._tasks.discard(task)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.transport.abort()


def make_tls(ca_file: Path) -> ssl.SSLContext:
    """Return what a server on 127.0.0.1 shows; who trusts the authority in ``ca_file`` believes it."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(ca_file)
    return context
