"""How fast one lane sends: the pace that a plan sets or that its gateway turns out to bear, and its retries.

No clock: all times are monotonic seconds, handed in. Rates are per second.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

FIRST_CUT = 0.35
"""What is left of the pace seen so far at the first refusal, when nothing is known of the gateway's own."""

CUT = 0.7
"""What is left of a pace that was refused, unless more than that was taken all the while."""

MOST_OF_TAKEN = 2.0
"""No cut leaves more than this many times what was taken on average, pauses included: since the last refusal
or before that, whichever is more."""

UNDER = 0.97
"""How much of a rate that the gateway itself states is used."""

RAREST, SHORTEST = 4.0, 1.0
"""No cut makes requests rarer than one in so many of the pauses that the gateway asks for. A shorter pause
than this many seconds, or none, counts as this long."""

FEWER, SLOWER = 0.7, 0.9
"""A pace is not to blame for a refusal if one that was faster (this one is at most ``SLOWER`` of it) was
refused only after more requests (these are less than ``FEWER`` of those)."""

REMEMBERED = 8
"""Refusals whose intervals are remembered: a gateway may change."""

MOST_SPARED = 16
"""At most so many refusals in a row pass without a cut, once it has turned out that the pace is not to blame;
one where the lane does not pause for them, since then so many may come in a moment."""

TOGETHER = 2
"""From so many requests that are refused together on, more than are taken with them, the pace is to blame."""

NEAR, OVER = 0.9, 1.05
"""Between these shares of the pace that was refused last, the pace feels its way. Below it grows fast, since
it was borne before; above it, since the gateway bears more than it did."""

FAST, SLOW, MORE = 0.1, 0.005, 0.03
"""Growth a second: below and near the pace that was refused last as a share of that, above it of itself."""

LATE = 0.1
"""Seconds by which a slot may be missed; whoever is later (the process was stopped) takes another one."""

IDLE = 1.0
"""Seconds with nothing to send, pauses apart, that are too many to count for what was taken on average."""

ROUNDING = 1e-6
"""What sums of floats may lack: who has waited exactly long enough does not wait again."""


class RefusalInterval(NamedTuple):
    """What lies between two refusals."""

    taken: int
    """Requests that were answered."""
    average: float
    """How many that were a second, the pause before them included."""
    pace: float
    """The pace, in requests a second, at which the next one was refused."""


class _HeededRefusal:
    """The refusal that the lane has heeded last, and what became of the requests that were under way then."""

    __slots__ = ("at", "began", "cut", "refused", "taken")

    def __init__(self, began: float, at: float, cut: float) -> None:
        self.began = began
        """When the refused request left."""
        self.at = at
        self.cut = cut
        """The pace that it gives if the pace is to blame."""
        self.taken = 0
        """Requests that left after the refused one and before ``at``, and were answered."""
        self.refused = 0

    def is_beside(self, began: float) -> bool:
        """Tell whether a request that left at ``began`` was under way together with the refused one."""
        return self.began <= began < self.at


class Pacer:
    """Hands out the moments at which requests may leave, evenly spaced, and finds how close they may be.

    Without a ``cap`` there is no bound before the first refusal. Then the pace is cut by a share, and grows
    by a fixed amount a second while requests are answered. What was taken on average since the last cut,
    pauses included, is known to be borne: no cut goes below that.

    A gateway with a limit takes more requests before it refuses one, the slower they come. Where a slower
    pace is refused after fewer, the refusals come from elsewhere (one busy node of many, say): then the cuts
    are taken back, and the next refusals are spared one. Requests that are refused together with their
    neighbours are the pace's work in any case.

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
        """When the last refusal was heeded; before the first one, when the first request left."""
        self._sent = 0
        """Requests that left since then."""
        self._taken = 0
        """Requests that were answered since then."""
        self._average = 0.0
        """How many were taken a second on average before that, pauses included."""
        self._last: _HeededRefusal | None = None
        self._intervals: deque[RefusalInterval] = deque(maxlen=REMEMBERED)
        self._spared = 0
        """Refusals to come that cut nothing."""
        self._spares = 1
        """How many there will be when a cut turns out to be for nothing once more."""
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

    def note_departure(self, now: float) -> None:
        """A request leaves in its slot."""
        self._left_at = now
        self._sent += 1

    def seconds_until_allowed(self, now: float) -> float:
        """Return the seconds until the plan's cap lets a request leave that needs no slot; 0.0 is at once."""
        return 0.0 if self.cap is None else max(0.0, self._left_at + 1.0 / self.cap - now)

    def note_unpaced_departure(self, now: float) -> None:
        """A request leaves without a slot. The slots that were handed out are void: they begin behind it."""
        self.note_departure(now)
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

    def observe_answer(self, began: float, now: float) -> None:
        """A request that left at ``began`` was answered with something else than a refusal to take more."""
        self._taken += 1
        self._active_at = now
        if self._last is not None and self._last.is_beside(began):
            self._last.taken += 1
        if self._found is None or self._refused is None:
            return
        # Time in which nothing was asked for says nothing; but at a slow pace answers are far apart.
        passed = min(now - self._answered_at, max(1.0, 2.0 / self._found))
        self._answered_at = now
        grown = _grow(self._found, self._refused, passed)
        # Not beyond what a plan's cap lets us try.
        self._found = grown if self.cap is None else min(grown, max(self._found, self.cap))

    def observe_refusal(self, began: float, now: float, *, wait: float, hint: float | None = None) -> bool:
        """A request that left at ``began`` was refused. Returns whether that was heeded.

        Not where it left before the last refusal that was, nor where nothing was taken since: then the pause
        was too short, which says nothing of the pace. ``wait`` is how many seconds the lane pauses for it,
        0.0 for none: a gateway that takes requests again so soon is not waited for much longer by making
        them rare. ``hint`` is the rate that the gateway itself states.
        """
        if self._found is None and not self._taken:
            self._since, self._sent = None, 0  # it begins to take only after the pause that follows
        if self._last is not None and began < self._last.at:
            self._observe_refusal_beside(self._last, began)
            return False
        if not self._taken or self._since is None:
            return False
        before, cut = self._cut(max(now - self._since, 0.001), wait)
        if hint is not None and hint < before:
            before, cut = hint, hint * UNDER
            self._found = cut
        else:
            self._found = self._judge_pace(before, cut, most_spared=MOST_SPARED if wait else 1)
        self._refused = max(before, self._found)
        self._last = _HeededRefusal(began, now, cut)
        self._since = self._answered_at = self._active_at = now
        self._taken = self._sent = 0
        self._begin_again(now)
        return True

    def _cut(self, span: float, wait: float) -> tuple[float, float]:
        """Return the pace that was refused after so many seconds, and what a cut leaves of it."""
        taken = self._taken / span
        before = self.rate
        if before is None:
            # Of those that left at once, the first to come back may be one of many: so what left counts.
            before = max(taken, self._sent / span)
            cut = before * FIRST_CUT
        else:
            most = max(taken, self._average) * MOST_OF_TAKEN
            cut = max(min(taken, before), min(before * CUT, most))
        self._average = taken
        return before, max(cut, min(before, 1.0 / (RAREST * max(wait, SHORTEST))))

    def _judge_pace(self, before: float, cut: float, *, most_spared: int) -> float:
        """Return the pace after a refusal: ``cut`` where the pace is to blame, or may be."""
        interval = RefusalInterval(self._taken, self._average, before)
        if any(_acquits_pace(faster, interval) for faster in self._intervals):
            fastest = max(faster.pace for faster in self._intervals)
            self._intervals.clear()
            self._intervals.append(interval)
            self._spared, self._spares = min(self._spares, most_spared), min(2 * self._spares, most_spared)
            return max(fastest, before)
        if self._spared:
            self._spared -= 1
            return before
        self._intervals.append(interval)
        return cut

    def _observe_refusal_beside(self, last: _HeededRefusal, began: float) -> None:
        """Take in that one more was refused of those that were under way together."""
        if not last.is_beside(began):
            return
        last.refused += 1
        if last.refused >= TOGETHER and last.refused > last.taken and self._found is not None:
            self._found = min(self._found, last.cut)
            self._spared, self._spares = 0, 1


def _acquits_pace(faster: RefusalInterval, interval: RefusalInterval) -> bool:
    """Tell whether a pace was refused sooner than one that was faster: no limit of a gateway does that.

    Unless it was used up when the interval began: then few were taken, but not at a lower rate.
    """
    sooner = interval.taken < faster.taken * FEWER and interval.average < faster.average * FEWER
    return sooner and interval.pace <= faster.pace * SLOWER


def _grow(pace: float, refused: float, passed: float) -> float:
    """Return what a pace has grown to after so many seconds, where ``refused`` was refused last."""
    if pace > OVER * refused:
        return pace * (1.0 + MORE * passed)
    near = NEAR * refused
    if pace >= near:
        return pace + SLOW * refused * passed
    return min(pace + FAST * refused * passed, near)  # not over the edge in one leap


class RetryBudget:
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

    def refund(self) -> None:
        """An undeploy succeeded."""
        self._left = min(self.SIZE, self._left + self.BY_SUCCESS)
