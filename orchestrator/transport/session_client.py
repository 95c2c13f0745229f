"""Sends requests through aiohttp's ClientSession, with an aiohttp whose parts ``exchange`` does not know.

It takes three times the processor's time for a request, and makes the same promises.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp
from yarl import URL

from orchestrator.errors import UsageError
from orchestrator.model.http import HELD_BACK, Lost, Reply, Request, Send
from orchestrator.model.settings import MOST_IN_FLIGHT
from orchestrator.transport.framing import LARGEST_HEAD, MOST_LINES
from orchestrator.transport.losses import (
    NO_ADDRESS,
    HeldBackError,
    UnsolicitedDataError,
    describe_loss,
    describe_refusal,
    describe_too_large,
)
from orchestrator.transport.request_bytes import USER_AGENT
from orchestrator.transport.route import ClientSettings, Route, pick_headers
from orchestrator.transport.session_connections import (
    PROGRESS,
    ConnectionPool,
    GuardedRequest,
    RequestProgress,
    find_missing_parts,
)
from orchestrator.transport.tls import refuses_our_certificate


@asynccontextmanager
async def open_session(settings: ClientSettings) -> AsyncIterator[Send]:
    """Open the connections of a lane: one pool, in which no request waits for another one.

    Raises UsageError with an aiohttp in which a guard of ours would not be called.
    """
    async with _make_session(settings) as session:
        if missing := find_missing_parts(session):
            raise UsageError(
                f"with aiohttp {aiohttp.__version__} no request can be sent safely, since it has no"
                f" {', '.join(missing)}; install a version that this program names. Nothing was sent"
            )
        # If a reused connection drops, aiohttp would send a DELETE or GET again, which no intent announces.
        session._retry_connection = False

        async def send(request: Request) -> Reply | Lost:
            try:
                # Quoted anew, the address would no longer be the one that was signed.
                url = URL(request.url, encoded=True)
                route = Route(url, settings.choose_proxy(url.scheme, url.raw_host or "", url.port))
            except ValueError:
                return Lost(sent=False, detail=NO_ADDRESS)
            return await _send(session, request, route, settings.reply_timeout)

        yield send


def _make_session(settings: ClientSettings) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=ConnectionPool(limit=MOST_IN_FLIGHT, ssl=True if settings.tls is None else settings.tls),
        request_class=GuardedRequest,
        timeout=aiohttp.ClientTimeout(total=None, connect=settings.connect_timeout),
        max_line_size=LARGEST_HEAD,
        max_field_size=LARGEST_HEAD,
        max_headers=MOST_LINES,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=True,
        # aiohttp would send a POST without a body as application/octet-stream.
        skip_auto_headers=("User-Agent", "Content-Type"),
        headers={"User-Agent": USER_AGENT},
        raise_for_status=False,
        # Else aiohttp would read the user's netrc and send a password that no plan names.
        trust_env=False,
    )


async def _send(
    session: aiohttp.ClientSession, request: Request, route: Route, within: float
) -> Reply | Lost:
    """Send a request once, and return ``within`` so many seconds, whatever the peer does."""
    progress = RequestProgress(largest=request.largest, may_leave=request.may_leave)
    PROGRESS.set(progress)
    try:
        async with asyncio.timeout(within):
            return await _exchange(session, request, route)
    except HeldBackError:
        return HELD_BACK
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        refused = isinstance(error, UnsolicitedDataError) or (
            progress.fresh and refuses_our_certificate(error.__cause__)
        )
        detail = describe_loss(error, route, connected=progress.connected)
        return Lost(sent=progress.connected and not refused, detail=detail)


async def _exchange(session: aiohttp.ClientSession, request: Request, route: Route) -> Reply | Lost:
    async with session.request(
        request.method,
        route.url,
        data=request.body or None,
        # So that no credential travels to another host.
        allow_redirects=False,
        **_build_route_options(request, route),
    ) as response:
        body = await _read_body(response, request.largest)
        if body is None:
            return Lost(sent=True, detail=describe_too_large(request.largest))
        # A proxy that wants its own credential first has forwarded nothing.
        if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and route.is_forwarded:
            return Lost(sent=False, detail=describe_refusal(response.status, route))
        return Reply(response.status, pick_headers(response.headers), body, time.time())


def _build_route_options(request: Request, route: Route) -> dict[str, Any]:
    """Return the arguments that depend on the proxy. Only the proxy gets its own credential."""
    if route.proxy is None:
        return {"headers": request.headers}
    if route.is_forwarded:
        return {"headers": {**request.headers, **route.proxy_headers}, "proxy": route.proxy.url}
    named = {**route.proxy_headers, "User-Agent": USER_AGENT}
    return {"headers": request.headers, "proxy": route.proxy.url, "proxy_headers": named}


async def _read_body(response: aiohttp.ClientResponse, largest: int) -> bytes | None:
    """Read to the end, which also frees the connection for the next request; None if it is too long."""
    body = await response.content.read(largest + 1) if response.content.total_bytes else b""
    while not response.content.at_eof() and len(body) <= largest:
        body += await response.content.read(largest + 1 - len(body))
    return None if len(body) > largest else body
