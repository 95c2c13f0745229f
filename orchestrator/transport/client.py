"""Requests out, replies or losses back. The only aiohttp client.

Nothing here repeats a request, follows a redirect, keeps a cookie or reads a netrc file.
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
from orchestrator.transport.connections import PROGRESS, Connector, Progress, UnaskedError, UnreadableError
from orchestrator.transport.connections import Request as _Request
from orchestrator.transport.framing import LARGEST_HEAD, MOST_LINES
from orchestrator.transport.proxy import Proxy, read_proxies
from orchestrator.transport.tls import check_trust, make_context, refuses_us, why_no_tls

LARGEST_BODY = 1024 * 1024
"""Bytes of a reply that are read; a longer one is lost."""

CONNECT_TIMEOUT = 10.0
"""Seconds until a connection stands, proxy and TLS included; for a short reply timeout the half of that."""

KEPT_HEADERS = frozenset(
    {"content-type", "date", "location", "retry-after", "x-request-id", "x-subject-token"}
)
USER_AGENT = "undeploy-orchestrator"

_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "no whole reply in time"),
    (UnaskedError, "something came before anything was asked, so nothing was sent"),
    (aiohttp.ServerDisconnectedError, "the connection was closed before a reply"),
    (aiohttp.ClientPayloadError, "the body of the reply is cut short or damaged"),
    (aiohttp.ClientResponseError, "the reply is not HTTP"),
    (aiohttp.InvalidURL, "the address is not a URL"),
    (ValueError, "the request, or its reply, is not HTTP"),
)


def check_connection(gateway: Gateway, folder: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Raise what ``connect`` would, before anything is sent to anybody."""
    read_proxies(gateway.proxy, environment)
    check_trust(gateway, folder)


@asynccontextmanager
async def connect(
    gateway: Gateway,
    folder: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    largest: int = LARGEST_BODY,
) -> AsyncIterator[Send]:
    """Open what a lane sends through: one connection pool, in which nobody waits.

    The lane bounds what is in flight, and that may be raised while it goes on. A reply of more than
    ``largest`` bytes is lost.
    Raises CredentialError where what ``tls`` names cannot be used (its paths are relative to ``folder``), and
    UsageError where the ``environment`` holds no address of a proxy in a proxy's variable.
    """
    choose = cache(read_proxies(gateway.proxy, environment).choose)  # for a handful of addresses
    connector = Connector(largest, limit=MOST_IN_FLIGHT, ssl=make_context(gateway, folder))
    # Always before the total: a timeout while connecting is known to have sent nothing, the total's is not.
    connecting = min(CONNECT_TIMEOUT, gateway.reply_timeout / 2)
    session = aiohttp.ClientSession(
        connector=connector,
        request_class=_Request,
        timeout=aiohttp.ClientTimeout(total=None, connect=connecting),  # the total is our own deadline
        max_line_size=LARGEST_HEAD,
        max_field_size=LARGEST_HEAD,
        max_headers=MOST_LINES,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=True,
        skip_auto_headers=("User-Agent", "Content-Type"),
        headers={"User-Agent": USER_AGENT},
        raise_for_status=False,
        trust_env=False,
    )
    # On a reused connection that drops, aiohttp sends a DELETE or GET again: a request without an intent.
    session._retry_connection = False
    async with session:

        async def send(request: Request) -> Reply | Lost:
            url = URL(request.url, encoded=True)
            way = _Way(url=url, proxy=choose(url.scheme, url.host or "", url.port), largest=largest)
            return await _send(session, request, way, gateway.reply_timeout)

        yield send


class _Way(Progress, kw_only=True):
    """How far one request has come, and by which way."""

    url: URL
    proxy: Proxy | None
    largest: int = LARGEST_BODY

    @property
    def through_plainly(self) -> bool:
        """Whether a proxy reads and hands on the request itself, rather than a tunnel's bytes."""
        return self.proxy is not None and self.url.scheme == "http"


def _routed(request: Request, way: _Way) -> dict[str, Any]:
    """Return the arguments that depend on the proxy. What lets us through it goes to nobody else."""
    if way.proxy is None:
        return {"headers": request.headers}
    own = {"Proxy-Authorization": way.proxy.authorization.reveal()} if way.proxy.authorization else {}
    if way.through_plainly:
        return {"headers": {**request.headers, **own}, "proxy": way.proxy.url}
    named = {**own, "User-Agent": USER_AGENT}
    return {"headers": request.headers, "proxy": way.proxy.url, "proxy_headers": named}


async def _send(session: aiohttp.ClientSession, request: Request, way: _Way, within: float) -> Reply | Lost:
    """Send a request once. Whatever the peer does, there is an answer ``within`` so many seconds."""
    PROGRESS.set(way)
    try:
        async with asyncio.timeout(within):
            return await _exchange(session, request, way)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        refused = isinstance(error, UnaskedError) or (way.fresh and refuses_us(error.__cause__))
        return Lost(sent=way.connected and not refused, detail=_describe(error, way))


async def _exchange(session: aiohttp.ClientSession, request: Request, way: _Way) -> Reply | Lost:
    async with session.request(
        request.method,
        way.url,
        data=request.body or None,
        allow_redirects=False,
        **_routed(request, way),
    ) as response:
        body = await _read_body(response, way.largest)
        if body is None:
            return Lost(sent=True, detail=f"the reply is larger than {way.largest} bytes")
        if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and way.through_plainly:
            return Lost(sent=False, detail=_describe_refusal(response.status, way))
        given = response.headers
        headers = {name: given[name] for name in KEPT_HEADERS if name in given}
        return Reply(response.status, headers, body, time.time())


async def _read_body(response: aiohttp.ClientResponse, largest: int) -> bytes | None:
    """Read to the end, which also frees the connection for the next request; None where it is too much."""
    body = await response.content.read(largest + 1) if response.content.total_bytes else b""
    while not response.content.at_eof() and len(body) <= largest:
        body += await response.content.read(largest + 1 - len(body))
    return None if len(body) > largest else body


def _describe(error: Exception, way: _Way) -> str:
    """Return what went wrong, without the request: its headers hold a credential."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _describe_refusal(error.status, way)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _describe_unconnected(error, way)
    through = f" through the proxy {way.proxy.place}" if way.proxy else ""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection in time{through}"
    if way.proxy is not None and not way.connected:
        return f"no connection{through}: it did not answer as a proxy does"
    if isinstance(error, UnreadableError):
        return str(error)
    for kind, sentence in _SENTENCES:
        if isinstance(error, kind):
            return sentence
    return f"the connection broke: {_why(error.__cause__ or error, way.url.host or '')}"


def _describe_unconnected(error: aiohttp.ClientConnectorError, way: _Way) -> str:
    host = f"[{error.host}]" if ":" in error.host else error.host
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} cannot be resolved"
        case aiohttp.ClientProxyConnectionError() if way.proxy is not None:
            met = f"no connection to the proxy {way.proxy.place}"
        case aiohttp.ClientSSLError():
            met = f"no TLS connection to {host}:{error.port}"
        case _:
            met = f"no connection to {host}:{error.port}"
    return f"{met}: {_why(error.os_error, error.host)}"


def _describe_refusal(status: int, way: _Way) -> str:
    """Return which proxy did not let a request through. Its own words are not repeated: they may be ours."""
    place = way.proxy.place if way.proxy else ""
    known = next((each.phrase for each in HTTPStatus if each == status), "")
    told = f"the proxy {place} refused the way to {way.url.host}: {f'{status} {known}'.strip()}"
    if status != HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return told
    return (
        f"{told}; a user and password for it may stand in HTTPS_PROXY or HTTP_PROXY (http://user:password@…)"
    )


def _why(error: BaseException, host: str) -> str:
    """Return the reason alone: asyncio's own texts repeat the address as a Python tuple."""
    told = why_no_tls(error, host)
    if told is not None:
        return told
    match error:
        case OSError(errno=int(number)):
            return os.strerror(number).lower()
        case ConnectionError() | EOFError():
            return "it was closed during the handshake"
        case _:
            return type(error).__name__
