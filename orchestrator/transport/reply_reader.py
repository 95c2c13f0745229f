"""Makes one reply of the bytes that come. ``framing`` says where it ends, aiohttp's parser reads its head."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from orchestrator.transport.aiohttp_parts import end_reply, make_parser, parse_reply
from orchestrator.transport.framing import LARGEST_HEAD, FramingError, HeadReader, ReplyHead
from orchestrator.transport.losses import UnreadableReplyError, describe_too_large
from orchestrator.transport.unpacking import unpack

if TYPE_CHECKING:
    from aiohttp.http import HttpResponseParser, RawResponseMessage
    from aiohttp.streams import StreamReader
    from multidict import CIMultiDictProxy

MOST_FRAMING = 128 * 1024
"""Bytes that may surround the chunks of a body (sizes, extensions, trailers), plus a quarter of the body."""

PIECE = 32 * 1024
"""Bytes that are parsed at once, before their size as a body is checked."""

TAIL = 5
"""Last bytes of a reply that are kept, to see whether the reply has ended."""


class SizedBody:
    """A body of a length that the head tells; also one that is empty by its status."""

    __slots__ = ("_length", "_missing", "_pieces")

    tail = b""

    def __init__(self, length: int) -> None:
        self._length = self._missing = length
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> bool:
        """Take bytes, the ones behind the body too; return whether it is whole."""
        self._missing -= len(data)
        self._pieces.append(data)
        return self._missing <= 0

    def end(self) -> None:
        """Take the end of the connection. Raises ClientPayloadError: a whole body does not wait for it."""
        raise aiohttp.ClientPayloadError

    def join(self) -> bytes:
        """Return the whole body."""
        pieces = self._pieces
        return pieces[0] if len(pieces) == 1 and not self._missing else b"".join(pieces)[: self._length]


class ParsedBody:
    """A body in chunks, or one that ends with its connection: aiohttp's parser finds its bytes."""

    def __init__(self, parser: HttpResponseParser, content: StreamReader, largest: int) -> None:
        self._parser = parser
        self._content = content
        self._largest = largest
        self._received = self._parsed = 0
        self._tail = b""
        self._has_junk = False

    def feed(self, data: bytes) -> bool:
        """Take bytes, the ones behind the body too; return whether it is whole. Raises FramingError."""
        self._received += len(data)
        for begin in range(0, len(data), PIECE):
            if self._content.is_eof():
                break
            self._parse(data[begin : begin + PIECE])
        return self._content.is_eof()

    @property
    def tail(self) -> bytes:
        """The last bytes that came; none if junk came behind the body."""
        return b"" if self._has_junk or self._parsed < self._received else self._tail

    def end(self) -> None:
        """Take the end of the connection. Raises ClientPayloadError if the body is cut short."""
        end_reply(self._parser)

    def join(self) -> bytes:
        """Return the whole body."""
        return self._content.read_nowait()

    def _parse(self, piece: bytes) -> None:
        if self._received > self._largest + LARGEST_HEAD:
            raise FramingError(describe_too_large(self._largest))
        self._parsed += len(piece)
        self._tail = (self._tail + piece)[-TAIL:]
        try:
            self._has_junk = parse_reply(self._parser, piece) is not None  # another reply
        except FramingError:
            if not self._content.is_eof():
                raise
            self._has_junk = True  # the fault is behind the body
        self._refuse_small_pieces()

    def _refuse_small_pieces(self) -> None:
        body = self._content.total_bytes
        if self._parsed - body > MOST_FRAMING + body // 4:
            raise FramingError("the body of the reply comes in too small pieces")


class ReplyReader:
    """Reads one reply, whose body has at most ``largest`` bytes, packed as well as unpacked."""

    __slots__ = (
        "_body",
        "_head",
        "_heads",
        "_is_whole",
        "_largest",
        "_loop",
        "_message",
        "_received",
        "headers",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, largest: int) -> None:
        self._loop = loop
        self._largest = largest
        self._heads = HeadReader()
        self._head: ReplyHead | None = None
        self._is_whole = False
        # The four come with the head.
        self._received: int
        self._message: RawResponseMessage
        self.headers: CIMultiDictProxy[str]
        self._body: SizedBody | ParsedBody

    def feed(self, data: bytes) -> bool:
        """Take bytes; return whether the whole reply is here. Raises UnreadableReplyError."""
        try:
            if self._head is not None:
                self._received += len(data)
                self._is_whole = self._body.feed(data)
            elif (found := self._heads.feed(data)) is not None:
                self._is_whole = self._begin(*found)
        except FramingError as error:
            raise UnreadableReplyError(str(error)) from None
        return self._is_whole

    def end(self) -> None:
        """Take the orderly end of the connection, which also ends a body of unknown length.

        Raises ServerDisconnectedError before the head, and ClientPayloadError in a body.
        """
        if self._head is None:
            raise aiohttp.ServerDisconnectedError
        self._body.end()

    @property
    def leaves_open(self) -> bool:
        """Whether the reply has certainly ended with the last byte that came, and ends no connection."""
        head = self._head
        if head is None or not self._is_whole or self._message.should_close:
            return False
        return head.ends_at(self._received, self._body.tail)

    @property
    def status(self) -> int:
        """The status code. The reply must be whole, as for all that follows."""
        return self._message.code

    def unpack_body(self) -> bytes:
        """Return the body. Raises UnreadableReplyError and ClientPayloadError."""
        body, coding = self._body.join(), self._message.compression
        if len(body) > self._largest:
            raise UnreadableReplyError(describe_too_large(self._largest))
        return unpack(body, coding, self._largest) if coding and body else body

    def _begin(self, head: ReplyHead, rest: bytes) -> bool:
        """Take the head of the reply, and the bytes behind it; return whether the reply is whole.

        The head goes to the parser alone: if junk behind it fails the parser, the reply is not lost with it.
        """
        length = 0 if head.bodiless else head.length
        if length is not None and length > self._largest:
            raise FramingError(describe_too_large(self._largest))
        parser = make_parser(self, self._loop, self._largest, with_body=length is None)
        found = parse_reply(parser, head.data)
        if found is None:
            raise FramingError("the reply is not HTTP")
        self._message, content = found
        self.headers = self._message.headers
        self._body = ParsedBody(parser, content, self._largest) if length is None else SizedBody(length)
        self._head = head
        self._received = len(head.data) + len(rest)
        return self._body.feed(rest)

    def pause_reading(self) -> None:
        """Do nothing, as the parser asks for a pause: the bytes are bounded, and are here already."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Do nothing: no pause was made."""
