"""Whether a plan's window is over, or too short for anything."""

from __future__ import annotations

from orchestrator.model.plan import Window
from orchestrator.text.formats import format_span, format_time_left


def describe_closed_window(window: Window | None, now: float) -> str | None:
    """Return since when a window is over at the Unix time ``now``; None for one that is not."""
    if window is None or window.closes is None:
        return None
    since = now - window.closes.timestamp()
    return None if since < 0 else f"the window closed {format_time_left(since)} ago"


def describe_short_window(window: Window | None, takes: float) -> str | None:
    """Return that no undeploy fits into a window, where each ``takes`` so many seconds; None if one does."""
    if window is None or window.opens is None or window.closes is None:
        return None
    length = (window.closes - window.opens).total_seconds()
    if length >= takes:
        return None
    return f"the window is open for {format_span(length)}, and one timeout ({takes:g} s) does not fit in"
