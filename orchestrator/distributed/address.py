"""The address of a Temporal server, as ``--on`` takes it: ``temporal://HOST:PORT/NAMESPACE``."""

from __future__ import annotations

import ipaddress
import re

from msgspec import Struct

from orchestrator.errors import UsageError

DEFAULT_PORT = 7233
DEFAULT_NAMESPACE = "default"

_SCHEME = "temporal://"
_FORM = re.compile(
    r"temporal://(?:\[(?P<six>[^]/]*)\]|(?P<host>[^:/\[\]]*))(?::(?P<port>[0-9]{1,5}))?(?:/(?P<namespace>[^/]*))?/?",
    re.IGNORECASE,
)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_.-])?")
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_HINT = "write temporal://HOST:PORT/NAMESPACE, as temporal://temporal.example.com:7233/default"


class EngineAddress(Struct, frozen=True, kw_only=True):
    """Where a Temporal server is, and which of its namespaces the runs are in."""

    host: str
    """A host name or an IP address, which has no brackets here."""
    port: int = DEFAULT_PORT
    namespace: str = DEFAULT_NAMESPACE

    @property
    def target(self) -> str:
        """``HOST:PORT``, as Temporal's client takes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address in full, as ``--on`` takes it."""
        return f"{_SCHEME}{self.target}/{self.namespace}"


def parse_engine_address(text: str) -> EngineAddress:
    """Return the address that ``text`` means. Port 7233 and the namespace ``default`` may be left out.

    Raises UsageError for anything else. The text of the error leaves out user information, which may hold a
    password.
    """
    if "@" in text:
        raise UsageError(
            "the address of a Temporal server holds no user information;"
            " --tls-cert and --tls-key tell who you are"
        )
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no address of a Temporal server; {_HINT}")
    port = int(found["port"] or DEFAULT_PORT)
    if not 0 < port <= 65535:
        raise UsageError(f"{text!r} is no address of a Temporal server: a port is between 1 and 65535")
    namespace = found["namespace"] or DEFAULT_NAMESPACE
    if not _NAMESPACE.fullmatch(namespace):
        raise UsageError(
            f"{text!r} is no address of a Temporal server: a namespace has letters, digits, and . _ - only"
        )
    host = _read_host(text, found["six"], found["host"])
    return EngineAddress(host=host, port=port, namespace=namespace)


def _read_host(text: str, six: str | None, host: str | None) -> str:
    if six is None:
        if host and _HOST.fullmatch(host):
            return host.lower()
        raise UsageError(
            f"{text!r} is no address of a Temporal server: the host is missing or no name; {_HINT}"
        )
    try:
        return ipaddress.IPv6Address(six).compressed
    except ValueError:
        raise UsageError(
            f"{text!r} is no address of a Temporal server: [{six}] is no IPv6 address; {_HINT}"
        ) from None
