"""When a lane counts as ill and is parked, and how a parked lane is probed. No clock."""

from __future__ import annotations

import math
from collections.abc import Iterable

from orchestrator.model.reading import Reading, Verdict
from orchestrator.model.target import TargetId
from orchestrator.rules.look_limits import UNSENT_IN_A_ROW

FAULTY_TARGETS = 5
"""A lane parks after faults of this many different targets with no answered undeploy between."""

FIRST_PROBE = 5.0
"""Seconds from parking to the first probe; each further one waits twice as long, up to ``LONGEST_PROBE``."""

LONGEST_PROBE = 60.0

FOR_OTHERS = 1.0
"""Seconds for which a due probe is left to targets that may undeploy: a look cannot open the lane."""


class FaultCounter:
    """Decides whether the faults of a lane's undeploys are the gateway's, and not those of single targets."""

    def __init__(self) -> None:
        self._faulty: set[TargetId] = set()
        self._unsent = 0
        self._has_answered = False
        """Some undeploy was answered in this session."""

    @classmethod
    def begun(cls, faulty: Iterable[TargetId], *, unsent: int, has_answered: bool) -> FaultCounter:
        """Return a counter that goes on where another one stood."""
        counter = cls()
        counter._faulty.update(faulty)
        counter._unsent, counter._has_answered = unsent, has_answered
        return counter

    @property
    def faulty(self) -> tuple[TargetId, ...]:
        """The targets with faults since the last answered undeploy, in order."""
        return tuple(sorted(self._faulty))

    @property
    def unsent(self) -> int:
        """Requests in a row that could not be sent."""
        return self._unsent

    @property
    def has_answered(self) -> bool:
        """Whether some undeploy was answered in this session."""
        return self._has_answered

    def add(self, target: TargetId, reading: Reading) -> None:
        """Count a fault."""
        self._faulty.add(target)
        self._unsent = self._unsent + 1 if reading.verdict is Verdict.UNSENT else 0

    def clear(self) -> None:
        """Begin again after an answered undeploy."""
        self._faulty.clear()
        self._unsent = 0
        self._has_answered = True

    def is_ill(self, left: int, within_reach: int) -> bool:
        """Return whether the gateway is to blame.

        ``left`` counts the lane's targets without an outcome, ``within_reach`` those under way.
        """
        faulty = len(self._faulty)
        # One bad target is not a bad gateway, and neither are a few once the gateway has answered. A lane of
        # few targets has no five to show, so all of them are enough as long as nothing was answered.
        all_are_faulty = not self._has_answered and faulty >= max(2, left)
        if faulty >= FAULTY_TARGETS or all_are_faulty:
            return True
        # Requests that cannot be sent cost no attempt, so nothing would ever bring another target's turn:
        # the targets under way must be enough.
        return self._unsent >= UNSENT_IN_A_ROW and faulty >= min(left, within_reach)


class ProbeSchedule:
    """Which target goes alone through its lane, and when a parked lane is probed. Monotonic seconds."""

    def __init__(self, park_for: float, patience: float) -> None:
        """``patience``: seconds without news after which another target may go in place of the lone one."""
        self.prober: TargetId | None = None
        """The target that goes alone."""
        self.next_at = 0.0
        self._park_for = park_for
        self._patience = patience
        self._parked_since = 0.0
        self._wait = FIRST_PROBE
        self._chosen_at = 0.0

    def begin(self, now: float, since: float | None = None) -> None:
        """Begin the probes of a lane that is parked now, or was parked at ``since`` by another process."""
        self._parked_since = now if since is None else since
        # Nobody may have probed since the other process: its run was paused, or it stood still. So one probe
        # goes in any case, as a late one of this process would.
        self.next_at = now + FIRST_PROBE if since is None else min(now + FIRST_PROBE, self._last_instant)
        self._wait = FIRST_PROBE

    @property
    def _last_instant(self) -> float:
        """The last moment before the lane is given up."""
        return math.nextafter(self.ends, -math.inf)

    @property
    def parked_since(self) -> float:
        """When the lane was parked."""
        return self._parked_since

    @property
    def ends(self) -> float:
        """When the lane is given up."""
        return self._parked_since + self._park_for

    @property
    def last_probe_ends(self) -> float:
        """When the lane is given up, unless a probe was late: its answer is waited for."""
        is_late = self.prober is not None and self._chosen_at >= self.ends > self.next_at
        return self._chosen_at + self._patience if is_late else self.ends

    def choose(self, target: TargetId, now: float) -> None:
        """Let a target go alone."""
        self.prober, self._chosen_at = target, now

    def release(self, target: TargetId) -> bool:
        """End the turn of a target; return whether it was the one that went alone."""
        if self.prober != target:
            return False
        self.prober = None
        return True

    def clear(self) -> None:
        """Let no target go alone."""
        self.prober = None

    def is_free_for(self, target: TargetId, now: float) -> bool:
        """Return whether a target may be the one that goes alone."""
        return self.prober in (None, target) or self.patience_left(now) <= 0.0

    def patience_left(self, now: float) -> float:
        """Return the seconds until the target that goes alone has not been heard of for too long."""
        return self._chosen_at + self._patience - now

    def fail(self, target: TargetId, now: float) -> None:
        """Take in that a probe met a fault: the next one waits twice as long."""
        # Another target probes next: this one may be the only thing that is wrong.
        self.release(target)
        self._wait = min(self._wait * 2, LONGEST_PROBE)
        self.next_at = max(self.next_at, now + self._wait)

    def put_off(self, now: float) -> None:
        """Let the next probe wait as long as after the fault of one, and keep the present prober."""
        self.next_at = now + self._wait

    def find_start(self, target: TargetId, now: float, paused: float, *, settling: bool, last: bool) -> float:
        """Return when a target may be the probe, as far as is known now.

        ``paused``: when the present pause ends. ``settling``: its request is a look that settles a doubt;
        ``last``: the last look that this doubt has.
        """
        if self.prober == target:
            return paused
        if self.prober is not None and self.patience_left(now) > 0.0:
            return max(paused, now + self.patience_left(now))
        if not settling:
            return max(paused, self.next_at)
        # A look cannot open the lane, so undeploys go first; and the last look is kept for the end.
        return math.inf if last else max(paused, self.next_at + FOR_OTHERS)
