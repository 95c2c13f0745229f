"""When the reads of how much targets are used are out of order, and how long targets wait. No clock."""

from __future__ import annotations

import math

MOST_FAULTY = 5
"""Targets in a row whose reads met passing faults, or refusals to take more; then there is an outage."""

RESTS_FOR = 300.0
"""Seconds for which no target is asked about, once the targets have waited in vain."""

FIRST_PROBE = 5.0
"""Seconds until one target asks again; each further time waits twice as long, up to ``LONGEST_PROBE``."""

LONGEST_PROBE = 60.0


class UsageOutage:
    """The outage of the reads about the use, if there is one. All times are monotonic seconds.

    The targets wait ``patience`` seconds for its end, while one of them asks again and again. Then none is
    asked about for a while, so that each of them ends. The targets wait once, until an answer comes.
    """

    def __init__(self, patience: float, most_faulty: int = MOST_FAULTY) -> None:
        """``most_faulty``: so many targets in a row that a fault hid are an outage."""
        self._most_faulty = most_faulty
        self._most_patience = self._patience = patience
        self._faulty = 0
        self._began = math.inf
        self._why = ""
        self._probe_wait = FIRST_PROBE

    def is_waiting(self, now: float) -> bool:
        """Return whether targets wait for the end of an outage."""
        return self._began <= now < self._began + self._patience

    def explain(self, now: float) -> str | None:
        """Return why no target is asked about now; None if one may be, or waits."""
        if not self._began + self._patience <= now:
            return None
        if now < self._began + self._patience + RESTS_FOR:
            return self._why
        self._began, self._patience, self._faulty = math.inf, 0.0, 0
        return None

    def take_in(self, now: float, why: str | None) -> bool:
        """Take in that a target was told, or ``why`` a fault hid it; return whether an outage begins now."""
        if why is None:
            self._began, self._patience, self._faulty = math.inf, self._most_patience, 0
            return False
        self._faulty += 1
        if self._faulty < self._most_faulty or self._began <= now:
            return False
        self._began, self._probe_wait = now, FIRST_PROBE
        self._why = f"not asked, as the reads of {self._most_faulty} targets before it failed: {why}"
        return True

    def next_wait(self, now: float) -> float:
        """Return the seconds after which a waiting target asks again."""
        wait, self._probe_wait = self._probe_wait, min(2 * self._probe_wait, LONGEST_PROBE)
        return max(0.0, min(wait, self._began + self._patience - now))
