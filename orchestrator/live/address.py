"""The address that the live page is served at: read from an option, and bound before anything is sent."""

from __future__ import annotations

import ipaddress
import re
import socket

from msgspec import Struct

from orchestrator.errors import UsageError

_FORM = re.compile(r"(?:\[(?P<six>[^]]*)\]|(?P<four>[^:\[\]]*)):(?P<port>[0-9]{1,5})")
BACKLOG = 256
"""Connections that wait until the server takes them."""


class PageAddress(Struct, frozen=True):
    """An IP address of this machine, and a port; port 0 takes a free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine reach the address."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def url(self) -> str:
        """The URL of the page, with a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


def parse_address(text: str) -> PageAddress:
    """Return the address that ``text`` means: ``127.0.0.1:8787``, ``[::1]:0``, ``localhost:8787``.

    Raises ``UsageError`` for anything else. A name other than ``localhost`` is refused: its look-up may take
    long, and may lead anywhere.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no address; write HOST:PORT, as 127.0.0.1:8787 or [::1]:0")
    host = found["six"] if found["six"] is not None else found["four"]
    if host == "localhost":
        host = "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise UsageError(
            f"{text!r} is no address: {host or 'an empty host'} is no IP address of this machine and not"
            " localhost; 127.0.0.1:0 takes a free port"
        ) from None
    if (address.version == 6) != (found["six"] is not None):
        raise UsageError(f"{text!r} is no address; write an IPv6 address in brackets: [::1]:8787")
    port = int(found["port"])
    if port > 65535:
        raise UsageError(f"{text!r} is no address: a port is at most 65535")
    return PageAddress(address.compressed, port)


def bind(address: PageAddress) -> tuple[socket.socket, PageAddress]:
    """Return a socket that listens at ``address``, and the address with its port.

    Raises ``UsageError`` where that cannot be done: the port is in use, the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A server that was ended a moment ago must not keep its port from the next one.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address.host, address.port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        where = address.url.removeprefix("http://").rstrip("/")
        raise UsageError(
            f"the live page cannot be served at {where}: {error.strerror or error}; port 0 takes a free one"
        ) from error
    return listener, PageAddress(address.host, listener.getsockname()[1])
