"""Where a reply's head ends, and what it says of its body: enough to tell whose bytes are whose. Pure.

What a head means beyond that is read by others.
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
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*([0-9]+)[ \t]*(?=[\r\n])", re.IGNORECASE)
_CODED = re.compile(rb"\ntransfer-encoding:", re.IGNORECASE)
_BODILESS = frozenset({204, 304})


class UnfitError(ValueError):
    """What came is no reply that can be read; the text says why, for people."""


class Head(Struct, frozen=True):
    """The head of a final reply, as bytes, and how its body is framed.

    ``length`` is None where the head names none, or where another framing goes before it.
    """

    data: bytes
    length: int | None = None
    chunked: bool = False
    bodiless: bool = False
    """A reply of this status ends with its head, whatever the head says of a body (RFC 9112, 6.3)."""

    def ends_at(self, received: int, tail: bytes) -> bool:
        """Tell whether the reply ended with the last of ``received`` bytes; ``tail`` are the last five.

        False where nobody can tell: a body without a length, trailers behind the chunks.
        """
        if self.bodiless:
            return received == len(self.data) and self.length in (None, 0) and not self.chunked
        if self.chunked:
            return tail == b"0\r\n\r\n"
        return self.length is not None and received == len(self.data) + self.length


class HeadReader:
    """Finds the head of the final reply in what comes in pieces; interim replies before it are left out."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._begins = 0
        self._searched = 0

    def feed(self, data: bytes) -> tuple[Head, bytes] | None:
        """Take in a piece; return the head and what follows it, once it is whole.

        Raises UnfitError where it is too long, or the beginning of something else.
        """
        self._data += data
        while (end := _END.search(self._data, self._searched)) is not None:
            head, self._searched = bytes(self._data[self._begins : end.end()]), end.end()
            self._refuse_long(end.end())
            if not _is_interim(head):
                return _framed(head), bytes(self._data[end.end() :])
            self._begins = end.end()
        self._searched = max(self._begins, len(self._data) - 2)
        self._refuse_long(len(self._data))
        _refuse_other(bytes(self._data[self._begins : self._begins + len(_START)]))
        return None

    def _refuse_long(self, size: int) -> None:
        if size > LARGEST_HEAD:
            raise UnfitError(f"the head of the reply is larger than {LARGEST_HEAD} bytes")


def _is_interim(head: bytes) -> bool:
    """Tell whether more follows before the reply; 101 would end HTTP on this connection, and is final."""
    status = _status(head)
    return 100 <= status < 200 and status != 101


def _status(head: bytes) -> int:
    found = _STATUS.match(head)
    if found is None:
        raise UnfitError("the reply is not HTTP")
    return int(found[1])


def _framed(head: bytes) -> Head:
    if head.count(b"\n") > MOST_LINES:
        raise UnfitError(f"the head of the reply has more than {MOST_LINES} lines")
    lengths = _LENGTH.findall(head)
    coded = _CODED.search(head) is not None
    length = int(lengths[0]) if len(lengths) == 1 and len(lengths[0]) < 19 and not coded else None
    return Head(head, length, coded, _status(head) in _BODILESS)


def _refuse_other(beginning: bytes) -> None:
    if not _START.startswith(beginning):
        raise UnfitError("the reply is not HTTP")
