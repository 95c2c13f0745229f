"""Makes one reply of the bytes that come. ``framing`` says where it ends, aiohttp's parser reads it."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

import aiohttp

from orchestrator.transport.aiohttp_parts import end_reply, make_parser, parse_reply
from orchestrator.transport.framing import LARGEST_HEAD, FramingError, HeadReader, ReplyHead
from orchestrator.transport.losses import UnreadableReplyError, describe_too_large
from orchestrator.transport.route import KEPT_HEADERS

if TYPE_CHECKING:
    from aiohttp.http import HttpResponseParser, RawResponseMessage
    from aiohttp.streams import StreamReader

MOST_FRAMING = 128 * 1024
"""Bytes that may surround the chunks of a body (sizes, extensions, trailers), plus a quarter of the body."""

PIECE = 32 * 1024
"""Bytes that are parsed at once, before their size as a body is checked."""

TAIL = 5
"""Last bytes of a reply that are kept, to see whether the reply has ended."""

MOST_MEMBERS = 100
"""Packed texts that one body may consist of; each costs a copy of all that follow it."""

_MODES = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class ReplyReader:
    """Reads one reply of at most ``largest`` bytes, packed as well as unpacked."""

    __slots__ = (
        "_body",
        "_head",
        "_heads",
        "_largest",
        "_loop",
        "_message",
        "_parsed",
        "_parser",
        "_received",
        "_tail_seen",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, largest: int) -> None:
        self._loop = loop
        self._largest = largest
        self._heads = HeadReader()
        self._head: ReplyHead | None = None
        self._received = self._parsed = 0
        self._tail_seen = b""
        # The three come with the head.
        self._parser: HttpResponseParser
        self._message: RawResponseMessage
        self._body: StreamReader

    def feed(self, data: bytes) -> bool:
        """Take bytes; return whether the whole reply is here. Raises UnreadableReplyError."""
        try:
            if self._head is None:
                found = self._heads.feed(data)
                if found is None:
                    return False
                data = self._begin(*found)
            else:
                self._received += len(data)
            return self._read(data)
        except FramingError as error:
            raise UnreadableReplyError(str(error)) from None

    @property
    def is_whole(self) -> bool:
        """Whether the whole reply is here; always False before its head is."""
        return self._head is not None and self._body.is_eof()

    @property
    def leaves_open(self) -> bool:
        """Whether the reply has certainly ended with the last byte that came, and ends no connection."""
        head, came = self._head, self._received
        if head is None or came != self._parsed or self._message.should_close or self._message.upgrade:
            return False
        return head.ends_at(came, self._tail_seen)

    @property
    def status(self) -> int:
        """The status code. The head must be here, as for all that follows."""
        return self._message.code

    def pick_headers(self) -> dict[str, str]:
        """Return the headers that are handed on."""
        given = self._message.headers
        return {name: given[name] for name in KEPT_HEADERS if name in given}

    def unpack_body(self) -> bytes:
        """Return the body of a whole reply. Raises UnreadableReplyError and ClientPayloadError."""
        body, coding = self._body.read_nowait(), self._message.compression
        if len(body) > self._largest:
            raise UnreadableReplyError(describe_too_large(self._largest))
        return unpack(body, coding, self._largest) if coding and body else body

    def end(self) -> None:
        """Take the orderly end of the connection, which also ends a body of unknown length.

        Raises ServerDisconnectedError before the head, and ClientPayloadError in a body.
        """
        if self._head is None:
            raise aiohttp.ServerDisconnectedError
        end_reply(self._parser)

    def _begin(self, head: ReplyHead, rest: bytes) -> bytes:
        """Take the head of the reply; return the bytes behind it, which are part of its body, or junk.

        The head goes to the parser alone: if junk fails the parser, the reply is not lost with it.
        """
        if head.length is not None and head.length > self._largest and not head.bodiless:
            raise FramingError(describe_too_large(self._largest))
        self._received = len(head.data) + len(rest)
        self._parser = make_parser(self, self._loop, self._largest, bodiless=head.bodiless)
        found = self._parse(head.data)
        if found is None:
            raise FramingError("the reply is not HTTP")
        self._message, self._body = found
        self._head = head
        return rest

    def _read(self, data: bytes) -> bool:
        """Read bytes of the body, up to its last one; return whether it is whole."""
        for begin in range(0, len(data), PIECE):
            if self.is_whole:
                return True
            self._read_piece(data[begin : begin + PIECE])
        return self.is_whole

    def _read_piece(self, piece: bytes) -> None:
        self._refuse_long(self._received)
        try:
            self._parse(piece)
        except FramingError:
            # Of a whole reply the fault is in the junk behind it.
            if not self.is_whole:
                raise
        self._refuse_small_pieces()

    def _parse(self, piece: bytes) -> tuple[RawResponseMessage, StreamReader] | None:
        self._parsed += len(piece)
        self._tail_seen = piece[-TAIL:] if len(piece) >= TAIL else (self._tail_seen + piece)[-TAIL:]
        return parse_reply(self._parser, piece)

    def _refuse_long(self, received: int) -> None:
        assert self._head is not None  # noqa: S101 - it comes before the body
        if received > len(self._head.data) + self._largest + LARGEST_HEAD:
            raise FramingError(describe_too_large(self._largest))

    def _refuse_small_pieces(self) -> None:
        assert self._head is not None  # noqa: S101 - it comes before the body
        body = self._body.total_bytes
        if self._parsed - len(self._head.data) - body > MOST_FRAMING + body // 4:
            raise FramingError("the body of the reply comes in too small pieces")

    def pause_reading(self) -> None:
        """Do nothing, as the parser asks for a pause: the bytes are bounded, and are here already."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Do nothing: no pause was made."""


def unpack(packed: bytes, coding: str, largest: int) -> bytes:
    """Return an unpacked body; ``coding`` is the one that its head names.

    Raises ClientPayloadError for a damaged body, or one that is cut short, and UnreadableReplyError for more
    than ``largest`` bytes. No more than those are ever unpacked.
    """
    mode = _MODES.get(coding)
    if mode is None:
        raise aiohttp.ClientPayloadError(f"a body that is packed as {coding} was not asked for")
    # Some servers leave out the header that a deflate body begins with.
    if coding == "deflate" and packed[0] & 0x0F != zlib.DEFLATED:
        mode = -zlib.MAX_WBITS
    unpacked = b""
    for _ in range(MOST_MEMBERS):
        unpacker = zlib.decompressobj(mode)
        try:
            unpacked += unpacker.decompress(packed, largest + 1 - len(unpacked))
        except zlib.error as error:
            raise aiohttp.ClientPayloadError from error
        if len(unpacked) > largest:
            raise UnreadableReplyError(describe_too_large(largest))
        if not unpacker.eof:
            raise aiohttp.ClientPayloadError("the packed body is cut short")
        packed = unpacker.unused_data
        if not packed:
            return unpacked
    raise aiohttp.ClientPayloadError("the packed body has too many parts")
