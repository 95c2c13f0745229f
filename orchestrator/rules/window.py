"""Since when a plan's window is over."""

from __future__ import annotations

from orchestrator.model.plan import Window
from orchestrator.text.formats import format_time_left


def describe_closed_window(window: Window | None, now: float) -> str | None:
    """Return since when a window is over at the Unix time ``now``; None for one that is not."""
    if window is None or window.closes is None:
        return None
    since = now - window.closes.timestamp()
    return None if since < 0 else f"the window closed {format_time_left(since)} ago"
