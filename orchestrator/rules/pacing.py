"""How fast one lane sends: the pace that a plan sets, or that the gateway turns out to bear; and its retries.

No clock: all times are monotonic seconds, handed in. Rates are per second.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

FIRST_CUT = 0.35
"""Share of the pace that is left after the first refusal, when the gateway's own limit is unknown."""

CUT = 0.7
"""Share of a refused pace that is left, unless the gateway took more than that all the while."""

MOST_OF_TAKEN = 2.0
"""No cut leaves more than this many times the average that the gateway took, pauses included: since the last
refusal or before it, whichever is more."""

UNDER = 0.97
"""Share that is used of a rate which the gateway itself states."""

RAREST, SHORTEST = 4.0, 1.0
"""No cut makes requests rarer than one in ``RAREST`` of the pauses that the gateway asks for. A pause shorter
than ``SHORTEST`` seconds, or none, counts as that long."""

FEWER, SLOWER = 0.7, 0.9
"""A pace is not to blame for a refusal if a faster one was refused only after more requests: this pace is at
most ``SLOWER`` of the faster one, and its requests are less than ``FEWER`` of those."""

REMEMBERED = 8
"""Intervals between refusals that are remembered. Not more, since a gateway's limit may change."""

MOST_SPARED = 16
"""Refusals in a row that may pass without a cut, once the pace has turned out not to be to blame. Where the
lane does not pause for refusals, only one may: many of them may then come in one moment."""

TOGETHER = 2
"""So many requests refused together, if more than the gateway takes beside them, are the pace's fault."""

NEAR, OVER = 0.9, 1.05
"""Between these shares of the pace that was refused last, the pace grows slowly. Below them it grows fast, as
the gateway bore as much before; above them too, as the gateway now bears more than it did."""

FAST, SLOW, MORE = 0.1, 0.005, 0.03
"""Growth in a second: below (``FAST``) and near (``SLOW``) the pace that was refused last, as a share of that
pace; above it (``MORE``), as a share of the present one."""

STATED = 1 / 8
"""Share of ``SLOW`` by which a pace grows near a rate that the gateway itself states: to ask for more than
that is to be refused, but the rate may have been raised since."""

LATE = 0.1
"""Seconds by which a request may miss its slot. A later one takes another slot: the process was stopped."""

IDLE = 1.0
"""Seconds with nothing to send, pauses apart. Longer idle times do not count for the average taken."""

ROUNDING = 1e-6
"""The error of a sum of floats: a request that has waited exactly long enough must not wait again."""


def bound_stated_rate(rate: float | None, longest_pause: float) -> float | None:
    """Return a rate that a gateway states, but at least one request in ``RAREST`` of the longest pauses.

    ``longest_pause`` is in seconds. To keep to one request in a century would keep a run alive as long, while
    nothing is sent that could show that the lane is ill.
    """
    return None if rate is None else max(rate, 1.0 / (RAREST * longest_pause))


class RefusalInterval(NamedTuple):
    """The requests between two refusals."""

    taken: int
    """Requests that the gateway answered."""
    average: float
    """The same in a second, the pause before them included."""
    pace: float
    """The pace, in requests a second, at which the next one was refused."""


class _CountedRefusal:
    """The newest refusal that changed the pace, and what became of the requests that were under way then."""

    __slots__ = ("at", "began", "cut", "refused", "taken")

    def __init__(self, began: float, at: float, cut: float) -> None:
        self.began = began
        """When the refused request left."""
        self.at = at
        self.cut = cut
        """The pace after this refusal, if the pace is to blame."""
        self.taken = 0
        """Requests that left after the refused one and before ``at``, and were answered."""
        self.refused = 0

    def is_beside(self, began: float) -> bool:
        """Return whether a request that left at ``began`` was under way together with the refused one."""
        return self.began <= began < self.at

    def count_answer(self, began: float) -> None:
        """Count an answer to a request that left at ``began``, if it was under way together."""
        self.taken += self.is_beside(began)

    def count_refusal(self) -> None:
        """Count a refusal of one more request that was under way together."""
        self.refused += 1

    @property
    def blames_pace(self) -> bool:
        """Whether neighbours were refused together, which one busy node of many does not do."""
        return self.refused >= TOGETHER and self.refused > self.taken


class Pacer:
    """Hands out evenly spaced moments at which requests may leave, and finds how close they may be.

    Without a ``cap`` there is no bound before the first refusal. A refusal cuts the pace by a share, and the
    pace grows again while requests are answered. No cut goes below the average that the gateway took since
    the last cut, pauses included: the gateway is known to bear that.

    The slower requests come, the more of them a gateway with a limit takes before it refuses one. If a slower
    pace is refused after fewer requests, the refusals have another cause (one busy node of many, say): then
    the pacer takes the cuts back, and the next refusals cut nothing. Requests that are refused together with
    their neighbours, however, are always the pace's work.

    The slots are at least ``1 / rate`` apart, and nothing leaves before its slot or later than ``LATE``
    after it: in any ``t`` seconds at most ``rate * (t + LATE) + 1`` requests leave.
    """

    def __init__(self, cap: float | None = None, learned: float | None = None) -> None:
        """``learned`` is the pace that an earlier session found."""
        self.cap = cap
        self.epoch = 0
        """Changes when the slots that were handed out become void."""
        self._found = learned
        self._refused: float | None = learned
        """The newest pace that was refused."""
        self._next = 0.0
        self._since: float | None = None
        """When the newest refusal changed the pace; before the first one, when the first request left."""
        self._sent = 0
        """Requests that left since then."""
        self._taken = 0
        """Requests that were answered since then."""
        self._average = 0.0
        """The average that was taken in a second before that, pauses included."""
        self._slow = SLOW
        """Growth in a second near the pace that was refused last, as a share of it."""
        self._last: _CountedRefusal | None = None
        self._intervals: deque[RefusalInterval] = deque(maxlen=REMEMBERED)
        self._spared = 0
        """Refusals to come that cut nothing."""
        self._spares = 1
        """How many refusals the next cut that turns out wrong will spare."""
        self._answered_at = 0.0
        self._active_at = 0.0
        self._left_at = -math.inf

    @classmethod
    def begun(cls, found: float | None, since: float, *, sent: int, taken: int, left_at: float) -> Pacer:
        """Return a pacer in the middle of an interval: it has sent, and had answered, so many requests.

        The first of them left at ``since``, the newest at ``left_at``. ``found`` is the pace until now, None
        for no bound.
        """
        pacer = cls(learned=found)
        pacer._since, pacer._sent, pacer._taken = since, sent, taken
        pacer._left_at = pacer._active_at = left_at
        return pacer

    @property
    def found(self) -> float | None:
        """The pace that the gateway turned out to bear; None as long as nothing bounds it."""
        return self._found

    @property
    def rate(self) -> float | None:
        """The bound in force; None where there is none."""
        if self._found is None or self.cap is None:
            return self._found if self.cap is None else self.cap
        return min(self._found, self.cap)

    @property
    def next_at(self) -> float | None:
        """From when on another request may leave; None where nothing bounds the pace, or none has left."""
        rate = self.rate
        return None if rate is None or math.isinf(self._left_at) else self._left_at + 1.0 / rate

    @property
    def free_from(self) -> float:
        """From when on a slot is free; a moment that has passed where one is free now."""
        return self._next

    def reserve(self, now: float) -> float:
        """Return the moment at which the next request may leave, and keep it for the caller."""
        if self._since is None:
            self._since = now
        elif (idle := now - max(self._active_at, self._next)) > IDLE:
            self._since += idle
        self._active_at = now
        rate = self.rate
        if rate is None:  # no refusal yet and no cap: the gateway is asked as fast as the workers can
            return now
        slot = max(self._next, now)
        self._next = slot + 1.0 / rate
        return slot

    def note_departure(self, now: float) -> None:
        """Take in that a request leaves in its slot."""
        self._left_at = now
        self._sent += 1

    def seconds_until_allowed(self, now: float) -> float:
        """Return the seconds until the plan's cap lets a request leave that needs no slot; 0.0 is at once."""
        return 0.0 if self.cap is None else max(0.0, self._left_at + 1.0 / self.cap - now)

    def note_unpaced_departure(self, now: float) -> None:
        """Take in that a request leaves without a slot. Older slots are void: new ones come after it."""
        self.note_departure(now)
        self._begin_again(now)

    def limit(self, cap: float | None, now: float) -> None:
        """Put another cap in force at once; the pace that was found stays."""
        self.cap = cap
        self._begin_again(now)

    def hold(self, until: float) -> None:
        """Let nothing leave before ``until``: the slots that were handed out are void."""
        self._begin_again(until)

    def go_on(self, next_at: float) -> None:
        """Go on after the requests of another process: the next one may leave at ``next_at``."""
        if (rate := self.rate) is not None:
            self._left_at = next_at - 1.0 / rate
        self._begin_again(next_at)

    def _begin_again(self, at: float) -> None:
        rate = self.rate
        self._next = at if rate is None else max(at, self._left_at + 1.0 / rate)
        self.epoch += 1

    def observe_answer(self, began: float, now: float) -> None:
        """Take in an answer, which was no refusal, to a request that left at ``began``."""
        self._taken += 1
        self._active_at = now
        if self._last is not None:
            self._last.count_answer(began)
        if self._found is None or self._refused is None:
            return
        # Time without requests proves nothing of the gateway; but at a slow pace answers are far apart.
        passed = min(now - self._answered_at, max(1.0, 2.0 / self._found))
        self._answered_at = now
        # A pace that no request waits for is not tried, so answers prove nothing of it.
        if self._next <= now:
            return
        grown = _grow(self._found, self._refused, passed, self._slow)
        # A pace beyond the plan's cap would never be tried, so growing there would prove nothing.
        self._found = grown if self.cap is None else min(grown, max(self._found, self.cap))

    def observe_refusal(self, began: float, now: float, *, wait: float, hint: float | None = None) -> bool:
        """Take in the refusal of a request that left at ``began``; return whether the refusal counted.

        A refusal does not count if its request left before the newest one that did. Neither does it if no
        request was taken since: then the pause was too short, which proves nothing of the pace. ``wait`` is
        how many seconds the lane pauses for the refusal, 0.0 for none. It bounds the cut: a gateway that
        takes requests again so soon need not see them much more rarely. ``hint`` is the rate that the gateway
        itself states.
        """
        if self._found is None and not self._taken:
            # Nothing was ever taken: the first interval begins after the pause that follows.
            self._since, self._sent = None, 0
        if self._last is not None and began < self._last.at:
            self._observe_refusal_beside(self._last, began)
            return False
        if not self._taken or self._since is None:
            return False
        before, cut = self._cut(max(now - self._since, 0.001), wait)
        self._slow = SLOW if hint is None else SLOW * STATED
        if hint is not None and hint < before:
            before, cut = hint, hint * UNDER
            self._found = cut
        else:
            self._found = self._judge_pace(before, cut, most_spared=MOST_SPARED if wait else 1)
        # The pace grows slowly only near this mark, so it is where the gateway refused, not where a cut ends.
        self._refused = max(before, self._found)
        self._last = _CountedRefusal(began, now, cut)
        self.begin_interval(now)
        return True

    def begin_interval(self, now: float) -> None:
        """Count requests afresh from now on; the slots that were handed out are void."""
        self._since = self._answered_at = self._active_at = now
        self._taken = self._sent = 0
        self._begin_again(now)

    def _cut(self, span: float, wait: float) -> tuple[float, float]:
        """Return the pace that was refused after ``span`` seconds, and the pace that a cut leaves."""
        taken = self._taken / span
        before = self.rate
        if before is None:
            # Many may have left at once, and the first to come back may be refused: so departures count.
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

    def _observe_refusal_beside(self, last: _CountedRefusal, began: float) -> None:
        """Take in that one more request was refused of those that were under way together."""
        if not last.is_beside(began):
            return
        last.count_refusal()
        if last.blames_pace and self._found is not None:
            self._found = min(self._found, last.cut)
            self._spared, self._spares = 0, 1


def _acquits_pace(faster: RefusalInterval, interval: RefusalInterval) -> bool:
    """Return whether a pace was refused sooner than a faster one, which no limit of a gateway does.

    Few requests alone prove nothing: the limit may have been used up when the interval began. So the average
    must be lower as well.
    """
    sooner = interval.taken < faster.taken * FEWER and interval.average < faster.average * FEWER
    return sooner and interval.pace <= faster.pace * SLOWER


def _grow(pace: float, refused: float, passed: float, slow: float) -> float:
    """Return to what a pace has grown after ``passed`` seconds; ``refused`` is the newest refused pace.

    ``slow`` is the growth in a second near that pace, as a share of it.
    """
    if pace > OVER * refused:
        return pace * (1.0 + MORE * passed)
    near = NEAR * refused
    if pace >= near:
        return pace + slow * refused * passed
    return min(pace + FAST * refused * passed, near)  # not over the edge in one leap


class RetryBudget:
    """The retries that all targets of one gateway may spend together.

    The budget is full at first. Each undeploy that succeeds gives something back. Time gives a little too, so
    that no target waits for ever while nothing succeeds.
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
        """Give something back for an undeploy that succeeded."""
        self._left = min(self.SIZE, self._left + self.BY_SUCCESS)
