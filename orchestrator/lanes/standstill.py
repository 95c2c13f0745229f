"""Finds out for how long this process stood still: it was stopped, or its machine slept."""

from __future__ import annotations

import math
from collections.abc import Callable

LATE = 1.0
"""Seconds by which a busy process may come late. What comes later was held up by a standstill."""


class StandstillWatch:
    """Measures standstills, by what comes later than it was due. All times are monotonic seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._awake_at = -math.inf
        """When this process is known to have been awake last."""

    def measure(self, due: float) -> float:
        """Return for how many seconds this process stood still; 0.0 if it did not.

        Something has come now that would have come by ``due`` otherwise. Of all that a standstill has held
        up, the first measures it, and the others measure nothing.
        """
        now = self._monotonic()
        if now < due:
            return 0.0  # something else woke it: another one that is late has the same standstill to tell
        still = now - max(due, self._awake_at)
        self._awake_at = now
        return still if still > LATE else 0.0
