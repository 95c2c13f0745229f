"""Whether the run as a whole may still send: the window, the stop rules, an interrupt, a failed disk, and
what somebody has asked of it while it goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from orchestrator.lanes.wakeup import Wakeup
from orchestrator.model.gateway import Gateway
from orchestrator.model.outcome import Reason
from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId

LOOKS_PAST_CLOSE = 30.0
"""Seconds after the window's close in which a look may still settle a doubt."""

Matcher = Callable[[Sequence[str]], Callable[[TargetId], str | None]]

StopKind = Literal["stop_rule", "control", "disk", "interrupt"]
_RANK: dict[StopKind, int] = {"stop_rule": 1, "control": 1, "disk": 2, "interrupt": 3}
_WORDS: dict[StopKind, Reason] = {
    "stop_rule": Reason.STOP_RULE,
    "control": Reason.INTERRUPT,
    "disk": Reason.DISK,
    "interrupt": Reason.INTERRUPT,
}


class RunGate:
    """One run's answer to "may this still start?". Times are monotonic seconds.

    A stop is for all lanes, and stays. The window is asked lane by lane, since each has its own timeout. A
    pause is for all lanes too, and may end again.
    """

    def __init__(
        self,
        *,
        closes: float | None = None,
        announce: Callable[[str], None] = lambda _: None,
        matcher: Matcher = lambda _: lambda _: None,
    ) -> None:
        """``matcher`` makes, of patterns of targets, the test for the first one that matches an id."""
        self.kind: StopKind | None = None
        self.reason: str | None = None
        self.paused = False
        """Somebody has paused it."""
        self._rests = False
        self.closes = math.inf if closes is None else closes
        self._announce = announce
        self._stopped = Wakeup()
        self._changed = Wakeup()
        self._wakes: list[Callable[[], None]] = []
        self.skips: dict[str, str] = {}
        """Patterns of targets that are passed over, and who wants that."""
        self._matcher = matcher
        self._skip = matcher(())

    def wake(self, call: Callable[[], None]) -> None:
        """Have ``call`` called whenever something here has changed for those who wait."""
        self._wakes.append(call)

    def stop(self, kind: StopKind, text: str) -> None:
        """Let nothing new start. A graver kind replaces a lesser one; of equals the first stays."""
        if self.kind is not None and _RANK[kind] <= _RANK[self.kind]:
            return
        self.kind, self.reason = kind, f"{_WORDS[kind]}: {text}"
        self._stopped.ring()
        self._tell_change()
        self._announce(self.reason)

    def pause(self) -> None:
        """Let nothing new start until ``go_on``; what flies lands, and doubts are still looked at."""
        self.paused = True
        self._tell_change()

    def go_on(self) -> None:
        """End a pause, and the rest between two waves."""
        self.paused = self._rests = False
        self._tell_change()

    def rest(self, *, over: bool = False) -> None:
        """Begin to wait between two waves, until ``go_on`` at the latest; or end that."""
        self._rests = not over

    @property
    def rests(self) -> bool:
        """Whether the run waits between two waves, and has not been stopped."""
        return self._rests and self.kind is None

    def skip(self, pattern: str, by: str) -> None:
        """Pass over the targets that match and that nothing was sent for; ``by`` says who wants that."""
        self.skips.setdefault(pattern, by)
        self._skip = self._matcher(tuple(self.skips))
        self._tell_change()

    def skipped(self, target: TargetId) -> str | None:
        """Return why a target is passed over, or None."""
        if not self.skips or (pattern := self._skip(target)) is None:
            return None
        return f"{Reason.SKIPPED}: {pattern}, by {self.skips[pattern]}"

    def _tell_change(self) -> None:
        self._changed.ring()
        for call in self._wakes:
            call()

    def refuses(self, act: Act, now: float, *, takes: float) -> str | None:
        """Return why a request that may take ``takes`` seconds must not leave at ``now``, or None."""
        if self.kind in ("interrupt", "disk"):
            return self.reason
        if act is Act.LOOK:
            late = now > self.closes + LOOKS_PAST_CLOSE
            return f"{Reason.WINDOW}: it closed before a look could settle this" if late else None
        if self.kind is None and now + takes > self.closes:
            return f"{Reason.WINDOW}: one timeout no longer fits before it closes"
        return self.reason

    def until_refused(self, act: Act, now: float, gateway: Gateway) -> float:
        """Return the seconds after which the window lets no such request to this gateway start."""
        last = LOOKS_PAST_CLOSE if act is Act.LOOK else -gateway.reply_timeout
        return max(0.001, self.closes + last - now)

    async def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the run stops (or stops for a graver reason)."""
        await self._stopped.wait(seconds)

    async def change(self, seconds: float) -> None:
        """Wait, but no longer than until something has changed here: it stops, is paused, or goes on."""
        await self._changed.wait(seconds)
