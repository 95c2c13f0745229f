"""Requests out, replies or losses back. The only aiohttp client.

Nothing here repeats a request, follows a redirect, keeps a cookie or reads a netrc file.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from orchestrator.model import Gateway
from orchestrator.wire import Lost, Reply, Request
from orchestrator.world import Send

LARGEST_BODY = 1024 * 1024
"""Bytes of a reply that are read; a longer one is lost."""

CONNECT_TIMEOUT = 10.0
"""Seconds until a connection stands, TLS included; for a short reply timeout the half of that."""

DNS_CACHE = 600
KEPT_HEADERS = frozenset({"content-type", "date", "location", "retry-after", "x-request-id"})

_UNSENT = (
    aiohttp.ClientConnectorError,  # refused, no route, name not found, TLS refused
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientProxyConnectionError,
    aiohttp.InvalidURL,
)
_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "no connection in time"),
    (TimeoutError, "no whole reply in time"),
    (aiohttp.ServerDisconnectedError, "the connection was closed before a reply"),
    (aiohttp.ClientPayloadError, "the body of the reply is cut short or damaged"),
    (aiohttp.ClientResponseError, "the reply is not HTTP"),
    (aiohttp.InvalidURL, "the address is not a URL"),
    (ValueError, "the request, or its reply, is not HTTP"),
)


@asynccontextmanager
async def connect(gateway: Gateway) -> AsyncIterator[Send]:
    """Open what a lane sends through: one connection pool as large as the lane's concurrency."""
    connector = aiohttp.TCPConnector(limit=gateway.concurrency, ttl_dns_cache=DNS_CACHE)
    # Always before the total: a timeout while connecting is known to have sent nothing, the total's is not.
    connecting = min(CONNECT_TIMEOUT, gateway.reply_timeout / 2)
    timeout = aiohttp.ClientTimeout(total=gateway.reply_timeout, connect=connecting)
    session = aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=True,
        skip_auto_headers=("User-Agent", "Content-Type"),
        headers={"User-Agent": "undeploy-orchestrator"},
        raise_for_status=False,
        trust_env=False,
    )
    # On a reused connection that drops, aiohttp sends a DELETE or GET again: a request without an intent.
    session._retry_connection = False
    async with session:

        async def send(request: Request) -> Reply | Lost:
            return await _send(session, request)

        yield send


async def _send(session: aiohttp.ClientSession, request: Request) -> Reply | Lost:
    try:
        async with session.request(
            request.method,
            URL(request.url, encoded=True),
            headers=request.headers,
            data=request.body or None,
            allow_redirects=False,
        ) as response:
            body = await _read_body(response)
            if body is None:
                return Lost(sent=True, detail=f"the reply is larger than {LARGEST_BODY} bytes")
            headers = {
                name.lower(): value
                for name, value in response.headers.items()
                if name.lower() in KEPT_HEADERS
            }
            return Reply(response.status, headers, body, time.time())
    except _UNSENT as error:
        return Lost(sent=False, detail=_describe(error))
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return Lost(sent=True, detail=_describe(error))


async def _read_body(response: aiohttp.ClientResponse) -> bytes | None:
    """Read to the end, which also frees the connection for the next request; None where it is too much."""
    body = await response.content.read(LARGEST_BODY + 1) if response.content.total_bytes else b""
    while not response.content.at_eof() and len(body) <= LARGEST_BODY:
        body += await response.content.read(LARGEST_BODY + 1 - len(body))
    return None if len(body) > LARGEST_BODY else body


def _describe(error: Exception) -> str:
    """Return what went wrong, without the request: its headers hold a credential."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} cannot be resolved"
        case aiohttp.ClientSSLError():
            return f"no TLS connection to {error.host}:{error.port}: {_why(error.os_error)}"
        case aiohttp.ClientConnectorError():
            return f"no connection to {error.host}:{error.port}: {_why(error.os_error)}"
    for kind, sentence in _SENTENCES:
        if isinstance(error, kind):
            return sentence
    return f"the connection broke: {_why(error)}"


def _why(error: Exception) -> str:
    """Return the reason alone: asyncio's own texts repeat the address as a Python tuple."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"the certificate is not valid ({error.verify_message})"
        case ssl.SSLError():
            return (error.reason or "no TLS was answered").replace("_", " ").lower()
        case OSError(errno=int(number)):
            return os.strerror(number).lower()
        case _:
            return type(error).__name__
