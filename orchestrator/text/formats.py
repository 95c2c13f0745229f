"""Times, durations and rates as people read them. Other programs get numbers and ISO times instead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil

_DAY = 86_400
DASH = "\N{EN DASH}"
"""Stands for a value that is unknown or missing."""


def format_moment(at: datetime | None) -> str:
    """Format a time in UTC, to the second; a dash for None."""
    return DASH if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def format_unix_time(at: float) -> str:
    """Return Unix seconds as a person reads them: date, time and zone."""
    return format_moment(datetime.fromtimestamp(at, UTC))


def format_clock(at: float) -> str:
    """Format the Unix time ``at`` as a local time of day."""
    return f"{datetime.fromtimestamp(at).astimezone():%H:%M:%S}"


def find_utc_offset(at: float) -> int:
    """Return the seconds by which the local time is east of UTC at the Unix time ``at``."""
    offset = datetime.fromtimestamp(at).astimezone().utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def list_utc_offsets(at: float) -> tuple[tuple[float, int], ...]:
    """Return the offsets from UTC within two days of a Unix time, each with the time from which it holds.

    They are in seconds, as from ``find_utc_offset``; empty if the clock is not changed in these days.
    """
    begins = (int(at // _DAY) - 2) * _DAY
    same, changed = begins, begins + 5 * _DAY
    before, after = find_utc_offset(same), find_utc_offset(changed)
    if before == after:
        return ()
    while changed - same > 1:
        middle = (same + changed) // 2
        same, changed = (middle, changed) if find_utc_offset(middle) == before else (same, middle)
    return (float(begins), before), (float(changed), after)


def format_time_of_day(at: float, now: float) -> str:
    """Format the Unix time ``at`` as local hours and minutes; with its day if ``now`` is on another day."""
    then = datetime.fromtimestamp(at).astimezone()
    today = datetime.fromtimestamp(now).astimezone()
    if then.date() == today.date():
        return f"{then:%H:%M}"
    # Within six days the name of the weekday is unambiguous.
    return f"{then:%a %H:%M}" if abs(then - today) < timedelta(days=6) else f"{then:%Y-%m-%d %H:%M}"


def format_given_time(at: datetime) -> str:
    """Format an aware time with its own offset: ``Tue 2026-12-01 22:00 +03:00 (19:00 here)``.

    The local time in brackets has its day where that is another one; it is left out where the offset is the
    machine's own. Seconds are shown where a time has some.
    """
    here = at.astimezone()
    offset = f"{at:%z}"
    told = f"{at:%a %Y-%m-%d} {_format_exactly(at)} {offset[:3]}:{offset[3:5]}"
    if here.utcoffset() == at.utcoffset():
        return told
    day = "" if here.date() == at.date() else f"{here:%a} "
    return f"{told} ({day}{_format_exactly(here)} here)"


def _format_exactly(at: datetime) -> str:
    """Format a time of day: ``22:00``, ``22:00:10``, ``22:00:10.500000``."""
    return at.time().isoformat("auto" if at.second or at.microsecond else "minutes")


def format_full_minute(at: float) -> str:
    """Format the full minute that ends after the Unix time ``at``: a forecast must not promise too much."""
    return format_clock(ceil(at / 60) * 60)[:5]


def format_span(seconds: float | None) -> str:
    """Format a duration: ``84 ms``, ``2.4 s``, ``3 min 20 s``, ``2 h 05 min``; a dash for None."""
    if seconds is None:
        return DASH
    # Compare with the rounded value: 59.96 s would read "60.0 s".
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds else "0 s"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"


def format_time_left(seconds: float) -> str:
    """Format a time that is left, rounded down: ``41 days``, ``3 h 20 min``, ``no time``."""
    if seconds < 60:
        return "less than a minute" if seconds > 0 else "no time"
    if seconds >= 2 * 86400:
        return f"{int(seconds // 86400):,} days"
    return format_span(seconds // 60 * 60)


def format_percent(share: float) -> str:
    """Return a share as a plan writes it: ``12.5%``."""
    return f"{share * 100:.8g}%"


def format_per_second(rate: float) -> str:
    """Format a rate: ``87.5/s``."""
    return f"{rate:,.1f}".removesuffix(".0") + "/s"
