"""Where the requests of one gateway go, and how long they may take. The same for either client."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct
from yarl import URL

from orchestrator.transport.proxy import ProxyServer

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

CONNECT_TIMEOUT = 10.0
"""Seconds until a connection stands, proxy and TLS included; at most half of the reply timeout."""

RESOLVED_FOR = 60
"""Seconds for which the addresses of a name are used, and connections to them: a name may move to another
address during a run."""

KEPT_HEADERS = frozenset(
    {"content-type", "date", "location", "retry-after", "x-request-id", "x-subject-token"}
)
"""Headers of a reply that are handed on."""


def pick_headers(given: CIMultiDictProxy[str]) -> dict[str, str]:
    """Return the headers of a reply that are handed on.

    A proxy may add its own wait to that of the gateway: all of them are handed on, separated by commas.
    """
    found = {name: given[name] for name in KEPT_HEADERS if name in given}
    if "retry-after" in found:
        found["retry-after"] = ", ".join(given.getall("retry-after"))
    return found


class ClientSettings(Struct, frozen=True, kw_only=True):
    """The settings of one gateway that a client needs."""

    choose_proxy: Callable[[str, str, int | None], ProxyServer | None]
    """Returns the proxy for a scheme, a host and a port, if there is one."""
    tls: ssl.SSLContext | None
    """None if no address of the gateway is https; another https address is then judged as aiohttp does."""
    reply_timeout: float
    """Seconds from the start of a request to the end of its reply, connecting included."""

    @property
    def connect_timeout(self) -> float:
        """Seconds until a connection stands."""
        # Always shorter than the whole: a timeout while connecting has sent nothing, but the whole may have.
        return min(CONNECT_TIMEOUT, self.reply_timeout / 2)


class Route(Struct, frozen=True):
    """The way to one server: directly, or through a proxy."""

    url: URL
    """An address at the server; its path does not matter."""
    proxy: ProxyServer | None = None

    @property
    def host(self) -> str:
        """The server's name or number as the plan writes it, for people."""
        return self.url.raw_host or ""

    @property
    def is_forwarded(self) -> bool:
        """Whether a proxy reads and forwards the request itself, in place of the bytes of a tunnel."""
        return self.proxy is not None and self.url.scheme == "http"

    @property
    def proxy_headers(self) -> dict[str, str]:
        """The credential that the proxy wants. Only the proxy gets it."""
        if self.proxy is None or self.proxy.authorization is None:
            return {}
        return {"Proxy-Authorization": self.proxy.authorization.reveal()}
