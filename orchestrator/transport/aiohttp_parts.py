"""The parts of aiohttp that ``exchange`` uses and that aiohttp's documentation does not promise.

No other module of the exchange uses such parts. ``find_differences`` tries each of them, so that an aiohttp
in which one of them is otherwise leads to the other client, and not to a wrong reply.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, HttpResponseParser
from msgspec import Struct
from yarl import URL

from orchestrator.transport.framing import LARGEST_HEAD, MOST_LINES, FramingError
from orchestrator.transport.request_bytes import USER_AGENT
from orchestrator.transport.route import RESOLVED_FOR, Route

if TYPE_CHECKING:
    import ssl

    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader


def make_connector(tls: ssl.SSLContext | None) -> aiohttp.TCPConnector:
    """Return what makes connections. It bounds their number no more than their lane does."""
    return aiohttp.TCPConnector(limit=0, ttl_dns_cache=RESOLVED_FOR, ssl=True if tls is None else tls)


class FreshConnection(Struct, frozen=True):
    """A connection that stands, and has carried no request."""

    lease: Connection
    transport: asyncio.Transport | None
    """None if the other side has ended the connection already."""
    has_spoken: bool
    """Whether bytes of the other side have come already."""


async def open_connection(
    connector: aiohttp.TCPConnector, route: Route, connect_timeout: float
) -> FreshConnection:
    """Open a connection, through a proxy's tunnel if the route needs one; closing its ``lease`` frees it.

    Raises the errors of ClientSession: ClientError, OSError, ValueError.
    """
    timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout)
    try:
        lease = await connector.connect(_make_opening(route), [], timeout)
    except TimeoutError as error:
        raise aiohttp.ConnectionTimeoutError from error
    protocol = lease.protocol
    if protocol is None:
        return FreshConnection(lease, None, has_spoken=False)
    return FreshConnection(lease, protocol.transport, protocol.should_close)


def _make_opening(route: Route) -> aiohttp.ClientRequest:
    """Return the request by which the connector learns of server, proxy and tunnel. It is never sent."""
    proxy = None if route.proxy is None else URL(route.proxy.url)
    tunnel = {**route.proxy_headers, "User-Agent": USER_AGENT} if proxy and not route.is_forwarded else None
    return aiohttp.ClientRequest(
        "GET", route.url, loop=asyncio.get_running_loop(), proxy=proxy, proxy_headers=tunnel
    )


def make_parser(
    owner: Any, loop: asyncio.AbstractEventLoop, largest: int, *, with_body: bool = True
) -> HttpResponseParser:
    """Return a parser for one reply. It leaves the body as it is packed.

    Without ``with_body`` it is to read the head alone. ``owner`` gets the calls ``pause_reading`` and
    ``resume_reading`` for a body over ``largest`` bytes.
    """
    return HttpResponseParser(
        owner,
        loop,
        largest,
        payload_exception=aiohttp.ClientPayloadError,
        response_with_body=with_body,
        read_until_eof=True,
        auto_decompress=False,
        max_line_size=LARGEST_HEAD,
        max_field_size=LARGEST_HEAD,
        max_headers=MOST_LINES,
    )


def parse_reply(parser: HttpResponseParser, data: bytes) -> tuple[RawResponseMessage, StreamReader] | None:
    """Give the parser bytes; return the head of the reply and its body, once the head is whole.

    Raises FramingError if the bytes are no reply.
    """
    try:
        messages, _, _ = parser.feed_data(data)
    except HttpProcessingError as error:
        raise FramingError("the reply is not HTTP") from error
    return messages[0] if messages else None


def end_reply(parser: HttpResponseParser) -> None:
    """Tell the parser that the connection has ended. Raises ClientPayloadError if the body is cut short."""
    try:
        parser.feed_eof()
    except HttpProcessingError as error:
        raise aiohttp.ClientPayloadError from error


# What is tried at the start of a run.

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n"


class _ProbeOwner:
    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Do nothing."""


def find_differences() -> list[str]:
    """Return the parts that are not as ``exchange`` needs them; needs a running event loop."""
    probes = (_probe_connector, _probe_connection, _probe_opening, _probe_head, _probe_chunks, _probe_end)
    return [probe.__name__.removeprefix("_probe_") for probe in probes if not _holds(probe)]


def _holds(probe: Any) -> bool:
    try:
        return bool(probe())
    except Exception:  # noqa: BLE001 - a part that is otherwise may raise anything
        return False


def _probe_connector() -> bool:
    parameters = list(inspect.signature(aiohttp.TCPConnector.connect).parameters)
    return parameters == ["self", "req", "traces", "timeout"] and inspect.iscoroutinefunction(
        aiohttp.TCPConnector.connect
    )


def _probe_connection() -> bool:
    """Bytes that come before a request must show."""
    protocol = ResponseHandler(asyncio.get_running_loop())
    quiet = not protocol.should_close
    protocol.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
    parts = all(hasattr(Connection, name) for name in ("protocol", "close"))
    return parts and quiet and protocol.should_close and protocol.transport is None


def _probe_opening() -> bool:
    route = Route(URL("https://gateway.invalid:8443/"))
    opening = _make_opening(route)
    return opening.is_ssl() and (opening.host, opening.port, opening.proxy) == ("gateway.invalid", 8443, None)


def _make_probed_parser(*, with_body: bool = True) -> HttpResponseParser:
    return make_parser(_ProbeOwner(), asyncio.get_running_loop(), 1024, with_body=with_body)


def _probe_head() -> bool:
    """The head of a reply must be read alone, also if it tells of a body."""
    found = parse_reply(_make_probed_parser(with_body=False), _HEAD + b"Content-Length: 3\r\n\r\n")
    if found is None:
        return False
    head = found[0]
    told = (head.code, head.headers["content-type"], head.compression) == (200, "text/plain", "gzip")
    return told and not head.should_close


def _probe_chunks() -> bool:
    """A body in chunks must be whole with its last byte, and stay packed."""
    parser = _make_probed_parser()
    found = parse_reply(parser, _HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    if found is None:
        return False
    body = found[1]
    parts = [parse_reply(parser, piece) for piece in (b"2\r\n{}\r\n1\r\n!\r\n", b"0\r\n\r\n")]
    return parts == [None, None] and body.is_eof() and body.total_bytes == 3 and body.read_nowait() == b"{}!"


def _probe_end() -> bool:
    """The end of a connection must end a body of unknown length, and no other one."""
    unknown, cut = _make_probed_parser(), _make_probed_parser()
    found = parse_reply(unknown, b"HTTP/1.1 200 OK\r\n\r\n{}")
    parse_reply(cut, _HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
    if found is None or found[1].is_eof():
        return False
    end_reply(unknown)
    try:
        end_reply(cut)
    except aiohttp.ClientPayloadError:
        return found[1].is_eof() and found[0].should_close
    return False
