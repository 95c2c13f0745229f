"""Whether the undeploys and the looks of a lane share one pace or have one each. No clock.

A gateway does not say whether it counts reads and writes together. If it does, two paces that pay no heed to
one another refuse each other, and the more so the less slack the gateway has: two even rows of requests still
meet. If it does not, one pace for both lets the refusals of the one slow the other.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from orchestrator.model.reading import Act
from orchestrator.rules.pacing import IDLE, Pacer

MIXED = 0.1
"""Share of the requests between two refusals that reads and writes must each have, to count as mixed."""

LEAST_ODDS, MOST_ODDS = math.log(300.0), math.log(1e8)
"""Natural logarithms of the odds against chance at which one sort counts as limited by itself: at first, and
at most. They double each time that the opposite turns out."""

SlotEpoch: TypeAlias = tuple[int, int]


class _Flow:
    """The reads of a lane, or its writes: their own pace, and their number since the newest refusal."""

    __slots__ = ("pacer", "sent", "taken")

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self.sent = self.taken = 0

    def begin_interval(self) -> None:
        """Count requests afresh."""
        self.sent = self.taken = 0


class SharedPace:
    """The pace of the undeploys and of the looks of one lane, or of both together. All times are monotonic.

    They begin apart. When a request is refused while both flow, they share one pace from then on: each target
    needs its looks and its undeploy in turn, so one pace for both is right whichever of the two is limited.
    It would be wrong once the mixture changes. So they part again when chance no longer explains that all
    refusals fall on one of them, and share again when the other one is refused, too.
    """

    def __init__(self, cap: float | None = None, learned: float | None = None) -> None:
        """``cap`` is the plan's rate, which holds for undeploys and, apart from them, for looks; ``learned``
        is the pace of undeploys that an earlier session found."""
        self._undeploys = _Flow(Pacer(cap, learned))
        self._looks = _Flow(Pacer(cap))
        self._both: Pacer | None = None
        """The pace of both together, if they share one."""
        self._former: float | None = None
        """The pace that they shared when they parted last."""
        self._changes = 0
        """How often they began to share a pace, or parted."""
        self._since: float | None = None
        """When the first request left since the newest refusal that counted, times without requests apart."""
        self._left_at = 0.0
        self._refused_at = -math.inf
        """When the newest refusal that counted came."""
        self._limited: _Flow | None = None
        """The one that is limited by itself, as far as the refusals show."""
        self._suspect: _Flow | None = None
        """The one that all the newest refusals fell on."""
        self._odds = 0.0
        self._enough_odds = LEAST_ODDS

    @property
    def is_shared(self) -> bool:
        """Whether undeploys and looks share one pace now."""
        return self._both is not None

    def find_rate(self, act: Act) -> float | None:
        """Return the bound on requests of this act in a second, in force now; None where there is none."""
        own = self._find_flow(act).pacer
        if self._both is None or self._both.rate is None:
            return own.rate
        return self._both.rate if own.cap is None else min(self._both.rate, own.cap)

    def find_learned(self, act: Act) -> float | None:
        """Return the pace that the gateway turned out to bear for requests of this act, whatever the cap."""
        return self._find_pacer(act).found

    def find_next(self, act: Act) -> float | None:
        """Return from when on another request of this act may leave; None where nothing holds it back."""
        return self._find_flow(act).pacer.next_at

    def go_on(self, act: Act, next_at: float) -> None:
        """Go on after the requests of another process: the next one of this act may leave at ``next_at``."""
        self._find_flow(act).pacer.go_on(next_at)

    def find_free(self, act: Act) -> float:
        """Return from when on a slot for a request of this act is free."""
        return self._find_pacer(act).free_from

    def find_epoch(self, act: Act) -> SlotEpoch:
        """Return the epoch of the slots that requests of this act take. A slot is void after its epoch."""
        return self._changes, self._find_pacer(act).epoch

    def limit(self, cap: float | None, undeploys_from: float, looks_from: float) -> None:
        """Put another cap on the undeploys, and on the looks, from these times on."""
        self._undeploys.pacer.limit(cap, undeploys_from)
        self._looks.pacer.limit(cap, looks_from)

    def hold(self, act: Act, until: float) -> None:
        """Let no request of this act leave before ``until``.

        While looks pause, a shared pace goes on for the undeploys.
        """
        if self._both is None or act is not Act.LOOK:
            self._find_pacer(act).hold(until)

    def renew(self, act: Act, at: float) -> None:
        """Hand the slots for requests of this act out anew, from ``at`` on: one of them is not used."""
        self._find_pacer(act).hold(at)

    def seconds_until_allowed(self, act: Act, now: float) -> float:
        """Return the seconds until the plan's cap lets a request leave that has no slot; 0.0 is at once."""
        return self._find_flow(act).pacer.seconds_until_allowed(now)

    def seconds_until_slots(self, act: Act, now: float) -> float:
        """Return the seconds until a request of this act may take its slot; 0.0 is at once.

        The slots of a shared pace do not keep the plan's cap, which bounds reads and writes each by itself.
        """
        return 0.0 if self._both is None else self.seconds_until_allowed(act, now)

    def reserve(self, act: Act, now: float) -> float:
        """Return the moment at which the next request of this act may leave, and keep it for the caller."""
        return self._find_pacer(act).reserve(now)

    def note_departure(self, act: Act, now: float) -> None:
        """Take in that a request leaves in its slot."""
        flow = self._count_departure(act, now)
        flow.pacer.note_departure(now)
        if self._both is not None:
            self._both.note_departure(now)

    def note_unpaced_departure(self, act: Act, now: float) -> None:
        """Take in that a request leaves without a slot. Older slots are void: new ones come after it."""
        flow = self._count_departure(act, now)
        flow.pacer.note_unpaced_departure(now)
        if self._both is not None:
            self._both.note_unpaced_departure(now)

    def observe_answer(self, act: Act, began: float, now: float) -> None:
        """Take in an answer, which was no refusal, to a request that left at ``began``."""
        self._find_flow(act).taken += 1
        self._find_pacer(act).observe_answer(began, now)

    def observe_refusal(
        self, act: Act, began: float, now: float, *, wait: float, hint: float | None = None
    ) -> None:
        """Take in the refusal of a request; the arguments are those of ``Pacer.observe_refusal``."""
        flow = self._find_flow(act)
        if not (self._undeploys.sent or self._looks.sent):
            # Admitted before the newest refusal came, and held up by its intent: that pace is cut already.
            began = min(began, math.nextafter(self._refused_at, -math.inf))
        shares = self._both is None and began >= self._refused_at and self._is_shared_by(flow)
        if shares:
            self._share(flow)
        if not self._find_pacer(act).observe_refusal(began, now, wait=wait, hint=hint):
            return
        if self._both is not None:
            self._judge_sharing(flow, now)
        self._begin_interval(now)

    def _find_flow(self, act: Act) -> _Flow:
        return self._looks if act is Act.LOOK else self._undeploys

    def _find_pacer(self, act: Act) -> Pacer:
        # Asked several times a request, so without a call of ``_find_flow``.
        return self._both or (self._looks if act is Act.LOOK else self._undeploys).pacer

    def _count_departure(self, act: Act, now: float) -> _Flow:
        if self._since is None:
            self._since = now
        elif now - self._left_at > IDLE:
            self._since += now - self._left_at
        self._left_at = now
        flow = self._find_flow(act)
        flow.sent += 1
        return flow

    def _begin_interval(self, now: float) -> None:
        self._undeploys.begin_interval()
        self._looks.begin_interval()
        self._since, self._refused_at = None, now

    def _is_shared_by(self, refused: _Flow) -> bool:
        """Return whether requests of the other sort may have used up what these were refused."""
        if refused is self._limited or not self._undeploys.taken + self._looks.taken:
            return False
        least = min(self._undeploys.sent, self._looks.sent)
        return least > 0 and least >= MIXED * (self._undeploys.sent + self._looks.sent)

    def _share(self, refused: _Flow) -> None:
        """Begin one pace for both, with what was counted since the newest refusal.

        It is the pace that they shared before. Failing that, it is to the pace of the refused sort as all
        requests are to those of that sort.
        """
        assert self._since is not None  # noqa: S101 - both sorts have sent something since
        sent, own = self._undeploys.sent + self._looks.sent, refused.pacer.rate
        self._both = Pacer.begun(
            self._former or (None if own is None else own * sent / refused.sent),
            self._since,
            sent=sent,
            taken=self._undeploys.taken + self._looks.taken,
            left_at=self._left_at,
        )
        self._changes += 1
        if self._limited is not None:
            self._limited, self._enough_odds = None, min(2 * self._enough_odds, MOST_ODDS)
        self._suspect, self._odds = None, 0.0

    def _judge_sharing(self, refused: _Flow, now: float) -> None:
        """Weigh one more refusal: one bucket for both refuses a sort as often as that sort comes."""
        if refused is not self._suspect:
            self._suspect, self._odds = refused, 0.0
        sent = self._undeploys.sent + self._looks.sent
        self._odds -= math.log(max(MIXED, refused.sent / max(1, sent)))
        if self._odds >= self._enough_odds:
            self._part(refused, now)

    def _part(self, limited: _Flow, now: float) -> None:
        """Leave the shared pace to the sort that was refused, and to the other one the pace that it had."""
        assert self._both is not None  # noqa: S101 - they share it until now
        other = self._undeploys if limited is self._looks else self._looks
        self._former = self._both.rate
        self._both.limit(limited.pacer.cap, now)
        limited.pacer, self._both, self._limited = self._both, None, limited
        other.pacer.begin_interval(now)
        self._changes += 1
