"""The connections of ``session_client``: when one may be used again, and to which request its bytes belong.

In HTTP/1.1 only the order says to which request a reply belongs. So bytes that come while no reply is awaited
end their connection, and a connection is used again only if the last reply has certainly ended with the last
byte that came. No client can detect a stray reply that is still on its way when the next request leaves.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import set_exception
from msgspec import Struct

from orchestrator.transport.framing import LARGEST_HEAD, FramingError, HeadReader, ReplyHead
from orchestrator.transport.losses import (
    HeldBackError,
    UnreadableReplyError,
    UnsolicitedDataError,
    describe_too_large,
)
from orchestrator.transport.reply_reader import MOST_FRAMING, PIECE, TAIL
from orchestrator.transport.route import RESOLVED_FOR


class RequestProgress(Struct):
    """The progress of one request. Before a connection stands, no byte of the request can have left.

    ``largest`` bounds the body of its reply, in bytes.
    """

    largest: int
    may_leave: Callable[[], bool] | None = None
    """As of the request."""

    connected: bool = False
    fresh: bool = False
    """Whether the connection was made for this request."""


PROGRESS: ContextVar[RequestProgress] = ContextVar("progress")
"""The progress of the request that the current task sends."""


class ConnectionPool(aiohttp.TCPConnector):
    """A pool of idle connections, each checked before it is used again; it notes the progress of a request.

    No exception of aiohttp tells that progress. Its tracing would, for a tenth of the cost of a request.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(ttl_dns_cache=RESOLVED_FOR, **options)
        self._factory: Any = partial(GuardedConnection, loop=self._loop)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> Any:
        connection = await super().connect(req, traces, timeout)
        PROGRESS.get().connected = True
        return connection

    async def _get(self, key: Any, traces: list[Any]) -> Any:
        """Return a connection that may be used again, as aiohttp does, and close all others."""
        while (connection := await super()._get(key, traces)) is not None:
            line: Any = connection.protocol
            if line.is_idle(self._loop.time()):
                return connection
            connection.close()
        return None

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> Any:
        PROGRESS.get().fresh = True
        try:
            return await super()._create_connection(req, traces, timeout)
        except BaseException:
            self.clear_dns_cache()  # the next connection resolves the name again
            raise


class GuardedRequest(aiohttp.ClientRequest):
    """A request that is written only if it may still leave and no unsolicited bytes wait."""

    async def write_bytes(self, writer: Any, conn: Any, content_length: int | None = None) -> None:
        """Write as aiohttp does; without a body aiohttp calls only ``start_timeout``, which also expects."""
        try:
            conn.protocol.expect_reply()
        except (HeldBackError, UnsolicitedDataError) as error:
            set_exception(conn.protocol, error)
            return
        await super().write_bytes(writer, conn, content_length)


class GuardedConnection(ResponseHandler):
    """One connection. Its parser sees only the bytes of awaited replies."""

    def __init__(self, loop: Any) -> None:
        super().__init__(loop=loop)
        self._largest = 0
        self._made_at = loop.time()
        self._is_awaiting = False
        self._used = False
        self._heads = HeadReader()
        self._head: ReplyHead | None = None
        self._received = 0
        self._parsed = 0
        self._tail_seen = b""

    def is_idle(self, now: float) -> bool:
        """Return whether no byte has come since the last reply and the connection is not too old."""
        return now - self._made_at < RESOLVED_FOR and not self._has_unread()

    def expect_reply(self) -> None:
        """Await a reply from now on, the moment at which the request is written.

        Ends the connection, and raises UnsolicitedDataError if bytes are here already, HeldBackError if the
        request may not leave any more.
        """
        tls = self.transport is not None and self.transport.get_extra_info("sslcontext") is not None
        # A TLS server may send session tickets before it is asked anything; its texts come decrypted.
        unread = self._has_unread() if self._used or not tls else self.transport is None
        if unread:
            self.abort()
            raise UnsolicitedDataError
        progress = PROGRESS.get()
        if progress.may_leave is not None and not progress.may_leave():
            self.abort()
            raise HeldBackError
        self._is_awaiting = self._used = True
        self._largest = progress.largest
        self._heads, self._head, self._payload = HeadReader(), None, None
        self._received, self._parsed, self._tail_seen = 0, 0, b""

    def _has_unread(self) -> bool:
        """Return whether bytes, or the end, wait in the socket and the event loop has not read them yet."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return True
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def set_response_params(self, **options: Any) -> None:
        """Prepare for a reply; aiohttp calls this before each request, but in a proxy's tunnel after it."""
        self._is_awaiting = self._is_awaiting and not self._is_complete
        super().set_response_params(**options)

    def start_timeout(self) -> None:
        """Begin to wait; aiohttp calls this just before it writes a request without a body, or just after it
        wrote one with a body."""
        if not self._is_awaiting:
            self.expect_reply()
        super().start_timeout()

    @property
    def should_close(self) -> bool:
        """Whether the connection must not be used again."""
        return super().should_close or not self._has_ended

    @property
    def _has_ended(self) -> bool:
        """Whether the reply has certainly ended with the last byte that came."""
        head, came = self._head, self._received
        return head is not None and came == self._parsed and head.ends_at(came, self._tail_seen)

    def close(self) -> None:
        """Close at once: a peer that reads no more would keep an orderly end from ever coming."""
        self.abort()

    def data_received(self, data: bytes) -> None:
        """Give the bytes of the awaited reply to the parser; end the connection at any other bytes."""
        if not data:
            super().data_received(data)  # the parser goes on with the bytes that it has held back
        elif not self._is_awaiting or self._is_complete:
            self._is_awaiting, self._head = False, None  # so that the pool does not use it again
            self.abort()
        else:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        self._received += len(data)
        try:
            pieces = self._split(data)
        except FramingError as error:
            self._fail(str(error))
            return
        for piece in pieces:
            self._parsed += len(piece)
            self._tail_seen = (self._tail_seen + piece)[-TAIL:]
            super().data_received(piece)
            if self._is_complete or self._lose_if_broken(len(piece)):
                return

    @property
    def _is_complete(self) -> bool:
        """Whether the whole awaited reply is here."""
        head, payload = self._head, self._payload
        return head is not None and (head.bodiless or (payload is not None and payload.is_eof()))

    def _lose_if_broken(self, newest: int) -> bool:
        """Lose a reply that cannot be read, and return whether it is lost.

        The parser may hold the ``newest`` bytes back for a while.
        """
        if self._exception is not None:
            self._fail("the reply is not HTTP")  # aiohttp would let the reader of the body wait for ever
        elif self._head is not None and self._payload is not None:
            body = self._payload.total_raw_bytes
            held = newest if self._reading_paused else 0
            if self._parsed - len(self._head.data) - held - body > MOST_FRAMING + body // 4:
                self._fail("the body of the reply comes in too small pieces")
        return not self._is_awaiting

    def _split(self, data: bytes) -> list[bytes]:
        """Return the pieces for the parser, in order; none until the head is whole. Raises FramingError.

        The head goes alone: if junk after the reply fails the parser, the reply is not lost with it.
        """
        if self._head is None:
            return self._split_after_head(data)
        if self._received > len(self._head.data) + self._largest + LARGEST_HEAD:
            raise self._make_too_large_error()
        return [data[begin : begin + PIECE] for begin in range(0, len(data), PIECE)]

    def _split_after_head(self, data: bytes) -> list[bytes]:
        found = self._heads.feed(data)
        if found is None:
            return []
        self._head, body = found
        self._received = len(self._head.data) + len(body)
        if self._head.length is not None and self._head.length > self._largest and not self._head.bodiless:
            raise self._make_too_large_error()
        return [self._head.data, *(self._split(body) if body else ())]

    def _make_too_large_error(self) -> FramingError:
        return FramingError(describe_too_large(self._largest))

    def _fail(self, why: str) -> None:
        """Lose the reply, and the connection with it."""
        payload, error = self._payload, UnreadableReplyError(why)
        self._is_awaiting = False
        self.abort()
        self.set_exception(error)
        if payload is not None:
            set_exception(payload, error)


def find_missing_parts(session: aiohttp.ClientSession) -> list[str]:
    """Return the parts of aiohttp that this module and ``session_client`` replace, and that are not there.

    Where one is missing, a guard would never be called, and a stray reply could answer a request.
    """
    protocol = ResponseHandler(asyncio.get_running_loop())
    places: tuple[tuple[object, tuple[str, ...]], ...] = (
        (session, ("_retry_connection",)),
        (session.connector, ("_factory", "_loop")),
        (aiohttp.TCPConnector, ("_get", "_create_connection", "connect", "clear_dns_cache")),
        (aiohttp.ClientRequest, ("write_bytes",)),
        (protocol, ("_payload", "_exception", "_reading_paused", "should_close")),
        (protocol, ("set_response_params", "start_timeout", "set_exception", "abort", "data_received")),
    )
    return [name for owner, names in places for name in names if not hasattr(owner, name)]
