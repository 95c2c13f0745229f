r"""Characters beyond U+FFFF as JSON writes them, ``\ud83d\ude00``, which YAML does not know.

Programs write a plan, or single texts of one, as JSON, and JSON is nearly YAML. Such a pair is an escape only
inside double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

PAIR = 12
"""Characters of a pair."""
JOINED = 10
r"""Characters of the form that it is given, ``\U0001f600``."""

_TOKEN = re.compile(rb'\n|"|\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\.', re.DOTALL)
_TOKEN_OF_TEXT = re.compile(_TOKEN.pattern.decode(), re.DOTALL)
_UNFINISHED = 11
"""Bytes of a pair that may be cut off at the end of a block: one less than the whole."""


def find_pairs(line: str) -> Iterator[int]:
    """Yield where in a whole line the pairs begin that ``SurrogateJoiner`` joins, in characters."""
    in_quotes = False
    for found in _TOKEN_OF_TEXT.finditer(line):
        if found[0] == '"':
            in_quotes = not in_quotes
        elif found[1] and in_quotes:
            yield found.start()


class SurrogateJoiner:
    """Joins the pairs in a stream of bytes. JSON breaks no text, so each line begins outside of quotes."""

    def __init__(self) -> None:
        self._held = b""
        self._in_quotes = False

    def feed(self, data: bytes) -> bytes:
        """Return ``data`` with its pairs joined. Hold back the last line if a pair may go on after it."""
        data = self._held + data
        end = data.rfind(b"\n") + 1 if b"\\" in data[-_UNFINISHED:] else len(data)
        self._held = data[end:]
        return self._join(data[:end])

    def finish(self) -> bytes:
        """Return the bytes held back, at the end of the stream."""
        held, self._held = self._held, b""
        return self._join(held)

    def _join(self, data: bytes) -> bytes:
        if b"\\u" in data:
            return _TOKEN.sub(self._join_pair, data)
        # Nothing to join, and each line begins outside of quotes: only the last one tells how the block ends.
        begun = data.rfind(b"\n") + 1
        self._in_quotes = self._in_quotes and not begun
        _TOKEN.sub(self._join_pair, data[begun:])
        return data

    def _join_pair(self, found: re.Match[bytes]) -> bytes:
        token = found[0]
        if token == b"\n":
            self._in_quotes = False
        elif token == b'"':
            self._in_quotes = not self._in_quotes
        elif found[1] and self._in_quotes:
            high, low = int(found[1], 16), int(found[2], 16)
            return b"\\U%08x" % (0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF))
        return token
