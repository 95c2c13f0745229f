"""Finds out whether a gateway still answers, and why it does not."""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio

from orchestrator.lanes.standstill import StandstillWatch

SILENT_FOR = 60.0
"""Seconds without an answer that end the look at a gateway; pauses that it asks for do not count."""


class AnswerWatch:
    """Hears the answers of one gateway, and tells when none has come for too long."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.silence: str | None = None
        """Why the gateway counts as silent; None while it answers."""
        self._monotonic = monotonic
        self._has_answered = False
        self._heard_at = -math.inf
        """Monotonic time of the last answer, or of the end of a pause that the gateway has asked for."""
        self._cause = "nothing came back"

    def hear_answer(self) -> None:
        """Take in any answer, be it an error."""
        self._has_answered = True
        self.allow_pause(0.0)

    def hear_fault(self, cause: str) -> None:
        """Take in why no answer came."""
        self._cause = cause

    def hear_lane(self, reason: str) -> None:
        """Take in the reason of a lane's state, which explains a silence only if no answer has ever come."""
        if not self._has_answered:
            self._cause = reason

    def allow_pause(self, seconds: float) -> None:
        """Take in that the gateway asks for a pause; it is not silent until that is over."""
        self._heard_at = max(self._heard_at, self._monotonic() + seconds)

    async def wait_for_silence(self) -> None:
        """Return once no answer has come for ``SILENT_FOR`` seconds, counted from now at the earliest.

        Once this process has stood still they count anew, since nothing was asked meanwhile.
        """
        self.allow_pause(0.0)
        standstill = StandstillWatch(self._monotonic)
        while (left := self._heard_at + SILENT_FOR - self._monotonic()) > 0:
            due = self._monotonic() + left
            await anyio.sleep(left)
            if standstill.measure(due):
                self.allow_pause(0.0)
        self.silence = f"it gave no answer for {SILENT_FOR:g} s ({self._cause})"

    def conclude(self) -> None:
        """Count a gateway that has never answered as silent, now that nothing more is asked."""
        if not self._has_answered and self.silence is None:
            self.silence = f"it gave no answer ({self._cause})"
