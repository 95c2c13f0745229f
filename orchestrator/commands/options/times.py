"""Reads the times of the command line: windows, closing times and ages. The caller gives the present time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from itertools import product
from zoneinfo import ZoneInfo

from orchestrator.errors import UsageError
from orchestrator.model.plan import YEARS

CLOSE_AT_WITHIN = timedelta(hours=12)
"""A closing time that is not nearer than this counts as one that has passed."""

LONGEST_OPEN = timedelta(days=30)
"""A window of a scheduled run that is open for longer is a slip."""

LONGEST_AGE = timedelta(days=365_000)
"""An age that reaches back further than a calendar is a slip."""

_CLOSE_AT = re.compile(r"([0-9]{1,2}):([0-9]{2})(?![0-9:])\s*(.*)")
_OFFSET = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})?")
# Of more digits Python may refuse to make a number, with an error of its own.
_AGE = re.compile(r"([0-9]{1,18})([smhdw])")
_PART = re.compile(r"([0-9]{1,18})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_window(text: str) -> tuple[datetime, datetime]:
    """Return when the window OPENS/CLOSES opens and closes, both aware; raises ``UsageError``."""
    opens_text, slash, closes_text = text.partition("/")
    if not slash:
        raise UsageError(f"--window {text}: write OPENS/CLOSES, as in {_show_example()}")
    form = f"OPENS/CLOSES, as in {_show_example()}"
    opens, closes = _parse_moment(opens_text, "--window", form), _parse_moment(closes_text, "--window", form)
    if opens >= closes:
        raise UsageError(f"--window {text}: it closes before it opens")
    return opens, closes


def parse_at(text: str, now: datetime) -> datetime:
    """Return the full second of ``--at`` TIME, which lies after the aware ``now``; raises ``UsageError``."""
    at = _parse_moment(text, "--at", f"a time, as in {_EXAMPLE}").replace(microsecond=0)
    if at <= now:
        raise UsageError(f"--at {text}: that time has passed")
    return at


def parse_open_for(text: str) -> timedelta:
    """Return the length of ``--for``: ``90m``, ``4h``, ``1h30m``; raises ``UsageError``."""
    parts = _PART.findall(text.strip().lower())
    if not parts or "".join(map("".join, parts)) != text.strip().lower():
        raise UsageError(f"--for {text}: write a number and s, m or h, as in 4h or 1h30m")
    try:
        length = sum((timedelta(**{_UNITS[unit]: int(number)}) for number, unit in parts), timedelta())
    except OverflowError:
        length = timedelta.max
    if not timedelta() < length <= LONGEST_OPEN:
        raise UsageError(f"--for {text}: a window is open for at least 1s and at most {LONGEST_OPEN.days}d")
    return length


def _parse_moment(text: str, option: str, form: str) -> datetime:
    """Return an aware time. ``form`` tells what the ``option`` takes, with an example."""
    from orchestrator.model.search import parse_instant

    at = parse_instant(text.strip())
    if at is None and _is_naive(text.strip()):
        raise UsageError(f"{option}: {text!r} has no time zone; write {form}")
    if at is None:
        raise UsageError(f"{option}: {text!r} is not a time; write {form}")
    if at.year not in YEARS:
        raise UsageError(f"{option}: {text!r} is in no year from {YEARS[0]} to {YEARS[-1]}; write {form}")
    return at


def _is_naive(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is None
    except ValueError:
        return False


_EXAMPLE = "2026-11-22T22:00:00+03:00"


def _show_example() -> str:
    return f"{_EXAMPLE}/2026-11-23T02:00:00+03:00"


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
    # Where summer time ends, the clock shows an hour twice: the second time is `fold` 1.
    for day, fold in product((today, today + timedelta(days=1)), (0, 1)):
        # By its Unix time: of a time that the clock leaves out, `astimezone` makes one an hour early.
        shown = datetime.combine(day, clock.replace(fold=fold), zone)
        at = datetime.fromtimestamp(shown.timestamp(), UTC).astimezone(zone)
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
        if width < timedelta(hours=24) and int(offset[3] or 0) < 60:
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
        age = timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        age = timedelta.max
    if age > LONGEST_AGE:
        raise UsageError(f"{text!r} is longer than any run can be kept; write it in days, as in 30d")
    return age
