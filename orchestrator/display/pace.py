"""How fast targets end: a count for each of the last seconds."""

from __future__ import annotations

from collections import deque

RATE_SECONDS = 20.0
"""Seconds over which a rate is measured."""
HISTORY_SECONDS = 40
"""Seconds of which the count is kept, for the curve."""
SET_BACK = 20
"""Seconds. If a target ends so much earlier than the one before it, the clock was set back."""


class PaceMeter:
    """Counts the targets that ended in each of the last seconds. Times are Unix times."""

    __slots__ = ("_counts", "_second", "_since", "counted")

    def __init__(self, since: float) -> None:
        self.counted = 0
        """All targets since the meter began."""
        self._since = since
        self._second = int(since)
        self._counts: deque[int] = deque([0], maxlen=HISTORY_SECONDS)

    def count(self, at: float) -> None:
        """Count one target that ended at ``at``."""
        if (second := int(at)) > self._second:
            self._forward(second)
        elif second < self._second - SET_BACK and self._second > int(self._since):
            # Else all that ends until the clock is there again would count as one second.
            self._since += second - self._second
            self._second = second
        self._counts[-1] += 1
        self.counted += 1

    def count_by_second(self, now: float) -> tuple[int, ...]:
        """Return the counts of the last seconds, the oldest first and the running second last."""
        idle = min(max(int(now) - self._second, 0), HISTORY_SECONDS)
        return (*self._counts, *[0] * idle)[-HISTORY_SECONDS:]

    def measure_rate(self, now: float) -> float | None:
        """Return how many targets end a second; None in the first second, which is too short to measure."""
        seconds = min(now - self._since, RATE_SECONDS)
        if seconds < 1:
            return None
        return sum(self.count_by_second(now)[-int(seconds) - 1 :]) / seconds

    def skip(self, seconds: float) -> None:
        """Leave out the ``seconds`` that have just passed, because the gateway had nothing to do in them."""
        self._since += seconds
        self._second += int(seconds)

    def _forward(self, second: int) -> None:
        """Begin a later second."""
        for _ in range(min(second - self._second, HISTORY_SECONDS)):
            self._counts.append(0)
        self._second = second
