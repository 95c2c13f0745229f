"""Huawei's request signature ``SDK-HMAC-SHA256``, recomputed from the request that arrived.

Written from the vendor's rules for those who check a signature. It shares nothing with the signer of our own
requests, so that a mistake in one does not hide in the other.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from urllib.parse import quote, unquote_to_bytes

from msgspec import Struct

from orchestrator.simulator.exchange import ReceivedRequest, get_header

ALGORITHM = "SDK-HMAC-SHA256"
_CLAIM = re.compile(
    rf"{ALGORITHM} Access=(?P<access>[\x21-\x2b\x2d-\x7e]+), *"
    r"SignedHeaders=(?P<signed>[\x21-\x2b\x2d-\x7e]+), *Signature=(?P<signature>[0-9a-f]{64})"
)
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")


class SignatureClaim(Struct, frozen=True):
    """The content of an ``Authorization`` header: the key, the signed headers, and the signature (hex)."""

    access: str
    signed: tuple[str, ...]
    signature: str


def parse_claim(authorization: str) -> SignatureClaim | None:
    """Read an ``Authorization`` header; return None if it does not have the form of the algorithm."""
    found = _CLAIM.fullmatch(authorization.strip())
    return (
        SignatureClaim(found["access"], tuple(found["signed"].split(";")), found["signature"])
        if found
        else None
    )


def parse_signing_time(headers: Mapping[str, str]) -> float | None:
    """Return the Unix time in ``X-Sdk-Date``; None if it is missing or has another form."""
    text = get_header(headers, "x-sdk-date") or ""
    if not _DATE.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S%z").timestamp()
    except ValueError:
        return None


def is_genuine(claim: SignatureClaim, asked: ReceivedRequest, secret: str) -> bool:
    """Return whether this secret key gives this signature for the request as it arrived.

    False if a signed header did not arrive, if the names are not in order, or if the date is not among them.
    """
    values = {name: get_header(asked.headers, name) for name in claim.signed}
    if "x-sdk-date" not in values or list(claim.signed) != sorted(values):
        return False
    lines = [f"{name}:{value.strip()}\n" for name, value in values.items() if value is not None]
    if len(lines) < len(values):
        return False
    path, _, query = asked.raw_path.partition("?")
    signed = ";".join(claim.signed)
    request = [
        asked.method.upper(),
        _encode_path(path),
        _encode_query(query),
        "".join(lines),
        signed,
        _hash(asked.body),
    ]
    text = f"{ALGORITHM}\n{get_header(asked.headers, 'x-sdk-date')}\n{_hash(_encode(chr(10).join(request)))}"
    expected = hmac.new(_encode(secret), _encode(text), sha256).hexdigest()
    return hmac.compare_digest(expected, claim.signature)


def _encode_path(path: str) -> str:
    """Decode and encode the path, and end it with a slash even if the request has none."""
    encoded = quote(unquote_to_bytes(path), safe="/")
    return encoded if encoded.endswith("/") else f"{encoded}/"


def _encode_query(query: str) -> str:
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    # The vendor sorts the decoded pairs; encoded ones may be in another order.
    decoded = sorted((unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs)
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in decoded)


def _hash(body: bytes) -> str:
    return sha256(body).hexdigest()


def _encode(text: str) -> bytes:
    # A header that is not UTF-8 arrives with surrogates; no client has signed the bytes that they become.
    return text.encode("utf-8", "backslashreplace")
