"""Sends requests and returns replies or losses. The only aiohttp client.

It never repeats a request, follows a redirect, keeps a cookie or reads a netrc file.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request, Send
from orchestrator.model.settings import MOST_IN_FLIGHT
from orchestrator.transport.connections import (
    PROGRESS,
    ConnectionPool,
    GuardedRequest,
    RequestProgress,
    UnreadableReplyError,
    UnsolicitedDataError,
)
from orchestrator.transport.framing import LARGEST_HEAD, MOST_LINES
from orchestrator.transport.proxy import ProxyServer, read_proxies
from orchestrator.transport.tls import check_trust, explain_tls_error, make_context, refuses_our_certificate

CONNECT_TIMEOUT = 10.0
"""Seconds until a connection stands, proxy and TLS included; at most half of the reply timeout."""

KEPT_HEADERS = frozenset(
    {"content-type", "date", "location", "retry-after", "x-request-id", "x-subject-token"}
)
USER_AGENT = "undeploy-orchestrator"

_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "no whole reply in time"),
    (UnsolicitedDataError, "something came before anything was asked, so nothing was sent"),
    (aiohttp.ServerDisconnectedError, "the connection was closed before a reply"),
    (aiohttp.ClientPayloadError, "the body of the reply is cut short or damaged"),
    (aiohttp.ClientResponseError, "the reply is not HTTP"),
    (aiohttp.InvalidURL, "the address is not a URL"),
    (ValueError, "the request, or its reply, is not HTTP"),
)


def check_connection(gateway: Gateway, folder: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Raise the errors that ``connect`` would raise, without sending a request."""
    read_proxies(gateway.proxy, environment)
    check_trust(gateway, folder)


@asynccontextmanager
async def connect(
    gateway: Gateway,
    folder: Path,
    environment: Mapping[str, str] = os.environ,
) -> AsyncIterator[Send]:
    """Open the connections of a lane: one pool, in which no request waits for another one.

    The lane bounds the requests in flight, and an operator may raise that bound during a run.
    Raises CredentialError if a file that ``tls`` names cannot be used (paths are relative to ``folder``), and
    UsageError if a proxy variable of the ``environment`` holds no address of a proxy.
    """
    choose = cache(read_proxies(gateway.proxy, environment).choose)  # for a handful of addresses
    connector = ConnectionPool(limit=MOST_IN_FLIGHT, ssl=make_context(gateway, folder))
    # Always shorter than the total: a timeout while connecting has sent nothing, but the total may have.
    connecting = min(CONNECT_TIMEOUT, gateway.reply_timeout / 2)
    session = aiohttp.ClientSession(
        connector=connector,
        request_class=GuardedRequest,
        timeout=aiohttp.ClientTimeout(total=None, connect=connecting),  # _send has its own deadline
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
    # If a reused connection drops, aiohttp would send a DELETE or GET again, which no intent announces.
    session._retry_connection = False
    async with session:

        async def send(request: Request) -> Reply | Lost:
            # Quoted anew, the address would no longer be the one that was signed.
            url = URL(request.url, encoded=True)
            route = _RequestRoute(
                url=url, proxy=choose(url.scheme, url.host or "", url.port), largest=request.largest
            )
            return await _send(session, request, route, gateway.reply_timeout)

        yield send


class _RequestRoute(RequestProgress, kw_only=True):
    """The address and the proxy of one request, and how far it has come."""

    url: URL
    proxy: ProxyServer | None

    @property
    def is_forwarded(self) -> bool:
        """Whether a proxy reads and forwards the request itself, in place of the bytes of a tunnel."""
        return self.proxy is not None and self.url.scheme == "http"


def _build_route_options(request: Request, route: _RequestRoute) -> dict[str, Any]:
    """Return the arguments that depend on the proxy. Only the proxy gets its own credential."""
    if route.proxy is None:
        return {"headers": request.headers}
    own = {"Proxy-Authorization": route.proxy.authorization.reveal()} if route.proxy.authorization else {}
    if route.is_forwarded:
        return {"headers": {**request.headers, **own}, "proxy": route.proxy.url}
    named = {**own, "User-Agent": USER_AGENT}
    return {"headers": request.headers, "proxy": route.proxy.url, "proxy_headers": named}


async def _send(
    session: aiohttp.ClientSession, request: Request, route: _RequestRoute, within: float
) -> Reply | Lost:
    """Send a request once, and return ``within`` so many seconds, whatever the peer does."""
    PROGRESS.set(route)
    try:
        async with asyncio.timeout(within):
            return await _exchange(session, request, route)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        refused = isinstance(error, UnsolicitedDataError) or (
            route.fresh and refuses_our_certificate(error.__cause__)
        )
        return Lost(sent=route.connected and not refused, detail=_describe(error, route))


async def _exchange(session: aiohttp.ClientSession, request: Request, route: _RequestRoute) -> Reply | Lost:
    async with session.request(
        request.method,
        route.url,
        data=request.body or None,
        # So that no credential travels to another host.
        allow_redirects=False,
        **_build_route_options(request, route),
    ) as response:
        body = await _read_body(response, route.largest)
        if body is None:
            return Lost(sent=True, detail=f"the reply is larger than {route.largest} bytes")
        # A proxy that wants its own credential first has forwarded nothing.
        if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and route.is_forwarded:
            return Lost(sent=False, detail=_describe_refusal(response.status, route))
        given = response.headers
        headers = {name: given[name] for name in KEPT_HEADERS if name in given}
        return Reply(response.status, headers, body, time.time())


async def _read_body(response: aiohttp.ClientResponse, largest: int) -> bytes | None:
    """Read to the end, which also frees the connection for the next request; None if it is too long."""
    body = await response.content.read(largest + 1) if response.content.total_bytes else b""
    while not response.content.at_eof() and len(body) <= largest:
        body += await response.content.read(largest + 1 - len(body))
    return None if len(body) > largest else body


def _describe(error: Exception, route: _RequestRoute) -> str:
    """Describe an error without naming the request, whose headers hold a credential."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _describe_refusal(error.status, route)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _describe_connect_failure(error, route)
    through = f" through the proxy {route.proxy.place}" if route.proxy else ""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection in time{through}"
    if route.proxy is not None and not route.connected:
        return f"no connection{through}: it did not answer as a proxy does"
    if isinstance(error, UnreadableReplyError):
        return str(error)
    for kind, sentence in _SENTENCES:
        if isinstance(error, kind):
            return sentence
    return f"the connection broke: {_explain(error.__cause__ or error, route.url.host or '')}"


def _describe_connect_failure(error: aiohttp.ClientConnectorError, route: _RequestRoute) -> str:
    host = f"[{error.host}]" if ":" in error.host else error.host
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} cannot be resolved"
        case aiohttp.ClientProxyConnectionError() if route.proxy is not None:
            met = f"no connection to the proxy {route.proxy.place}"
        case aiohttp.ClientSSLError():
            met = f"no TLS connection to {host}:{error.port}"
        case _:
            met = f"no connection to {host}:{error.port}"
    return f"{met}: {_explain(error.os_error, error.host)}"


def _describe_refusal(status: int, route: _RequestRoute) -> str:
    """Say which proxy refused a request. Its own words may repeat a credential of ours, so they stay out."""
    place = route.proxy.place if route.proxy else ""
    known = next((each.phrase for each in HTTPStatus if each == status), "")
    told = f"the proxy {place} refused the way to {route.url.host}: {f'{status} {known}'.strip()}"
    if status != HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return told
    return (
        f"{told}; a user and password for it may stand in HTTPS_PROXY or HTTP_PROXY (http://user:password@…)"
    )


def _explain(error: BaseException, host: str) -> str:
    """Return the reason alone: asyncio's own texts repeat the address as a Python tuple."""
    told = explain_tls_error(error, host)
    if told is not None:
        return told
    match error:
        case OSError(errno=int(number)):
            return os.strerror(number).lower()
        case ConnectionError() | EOFError():
            return "it was closed during the handshake"
        case _:
            return type(error).__name__
