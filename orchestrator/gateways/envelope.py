"""What every vendor's reply may hold, read without believing it: a JSON object, texts, a wait asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import msgspec

from orchestrator.wire import Reply

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
# The three forms of a date in HTTP (RFC 9110, 5.6.7); all of them are in GMT.
_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a body is; ``None`` for anything else (a list, a text, HTML, cut short)."""
    try:
        value = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def first_text(fields: Mapping[str, Any], *keys: str) -> str | None:
    """Return the first of ``keys`` that holds a text with something in it."""
    for key in keys:
        value = fields.get(key)
        if isinstance(value, str) and value.strip():
            return value
    return None


def whole_number(value: object) -> int | None:
    """Return ``value`` if JSON wrote it as a whole number; a boolean is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def nature(body: bytes) -> str | None:
    """Say what a body is that has none of the vendor's fields, without quoting it; None where it is empty.

    Whoever stands in front of a gateway may have written it, and nobody knows what is in it.
    """
    text = body.strip()
    if not text:
        return None
    head = text[:256].lower()
    if head.startswith(b"<") and (b"<html" in head or b"<!doctype" in head):
        kind = "an HTML page"
    elif text[:1] in b"{[":
        kind = "JSON without a message"
    else:
        kind = "plain text"
    return f"{kind} ({len(body)} bytes)"


def wait_asked(reply: Reply) -> float | None:
    """Return the seconds from ``reply.at`` that its ``Retry-After`` asks for, however absurd.

    ``None`` where it asks for no wait that can be kept: no header, not readable, zero, or a date gone by.
    """
    text = reply.headers.get("retry-after", "").strip()
    date = _date(text)
    return seconds(text) if date is None else seconds(date.timestamp() - reply.at)


def seconds(value: object) -> float | None:
    """Return a number, or a text that is one, as a wait in seconds; ``None`` unless above zero and finite."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        wait = float(value)
    except OverflowError:
        return None
    return wait if isfinite(wait) and wait > 0 else None


def _date(text: str) -> datetime | None:
    if not text or text[0].isdigit():
        return None
    for form in _DATES:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
