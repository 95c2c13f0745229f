"""URLs, hosts and addresses in one spelling each, so that equal places give equal texts. Resolves no name."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
_FULL_STOPS = re.compile("[\u3002\uff0e\uff61]")
"""The characters that IDNA takes for a dot, beside the dot itself."""
_WHOLE = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")
_WITH_PORT = re.compile(r"(?P<host>\[.+\]|[^:]+):(?P<port>[0-9]{1,5})")


@lru_cache(maxsize=4096)
def normalize_url(url: str) -> str:
    """Return ``url`` so that equal places give equal texts: scheme, host, port and path in one spelling.

    Raises ``ValueError`` if it is no URL.
    """
    parts = urlsplit(url)
    at = find_authority(url).removesuffix(f":{DEFAULT_PORTS.get(parts.scheme)}")
    return f"{parts.scheme}://{at}{_normalize_path(parts.path)}"


# No name is resolved: `check` must work without a network, and an answer would hold for a minute.
def find_host(url: str) -> str:
    """Return the host of ``url`` in one spelling, without its port. Raises ``ValueError`` if it is no URL."""
    return normalize_host(urlsplit(url).hostname or "")


def find_authority(url: str) -> str:
    """Return host and port of ``url`` in one spelling, the port also where the URL leaves it out.

    Raises ``ValueError`` if it is no URL.
    """
    parts = urlsplit(url)
    return _join_port(find_host(url), parts.port or DEFAULT_PORTS.get(parts.scheme, 0))


def normalize_authority(text: str) -> str:
    """Return a host, or a host and its port, in one spelling."""
    found = _WITH_PORT.fullmatch(text)
    return _join_port(normalize_host(found["host"]), int(found["port"])) if found else normalize_host(text)


def _join_port(name: str, port: int) -> str:
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def normalize_host(text: str) -> str:
    """Return a host name or an IP address in one spelling.

    A name in its Unicode form, in small letters and without a dot at its end. An address as Python writes it,
    without a zone unless it is link-local, and an IPv4 address that is written in IPv6 as the IPv4 address:
    that is where a connection to it ends.
    """
    plain = unicodedata.normalize("NFKC", unquote(text)).lower().removeprefix("[").removesuffix("]")
    plain = _FULL_STOPS.sub(".", plain)
    dotless = plain.removesuffix(".")
    found = parse_address(dotless)
    if found is None:
        return ".".join(map(_normalize_label, dotless.split(".")))
    return str(found)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that ``text`` is, in any form that a resolver takes for one; None for a name."""
    try:
        found = ip_address(text)
    except ValueError:
        return _parse_odd_address(text)
    if isinstance(found, IPv4Address):
        return found
    if found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found if found.is_link_local else IPv6Address(int(found))


def _parse_odd_address(text: str) -> IPv4Address | None:
    """Read an IPv4 address as ``inet_aton`` does; return None for any other text.

    Such an address is one to four numbers, octal and hexadecimal ones too, the last for all the other bytes.
    """
    pieces = text.split(".")
    if len(pieces) > 4 or not all(map(_WHOLE.fullmatch, pieces)):
        return None
    try:
        *first, last = (int(piece, _find_base(piece)) for piece in pieces)
    except ValueError:  # an octal number with an 8 or a 9
        return None
    if any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
        return None
    high = sum(number << 8 * (3 - index) for index, number in enumerate(first))
    return IPv4Address(high + last)


def _find_base(piece: str) -> int:
    if piece[:2].lower() == "0x":
        return 16
    return 8 if piece.startswith("0") else 10


def _normalize_label(label: str) -> str:
    """Return one label of a name in its Unicode form; a pattern's label with wildcards as it is."""
    if not label.startswith("xn--") or "*" in label or "?" in label:
        return label
    try:
        decoded = label[4:].encode("ascii").decode("punycode")
    except ValueError:
        return label
    return label if decoded.isascii() else unicodedata.normalize("NFKC", decoded).lower()


def _normalize_path(path: str) -> str:
    """Return a path in one spelling: without empty pieces, ``.`` and ``..``, nor a slash at its end; nothing
    percent-encoded that need not be."""
    kept: list[str] = []
    for piece in path.split("/"):
        plain = quote(unquote_to_bytes(piece), safe="")
        if plain == "..":
            del kept[-1:]
        elif plain not in {"", "."}:
            kept.append(plain)
    return "".join(f"/{piece}" for piece in kept)
