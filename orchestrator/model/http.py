"""One HTTP request and its reply: bytes in and out, without a network library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

LARGEST_BODY = 1024 * 1024
"""Bytes of a reply's body that are read, unless the request allows more."""


class Request(Struct, frozen=True):
    """One HTTP request. ``url`` is percent-encoded already and is sent exactly so.

    A reply is lost if its body, unpacked, has more than ``largest`` bytes: the page of a list may need more
    than other replies. ``repr`` leaves the headers and the body out, since they may hold a credential.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    largest: int = LARGEST_BODY
    may_leave: Callable[[], bool] | None = None
    """Where given, it is asked once a connection stands, just before the first byte. If it returns false, no
    byte leaves, and the answer is ``HELD_BACK``: to connect may take longer than the right to send lasts."""

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url})"


class Reply(Struct, frozen=True):
    """One whole HTTP reply. Header names are lower-case; ``at`` is the Unix time of its arrival."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    at: float

    def __repr__(self) -> str:
        return f"Reply({self.status}, {len(self.body)} bytes)"


class Lost(Struct, frozen=True):
    """No reply that can be read. ``sent`` is false only where no byte of the request can have arrived.

    ``ended``: the run itself has ended the exchange, since it had no use for the reply any more.
    """

    sent: bool
    detail: str
    ended: bool = False


def was_sent(answer: Reply | Lost) -> bool:
    """Return whether a request was sent, or may have been: reports count those that were."""
    return isinstance(answer, Reply) or answer.sent


HELD_BACK = Lost(sent=False, detail="the request was held back, so nothing was sent")
"""The answer to a request that could not leave any more when its connection stood."""

Send: TypeAlias = Callable[[Request], Awaitable[Reply | Lost]]
