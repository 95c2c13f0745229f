"""The bytes of a request in HTTP/1.1. Pure.

Whatever could end a line, or frame the request otherwise than its length says, is refused: a gateway would
read the rest as another request.
"""

from __future__ import annotations

import re
from functools import lru_cache

from orchestrator.model.http import Request

USER_AGENT = "undeploy-orchestrator"

_METHODS = frozenset({"DELETE", "GET", "PATCH", "POST", "PUT"})
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})
_FRAMING = frozenset(
    {"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that say how a message is framed, or what becomes of its connection: only ours to write."""

_MOST_KEPT = 16
"""Maximum number of sets of headers that an encoder keeps: signed requests have a new one each."""

_DEFAULTS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}


class RequestEncoder:
    """Writes the requests to one server."""

    def __init__(self, host: str, more: str = "") -> None:
        """``host`` is named in each request that names none; ``more`` are whole lines that the way needs."""
        self._host = host
        self._more = more
        # The requests of a lane have the same few sets of headers, with a token of up to thousands of
        # characters. They are kept here, and so go with the lane's connections.
        self._encoded: dict[tuple[tuple[str, str], ...], bytes] = {}

    def encode(self, request: Request, target: str) -> bytes:
        """Return a request as bytes, with ``target`` in its first line.

        Raises ValueError, with a text that repeats no value, for what cannot be written.
        """
        if request.method not in _METHODS or not _fits_in_line(target):
            raise ValueError("the method or the address cannot be written in one line")
        first = f"{request.method} {target} HTTP/1.1\r\n".encode()
        body = request.body or b""
        length = f"Content-Length: {len(body)}\r\n" if body or request.method != "GET" else ""
        return b"".join((first, self._encode_headers(request), f"{length}\r\n".encode(), body))

    def _encode_headers(self, request: Request) -> bytes:
        """Return all header lines but the length of the body. Raises ValueError like ``encode``."""
        headers = tuple(request.headers.items())
        encoded = self._encoded.get(headers)
        if encoded is None:
            if len(self._encoded) == _MOST_KEPT:
                self._encoded.clear()
            encoded = self._encoded[headers] = self._join_lines(headers)
        return encoded

    def _join_lines(self, headers: tuple[tuple[str, str], ...]) -> bytes:
        values = "".join([value for _, value in headers]).encode()
        # A third of the cost of a regular expression: a token may have thousands of characters.
        if len(values.translate(None, _CONTROLS)) < len(values):
            raise ValueError("the value of a header holds a control character")
        own = "".join([f"{name}: {value}\r\n" for name, value in headers])
        return f"{_complete(tuple(name for name, _ in headers), self._host)}{self._more}{own}".encode()


def _fits_in_line(text: str) -> bool:
    """Return whether a text is plain ASCII without spaces and control characters."""
    return text.isascii() and text.isprintable() and " " not in text


@lru_cache(maxsize=256)
def _complete(names: tuple[str, ...], host: str) -> str:
    """Return the lines that a request with headers of these ``names`` lacks.

    Raises ValueError for a name that no header can have, that stands twice, or that frames the request.
    """
    given = [name.lower() for name in names]
    if len(set(given)) < len(given) or not _FRAMING.isdisjoint(given):
        raise ValueError("a header stands twice, or frames the request")
    if not all(map(_NAME.fullmatch, names)) or not _fits_in_line(host):
        raise ValueError("the name of a header, or the host, cannot be written")
    defaults = {"Host": host, **_DEFAULTS}
    return "".join(f"{name}: {value}\r\n" for name, value in defaults.items() if name.lower() not in given)
