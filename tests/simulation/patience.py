"""How many sessions a run may take to reach its end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from orchestrator.report.values import Report

SESSIONS = 40
"""More sessions than any seed needs to reach its end, without those that only a stop rule ended."""


class SessionPatience:
    """Counts the sessions of a run that bring it no nearer to its end by a stop rule.

    Whoever goes past a stop has the failures counted afresh. So a rule of one failure may stop a session at
    each second target of a gateway that refuses them all, and the run ends after half as many sessions.
    """

    def __init__(self, targets: int) -> None:
        self._left = SESSIONS
        self._open = targets
        """The fewest targets that a session left not started when a rule stopped it; at first all."""

    def list_sessions(self) -> Iterator[int]:
        """Yield the number of each session that may be played, from 1 on."""
        for number in count(1):
            if self._left == 0:
                return
            self._left -= 1
            yield number

    def note_end(self, report: Report) -> None:
        """Take a session back from the count if a stop rule ended it after it had ended further targets."""
        if report.stop_rule is not None and report.totals.not_started < self._open:
            self._open = report.totals.not_started
            self._left += 1
