"""The progress of a run in the tab of its terminal: the sequence OSC 9;4."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from orchestrator.model.live_status import LiveStatus

_SET, _ERROR, _UNKNOWN, _PAUSED = 1, 2, 3, 4


class TabProgress:
    """Writes the progress to the terminal's tab or task bar, whenever it has changed."""

    def __init__(self, write: Callable[[str], None], environment: Mapping[str, str] = os.environ) -> None:
        self._write = write
        self._is_understood = is_understood(environment)
        self._told = ""

    def show(self, status: LiveStatus) -> None:
        """Show how far the run has come, and whether it stands still or something failed."""
        self._tell(describe_progress(status))

    def clear(self) -> None:
        """Remove the progress again."""
        if self._told:
            self._tell("0;0")

    def _tell(self, text: str) -> None:
        if self._is_understood and text != self._told:
            self._told = text
            self._write(f"\x1b]9;4;{text}\x07")


def describe_progress(status: LiveStatus) -> str:
    """Return the state and the per cent of a run, as the sequence wants them."""
    counts = status.verdict.counts
    total = counts.get("targets", 0)
    if not total:
        return f"{_UNKNOWN};0"
    percent = counts.get("ended", 0) * 100 // total
    if counts.get("failed", 0) or counts.get("unknown", 0) or status.verdict.tone == "bad":
        return f"{_ERROR};{percent}"
    return f"{_PAUSED if status.verdict.tone == 'waiting' else _SET};{percent}"


def is_understood(environment: Mapping[str, str]) -> bool:
    """Return whether the terminal may get the sequence. To some that do not know it, it is a notification."""
    if environment.get("TERM_PROGRAM") == "iTerm.app":
        return "P" in environment.get("TERM_FEATURES", "")  # iTerm2's way to say that it knows it
    return environment.get("TERM") != "linux"
