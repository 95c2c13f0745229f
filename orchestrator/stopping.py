"""Whether the run as a whole may still send: the window, the stop rules, an interrupt, a failed disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import anyio

from orchestrator.model import Act, Reason

LOOKS_PAST_CLOSE = 30.0
"""Seconds after the window's close in which a look may still settle a doubt."""

Kind = Literal["stop_rule", "disk", "interrupt"]
_RANK: dict[Kind, int] = {"stop_rule": 1, "disk": 2, "interrupt": 3}


class Stopping:
    """One run's answer to "may this still start?". Times are monotonic seconds.

    A stop is for all lanes, and stays. The window is asked lane by lane, since each has its own timeout.
    """

    def __init__(
        self, *, closes: float | None = None, announce: Callable[[str], None] = lambda _: None
    ) -> None:
        self.kind: Kind | None = None
        self.reason: str | None = None
        self._closes = closes
        self._announce = announce
        self._changed = anyio.Event()
        self._wakes: list[Callable[[], None]] = []

    def wake(self, call: Callable[[], None]) -> None:
        """Have ``call`` called whenever the run stops, or stops for a graver reason."""
        self._wakes.append(call)

    def stop(self, kind: Kind, text: str) -> None:
        """Let nothing new start. A graver kind replaces a lesser one; of equals the first stays."""
        if self.kind is not None and _RANK[kind] <= _RANK[self.kind]:
            return
        self.kind, self.reason = kind, f"{Reason(kind)}: {text}"
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
        for call in self._wakes:
            call()
        self._announce(self.reason)

    def refuses(self, act: Act, now: float, *, takes: float) -> str | None:
        """Return why a request that may take ``takes`` seconds must not leave at ``now``, or None."""
        if self.kind in ("interrupt", "disk"):
            return self.reason
        if act is Act.LOOK:
            late = self._closes is not None and now > self._closes + LOOKS_PAST_CLOSE
            return f"{Reason.WINDOW}: it closed before a look could settle this" if late else None
        if self.kind is None and self._closes is not None and now + takes > self._closes:
            return f"{Reason.WINDOW}: one timeout no longer fits before it closes"
        return self.reason

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than until the run stops (or stops for a graver reason)."""
        with anyio.move_on_after(seconds):
            await self._changed.wait()
