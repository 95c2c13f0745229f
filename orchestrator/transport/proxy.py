"""Which proxy a request goes through: the gateway's own, or the environment's, read as curl reads it.

``https_proxy`` is for https addresses and ``http_proxy`` for http ones; the lower-case name is heeded before
the upper-case one, and an empty variable counts as none. ``no_proxy`` names what is reached directly, parted
by commas or spaces: ``example.com`` is that host and all below it, with or without a dot before it; ``*`` is
everything; a number may be a network (``10.0.0.0/8``); ``:8443`` behind a name means that port only. The
loopback is no exception: who sets a proxy and wants it spared says so in ``no_proxy``. A gateway's own
``proxy`` stands in place of all three variables.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from orchestrator.errors import UsageError
from orchestrator.model.credentials import Secret

_HOST = re.compile(r"[A-Za-z0-9._~:%-]+")
"""A name, or the number of an address; brackets are off."""

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Proxy(Struct, frozen=True):
    """A proxy: its address without user information, and the header that lets us through it."""

    url: str
    authorization: Secret | None = None

    @property
    def place(self) -> str:
        """Host and port, for people."""
        return urlsplit(self.url).netloc


class Proxies(Struct, frozen=True):
    """The proxies of one gateway, by the scheme of the address that is to be reached."""

    by_scheme: Mapping[str, Proxy]
    spared: tuple[str, ...] = ()

    def choose(self, scheme: str, host: str, port: int | None) -> Proxy | None:
        """Return the proxy for an address; None is directly. An IPv6 ``host`` stands without brackets."""
        proxy = self.by_scheme.get(scheme)
        if proxy is None or any(_covers(entry, host.lower().rstrip("."), port) for entry in self.spared):
            return None
        return proxy


def read_proxies(own: str | None, environment: Mapping[str, str]) -> Proxies:
    """Return what a gateway's ``proxy`` and the environment say.

    Raises UsageError where a variable holds no address of a proxy; the text never repeats it, since it may
    hold a password.
    """
    if own is not None:
        proxy = _read(own, "the key proxy")
        return Proxies({"http": proxy, "https": proxy})
    found = {scheme: _variable(environment, f"{scheme}_proxy") for scheme in ("http", "https")}
    proxies = {scheme: _read(value, name) for scheme, (name, value) in found.items() if value}
    _, spared = _variable(environment, "no_proxy")
    return Proxies(proxies, tuple(spared.lower().replace(",", " ").split()))


def passwords(own: str | None, environment: Mapping[str, str]) -> tuple[Secret, ...]:
    """Return what lets us through the proxies: a password, or a user's name that stands without one.

    Raises as ``read_proxies``.
    """
    keys = (proxy.authorization for proxy in read_proxies(own, environment).by_scheme.values())
    return tuple(_password(key) for key in keys if key is not None)


def _password(authorization: Secret) -> Secret:
    both = base64.b64decode(authorization.reveal().removeprefix("Basic "))
    user, _, password = both.decode().partition(":")
    return Secret(password or user)


def _variable(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return a variable's name as it is set, and its text; empty for none."""
    if environment.get(name):
        return name, environment[name]
    return name.upper(), environment.get(name.upper(), "")


def _read(text: str, name: str) -> Proxy:
    address = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(address if address.isprintable() else "")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _refusal(text, name) from None
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(host) or port == 0:
        raise _refusal(text, name)
    named, at, place = parts.netloc.rpartition("@")
    # A password's #, / or ? that is not written as %23, %2F, %3F ends the address there, and what stands
    # before it would be taken for the proxy. No piece of a password may become a name that is looked up.
    if "@" in address.partition("://")[2][len(parts.netloc) :]:
        raise _refusal(text, name)
    return Proxy(f"{parts.scheme}://{place.lower()}", _basic(named) if at else None)


def _refusal(text: str, name: str) -> UsageError:
    spelt = "; write #, / and ? in a password as %23, %2F, %3F" if "@" in text else ""
    return UsageError(
        f"{name} holds no address of a proxy; write it as http://proxy.example.com:3128 (only http and https"
        f" are supported){spelt}. Nothing was sent"
    )


def _basic(named: str) -> Secret:
    user, _, password = named.partition(":")
    both = f"{unquote(user)}:{unquote(password)}".encode()
    return Secret(f"Basic {base64.b64encode(both).decode()}")


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Say whether an entry of ``no_proxy`` covers a host."""
    if entry == "*":
        return True
    name, wanted = _parted(entry)
    if wanted is not None and wanted != port:
        return False
    address = _address(host)
    if address is not None:
        return _holds(name, address)
    name = name.removeprefix("*").removeprefix(".").rstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _parted(entry: str) -> tuple[str, int | None]:
    """Part an entry into its name and its port; ``::1`` has none, ``[::1]:8443`` has one."""
    name, colon, digits = entry.rpartition(":")
    is_port = bool(colon) and digits.isdecimal() and (":" not in name or name.endswith("]"))
    name = name if is_port else entry
    return name.strip("[]"), int(digits) if is_port else None


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _holds(network: str, address: _Address) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
