"""How fast one lane sends: the pace that a plan sets or that its gateway turns out to bear, and its retries.

No clock: all times are monotonic seconds, handed in. Rates are per second.
"""

from __future__ import annotations

import math

FIRST_CUT = 0.5
"""What is left of the pace seen so far at the first refusal, when nothing is known of the gateway's own."""

CUT = 0.7
"""What is left of a pace that was refused, unless more than that was taken all the while."""

MOST_OF_TAKEN = 2.0
"""No cut leaves more than this many times what was taken on average, pauses included."""

UNDER = 0.97
"""How much of a rate that the gateway itself states is used."""

RAREST = 4.0
"""No cut makes requests rarer than one in so many of the pauses that the gateway asks for."""

NEAR, OVER = 0.9, 1.05
"""Between these shares of the pace that was refused last, the pace feels its way. Below and above it grows
fast: there it was borne before, here the gateway bears more than it did."""

FAST, SLOW = 0.05, 0.005
"""Growth a second, as a share of the pace that was refused last."""

LATE = 0.1
"""Seconds by which a slot may be missed; whoever is later (the process was stopped) takes another one."""

IDLE = 1.0
"""Seconds with nothing to send, pauses apart, that are too many to count for what was taken on average."""

ROUNDING = 1e-6
"""What sums of floats may lack: who has waited exactly long enough does not wait again."""


class Pacer:
    """Hands out the moments at which requests may leave, evenly spaced, and finds how close they may be.

    Without a ``cap`` there is no bound before the first refusal. Then the pace is cut by a share, and grows
    by a fixed amount a second while requests are answered. What was taken on average since the last cut,
    pauses included, is known to be borne: no cut goes below that.

    The slots are at least ``1 / rate`` apart, and nothing leaves before its slot or later than ``LATE``
    after it: in any ``t`` seconds at most ``rate * (t + LATE) + 1`` requests leave.
    """

    def __init__(self, cap: float | None = None, learned: float | None = None) -> None:
        """``learned`` is the pace that an earlier session found."""
        self.cap = cap
        self.epoch = 0
        """Changes when slots that were handed out are not to be used any more."""
        self._found = learned
        self._refused: float | None = learned
        """The pace that was refused last."""
        self._next = 0.0
        self._since: float | None = None
        """When the last cut was; before the first one, when the first request left."""
        self._cut_at: float | None = None
        self._taken = 0
        """Requests that were answered since then."""
        self._answered_at = 0.0
        self._active_at = 0.0
        self._left_at = -math.inf

    @property
    def rate(self) -> float | None:
        """The bound in force; None where there is none."""
        if self._found is None or self.cap is None:
            return self._found if self.cap is None else self.cap
        return min(self._found, self.cap)

    def reserve(self, now: float) -> float:
        """Return the moment at which the next request may leave, and keep it for the caller."""
        if self._since is None:
            self._since = now
        elif (idle := now - max(self._active_at, self._next)) > IDLE:
            self._since += idle
        self._active_at = now
        rate = self.rate
        if rate is None:
            return now
        slot = max(self._next, now)
        self._next = slot + 1.0 / rate
        return slot

    def leaves(self, now: float) -> None:
        """A request leaves in its slot."""
        self._left_at = now

    def until_allowed(self, now: float) -> float:
        """Return the seconds until the plan's cap lets a request leave that needs no slot; 0.0 is at once."""
        return 0.0 if self.cap is None else max(0.0, self._left_at + 1.0 / self.cap - now)

    def leaves_alone(self, now: float) -> None:
        """A request leaves without a slot. The slots that were handed out are void: they begin behind it."""
        self.leaves(now)
        self._begin_again(now)

    def limit(self, cap: float | None, now: float) -> None:
        """Put another cap in force at once; what was found of the gateway stays."""
        self.cap = cap
        self._begin_again(now)

    def hold(self, until: float) -> None:
        """Let nothing leave before ``until``: the slots that were handed out are void."""
        self._begin_again(until)

    def _begin_again(self, at: float) -> None:
        rate = self.rate
        self._next = at if rate is None else max(at, self._left_at + 1.0 / rate)
        self.epoch += 1

    def answered(self, now: float) -> None:
        """A request was answered with something else than a refusal to take more."""
        self._taken += 1
        self._active_at = now
        found, refused = self._found, self._refused
        if found is None or refused is None:
            return
        # Time in which nothing was asked for says nothing; but at a slow pace answers are far apart.
        passed = min(now - self._answered_at, max(1.0, 2.0 / found))
        self._answered_at = now
        if found > OVER * refused:
            self._refused = refused = found
        near = NEAR * refused
        grown = found + (SLOW if found >= near else FAST) * refused * passed
        # Not over the edge in one leap, nor beyond what a plan's cap lets us try.
        grown = near if found < near < grown else grown
        self._found = grown if self.cap is None else min(grown, max(found, self.cap))

    def refused(self, began: float, now: float, *, wait: float, hint: float | None = None) -> bool:
        """A request that left at ``began`` was refused. Returns whether the pace was cut for it.

        Not for one that left before the last cut, nor where nothing was taken since: then the pause was too
        short, which says nothing of the pace. ``wait`` is how many seconds the lane pauses for it: a gateway
        that takes requests again so soon is not waited for much longer by making them rare. ``hint`` is the
        rate that the gateway itself states.
        """
        if self._found is None and not self._taken:
            self._since = None  # it begins to take only after the pause that follows
        if (self._cut_at is not None and began < self._cut_at) or not self._taken or self._since is None:
            return False
        taken = self._taken / max(now - self._since, 0.001)
        before = self.rate
        if before is None:
            before, cut = taken, taken * FIRST_CUT
        else:
            cut = max(min(taken, before), min(before * CUT, taken * MOST_OF_TAKEN))
        cut = max(cut, min(before, 1.0 / (RAREST * wait)))
        if hint is not None and hint < before:
            before, cut = hint, hint * UNDER
        self._found, self._refused = cut, before
        self._since = self._cut_at = self._answered_at = self._active_at = now
        self._taken = 0
        self._begin_again(now)
        return True


class Allowance:
    """The retries that all targets of one gateway may spend together.

    A bucket that is full at first; every undeploy that succeeds gives something back, and time gives a
    little, so that nobody waits for ever where nothing succeeds.
    """

    SIZE = 50.0
    BY_SUCCESS = 0.5
    BY_SECOND = 1.0

    def __init__(self) -> None:
        self._left = self.SIZE
        self._at = 0.0

    def take(self, now: float) -> float:
        """Spend one retry and return 0; or spend none, and return the seconds after which to ask again."""
        self._left = min(self.SIZE, self._left + max(0.0, now - self._at) * self.BY_SECOND)
        self._at = now
        if self._left >= 1.0 - ROUNDING:
            self._left = max(0.0, self._left - 1.0)
            return 0.0
        return (1.0 - self._left) / self.BY_SECOND

    def succeeded(self) -> None:
        """An undeploy succeeded."""
        self._left = min(self.SIZE, self._left + self.BY_SUCCESS)
