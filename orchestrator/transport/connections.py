"""The connections that requests leave by: who may use one again, and whose the bytes are that come back.

HTTP/1.1 does not say which request a reply belongs to; the order alone does. So whatever comes while no reply
is awaited ends its connection, and a connection is used again only where the last reply is known to have
ended with the last byte that came. What no client can tell is a stray reply that is still on its way when the
next request leaves.
"""

from __future__ import annotations

import select
from contextvars import ContextVar
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import set_exception
from msgspec import Struct

from orchestrator.transport.framing import LARGEST_HEAD, Head, HeadReader, UnfitError

RESOLVED_FOR = 60
"""Seconds for which a name's addresses are believed, and for which a connection to one of them is used: a
name may move to another address while a run goes on."""

MOST_FRAMING = 128 * 1024
"""Bytes around the pieces of a body (sizes, extensions, trailers) that are read, beside a quarter of it."""

PIECE = 32 * 1024
"""Bytes that are parsed at once, before it is seen what they come to."""

TAIL = 5
"""Bytes of a reply that are kept to see whether it has ended."""


class Progress(Struct):
    """How far one request has come. Until a connection stands, no byte of it can have left."""

    connected: bool = False
    fresh: bool = False
    """The connection was made for this request."""


PROGRESS: ContextVar[Progress] = ContextVar("progress")
"""That of the request which the present task sends."""


class UnaskedError(aiohttp.ClientError):
    """Something came before anything was asked: nothing was sent on this connection."""


class UnreadableError(aiohttp.ClientError):
    """What came back is no reply that can be read; the text says why, for people."""


class Connector(aiohttp.TCPConnector):
    """A pool of connections that are at rest, each known to be so; it tells how far a request has come.

    No exception of aiohttp tells that. Its tracing would, at a tenth of the cost of the whole request.
    """

    def __init__(self, largest: int, **options: Any) -> None:
        """``largest`` bounds the body of a reply, in bytes."""
        super().__init__(ttl_dns_cache=RESOLVED_FOR, **options)
        self._factory: Any = partial(Line, loop=self._loop, largest=largest)

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
        """Return a connection that may be used again, as aiohttp does, and drop those that may not."""
        while (connection := await super()._get(key, traces)) is not None:
            line: Any = connection.protocol
            if line.rests(self._loop.time()):
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
            self.clear_dns_cache()  # the next one asks where the name is now
            raise


class Request(aiohttp.ClientRequest):
    """A request that leaves by a connection only if nothing has come there unasked."""

    async def write_bytes(self, writer: Any, conn: Any, content_length: int | None = None) -> None:
        """Write it, as aiohttp does; a request without a body goes by ``Line.start_timeout`` instead."""
        try:
            conn.protocol.begin()
        except UnaskedError as error:
            set_exception(conn.protocol, error)
            return
        await super().write_bytes(writer, conn, content_length)


class Line(ResponseHandler):
    """One connection. Its parser sees the bytes of awaited replies, and no others."""

    def __init__(self, loop: Any, largest: int) -> None:
        super().__init__(loop=loop)
        self._largest = largest
        self._made_at = loop.time()
        self._awaits = False
        self._used = False
        self._heads = HeadReader()
        self._head: Head | None = None
        self._received = 0
        self._parsed = 0
        self._tail_seen = b""

    def rests(self, now: float) -> bool:
        """Tell whether nothing has come since the last reply, and whether the connection is not too old."""
        return now - self._made_at < RESOLVED_FOR and not self._has_unread()

    def begin(self) -> None:
        """Await a reply, from the moment at which the request is written.

        Raises UnaskedError where something is here already; the connection is gone then.
        """
        tls = self.transport is not None and self.transport.get_extra_info("sslcontext") is not None
        # A TLS server may send session tickets before it is asked anything; its texts come decrypted.
        unread = self._has_unread() if self._used or not tls else self.transport is None
        if unread:
            self.abort()
            raise UnaskedError
        self._awaits = self._used = True
        self._heads, self._head, self._payload = HeadReader(), None, None
        self._received, self._parsed, self._tail_seen = 0, 0, b""

    def _has_unread(self) -> bool:
        """Tell whether bytes, or the end, wait in the socket: the event loop has not read them yet."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return True
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def set_response_params(self, **options: Any) -> None:
        """Called by aiohttp before each request; but in a proxy's tunnel after it."""
        self._awaits = self._awaits and not self._whole
        super().set_response_params(**options)

    def start_timeout(self) -> None:
        """Called by aiohttp where it begins to wait: just before a request without a body is written, or just
        after one with a body was."""
        if not self._awaits:
            self.begin()
        super().start_timeout()

    @property
    def should_close(self) -> bool:
        """Whether the connection must not be used again."""
        return super().should_close or not self._ended

    @property
    def _ended(self) -> bool:
        """Whether the reply is known to have ended with the last byte that came."""
        head, came = self._head, self._received
        return head is not None and came == self._parsed and head.ends_at(came, self._tail_seen)

    def close(self) -> None:
        """Close at once: a peer that takes nothing more would keep an orderly end from ever coming."""
        self.abort()

    def data_received(self, data: bytes) -> None:
        """Give the parser what belongs to the awaited reply; end the connection for anything else."""
        if not data:
            super().data_received(data)  # it goes on with what it has held back
        elif not self._awaits or self._whole:
            self._awaits, self._head = False, None  # so that it is not used again
            self.abort()
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        self._received += len(data)
        try:
            pieces = self._pieces(data)
        except UnfitError as error:
            self._fail(str(error))
            return
        for piece in pieces:
            self._parsed += len(piece)
            self._tail_seen = (self._tail_seen + piece)[-TAIL:]
            super().data_received(piece)
            if self._whole or self._gone_wrong(len(piece)):
                return

    @property
    def _whole(self) -> bool:
        """Whether the awaited reply is here."""
        head, payload = self._head, self._payload
        return head is not None and (head.bodiless or (payload is not None and payload.is_eof()))

    def _gone_wrong(self, newest: int) -> bool:
        """Lose a reply that cannot be read. The parser may hold the ``newest`` bytes back for a while."""
        if self._exception is not None:
            self._fail("the reply is not HTTP")  # aiohttp leaves who reads the body waiting
        elif self._head is not None and self._payload is not None:
            body = self._payload.total_raw_bytes
            held = newest if self._reading_paused else 0
            if self._parsed - len(self._head.data) - held - body > MOST_FRAMING + body // 4:
                self._fail("the body of the reply comes in too small pieces")
        return not self._awaits

    def _pieces(self, data: bytes) -> list[bytes]:
        """Return what is for the parser, in turn; nothing until the head is whole. Raises UnfitError.

        The head goes alone: where junk behind a reply fails the parser, the reply is not lost with it.
        """
        if self._head is None:
            return self._from_head(data)
        if self._received > len(self._head.data) + self._largest + LARGEST_HEAD:
            raise self._too_large()
        return [data[begin : begin + PIECE] for begin in range(0, len(data), PIECE)]

    def _from_head(self, data: bytes) -> list[bytes]:
        found = self._heads.feed(data)
        if found is None:
            return []
        self._head, body = found
        self._received = len(self._head.data) + len(body)
        if self._head.length is not None and self._head.length > self._largest and not self._head.bodiless:
            raise self._too_large()
        return [self._head.data, *(self._pieces(body) if body else ())]

    def _too_large(self) -> UnfitError:
        return UnfitError(f"the reply is larger than {self._largest} bytes")

    def _fail(self, why: str) -> None:
        """Lose the reply, and the connection with it."""
        payload, error = self._payload, UnreadableError(why)
        self._awaits = False
        self.abort()
        self.set_exception(error)
        if payload is not None:
            set_exception(payload, error)
