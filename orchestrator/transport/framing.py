"""Finds the end of a reply's head, and how its body is framed. Pure.

These two tell which bytes belong to which reply; aiohttp reads everything else in a head.
"""

from __future__ import annotations

import re

from msgspec import Struct

LARGEST_HEAD = 256 * 1024
"""Bytes of a reply's head that are read, interim replies included: tokens of 16 KB stand in headers."""

MOST_LINES = 1000
"""Lines of a head that are read."""

_START = b"HTTP/1."
_END = re.compile(rb"\n\r?\n")
_STATUS = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3})(?=[ \r\n])")
_FRAMING = re.compile(
    rb"\n(?:content-length:[ \t]*([0-9]+)[ \t]*(?=[\r\n])|(transfer-encoding):)", re.IGNORECASE
)
_BODILESS = frozenset({204, 304})


class FramingError(ValueError):
    """The bytes are no reply that can be read; the text tells people why."""


class ReplyHead(Struct, frozen=True):
    """The head of a final reply, as bytes, and how its body is framed.

    ``length`` is None if the head names none, or if another framing takes precedence.
    """

    data: bytes
    length: int | None = None
    chunked: bool = False
    bodiless: bool = False
    """Whether a reply of this status ends with its head, whatever the head says of a body (RFC 9112, 6.3)."""

    def ends_at(self, received: int, tail: bytes) -> bool:
        """Return whether the reply ended with the last of ``received`` bytes; ``tail`` are the last five.

        False if that cannot be known: a body without a length, trailers after the chunks.
        """
        if self.bodiless:
            return received == len(self.data) and self.length in (None, 0) and not self.chunked
        if self.chunked:
            return tail == b"0\r\n\r\n"
        return self.length is not None and received == len(self.data) + self.length


class HeadReader:
    """Finds the head of the final reply in bytes that come in pieces; it skips interim replies."""

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""
        self._begins = 0
        self._searched = 0

    def feed(self, data: bytes) -> tuple[ReplyHead, bytes] | None:
        """Take a piece; return the head and the bytes after it, once the head is whole.

        Raises FramingError if the head is too long, or if the bytes do not begin as a head does.
        """
        self._append(data)
        while (end := _END.search(self._data, self._searched)) is not None:
            head, self._searched = bytes(self._data[self._begins : end.end()]), end.end()
            self._refuse_long(end.end())
            status = _read_status(head)
            # 101 is final, since it would end HTTP on this connection.
            if status >= 200 or status == 101:
                return _read_framing(head, status), bytes(self._data[end.end() :])
            self._begins = end.end()
        # The end of a head may be split between two pieces.
        self._searched = max(self._begins, len(self._data) - 2)
        self._refuse_long(len(self._data))
        _refuse_other(bytes(self._data[self._begins : self._begins + len(_START)]))
        return None

    def _append(self, data: bytes) -> None:
        # A head mostly comes in one piece, which is not copied then; a head may also come byte by byte.
        if not self._data:
            self._data = data
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        self._data += data

    def _refuse_long(self, size: int) -> None:
        if size > LARGEST_HEAD:
            raise FramingError(f"the head of the reply is larger than {LARGEST_HEAD} bytes")


def _read_status(head: bytes) -> int:
    found = _STATUS.match(head)
    if found is None:
        raise FramingError("the reply is not HTTP")
    return int(found[1])


def _read_framing(head: bytes, status: int) -> ReplyHead:
    if head.count(b"\n") > MOST_LINES:
        raise FramingError(f"the head of the reply has more than {MOST_LINES} lines")
    found = _FRAMING.findall(head)
    lengths = [length for length, _ in found if length]
    coded = any(coding for _, coding in found)
    # Several lengths, or one beside a transfer coding, leave it open where the body ends (RFC 9112, 6.3).
    length = int(lengths[0]) if len(lengths) == 1 and len(lengths[0]) < 19 and not coded else None
    return ReplyHead(head, length, coded, status in _BODILESS)


def _refuse_other(beginning: bytes) -> None:
    if not _START.startswith(beginning):
        raise FramingError("the reply is not HTTP")
