"""When a scheduled run starts and until when it may send, by its options; what cannot be is refused."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from orchestrator.errors import UsageError
from orchestrator.model.plan import Window

_FIELD = re.compile(r"[0-9A-Za-z*,/-]+")
_FIELDS = 5
_NICKNAMES = frozenset(("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"))


class AskedStart(Struct, frozen=True, kw_only=True):
    """The options about the start, as they were given."""

    at: datetime | None = None
    """A full second."""
    cron: str | None = None
    time_zone: str | None = None
    open_for: timedelta | None = None
    window: Window | None = None
    """The window of the command line."""


class StartTimes(Struct, frozen=True, kw_only=True):
    """When runs start: once (``at``), or again and again (``cron``)."""

    at: datetime | None = None
    window: Window | None = None
    """The window of a single start."""
    cron: str | None = None
    time_zone: str = "UTC"
    """The zone of ``cron``, by its IANA name."""
    open_for: float | None = None
    """Seconds that each of many starts may send for."""
    catch_up: timedelta
    """A start that comes later than that after its time could send nothing any more."""

    @property
    def recurs(self) -> bool:
        """Whether there are many starts."""
        return self.cron is not None


def refuse_contradictions(asked: AskedStart) -> None:
    """Raise UsageError for options that do not go together: it needs no plan to see that."""
    if asked.at is not None and asked.cron is not None:
        raise UsageError("--at is for one start and --cron for many; give one of them")
    if asked.time_zone is not None and asked.cron is None:
        raise UsageError("--time-zone is the zone of --cron; --at has its own")
    if asked.window is not None and asked.open_for is not None:
        raise UsageError("--for and a window both say until when a run may send; give one of them")
    if asked.cron is None:
        return
    if asked.window is not None:
        raise UsageError("--window and --close-at are for one night, and --cron starts many runs; give --for")
    if asked.open_for is None:
        raise UsageError("--cron wants --for DURATION: how long each of its runs may start undeploys")
    _refuse_cron(asked.cron)
    _refuse_zone(asked.time_zone)


def _refuse_cron(cron: str) -> None:
    """Raise UsageError for what has not the form of a cron expression; the server reads the numbers."""
    fields = cron.split()
    is_formed = len(fields) == _FIELDS and all(map(_FIELD.fullmatch, fields))
    if not is_formed and cron.strip() not in _NICKNAMES:
        raise UsageError(
            f"--cron {cron}: write minute, hour, day of the month, month, and day of the week,"
            " as in '0 22 * * 1-5'"
        )


def _refuse_zone(name: str | None) -> None:
    try:
        ZoneInfo(name or "UTC")
    # ZoneInfo looks for a file, so a folder or a path raises another error than a missing name.
    except (KeyError, ValueError, OSError):
        raise UsageError(f"--time-zone: there is no time zone {name!r}; write Europe/Istanbul") from None


def choose_start(asked: AskedStart, plan_window: Window | None, *, takes: float, now: datetime) -> StartTimes:
    """Return when runs start. ``takes`` is how many seconds the shortest undeploy may take.

    A single start has the window of the command line, else the plan's; without ``--at`` it comes when that
    window opens. Raises UsageError where a run could not start anything, and where nothing says until when
    it may.
    """
    refuse_contradictions(asked)
    if asked.cron is not None and asked.open_for is not None:
        _refuse_short(asked.open_for, takes)
        zone = asked.time_zone or "UTC"
        seconds = asked.open_for.total_seconds()
        return StartTimes(cron=asked.cron, time_zone=zone, open_for=seconds, catch_up=asked.open_for)
    at, window, closes = _choose_single(asked, plan_window)
    if at <= now:
        raise UsageError(f"the window opened at {at.isoformat()} already; --at gives another time")
    if window.opens is not None and at < window.opens:
        raise UsageError(
            f"--at {at.isoformat()}: the window opens at {window.opens.isoformat()} only;"
            " without --at the run starts then"
        )
    if at + timedelta(seconds=takes) > closes:
        raise UsageError(
            f"the window closes at {closes.isoformat()}, and one timeout ({takes:g} s) no longer fits between"
            f" the start at {at.isoformat()} and that; --at, --window or --close-at gives another one"
        )
    return StartTimes(at=at, window=window, catch_up=closes - at)


def _choose_single(asked: AskedStart, plan_window: Window | None) -> tuple[datetime, Window, datetime]:
    """Return the start, its window, and when that closes."""
    window = asked.window or plan_window
    at = asked.at
    if at is None and window is not None and window.opens is not None:
        at = _round_up(window.opens)
    if at is None:
        raise UsageError("when is the run to start? Give --at TIME, --cron EXPR, or a window that opens")
    if asked.open_for is not None:  # in the place of the plan's window, which may tell the start alone
        closes = at + asked.open_for
        return at, Window(at, closes), closes
    if window is None or window.closes is None:
        raise UsageError(
            "until when may the run start undeploys? Nobody may be there to stop it: give --for DURATION,"
            " --close-at or --window, or the plan a window"
        )
    return at, window, window.closes


def _round_up(at: datetime) -> datetime:
    """Return the first full second from ``at`` on: Temporal starts at full seconds only."""
    return at.replace(microsecond=0) + timedelta(seconds=1 if at.microsecond else 0)


def _refuse_short(length: timedelta, takes: float) -> None:
    if length.total_seconds() < takes:
        raise UsageError(f"--for {length.total_seconds():g}s is shorter than one timeout ({takes:g} s)")
