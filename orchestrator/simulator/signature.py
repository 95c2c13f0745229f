"""Huawei's request signature ``SDK-HMAC-SHA256``, recomputed from what arrived.

Written from the vendor's rules for whoever checks a signature: nothing of the signer that our own requests
go through is used here, so that a mistake of one does not hide in the other.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from urllib.parse import quote, unquote_to_bytes

from msgspec import Struct

from orchestrator.simulator.exchange import Asked, header

ALGORITHM = "SDK-HMAC-SHA256"
_CLAIM = re.compile(
    rf"{ALGORITHM} Access=(?P<access>[\x21-\x2b\x2d-\x7e]+), *"
    r"SignedHeaders=(?P<signed>[\x21-\x2b\x2d-\x7e]+), *Signature=(?P<signature>[0-9a-f]{64})"
)
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")


class Claim(Struct, frozen=True):
    """What an ``Authorization`` header says: by which key, over which headers, and the signature (hex)."""

    access: str
    signed: tuple[str, ...]
    signature: str


def claim_of(authorization: str) -> Claim | None:
    """Read an ``Authorization`` header; None where it does not have the algorithm's form."""
    found = _CLAIM.fullmatch(authorization.strip())
    return Claim(found["access"], tuple(found["signed"].split(";")), found["signature"]) if found else None


def signed_at(headers: Mapping[str, str]) -> float | None:
    """The Unix time in ``X-Sdk-Date``; None where it is missing or has another form."""
    text = header(headers, "x-sdk-date") or ""
    if not _DATE.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S%z").timestamp()
    except ValueError:
        return None


def is_genuine(claim: Claim, asked: Asked, secret: str) -> bool:
    """Whether the signature is what this secret key gives for the request as it arrived.

    It is not where a signed header did not arrive, where the names are not in order, or where the date is not
    among them.
    """
    values = {name: header(asked.headers, name) for name in claim.signed}
    if "x-sdk-date" not in values or list(claim.signed) != sorted(values):
        return False
    lines = [f"{name}:{value.strip()}\n" for name, value in values.items() if value is not None]
    if len(lines) < len(values):
        return False
    path, _, query = asked.raw_path.partition("?")
    signed = ";".join(claim.signed)
    request = [asked.method.upper(), _path(path), _query(query), "".join(lines), signed, _digest(asked.body)]
    text = f"{ALGORITHM}\n{header(asked.headers, 'x-sdk-date')}\n{_digest(_bytes(chr(10).join(request)))}"
    expected = hmac.new(_bytes(secret), _bytes(text), sha256).hexdigest()
    return hmac.compare_digest(expected, claim.signature)


def _path(path: str) -> str:
    """The path decoded and encoded again, with a slash at its end even where the request has none."""
    encoded = quote(unquote_to_bytes(path), safe="/")
    return encoded if encoded.endswith("/") else f"{encoded}/"


def _query(query: str) -> str:
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    decoded = sorted((unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs)
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in decoded)


def _digest(body: bytes) -> str:
    return sha256(body).hexdigest()


def _bytes(text: str) -> bytes:
    # A header that is not UTF-8 arrives with surrogates in it; whatever they become, it was not signed so.
    return text.encode("utf-8", "backslashreplace")
