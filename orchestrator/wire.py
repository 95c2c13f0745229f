"""What goes over the wire, and what comes back: bytes in and out, without a network library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from msgspec import Struct


class Secret:
    """A text that cannot be printed by accident: ``repr``, ``str`` and ``format`` show ``•••``.

    Only ``reveal`` gives the text; it is called where a request is built and where texts are masked.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "•••"

    def __format__(self, _spec: str) -> str:
        return "•••"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not stored")


class Request(Struct, frozen=True):
    """One HTTP request. ``url`` is percent-encoded already and is sent exactly so.

    ``repr`` leaves the headers and the body out, since they may hold a credential.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url})"


class Reply(Struct, frozen=True):
    """One whole HTTP reply. Header names are lower-case; ``at`` is the Unix time of its arrival."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    at: float


class Lost(Struct, frozen=True):
    """No reply that can be read. ``sent`` is false only where no byte of the request can have arrived."""

    sent: bool
    detail: str
