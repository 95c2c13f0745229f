"""The HTTP server of the live page, with bounds on the connections, bytes and seconds that a client holds."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from orchestrator.live.address import BACKLOG

MOST_CONNECTIONS = 192
"""Open connections; each further one is closed at once. A browser opens at most six to one host."""
HEAD_PATIENCE = 15.0
"""Seconds for the head of a request, and of silence between two requests of a connection."""
STUCK_PATIENCE = 10.0
"""Seconds in which a client that leaves an answer unread must take some of it."""
SWEEP = 2.0
"""Seconds between two looks at the connections."""
SEND_BUFFER = 64 * 1024
"""Bytes that the kernel holds for a client that reads slowly: a few, so that slowness is seen early."""
LINGERING = 0.2
"""Seconds for which the rest of a body that nobody wants is read, so that its sender hears the refusal."""
_LONGEST_FIELD = 8190
_NO_LINGER = struct.pack("ii", 1, 0)
_GRACE = 0.2
"""Seconds that open answers have when the server ends."""

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve_connections(
    listener: socket.socket, answer: Answer, complain: Callable[[str], None]
) -> AsyncIterator[None]:
    """Answer the requests that come to ``listener``, for the block. ``complain`` is told of our own bugs."""
    server = _BoundedServer(
        answer,
        # The stream to a viewer ends only by this, when the viewer goes away.
        handler_cancellation=True,
        access_log=None,
        logger=_make_logger(complain),
        auto_decompress=False,
        keepalive_timeout=HEAD_PATIENCE,
        lingering_time=LINGERING,
        max_line_size=_LONGEST_FIELD,
        max_field_size=_LONGEST_FIELD,
        max_headers=64,
    )

    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    sockets = await asyncio.get_running_loop().create_server(server, sock=listener, backlog=BACKLOG)
    sweeper = asyncio.create_task(_sweep(server))
    try:
        yield
    finally:
        sweeper.cancel()
        sockets.close()
        server.pre_shutdown()
        await server.shutdown(_GRACE)


class _BoundedServer(web.Server):
    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection, or close it at once where there are too many."""
        super().connection_made(handler, transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()


async def _sweep(server: web.Server) -> None:
    """Close the connections whose clients do not take what was sent to them."""
    stuck: dict[web.RequestHandler, tuple[int, float]] = {}
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP)
        seen: dict[web.RequestHandler, tuple[int, float]] = {}
        for connection in server.connections:
            if connection.transport is None or not (size := connection.transport.get_write_buffer_size()):
                continue
            before, since = stuck.get(connection, (size + 1, loop.time()))
            seen[connection] = (size, since if size >= before else loop.time())
            if loop.time() - seen[connection][1] >= STUCK_PATIENCE:
                _reset(connection.transport)
        stuck = seen


def _reset(transport: asyncio.Transport) -> None:
    """Close a connection, and have the kernel forget what it still holds for the other side."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def _make_logger(complain: Callable[[str], None]) -> logging.Logger:
    """Return the logger for aiohttp, whose own one would write tracebacks between the lines of the run."""
    logger = logging.Logger("live")  # noqa: LOG001 - of this server alone, and gone with it
    logger.addHandler(_ComplaintHandler(complain))
    return logger


class _ComplaintHandler(logging.Handler):
    def __init__(self, complain: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._complain = complain

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        # A client that speaks no HTTP, or one that has gone, is no fault of ours.
        if isinstance(error, ConnectionError) or type(error).__module__ == "aiohttp.http_exceptions":
            return
        self._complain(f"the live page: {record.getMessage()}{f': {error!r}' if error else ''}")
