"""Requests out, replies or losses back. The only aiohttp client.

Nothing here repeats a request, follows a redirect, keeps a cookie or reads a netrc file.
"""

from __future__ import annotations

import asyncio
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
DNS_CACHE = 600
KEPT_HEADERS = frozenset({"content-type", "date", "location", "retry-after", "x-request-id"})

_UNSENT = (
    aiohttp.ClientConnectorError,  # refused, no route, name not found, TLS refused
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientProxyConnectionError,
    aiohttp.InvalidURL,
)


@asynccontextmanager
async def connect(gateway: Gateway) -> AsyncIterator[Send]:
    """Open what a lane sends through: one connection pool as large as the lane's concurrency."""
    connector = aiohttp.TCPConnector(limit=gateway.concurrency, ttl_dns_cache=DNS_CACHE)
    timeout = aiohttp.ClientTimeout(total=gateway.reply_timeout, sock_connect=CONNECT_TIMEOUT)
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
    session._retry_connection = False  # noqa: SLF001
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
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return f"no TLS connection to {error.host}:{error.port}: {error.os_error if hasattr(error, 'os_error') else error}"
        case aiohttp.ClientConnectorError():
            return f"no connection to {error.host}:{error.port}: {error.os_error.strerror or 'refused'}"
        case aiohttp.ConnectionTimeoutError():
            return f"no connection within {CONNECT_TIMEOUT:.0f} seconds"
        case asyncio.TimeoutError():
            return "no whole reply in time"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before a reply"
        case aiohttp.ClientPayloadError():
            return "the reply was cut short"
        case aiohttp.ClientResponseError():
            return "the reply is not HTTP"
        case OSError() if error.strerror:
            return f"the connection broke: {error.strerror}"
        case _:
            return f"the connection broke: {type(error).__name__}"
