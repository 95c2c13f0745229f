"""How long no worker has taken the work of a run's own workflow, and when a driver waits no longer. Pure."""

from __future__ import annotations

TOLD_AFTER = 5.0
"""Seconds without a worker after which people are told, as of a zone without one."""

NEVER_TAKEN = 3.0
"""Seconds between a stop and the end of a session of which no worker has ever taken anything."""

LANDING = 5.0
"""Seconds beyond a lease for what a lost worker had in flight."""


class WorkerSilence:
    """The time without a worker. All times are monotonic seconds."""

    def __init__(self, *, lease: float, park_for: float) -> None:
        self._grace = lease + LANDING
        self._park_for = park_for
        self._task: object = None
        self._since: float | None = None
        self._stopped: float | None = None
        self._parks_from = 0.0
        self.is_told = False
        """Whether people know that no worker is there."""

    def observe(self, task: object, now: float, *, stopped: bool, may_start: bool) -> None:
        """Note what waits for a worker at the server: None if nothing does.

        ``stopped`` tells whether the run has been stopped here. Before ``may_start``, which is the opening of
        the window, a missing worker holds nothing up.
        """
        if task is None or task != self._task:
            self._task, self._since = task, None if task is None else now
        if stopped and self._stopped is None:
            self._stopped = now
        if not may_start:
            self._parks_from = now

    def leave_out(self, seconds: float) -> None:
        """Leave seconds that have passed out of the time for which the same work has waited."""
        if self._since is not None:
            self._since += seconds

    def measure(self, now: float) -> float:
        """Return the seconds for which the same work has waited for a worker."""
        return 0.0 if self._since is None else now - self._since

    @property
    def is_broken(self) -> bool:
        """Whether nothing waits for a worker."""
        return self._since is None

    def is_worth_telling(self, now: float) -> bool:
        """Return whether no worker has been there for so long that a person should know."""
        return self.measure(now) >= TOLD_AFTER

    def has_parked(self, now: float) -> bool:
        """Return whether the plan waits no longer for a worker."""
        return self._since is not None and now - max(self._since, self._parks_from) >= self._park_for

    def is_hopeless(self, now: float, *, was_taken: bool) -> bool:
        """Return whether the session ends without its workflow: it was stopped, and nobody obeys.

        ``was_taken`` tells whether a worker has ever taken anything of it: then something may be in flight.
        """
        if self._stopped is None or self._since is None:
            return False
        patience = self._grace if was_taken else NEVER_TAKEN
        return min(now - self._stopped, now - self._since) >= patience
