"""Sends requests over connections of its own: one exchange of bytes, without a session around it.

aiohttp makes the connections and parses the replies. What lies between is here, in the order in which it
happens, so that three questions have plain answers: was the request sent, is the connection fresh, and did
bytes arrive that no request awaited.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp
from yarl import URL

from orchestrator.model.http import HELD_BACK, Lost, Reply, Request, Send
from orchestrator.transport.aiohttp_parts import make_connector, open_connection
from orchestrator.transport.idle_connections import IdleConnections
from orchestrator.transport.losses import (
    NO_ADDRESS,
    NO_HTTP,
    UnsolicitedDataError,
    describe_loss,
    describe_refusal,
)
from orchestrator.transport.request_bytes import RequestEncoder
from orchestrator.transport.request_connection import RequestConnection
from orchestrator.transport.route import ClientSettings, Route, pick_headers
from orchestrator.transport.tls import refuses_our_certificate

_ORIGIN = re.compile(r"https?://[^/?#\\@]+(?=[/?#]|$)", re.IGNORECASE)
"""An address up to its path. One with a user in it is none: a credential stands in a header only."""


@asynccontextmanager
async def open_exchange(settings: ClientSettings) -> AsyncIterator[Send]:
    """Open the connections of a lane, as many as it has requests in flight."""
    exchange = Exchange(settings)
    try:
        yield exchange.send
    finally:
        await exchange.close()


class ServerConnections:
    """The way to one server, and the connections to it that are at rest."""

    def __init__(self, origin: str, settings: ClientSettings) -> None:
        """``origin`` is an address up to its path. Raises ValueError if it is none."""
        url = URL(origin, encoded=True)
        # As written: to decode an encoded name (xn--) may raise, and nothing here needs it decoded.
        proxy = settings.choose_proxy(url.scheme, url.raw_host or "", url.port)
        self.route = Route(url, proxy)
        forwarded = self.route.proxy_headers if self.route.is_forwarded else {}
        proxy_lines = "".join(f"{name}: {value}\r\n" for name, value in forwarded.items())
        self._encoder = RequestEncoder(url.host_port_subcomponent or "", proxy_lines)
        self.idle = IdleConnections()
        self._origin = origin

    def encode(self, request: Request) -> bytes:
        """Return the bytes of a request. Raises ValueError for what is not HTTP."""
        whole = request.url.partition("#")[0]
        path = whole[len(self._origin) :]
        target = path if path.startswith("/") else f"/{path}"
        if self.route.is_forwarded:
            target = f"{self._origin}{target}"
        return self._encoder.encode(request, target)


class Exchange:
    """Sends the requests of one lane, each of them once."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._connector = make_connector(settings.tls)
        self._servers: dict[str, ServerConnections] = {}
        self._carrying: set[RequestConnection] = set()

    async def close(self) -> None:
        """Close all connections at once."""
        for connection in tuple(self._carrying):
            connection.close()
        for server in self._servers.values():
            server.idle.close()
        await self._connector.close()
        await asyncio.sleep(0)  # the event loop lets the sockets go in its next turn

    async def send(self, request: Request) -> Reply | Lost:
        """Send a request once, and return within the reply timeout, whatever the peer does."""
        ends = self._loop.time() + self._settings.reply_timeout
        try:
            server = self._find_server(request.url)
        except ValueError:
            return Lost(sent=False, detail=NO_ADDRESS)
        try:
            data = server.encode(request)
        except ValueError:
            return Lost(sent=False, detail=NO_HTTP)
        try:
            connection = server.idle.take() or await self._open(server.route)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            return Lost(sent=False, detail=describe_loss(error, server.route, connected=False))
        # Between this question and the first byte the event loop does not turn.
        if request.may_leave is not None and not request.may_leave():
            connection.close()
            return HELD_BACK
        return await self._carry(request, data, server, connection, ends)

    def _find_server(self, url: str) -> ServerConnections:
        # Nearly every address has a path, and a server that is known.
        end = url.find("/", len("https://"))
        if end > 0 and (known := self._servers.get(url[:end])) is not None:
            return known
        found = _ORIGIN.match(url)
        if found is None:
            raise ValueError("the address has no scheme or no host")
        origin = found[0]
        if origin not in self._servers:
            self._servers[origin] = ServerConnections(origin, self._settings)
        return self._servers[origin]

    async def _open(self, route: Route) -> RequestConnection:
        """Return a fresh connection, to which nothing was written.

        Raises UnsolicitedDataError, and the errors of ``open_connection``.
        """
        try:
            fresh = await open_connection(self._connector, route, self._settings.connect_timeout)
        except BaseException:
            self._connector.clear_dns_cache()  # the next connection resolves the name again
            raise
        if fresh.transport is None or fresh.has_spoken:
            fresh.lease.close()
            raise UnsolicitedDataError
        connection = RequestConnection(fresh.transport, fresh.lease)
        try:
            connection.refuse_unsolicited()
        except UnsolicitedDataError:
            connection.close()
            raise
        return connection

    async def _carry(
        self,
        request: Request,
        data: bytes,
        server: ServerConnections,
        connection: RequestConnection,
        ends: float,
    ) -> Reply | Lost:
        """Send the bytes of a request; from here on they may have arrived."""
        fresh = connection.is_fresh
        self._carrying.add(connection)
        try:
            reader = await connection.carry(data, request.largest, ends)
            body = reader.unpack_body()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            refused = fresh and refuses_our_certificate(error.__cause__)
            return Lost(sent=not refused, detail=describe_loss(error, server.route, connected=True))
        finally:
            self._carrying.discard(connection)
            server.idle.keep(connection)
        # A proxy that wants its own credential first has forwarded nothing.
        if reader.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and server.route.is_forwarded:
            return Lost(sent=False, detail=describe_refusal(reader.status, server.route))
        return Reply(reader.status, pick_headers(reader.headers), body, time.time())
