"""Turn the texts of a plan into values: one function for each form.

Each function refuses a text that only looks right, such as YAML's ``1_000`` or ``0o17``. Raises
``UnfitError``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from msgspec import inspect

from orchestrator.errors import UnfitError
from orchestrator.model.plan import YEARS, CallBound, StepSize, Threshold
from orchestrator.model.search import parse_instant
from orchestrator.model.text_form import TextForm
from orchestrator.plan.nodes import ScalarNode
from orchestrator.plan.pattern_text import find_text_fault
from orchestrator.plan.problems import suggest_nearest
from orchestrator.text.characters import CONTROL, quote_text, why_hidden, why_not_prose
from orchestrator.text.names import why_at_ends

WHOLE = r"(0|[1-9][0-9]{0,17})"
DURATION = r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h)"
RATE = r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/(s|m|h)"
CALLS = r"(0|[1-9][0-9]{0,11})"
CALL_BOUND = rf"{CALLS}/([0-9]{{1,9}})h"
SHARE = r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%"
MOMENT = (
    r"2[0-9]{3}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_NEARLY_A_MOMENT = re.compile(
    r"(2[0-9]{3}-[0-9]{2}-[0-9]{2})([Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?"
    r"(?: ?(?:([+-](?:0[0-9]|1[0-9]|2[0-3])):?([0-5][0-9])?|(?i:(utc|gmt|z))))?"
)
"""A time without an offset, a day alone, or an offset with a space before it, without a colon or as UTC."""
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,127}"
_INDEX = r"\.?[a-z0-9*][a-z0-9._*:-]{0,254}"
INDEXES = rf"{_INDEX}(?:,{_INDEX}){{0,15}}"

LEAST_A_SECOND = 1 / 3600
MOST_A_SECOND = 100_000
"""No gateway takes as many, so a greater rate is a mistake."""

MOST_HOURS = 72
"""No vendor tells the calls of a longer time."""

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
"""Seconds of each unit of a duration and of a rate; a rate has no ``ms``."""


def check_line(text: str) -> str:
    """Return a text that names something, as written: one line without invisible characters."""
    return _check_one_line(text, why_hidden(text) or why_at_ends(text))


def check_prose(text: str) -> str:
    """Return a text for people, as written: one line, which may hold non-breaking spaces and pictures."""
    return _check_one_line(text, why_not_prose(text))


def _check_one_line(text: str, why: str | None) -> str:
    if not text:
        raise UnfitError("is empty; a text is expected")
    if CONTROL.search(text):
        hint = "in a folded text write >- for >" if text.endswith("\n") else ""
        raise UnfitError(f"holds a line break or a control character: {quote_text(text)}", hint)
    if why:
        raise UnfitError(f"{quote_text(text)} {why}")
    return text


def read_text(scalar: ScalarNode, form: TextForm | None = None) -> str:
    """Return a text as written, which has the ``form`` if one is given."""
    value = check_line(scalar.text)
    return value if form is None else form.check(value)


def read_index(scalar: ScalarNode) -> str:
    """Return the names of indexes, data streams and aliases, with ``*``, separated by commas."""
    value = check_line(scalar.text)
    if not re.fullmatch(INDEXES, value):
        raise UnfitError(
            f"{quote_text(value)} is not the name of an index, data stream or alias",
            "such names are in lower case, and may hold *; up to 16 stand with commas between them",
        )
    return value


def read_whole(scalar: ScalarNode, bounds: inspect.IntType) -> int:
    """Return a whole number within ``bounds``, of plain decimal digits; none of YAML's other spellings."""
    if not scalar.plain or not re.fullmatch(WHOLE, scalar.text):
        found = quote_text(scalar.text) if scalar.plain else f"the text {quote_text(scalar.text)}"
        raise UnfitError(f"{found} is not a whole number", "write decimal digits only, without quotes")
    value = int(scalar.text)
    low = -1 if bounds.ge is None else bounds.ge
    if value < low or (bounds.le is not None and value > bounds.le):
        above = f"{low} or more" if bounds.le is None else f"{low} to {bounds.le}"
        raise UnfitError(f"{value} is out of bounds; expected {above}")
    return value


def read_flag(scalar: ScalarNode) -> bool:
    """Return true or false. YAML 1.1's other words for them, yes and on, are refused."""
    if not scalar.plain or scalar.text not in {"true", "false"}:
        raise UnfitError(
            f"{quote_text(scalar.text)} is neither true nor false", "write true or false, without quotes"
        )
    return scalar.text == "true"


def read_choice(scalar: ScalarNode, allowed: Sequence[str]) -> str:
    """Return one of ``allowed``."""
    if scalar.text not in allowed:
        words = " or ".join(allowed)
        raise UnfitError(f"{quote_text(scalar.text)} is not {words}", suggest_nearest(scalar.text, allowed))
    return scalar.text


def read_duration(scalar: ScalarNode, bounds: inspect.FloatType) -> float:
    """Return a duration in seconds, above 0."""
    found = re.fullmatch(DURATION, scalar.text)
    if found is None:
        raise UnfitError(
            f"{quote_text(scalar.text)} is no duration", "write a number with ms, s, m or h, such as 30s"
        )
    seconds = float(found[1]) * UNITS[found[2]]
    if seconds <= 0:
        raise UnfitError(f"{quote_text(scalar.text)} is not longer than nothing")
    if bounds.le is not None and seconds > bounds.le:
        raise UnfitError(f"{quote_text(scalar.text)} is longer than {bounds.le / 3600:g}h")
    return seconds


def read_rate(scalar: ScalarNode) -> float:
    """Return a rate as a number a second, above 0."""
    return parse_rate(scalar.text)


def parse_rate(text: str) -> float:
    """Return a rate as a number a second, above 0. Raises ``UnfitError``."""
    found = re.fullmatch(RATE, text)
    if found is None:
        raise UnfitError(f"{quote_text(text)} is no rate", "write a number with /s, /m or /h, such as 20/s")
    per_second = float(found[1]) / UNITS[found[2]]
    if per_second <= 0:
        raise UnfitError(
            f"{quote_text(text)} would let nothing through", "leave the key out for no fixed rate"
        )
    if per_second > MOST_A_SECOND:
        raise UnfitError(f"{quote_text(text)} is more than {MOST_A_SECOND}/s")
    if per_second < LEAST_A_SECOND:
        raise UnfitError(f"{quote_text(text)} is less than one an hour")
    return per_second


def _parse_share(text: str) -> float | None:
    """Return a share as a part of 1; None for any other text."""
    found = re.fullmatch(SHARE, text)
    if found is None:
        return None
    whole, _, decimals = found[1].partition(".")
    # Whole numbers divide to the float next to the true share, which is also what 7 of 1,000 gives. Dividing
    # 0.7 by 100 gives a little less, and a rule that fires above its share would fire at it.
    return int(whole + decimals) / 10.0 ** (2 + len(decimals))


def read_size(scalar: ScalarNode) -> StepSize:
    """Return how far a step goes: a share above 0% up to 100%, or a count of 1 or more."""
    share = _parse_share(scalar.text)
    if share is not None and 0 < share <= 1:
        return StepSize(share=share)
    if share is not None or not scalar.plain or not re.fullmatch(WHOLE, scalar.text) or scalar.text == "0":
        hint = "write a share such as 10% or a count such as 5, without quotes"
        raise UnfitError(
            f"{quote_text(scalar.text)} is neither a share above 0% up to 100% nor a count", hint
        )
    return StepSize(count=int(scalar.text))


def read_threshold(scalar: ScalarNode) -> Threshold:
    """Return a share of 0% to 100%, or a count."""
    share = _parse_share(scalar.text)
    if share is not None and share <= 1:
        return Threshold(share=share)
    if share is not None or not scalar.plain or not re.fullmatch(WHOLE, scalar.text):
        hint = "write a share such as 20% or a count such as 50, without quotes"
        raise UnfitError(f"{quote_text(scalar.text)} is neither a share of 0% to 100% nor a count", hint)
    return Threshold(count=int(scalar.text))


def read_call_bound(scalar: ScalarNode) -> CallBound:
    """Return a number of calls in the last hours, which are ``MOST_HOURS`` at most."""
    found = re.fullmatch(CALL_BOUND, scalar.text)
    if found is None:
        hint = "write the calls and the hours, such as 100/72h"
        raise UnfitError(f"{quote_text(scalar.text)} is no number of calls in so many hours", hint)
    bound = CallBound(calls=int(found[1]), hours=int(found[2]))
    if not 1 <= bound.hours <= MOST_HOURS:
        hint = f"write 1h to {MOST_HOURS}h"
        raise UnfitError(f"the calls of {bound.hours} hours cannot be told", hint)
    return bound


def read_moment(scalar: ScalarNode) -> datetime:
    """Return an aware time. A time without an offset is refused: it would mean another moment elsewhere."""
    hint = _hint_at_moment(scalar.text)
    found = re.fullmatch(MOMENT, scalar.text)
    if found is None:
        what = (
            "is no time"
            if _is_of_these_years(scalar.text)
            else f"is in no year from {YEARS[0]} to {YEARS[-1]}"
        )
        raise UnfitError(f"{quote_text(scalar.text)} {what}", hint)
    if found[1] is None:
        raise UnfitError(f"the time {quote_text(scalar.text)} has no offset from UTC", hint)
    # RFC 3339 allows t and z, and Python knows Z in capitals only.
    moment = parse_instant(scalar.text.upper())
    if moment is None:
        raise UnfitError(f"{quote_text(scalar.text)} is no time that exists", _ANY_MOMENT)
    return moment


def _is_of_these_years(text: str) -> bool:
    """Return whether a text has one of ``YEARS``, or is no time at all."""
    try:
        return datetime.fromisoformat(text).year in YEARS
    except ValueError:
        return True


_ANY_MOMENT = "write it like 2026-11-22T22:00:00+03:00"


def _hint_at_moment(text: str) -> str:
    """Return what a text that is nearly a time lacks; for any other text, how a time is written.

    Whoever copies the hint must get the time that they meant, or be told which part is not theirs.
    """
    found = _NEARLY_A_MOMENT.fullmatch(text)
    if found is None:
        return _ANY_MOMENT
    day, time, hours, minutes, zone = found.groups()
    if time is None:
        return f"write it like {day}T22:00:00+03:00, with your own hour and offset"
    if zone is not None:
        return f"write it as {day}{time}Z"
    if hours is None:
        return f"write it as {day}{time}+03:00, if +03:00 is yours"
    return f"write it as {day}{time}{hours}:{minutes or '00'}"


def read_url(scalar: ScalarNode, login: str = "put a reference under auth") -> str:
    """Return an absolute http(s) address. ``login`` is the hint for an address with a credential.

    No message repeats the address: it may hold a credential.
    """
    value = scalar.text
    example = "write it as https://gateway.example.com"
    # urlsplit drops tabs and line breaks silently, and some programs take a backslash for a slash.
    if not value.isascii() or not re.fullmatch(r"[!-~]+", value) or "\\" in value:
        raise UnfitError("the address is empty or holds a character that no address has", example)
    try:
        parts = urlsplit(value)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise UnfitError("this is no address: its host or its port cannot be read", example) from None
    if "@" in value:  # even behind a # or a /: a password may hold either, and then no host precedes it
        hint = f"remove it, and {login}; if it was a password, change it"
        raise UnfitError("the address holds user information, which is refused", hint)
    if parts.scheme not in {"http", "https"}:
        raise UnfitError("the address does not begin with http:// or https://", example)
    # urlsplit takes a colon without a port for no port at all.
    if not host or port == 0 or parts.netloc.endswith(":"):
        raise UnfitError("the address has no host, or no port after its colon", example)
    if "?" in value or "#" in value:
        raise UnfitError("the address has a query or a fragment", "give the base address only")
    return value


def read_proxy(scalar: ScalarNode) -> str:
    """Return the address of a proxy, which has no path. No message repeats the address."""
    value = read_url(scalar, "name a proxy that wants it by HTTPS_PROXY in the environment")
    if urlsplit(value).path not in {"", "/"}:
        raise UnfitError("the address of a proxy has no path", "write it as http://proxy.example.com:3128")
    return value


def read_variable(scalar: ScalarNode) -> str:
    """Return the name of an environment variable. No message repeats the text: it may be a credential."""
    if not re.fullmatch(VARIABLE, scalar.text):
        raise UnfitError("this is not the name of an environment variable", "letters, digits and _ only")
    return scalar.text


def read_account(scalar: ScalarNode) -> str:
    """Return the name of a user or an account, as written. No message repeats the text."""
    return _check_unrepeated(scalar.text, why_hidden(scalar.text) or why_at_ends(scalar.text))


def read_argument(scalar: ScalarNode) -> str:
    """Return a program or one of its arguments. No message repeats the text: it may be a credential."""
    hint = "each item is one argument; no shell reads them"
    return _check_unrepeated(scalar.text, why_not_prose(scalar.text), hint)


def _check_unrepeated(text: str, why: str | None, hint: str = "") -> str:
    """Return ``text``. Where it is refused, the message repeats only the character that is wrong."""
    if not text or CONTROL.search(text):
        raise UnfitError("is empty, or holds a line break or a control character", hint)
    if why:
        raise UnfitError(why, hint)
    return text


def read_keyring(scalar: ScalarNode) -> str:
    """Return ``service/user``; the service may hold slashes. No message repeats the text."""
    service, _, user = scalar.text.rpartition("/")
    if not service or not user:
        raise UnfitError("this is not service/user, as the keyring knows it", "both parts are needed")
    if why := why_hidden(scalar.text):
        raise UnfitError(f"this is not service/user, as the keyring knows it: it {why}")
    return scalar.text


def read_path(scalar: ScalarNode) -> str:
    """Return the path of a file. No message repeats the text: some people paste the credential itself."""
    if not scalar.text or len(scalar.text) > 4096:
        raise UnfitError("this is not the path of a file")
    if why := why_not_prose(scalar.text):
        raise UnfitError(f"this is not the path of a file: it {why}")
    return scalar.text


def read_pattern(scalar: ScalarNode) -> str:
    """Return a pattern of target ids. Refuses a pattern whose text alone shows that no id matches it."""
    value = check_line(scalar.text)
    if (unfit := find_text_fault(value)) is not None:
        raise unfit
    return value
