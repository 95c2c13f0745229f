"""Reads the times of the command line: windows, closing times and ages. The caller gives the present time."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from orchestrator.errors import UsageError

CLOSE_AT_WITHIN = timedelta(hours=12)
"""A closing time that is not nearer than this counts as one that has passed."""

_CLOSE_AT = re.compile(r"(\d{1,2}):(\d{2})\s*(.*)")
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})?")
_AGE = re.compile(r"(\d+)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_window(text: str) -> tuple[datetime, datetime]:
    """Return when the window OPENS/CLOSES opens and closes, both aware; raises ``UsageError``."""
    opens_text, slash, closes_text = text.partition("/")
    if not slash:
        raise UsageError(f"--window {text}: write OPENS/CLOSES, as in {_show_example()}")
    opens, closes = _parse_moment(opens_text), _parse_moment(closes_text)
    if opens >= closes:
        raise UsageError(f"--window {text}: it closes before it opens")
    return opens, closes


def _parse_moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"--window: {text!r} is not a time; write OPENS/CLOSES, as in {_show_example()}"
        ) from None
    if at.tzinfo is None:
        raise UsageError(f"--window: {text!r} has no time zone; write it with one, as in {_show_example()}")
    return at


def _show_example() -> str:
    return "2026-11-22T22:00:00+03:00/2026-11-23T02:00:00+03:00"


def parse_close_at(text: str, now: datetime) -> datetime:
    """Return the next moment that HH:MM[ZONE] names after the aware ``now``.

    ZONE is ``Z``, an offset (``+03:00``) or a name (``Europe/Istanbul``); without one, the machine's own.
    Raises ``UsageError`` where that moment is 12 hours away or more: then it has passed.
    """
    found = _CLOSE_AT.fullmatch(text.strip())
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise UsageError(
            f"--close-at {text}: write HH:MM, with a zone if it is not this machine's: 02:00+03:00"
        )
    clock, zone = time(int(found[1]), int(found[2])), _parse_zone(found[3])
    today = now.astimezone(zone).date()
    # Tomorrow's time is read off the calendar: 24 hours later the clock may show another time.
    for day in (today, today + timedelta(days=1)):
        at = datetime.combine(day, clock, zone).astimezone(zone)
        if now < at < now + CLOSE_AT_WITHIN:
            return at
    raise UsageError(
        f"--close-at {text}: that time has passed (it is {now.astimezone(zone):%H:%M}; the next one is 12 h "
        "away or more); for a window that far off use --window OPENS/CLOSES"
    )


def _parse_zone(text: str) -> tzinfo | None:
    if not text:
        return None
    if text in ("Z", "z"):
        return timezone(timedelta(0))
    if offset := _OFFSET.fullmatch(text):
        width = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        if width < timedelta(hours=24):
            return timezone(-width if offset[1] == "-" else width)
    try:
        return ZoneInfo(text)
    # ZoneInfo looks for a file, so a folder or a path raises another error than a missing name.
    except (KeyError, ValueError, OSError):
        raise UsageError(
            f"--close-at: there is no time zone {text!r}; write +03:00 or Europe/Istanbul"
        ) from None


def parse_age(text: str) -> timedelta:
    """Return the age ``90m``, ``12h``, ``30d`` or ``4w``; raises ``UsageError``."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is not an age; write a number and s, m, h, d or w, as in 30d")
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        raise UsageError(
            f"{text!r} is longer than any run can be kept; write it in days, as in 30d"
        ) from None
