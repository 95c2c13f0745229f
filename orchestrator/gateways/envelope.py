"""Reads the parts that every vendor's reply may have, and trusts none of them: text, JSON object, wait."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from orchestrator.model.http import Reply

# Without a quote there is one run of spaces alone: two runs would share those of a long header in every way.
_CHARSET = re.compile(r"charset\s*=\s*(?:[\"']\s*)?([A-Za-z0-9._:-]{1,40})", re.IGNORECASE)
# Python decodes by more than character sets: rot13 is among its codecs, and one that resolves escapes.
_CHARACTER_SETS = re.compile(r"(?:iso8859|cp[0-9]|koi8|mac|gb|big5|euc|shift|johab|hz|tis|ptcp)")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like the mark of UTF-16, so it is tried before that
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# JSON and HTML begin with an ASCII character, so where its zero bytes stand tells the width (RFC 4627, 3).
_ZEROS = (
    (b"\0\0\0", 0, "utf-32-be"),
    (b"\0\0\0", 1, "utf-32-le"),
    (b"\0", 0, "utf-16-be"),
    (b"\0", 1, "utf-16-le"),
)

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

_FIRST_OF_MARKS = {mark[:1] for mark, _ in _MARKS}

_WAIT = re.compile(
    r"\+?([0-9]+(?:\.[0-9]+)?)\s*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?)?\.?",
    re.IGNORECASE,
)
# A date holds a comma of its own, behind its weekday.
_ONE_WAIT = re.compile(r"(?:\s*(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\s*,)?[^,]+", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]+")
_WEEKDAYS_AND_MONTHS = re.compile(
    r"mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec", re.IGNORECASE
)
_ZONES = frozenset({"GMT", "UTC", "UT", "Z", "T", "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT"})
_DAY = 86400.0
LONGEST_ADDRESS = 4096
"""Characters of an address that are read."""
LONGEST_HOST = 140
"""Characters of a host that a message shows: the rest of its 256 is for what is said around it.

Of a longer one no part is kept: half of a credential cannot be masked.
"""


def decode_text(reply: Reply) -> str:
    """Return a body as text. Never raises: bytes that cannot be decoded become U+FFFD.

    UTF-8 comes before the character set that the reply names: a text in Latin letters is hardly ever UTF-8 by
    chance, while servers often name a set that their JSON is not written in.
    """
    body = reply.body
    for mark, codec in _MARKS if body[:1] in _FIRST_OF_MARKS else ():
        if body.startswith(mark):
            return body[len(mark) :].decode(codec, "replace")
    try:
        return body.decode(_detect_wide(body) or "utf-8")
    except UnicodeDecodeError:
        return body.decode(_find_charset(reply) or "utf-8", "replace")


def _detect_wide(body: bytes) -> str | None:
    if b"\0" not in body[:4]:
        return None
    return next((codec for zeros, at, codec in _ZEROS if body.startswith(zeros, at)), None)


def _find_charset(reply: Reply) -> str | None:
    """Return the character set that the reply names, where it is one that Python knows."""
    named = _CHARSET.search(reply.headers.get("content-type", ""))
    try:
        codec = codecs.lookup(named[1]).name if named else ""
    except LookupError:
        return None
    return codec if _CHARACTER_SETS.match(codec) else None


def parse_object(reply: Reply) -> dict[str, Any] | None:
    """Return the JSON object that a body is; ``None`` for anything else (a list, a text, HTML, cut short).

    ``None`` as well for a success that gives one key two values: such a body proves nothing. Of a refusal the
    last value counts, since an unreadable refusal would pass for the reply of another server.
    """
    value = _parse(reply)
    return value if isinstance(value, dict) else None


def parse_list(reply: Reply) -> list[Any] | None:
    """Return the JSON list that a body is; ``None`` for anything else, as ``parse_object`` does."""
    value = _parse(reply)
    return value if isinstance(value, list) else None


def _parse(reply: Reply) -> object:
    text = decode_text(reply)
    try:
        value = _decode_json(text)
        if reply.status < 300 and _may_repeat(text, value):
            import json  # noqa: PLC0415 - for few replies, and it delays the start of every command

            json.loads(text, object_pairs_hook=_refuse_ambiguous)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        return None
    return value


def _decode_json(text: str) -> object:
    """Return the value of a JSON text. Raises DecodeError and ValueError for any other one.

    JSON's grammar allows the escape of half a surrogate pair; a server leaves one where it cuts a text at a
    length. It becomes U+FFFD, as bytes do that cannot be decoded: else one name would hide a whole list, and
    a refusal would pass for the reply of another server.
    """
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        if not _SURROGATE.search(text):
            raise
    import json  # noqa: PLC0415 - as above

    halves = json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return msgspec.json.decode(halves.decode("utf-8", "replace"))


def _may_repeat(text: str, value: object) -> bool:
    """Return whether a key may be written twice: the text has more colons than its value, written again.

    This test is fifteen times as fast as the search for such a key.
    """
    # An escaped colon counts in the value alone, so it could make up for the colon of a second key.
    return text.count(":") != msgspec.json.encode(value).count(b":") or "\\u003a" in text.lower()


def _refuse_ambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        # By repr, since Python takes 1, 1.0 and true for equal. Only of a key that repeats: each object holds
        # those below it, so a deep body would be written out once for each of its levels.
        if key in fields and repr(fields[key]) != repr(value):
            raise ValueError("a key that is written twice has two values")
        fields[key] = value
    return fields


def list_levels(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield an object, then each object one level below it."""
    yield fields
    yield from (value for value in fields.values() if isinstance(value, dict))


def find_text(fields: Mapping[str, Any], *keys: str) -> str | None:
    """Return the first of ``keys`` that holds a text with something in it."""
    for key in keys:
        value = fields.get(key)
        if isinstance(value, str) and value.strip():
            return value
    return None


def as_whole_number(value: object) -> int | None:
    """Return ``value`` if JSON wrote it as a whole number; a boolean is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_count(value: object) -> int | None:
    """Return ``value`` if it is a whole number that can count something."""
    number = as_whole_number(value)
    return number if number is not None and 0 <= number < 2**63 else None


def describe_reply(reply: Reply) -> str:
    """Describe a reply that has none of the vendor's fields: its status, where it points to, and its body.

    Neither the body nor the address is quoted: a server in front of the gateway may have written them, and
    they may repeat a credential. Of an address the description names the host.
    """
    told = [f"HTTP {reply.status}{_describe_redirect(reply)}", *_describe_body(reply)]
    return ", ".join(told) if len(told) > 1 or told[0].count(" ") > 1 else f"{told[0]} without a body"


def _describe_redirect(reply: Reply) -> str:
    """Return the host that a redirect points to."""
    location = reply.headers.get("location", "").strip()
    if not 300 <= reply.status < 400 or not location:
        return ""
    # To bring the accents of a long host into one form takes long, and of a cut address nothing is sure.
    if len(location) > LONGEST_ADDRESS:
        return " to an overlong address"
    try:
        host = _find_written_host(urlsplit(location))
    except ValueError:
        host = None
    if host:
        return f" to {host}" if host.isprintable() and len(host) <= LONGEST_HOST else " to another host"
    return " to the same host" if location.startswith("/") else ""


def _find_written_host(parts: SplitResult) -> str | None:
    """Return the host of a URL as written, and not in lower case.

    The host may repeat a credential, and masking finds a short or an encoded one only in its own case.
    """
    host, place = parts.hostname, parts.netloc.rpartition("@")[2]
    at = place.lower().find(host) if host else -1
    return place[at : at + len(host or "")] if at >= 0 else host


def _describe_body(reply: Reply) -> Iterator[str]:
    text = decode_text(reply).strip()
    if not text:
        return
    head = text[:256].lower()
    if head.startswith("<") and ("<html" in head or "<!doctype" in head):
        kind = "an HTML page"
    elif text[0] in "{[":
        kind = "JSON without a message of the vendor"
    else:
        kind = "plain text"
    yield f"{kind} ({len(reply.body)} bytes)"


def find_wait(reply: Reply) -> float | None:
    """Return the seconds from ``reply.at`` that its ``Retry-After`` asks for, however absurd.

    Of several headers, which arrive as one with commas, the longest wait counts. ``None`` where it asks for
    no wait that can be kept: no header, not readable, zero, or a date gone by.
    """
    waits = [
        _parse_wait(part, reply) for part in _ONE_WAIT.findall(reply.headers.get("retry-after", "")[:1024])
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def _parse_wait(text: str, reply: Reply) -> float | None:
    """Read one wait: seconds, with their unit or without; or the time at which it ends."""
    text = text.strip().strip("\"'").strip()
    number = parse_seconds(text)
    end = parse_time(text) if number is None else number
    now = parse_time(reply.headers.get("date", "")) or reply.at  # by the clock that the end was made with
    # A number within a day of the present time is a Unix time; any other is a wait in seconds.
    if end is None or (number is not None and abs(end - now) > _DAY):
        return number
    return parse_seconds(end - now)


def parse_seconds(value: object) -> float | None:
    """Return a number, or a text that is one, as a wait in seconds; ``None`` unless above zero and finite.

    A text may have a unit: ``1.5``, ``1s``, ``1 second``, ``500 ms``, ``2 minutes``.
    """
    unit = 1.0
    if isinstance(value, str) and (told := _WAIT.fullmatch(value.strip())):
        value, unit = float(told[1]), _find_unit(told[2] or "s")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        wait = float(value) * unit
    except OverflowError:
        return None
    return wait if isfinite(wait) and wait > 0 else None


def _find_unit(name: str) -> float:
    name = name.lower()
    return 0.001 if name.startswith(("ms", "mil")) else {"s": 1.0, "m": 60.0, "h": 3600.0}[name[0]]


def parse_time(text: str) -> float | None:
    """Return a time in Unix seconds: HTTP's three forms (RFC 9110, 5.6.7), any offset from UTC, or ISO 8601.

    A date in a zone that has only a name is not readable: such names are not unique.
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return _parse_date(text)


def _parse_date(text: str) -> float | None:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - as above

    words = {word.upper() for word in _WORD.findall(text) if not _WEEKDAYS_AND_MONTHS.match(word)}
    try:
        if not words <= _ZONES:
            return None
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
