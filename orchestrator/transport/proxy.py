"""Chooses the proxy of a request: the gateway's own, or that of the environment, read as curl reads it.

``https_proxy`` is for https addresses and ``http_proxy`` for http ones. The lower-case name goes before the
upper-case one, and an empty variable counts as unset. ``no_proxy`` names the hosts that are reached directly,
separated by commas or spaces: ``example.com`` is that host and all hosts below it, with or without a dot
before it; ``*`` is every host; a number may be a network (``10.0.0.0/8``); ``:8443`` after a name means that
port only. A name is the same with its letters and encoded (``xn--``). The loopback is no exception: to reach
it directly, name it in ``no_proxy``. A gateway's own ``proxy`` replaces all three variables.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from orchestrator.errors import UsageError
from orchestrator.model.credentials import Secret
from orchestrator.text.urls import normalize_host, parse_address

_HOST = re.compile(r"[A-Za-z0-9._~:%-]+")
"""A name, or the number of an address without its brackets."""

_MOST_PORT_DIGITS = 5


class ProxyServer(Struct, frozen=True):
    """A proxy: its address without user information, and the header that it wants from us."""

    url: str
    authorization: Secret | None = None

    @property
    def place(self) -> str:
        """Host and port, for people."""
        return urlsplit(self.url).netloc

    @property
    def host(self) -> str:
        """Its name or number alone, for people."""
        return urlsplit(self.url).hostname or ""


class ProxySettings(Struct, frozen=True):
    """The proxies of one gateway, by the scheme of the address to reach; ``spared`` is reached directly."""

    by_scheme: Mapping[str, ProxyServer]
    spared: tuple[str, ...] = ()

    def choose(self, scheme: str, host: str, port: int | None) -> ProxyServer | None:
        """Return the proxy for an address, or None for the direct way. An IPv6 ``host`` has no brackets."""
        proxy = self.by_scheme.get(scheme)
        if proxy is None:
            return None
        place = normalize_host(host)
        return None if any(_covers(entry, place, port) for entry in self.spared) else proxy


def read_proxies(own: str | None, environment: Mapping[str, str]) -> ProxySettings:
    """Return the proxies that a gateway's ``proxy`` or the environment names.

    Raises UsageError if a variable holds no address of a proxy. The text never repeats the value, which may
    hold a password.
    """
    if own is not None:
        proxy = _parse_address(own, "the key proxy")
        return ProxySettings({"http": proxy, "https": proxy})
    found = {scheme: _read_variable(environment, f"{scheme}_proxy") for scheme in ("http", "https")}
    proxies = {scheme: _parse_address(value, name) for scheme, (name, value) in found.items() if value}
    _, spared = _read_variable(environment, "no_proxy")
    return ProxySettings(proxies, tuple(spared.lower().replace(",", " ").split()))


def list_passwords(own: str | None, environment: Mapping[str, str]) -> tuple[Secret, ...]:
    """Return the secrets for the proxies: a password, or a user's name that stands without one.

    Raises as ``read_proxies``.
    """
    keys = (proxy.authorization for proxy in read_proxies(own, environment).by_scheme.values())
    return tuple(_read_password(key) for key in keys if key is not None)


def _read_password(authorization: Secret) -> Secret:
    both = base64.b64decode(authorization.reveal().removeprefix("Basic "))
    user, _, password = both.decode().partition(":")
    return Secret(password or user)


def _read_variable(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return a variable's name as it is set, and its text; empty for none."""
    if environment.get(name):
        return name, environment[name]
    return name.upper(), environment.get(name.upper(), "")


def _parse_address(text: str, name: str) -> ProxyServer:
    address = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(address if address.isprintable() else "")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _make_refusal(text, name) from None
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(host) or port == 0:
        raise _make_refusal(text, name)
    named, at, place = parts.netloc.rpartition("@")
    # A password's #, / or ? that is not written as %23, %2F, %3F ends the address there, and what stands
    # before it would be taken for the proxy. No piece of a password may become a name that is looked up.
    if "@" in address.partition("://")[2][len(parts.netloc) :]:
        raise _make_refusal(text, name)
    return ProxyServer(f"{parts.scheme}://{place.lower()}", _make_basic_header(named) if at else None)


def _make_refusal(text: str, name: str) -> UsageError:
    spelt = "; write #, / and ? in a password as %23, %2F, %3F" if "@" in text else ""
    return UsageError(
        f"{name} holds no address of a proxy; write it as http://proxy.example.com:3128 (only http and https"
        f" are supported){spelt}. Nothing was sent"
    )


def _make_basic_header(named: str) -> Secret:
    user, _, password = named.partition(":")
    both = f"{unquote(user)}:{unquote(password)}".encode()
    return Secret(f"Basic {base64.b64encode(both).decode()}")


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Return whether an entry of ``no_proxy`` covers a host, which is in its one spelling."""
    if entry == "*":
        return True
    name, wanted = _split_entry(entry)
    if wanted is not None and wanted != port:
        return False
    if parse_address(host) is not None:
        return normalize_host(name) == host or _network_holds(name, host)
    name = normalize_host(name.removeprefix("*").removeprefix("."))
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split_entry(entry: str) -> tuple[str, int | None]:
    """Split an entry into its name and its port; ``::1`` has none, ``[::1]:8443`` has one."""
    name, colon, digits = entry.rpartition(":")
    is_number = bool(colon) and digits.isdecimal() and len(digits) <= _MOST_PORT_DIGITS
    is_port = is_number and (":" not in name or name.endswith("]"))
    name = name if is_port else entry
    return name.strip("[]"), int(digits) if is_port else None


def _network_holds(network: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
