"""Whether the run as a whole may still send.

The window, the stop rules, an interrupt, a full disk and an operator's commands all speak here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from orchestrator.lanes.wakeup import Wakeup
from orchestrator.model.gateway import Gateway
from orchestrator.model.outcome import Reason
from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId
from orchestrator.rules.forecast import LOOKS_PAST_CLOSE

Matcher = Callable[[Sequence[str]], Callable[[TargetId], str | None]]

StopKind = Literal["stop_rule", "control", "disk", "interrupt"]
STOP_RANK: dict[StopKind, int] = {"stop_rule": 1, "control": 1, "disk": 2, "interrupt": 3}
"""A stop replaces one of a lower rank."""
_WORDS: dict[StopKind, Reason] = {
    "stop_rule": Reason.STOP_RULE,
    "control": Reason.INTERRUPT,
    "disk": Reason.DISK,
    "interrupt": Reason.INTERRUPT,
}


def word_stop(kind: StopKind, text: str) -> str:
    """Return the reason of a stop, with its first word."""
    return f"{_WORDS[kind]}: {text}"


class RunGate:
    """One run's answer to "may this request still start?". Times are monotonic seconds.

    A stop holds for all lanes, and for good. A pause holds for all lanes too, until it ends. The window is
    asked lane by lane, since each lane has its own timeout.
    """

    def __init__(
        self,
        *,
        closes: float | None = None,
        announce: Callable[[str], None] = lambda _: None,
        matcher: Matcher = lambda _: lambda _: None,
    ) -> None:
        """``closes`` is the window's end. ``announce`` is called with the reason of each stop. ``matcher``
        compiles patterns of targets to a test that returns the first pattern which matches an id."""
        self.stop_kind: StopKind | None = None
        self.reason: str | None = None
        self._recalled: str | None = None
        self._lets_look = True
        """Looks may still settle doubts after a recall."""
        self.paused = False
        """An operator has paused the run."""
        self.pauses = 0
        """Pauses that have ended."""
        self._rests = False
        self.closes = math.inf if closes is None else closes
        self._announce = announce
        self._stopped = Wakeup()
        self._changed = Wakeup()
        self._callbacks: list[Callable[[], None]] = []
        self.skips: dict[str, str] = {}
        """Patterns of the targets that are passed over, each with the operator who wants that."""
        self._matcher = matcher
        self._match_skip = matcher(())

    def call_on_change(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called after each change here, so that waiting workers ask again."""
        self._callbacks.append(callback)

    def set_close(self, closes: float | None) -> None:
        """Let the window close at another time, since the clock was set; None: never."""
        self.closes = math.inf if closes is None else closes

    def stop(self, kind: StopKind, text: str) -> None:
        """Let nothing new start. A graver kind of stop replaces a lesser one; of equals the first stays."""
        if self.stop_kind is not None and STOP_RANK[kind] <= STOP_RANK[self.stop_kind]:
            return
        # A full disk outranks a stop rule, and an interrupt both: after these two not even looks leave.
        self.stop_kind, self.reason = kind, word_stop(kind, text)
        self._stopped.ring()
        self._tell_change()
        self._announce(self.reason)

    def recall(self, text: str, *, lets_look: bool = True) -> None:
        """Let nothing new start here: what was not begun goes on elsewhere, or later. A stop outranks it.

        Of several the first one stays: targets that it has held up are known by its text. Without
        ``lets_look`` not even a look leaves any more: whoever goes on looks at the doubts.
        """
        is_first = self.stop_kind is None and self._recalled is None
        if not is_first and (lets_look or not self._lets_look):
            return
        if is_first:
            self.reason = self._recalled = f"{Reason.INTERRUPT}: {text}"
        self._lets_look = self._lets_look and lets_look
        self._stopped.ring()
        self._tell_change()

    def is_called_back(self, reason: str) -> bool:
        """Return whether a recall alone has held up a target with this reason, so that it has not ended.

        The reason of a target that is deployed, and may lack something, says so behind that of the recall.
        """
        return self._recalled is not None and reason.partition("; ")[0] == self._recalled

    def pause(self) -> None:
        """Let nothing new start until ``go_on``. Requests in flight end, and doubts are still looked at."""
        self.paused = True
        self._tell_change()

    def go_on(self) -> None:
        """End a pause, and end the rest between two waves."""
        self.pauses += self.paused
        self.paused = self._rests = False
        self._tell_change()

    def end_rest(self) -> None:
        """End the rest between two waves; a pause that somebody else has ordered goes on."""
        self._rests = False
        self._tell_change()

    def rest(self, *, over: bool = False) -> None:
        """Begin the rest between two waves, which ``go_on`` may end early; with ``over``, end it."""
        self._rests = not over

    @property
    def rests(self) -> bool:
        """Whether the run waits between two waves, and has not been stopped."""
        return self._rests and self.stop_kind is None

    def skip(self, pattern: str, by: str) -> None:
        """Pass over the matching targets for which nothing was sent yet. ``by`` names the operator."""
        self.skips.setdefault(pattern, by)
        self._match_skip = self._matcher(tuple(self.skips))
        self._tell_change()

    def skip_reason(self, target: TargetId) -> str | None:
        """Return why a target is passed over, or None if it is not."""
        if not self.skips or (pattern := self._match_skip(target)) is None:
            return None
        return f"{Reason.SKIPPED}: {pattern}, by {self.skips[pattern]}"

    def _tell_change(self) -> None:
        self._changed.ring()
        for callback in self._callbacks:
            callback()

    def refusal(self, act: Act, now: float, *, takes: float) -> str | None:
        """Return why a request that may take ``takes`` seconds must not leave at ``now``; None if it may."""
        if self.stop_kind in ("interrupt", "disk") or not self._lets_look:
            return self.reason
        if act is Act.LOOK:  # looks change nothing, so they may settle doubts for a while after the close
            late = now > self.closes + LOOKS_PAST_CLOSE
            return f"{Reason.WINDOW}: it closed before a look could settle this" if late else None
        if self.stop_kind is None and now + takes > self.closes:
            return f"{Reason.WINDOW}: one timeout no longer fits before it closes"
        return self.reason

    def seconds_until_refused(self, act: Act, now: float, gateway: Gateway) -> float:
        """Return in how many seconds the window begins to refuse such a request to this gateway."""
        last = LOOKS_PAST_CLOSE if act is Act.LOOK else -gateway.reply_timeout
        # Never zero: a caller that waits for no time at all would spin.
        return max(0.001, self.closes + last - now)

    async def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the run stops, or stops for a graver reason."""
        if seconds > 0.0:
            await self._stopped.wait(seconds)

    async def wait_for_change(self, seconds: float) -> None:
        """Wait, but no longer than until the run stops, pauses, goes on, or skips a target."""
        await self._changed.wait(seconds)
