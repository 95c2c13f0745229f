"""Huawei Cloud's request signature, SDK-HMAC-SHA256: an access key and its secret key instead of a token.

After the vendor's API request signing guide. A signature is good for 15 minutes and for one request, so it is
made at the moment of sending. The vendor locks an access key after five bad ones in a row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from hmac import new as keyed_hash
from urllib.parse import quote, unquote_to_bytes, urlsplit

from msgspec.structs import replace

from orchestrator.model.credentials import AccessKeys
from orchestrator.model.http import Request

ALGORITHM = "SDK-HMAC-SHA256"

_DATE = "x-sdk-date"
_OURS = frozenset({"authorization", "host", _DATE, "x-security-token"})
# The headers that the vendor's own client signs. Proxies may rewrite others (Accept, Connection).
_SIGNED = frozenset(
    {"content-type", "host", "user-agent", "x-auth-token", "x-project-id", _DATE, "x-security-token"}
)
_OWN_PORTS = {"http": ":80", "https": ":443"}
_CARRIED = re.compile(r"[\x20-\x7e]*")


def sign_request(
    request: Request, keys: AccessKeys, *, now: datetime, sign: Sequence[str] | None = None
) -> Request:
    """Return ``request`` with Host, X-Sdk-Date, X-Security-Token (if there is one) and Authorization.

    These four replace headers of the same names, so a signed request may be signed again.
    ``now`` is an aware time, the one of sending. ``sign`` names the headers to sign, X-Sdk-Date always among
    them; by default it is those of the request that the vendor's own client would sign. Names with ``_`` are
    never signed. Raises ``ValueError`` for a naive ``now``, for a header to sign that is not there, and for a
    URL or a header that is not plain ASCII.
    """
    if now.tzinfo is None:
        raise ValueError("a signature wants a time with its zone")
    date = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    dated = _add_date(request, keys, date)
    names = _choose_headers(dated, sign)
    digest = sha256(build_canonical_request(dated, names).encode()).hexdigest()
    # The secret key signs as it is: this algorithm derives no key of a region or a service.
    signature = keyed_hash(
        keys.secret.reveal().encode(), f"{ALGORITHM}\n{date}\n{digest}".encode(), "sha256"
    ).hexdigest()
    proof = f"Access={keys.access.reveal()}, SignedHeaders={';'.join(names)}, Signature={signature}"
    return _add_headers(dated, {"Authorization": f"{ALGORITHM} {proof}"})


def _add_date(request: Request, keys: AccessKeys, date: str) -> Request:
    bare = {name: value for name, value in request.headers.items() if name.lower() not in _OURS}
    own = {"Host": _find_host(request.url), "X-Sdk-Date": date}
    if keys.security_token is not None:
        own["X-Security-Token"] = keys.security_token.reveal()
    return replace(request, headers={**bare, **own})


def _add_headers(request: Request, more: Mapping[str, str]) -> Request:
    return replace(request, headers={**request.headers, **more})


def _find_host(url: str) -> str:
    """Return the value of Host: with the port, unless the port is the scheme's own."""
    parts = urlsplit(url)
    # As the client sends it, a dot at the end included.
    host = parts.netloc.rpartition("@")[2].lower().removesuffix(_OWN_PORTS.get(parts.scheme, ""))
    if not host:
        raise ValueError("a request without a host cannot be signed")
    return host


def _choose_headers(request: Request, sign: Sequence[str] | None) -> tuple[str, ...]:
    held = {name.lower() for name in request.headers}
    names = held & _SIGNED if sign is None else {_DATE, *(name.lower() for name in sign)}
    # The vendor's own client signs no name with an underscore.
    return tuple(sorted(name for name in names if "_" not in name))


def build_canonical_request(request: Request, sign: Sequence[str]) -> str:
    """Return the text whose SHA-256 is signed: method, path, query, headers, their names, hash of the body.

    ``sign`` names the headers, in any order and case. Holds their values in clear: not to be shown.
    Raises ``ValueError`` for a header that is not there, twice there, or not plain ASCII; so for the URL.
    """
    names = sorted(name.lower() for name in sign)
    _refuse_unfit(request, names)
    values = {name.lower(): value.strip() for name, value in request.headers.items()}
    parts = urlsplit(request.url)
    return "\n".join(
        (
            request.method.upper(),
            _canonicalize_path(parts.path),
            _canonicalize_query(parts.query),
            "".join(f"{name}:{values[name]}\n" for name in names),
            ";".join(names),
            sha256(request.body or b"").hexdigest(),
        )
    )


def _refuse_unfit(request: Request, names: Sequence[str]) -> None:
    """Raise ``ValueError`` for a URL or a header that cannot be signed."""
    # No variable holds a header's value: a traceback may show variables.
    if not request.url.isascii():
        raise ValueError("a URL is signed percent-encoded, and this one is not")
    held = [name.lower() for name in request.headers]
    for name in names:
        if held.count(name) != 1:
            raise ValueError(
                f"the header {name} is to be signed and is in the request {held.count(name)} times"
            )
    for name in request.headers:
        if name.lower() in names and not _CARRIED.fullmatch(request.headers[name]):
            raise ValueError(f"the header {name} holds a character that is not plain ASCII")


def _canonicalize_path(path: str) -> str:
    """Decode, then encode each segment anew. The slash at the end is in the signed text only, not sent."""
    encoded = quote(unquote_to_bytes(path), safe="/")
    return encoded if encoded.endswith("/") else encoded + "/"


def _canonicalize_query(query: str) -> str:
    """Sort the decoded pairs, as the vendor's client does: encoded ones may be in another order."""
    pairs = sorted(
        (unquote_to_bytes(name), unquote_to_bytes(value))
        for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
    )
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
