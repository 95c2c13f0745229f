"""One connection, which carries one request at a time, and tells which bytes answer it."""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING

import aiohttp

from orchestrator.transport.losses import UnsolicitedDataError
from orchestrator.transport.reply_reader import ReplyReader
from orchestrator.transport.route import RESOLVED_FOR

if TYPE_CHECKING:
    from aiohttp.connector import Connection


class RequestConnection(asyncio.Protocol):
    """A connection to one server.

    In HTTP/1.1 only the order says to which request a reply belongs. So bytes that come while no reply is
    awaited end the connection. No client can detect a stray reply that is still on its way when the next
    request leaves.
    """

    def __init__(self, transport: asyncio.Transport, lease: Connection) -> None:
        """Take over a connection that stands; closing its ``lease`` frees it."""
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._lease = lease
        self._made_at = self._loop.time()
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._reader: ReplyReader | None = None
        self._whole: asyncio.Future[None] | None = None
        self._ends = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self.is_fresh = True
        """Whether no request was written to it yet."""
        self.rests_since = self._made_at
        transport.set_protocol(self)

    def refuse_unsolicited(self) -> None:
        """Raise UnsolicitedDataError if bytes, or the end of the connection, are here.

        The request must be written before the event loop turns again.
        """
        if self._transport.is_closing():
            raise UnsolicitedDataError
        # A TLS server may send session tickets before it is asked anything; its texts come decrypted.
        if self.is_fresh and self._transport.get_extra_info("sslcontext") is not None:
            return
        if self._poll.poll(0):
            raise UnsolicitedDataError

    def is_usable(self) -> bool:
        """Return whether a request may be written now: nothing unread is here, and it is young enough."""
        if self._loop.time() - self._made_at >= RESOLVED_FOR:
            return False
        try:
            self.refuse_unsolicited()
        except UnsolicitedDataError:
            return False
        return True

    async def carry(self, request: bytes, largest: int, ends: float) -> ReplyReader:
        """Write a request, and return its whole reply, of at most ``largest`` bytes.

        Raises TimeoutError at ``ends``, on the event loop's clock, whatever the peer does; ClientError and
        OSError if the connection breaks or the reply cannot be read. After any of them the request may have
        arrived, and the connection must be closed. ``ends`` must not be earlier than for the last request.
        """
        reader = self._reader = ReplyReader(self._loop, largest)
        whole = self._whole = self._loop.create_future()
        self.is_fresh = False
        self._ends = ends
        # One timer for many requests: it costs as much as a tenth of a request, and hardly ever rings.
        if self._alarm is None:
            self._alarm = self._loop.call_at(ends, self._on_alarm)
        self._transport.write(request)
        try:
            await whole
        finally:
            self._whole = None
        return reader

    def rest(self) -> bool:
        """Come to rest; return whether the last reply has certainly ended, and another request may follow."""
        reader, self._reader = self._reader, None  # it holds the last body
        self.rests_since = self._loop.time()
        return (
            reader is not None
            and reader.leaves_open
            and not self._transport.is_closing()
            # A reply may come before the whole request has left.
            and not self._transport.get_write_buffer_size()
        )

    def close(self) -> None:
        """Close at once: a peer that reads no more would keep an orderly end from ever coming."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._transport.abort()
        self._lease.close()

    # What the event loop calls.

    def data_received(self, data: bytes) -> None:
        """Read bytes of the awaited reply; end the connection at any other bytes."""
        whole, reader = self._whole, self._reader
        if reader is None or whole is None or whole.done():
            self._transport.abort()
            return
        try:
            if reader.feed(data):
                whole.set_result(None)
        except aiohttp.ClientError as error:
            self._fail(error)

    def eof_received(self) -> None:
        """Take the end of what the peer sends; the event loop then closes the connection."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the connection."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if exc is None:
            self._end()
        else:
            broken = aiohttp.ClientOSError(*exc.args)
            broken.__cause__ = exc
            self._fail(broken)

    def _end(self) -> None:
        whole, reader = self._whole, self._reader
        if reader is None or whole is None or whole.done():
            return
        try:
            reader.end()
        except aiohttp.ClientError as error:
            self._fail(error)
        else:
            whole.set_result(None)

    def _on_alarm(self) -> None:
        self._alarm = None
        if self._whole is None:
            return
        if self._loop.time() < self._ends:
            self._alarm = self._loop.call_at(self._ends, self._on_alarm)
        else:
            self._fail(TimeoutError())

    def _fail(self, error: Exception) -> None:
        """Lose the awaited reply, if there is one, and the connection with it."""
        if self._whole is not None and not self._whole.done():
            self._whole.set_exception(error)
        self._transport.abort()
