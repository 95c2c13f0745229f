"""The rules by which a lane admits requests: pace, pauses, parking and probes, and its end. No clock."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from orchestrator.model.outcome import Reason
from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.model.settings import Limits
from orchestrator.model.target import TargetId
from orchestrator.rules.lane_standing import LaneStanding
from orchestrator.rules.look_limits import LookLimits
from orchestrator.rules.pacing import LATE, ROUNDING, RetryBudget, bound_stated_rate
from orchestrator.rules.parking import FaultCounter, ProbeSchedule
from orchestrator.rules.retry import (
    RetryPolicy,
    choose_pause,
    describe,
    describe_wrong_place,
    draw_backoff,
)
from orchestrator.rules.shared_pace import SharedPace, SlotEpoch

FRUITLESS_PAUSES = 2
"""Pauses with nothing but refusals after which a lane sends one undeploy at a time, until one is taken."""

LOOKS_AHEAD = 60.0
"""Seconds for which looks may have taken all slots when another target is begun whose reads must be fresh."""

UNAVAILABLE = 503
"""The status by which a reverse proxy says that it takes no more."""

_FAULTS = {Verdict.DOUBT, Verdict.STRANGE, Verdict.UNSENT}
_LOOK_FAULTS = {Verdict.UNCLEAR, Verdict.UNSENT}
_NO_ANSWER = _FAULTS | {Verdict.BUSY, Verdict.DENIED, Verdict.ELSEWHERE}

_NOBODY_ANSWERED = {408, 502, 503, 504}
"""The statuses of a reply that a server in front may give, as the gateway itself does not answer."""

NO_LIMITS = Limits()


class AdmissionGranted(Struct, frozen=True):
    """The request may leave now."""


class AdmissionDelayed(Struct, frozen=True):
    """The request may ask again after ``seconds``, or when the lane changes."""

    seconds: float


class AdmissionRefused(Struct, frozen=True):
    """No request may leave in this session any more, for ``reason``."""

    reason: str


class AdmissionRequest:
    """One request that waits for its lane: what the request needs, and what it holds already."""

    __slots__ = (
        "act",
        "dispensable",
        "due",
        "epoch",
        "last",
        "may_probe",
        "repeats",
        "settling",
        "slot",
        "target",
    )

    def __init__(
        self,
        target: TargetId,
        act: Act,
        *,
        settling: bool = False,
        repeats: bool = False,
        last: bool = False,
        dispensable: bool = False,
        may_probe: bool = False,
    ) -> None:
        """``settling``: a look that is to settle a doubt; ``last``: the last look that this doubt may have.
        ``repeats``: an undeploy after the first. ``dispensable``: a list, for which no target waits while the
        lane is parked; unless the list ``may_probe``, since no target goes without it."""
        self.target = target
        self.act = act
        self.settling = settling
        self.last = last
        self.dispensable = dispensable
        self.may_probe = may_probe
        self.repeats = repeats
        """The request has yet to take its share of the lane's retry budget."""
        self.slot: float | None = None
        """The moment that the pacer has given to the request."""
        self.epoch: SlotEpoch = (-1, -1)
        self.due = False
        """A login of its own made the request miss its slot: it leaves now, while the token lasts."""

    def pay_retry(self) -> None:
        """Keep that the retry budget was charged for this request."""
        self.repeats = False

    def take_slot(self, slot: float, epoch: SlotEpoch) -> None:
        """Keep the moment at which the request may leave. A pacer's slots are void after their epoch."""
        self.slot, self.epoch = slot, epoch

    def has_slot(self, epoch: SlotEpoch) -> bool:
        """Return whether the request holds a slot of this epoch."""
        return self.slot is not None and self.epoch == epoch

    def note_login(self, *, succeeded: bool) -> None:
        """Keep whether the login that this request has just made gave a token."""
        self.due = succeeded


class LaneState:
    """Decides which requests of a lane may leave. All times are monotonic seconds, handed in."""

    def __init__(
        self,
        policy: RetryPolicy,
        park_for: float,
        *,
        limits: Limits = NO_LIMITS,
        learned: float | None = None,
        first_alone: bool = False,
        takes: float = 60.0,
    ) -> None:
        """``learned`` is the pace that an earlier session found this gateway to bear. ``takes`` is how many
        seconds one request may take: a target that goes alone, and is not heard of for longer, makes room.
        ``first_alone``: the first request goes alone, since its signature was never let in."""
        self.pace = SharedPace(limits.rate, bound_stated_rate(learned, park_for))
        self.looks = LookLimits(policy, park_for, self.pace)
        self.state: Literal["open", "parked", "closed"] = "open"
        self.reason: str | None = None
        self.alone = first_alone
        """Whether one request goes at a time, until a credential was let in."""
        self.given_up = False
        """The lane is parked for good: only looks that settle doubts leave."""
        self._policy = policy
        self._park_for = park_for
        self._retry_budget = RetryBudget()
        self._faults = FaultCounter()
        self._probes = ProbeSchedule(park_for, takes + policy.ceiling)
        self._paused_until = 0.0
        self._busy_since: float | None = None
        self._busy_in_a_row = 0
        self._hopeless = False
        """A look of the given-up lane met a fault, or could not leave: no further look leaves."""

    def describe_standing(self, now: float) -> LaneStanding:
        """Return where the lane stands, for another process that goes on with it."""
        is_probed = self.state == "parked" and not self.given_up
        return LaneStanding(
            state=self.state,
            reason=self.reason,
            given_up=self.given_up,
            rate=self.pace.find_learned(self._policy.act),
            faulty=self._faults.faulty,
            unsent=self._faults.unsent,
            has_answered=self._faults.has_answered,
            parked_since=self._probes.parked_since if is_probed else None,
            paused_until=self._paused_until if self._paused_until > now else None,
            next_at=self.pace.find_next(self._policy.act),
        )

    def take_up(self, standing: LaneStanding, now: float) -> None:
        """Go on where another process stood; the pace is handed in as ``learned``."""
        self.state, self.reason, self.given_up = standing.state, standing.reason, standing.given_up
        self._faults = FaultCounter.begun(
            standing.faulty, unsent=standing.unsent, has_answered=standing.has_answered
        )
        if standing.parked_since is not None:
            self._probes.begin(now, standing.parked_since)
        if standing.paused_until is not None:
            self._paused_until = standing.paused_until
            self.pace.hold(self._policy.act, standing.paused_until)
        if standing.next_at is not None and standing.next_at > max(now, standing.paused_until or 0.0):
            self.pace.go_on(self._policy.act, standing.next_at)

    def probe_times(self) -> tuple[float, float] | None:
        """Return when a parked lane is probed next, and when it is given up; None if it is not probed."""
        if self.state != "parked" or self.given_up:
            return None
        return self._probes.next_at, self._probes.ends

    def limit(self, rate: float | None, now: float) -> None:
        """Put another cap on the pace of undeploys, and on that of looks."""
        self.pace.limit(rate, max(now, self._paused_until), max(now, self.looks.paused_until))

    def refusal(self, act: Act, *, settling: bool = False) -> str | None:
        """Return why no such request may leave in this session any more; None if one may.

        A lane that was given up while parked lets looks settle its doubts, until one of them meets a fault.
        """
        if self.state == "closed" or self._hopeless or (self.given_up and not settling):
            return self.reason
        return self.looks.refusal if act is Act.LOOK else None

    @property
    def hopeless(self) -> str | None:
        """Why the doubts of a lane that was given up stay doubts; None as long as looks may settle them."""
        return self.reason if self._hopeless else None

    def end_doubts(self) -> None:
        """Let no look leave any more: one could not settle a doubt of a lane that was given up."""
        self._hopeless = True

    @property
    def is_fruitless(self) -> bool:
        """Whether several pauses were too short, so that the lane tries one undeploy at a time."""
        return self._busy_in_a_row >= FRUITLESS_PAUSES

    def admit(
        self, request: AdmissionRequest, now: float
    ) -> AdmissionGranted | AdmissionDelayed | AdmissionRefused:
        """Decide whether a request may leave now. Every delay has an end: time alone brings a decision.

        A parked lane lets one target go on at a time, as its probe. The learned pace does not delay a probe,
        and the retry budget does not pay for it.
        """
        if reason := self.refusal(request.act, settling=request.settling):
            return AdmissionRefused(reason)
        if self.state == "parked" and not self.given_up:
            return self._admit_to_parked(request, now)
        if wait := self._pause_left(request.act, now):
            return AdmissionDelayed(wait)
        if self.alone or (self.is_fruitless and request.act is not Act.LOOK):
            return self._admit_alone(request, now)
        return self._admit_paced(request, now)

    def seconds_until_room(self, now: float) -> float:
        """Return the seconds after which another target may be begun: its looks find slots soon then."""
        begins = max(now, self._paused_until, self.looks.paused_until)
        seconds = self.pace.find_free(Act.LOOK) - begins - LOOKS_AHEAD
        return seconds if seconds > ROUNDING else 0.0

    def give_back(self, request: AdmissionRequest, now: float) -> bool:
        """Take in that a request which has waited does not leave; return whether others may leave earlier."""
        epoch = self.pace.find_epoch(request.act)
        if request.slot is None or request.slot <= now or not request.has_slot(epoch):
            return False
        # All slots behind it are void, and whoever waits takes another one.
        self.pace.renew(request.act, now + self._pause_left(request.act, now))
        return True

    def _pause_left(self, act: Act, now: float) -> float:
        looks = self.looks.paused_until if act is Act.LOOK else 0.0
        return max(0.0, max(self._paused_until, looks) - now)

    def _admit_paced(self, request: AdmissionRequest, now: float) -> AdmissionGranted | AdmissionDelayed:
        # A retry pays from the lane's budget before it takes a slot: a slot would lapse in the meantime.
        if request.repeats:
            if wait := self._retry_budget.take(now):
                return AdmissionDelayed(wait)
            request.pay_retry()
        # A login may take long, and its request has waited for its turn already.
        if request.due:
            self.pace.note_unpaced_departure(request.act, now)
            return AdmissionGranted()
        if wait := self.pace.seconds_until_slots(request.act, now):
            return AdmissionDelayed(wait)
        slot, epoch = request.slot, self.pace.find_epoch(request.act)
        if slot is None or not request.has_slot(epoch) or now > slot + LATE:
            slot = self.pace.reserve(request.act, now)
            request.take_slot(slot, epoch)
        if now < slot:
            return AdmissionDelayed(slot - now)
        self.pace.note_departure(request.act, now)
        return AdmissionGranted()

    def _admit_alone(self, request: AdmissionRequest, now: float) -> AdmissionGranted | AdmissionDelayed:
        if self._probes.is_free_for(request.target, now):
            return self._let_go_alone(request, now)
        return AdmissionDelayed(self._probes.patience_left(now))

    def _let_go_alone(self, request: AdmissionRequest, now: float) -> AdmissionGranted | AdmissionDelayed:
        """Let the one request go that goes alone: the plan's rate is the only one to keep.

        The learned pace does not bind this request: it is sent to find out whether that pace still holds.
        """
        self._probes.choose(request.target, now)
        slot = request.slot
        if slot is None or not request.has_slot(self.pace.find_epoch(request.act)) or now < slot:
            if wait := self.pace.seconds_until_allowed(request.act, now):
                return AdmissionDelayed(wait)
            self.pace.note_unpaced_departure(request.act, now)
            request.take_slot(now, self.pace.find_epoch(request.act))
        return AdmissionGranted()

    def confirm_credential(self) -> bool:
        """Keep that a credential was let in; return whether other requests have waited for that."""
        if not self.alone:
            return False
        self.alone = False
        self._probes.clear()
        return True

    def _admit_to_parked(
        self, request: AdmissionRequest, now: float
    ) -> AdmissionGranted | AdmissionDelayed | AdmissionRefused:
        """Let the probe go; have the others wait for its answer, at most until the lane is given up."""
        # A list is not worth a wait: without it, each target is looked at alone.
        if request.dispensable and not request.may_probe:
            return AdmissionRefused(self.reason or "")
        probes = self._probes
        starts = probes.find_start(
            request.target,
            now,
            now + self._pause_left(request.act, now),
            settling=request.settling,
            last=request.last,
        )
        if now >= starts and (now < probes.ends or probes.next_at < probes.ends):
            return _bound_delay(probes.ends, now, self._let_go_alone(request, now))
        last = probes.last_probe_ends
        if now < last:
            return AdmissionDelayed(min(starts, last) - now)
        self._give_up()
        return self.admit(request, now)

    def _give_up(self) -> None:
        self.given_up = True
        # A request that may be in flight with a credential that was never let in stays alone.
        if not self.alone:
            self._probes.clear()

    def leave(self, target: TargetId) -> bool:
        """Take in that a target sends nothing more for now; return whether another may go in its place."""
        return self._probes.release(target)

    def observe(
        self,
        request: AdmissionRequest,
        reading: Reading,
        now: float,
        *,
        began: float,
        left: int,
        within_reach: int,
        status: int | None = None,
    ) -> float | None:
        """Take in a reading. Return the seconds of the pause that the reading began; None if it began none.

        ``began`` is when the request left. ``left`` counts the lane's targets without an outcome, this one
        included; ``within_reach`` those of them that are under way. ``status`` is that of the reply, None
        without one.
        """
        # A reverse proxy says 503 when it takes no more, and so does a dead gateway. So a pacer observes a
        # 503 as a refusal only where requests were taken before; nothing pauses for it, and for parking the
        # 503 is a fault.
        crowded = status == UNAVAILABLE and reading.verdict is not Verdict.BUSY
        if request.act is Act.LOOK:
            self._observe_look(reading, began, now, crowded=crowded)
            if reading.verdict in _LOOK_FAULTS and not reading.is_answer:
                self._observe_look_fault(request, reading, now, left, within_reach)
            elif request.settling and reading.verdict is not Verdict.DENIED and self.state == "parked":
                self.leave(
                    request.target
                )  # the doubt was looked at as the probe: the next one may go at once
            return None
        # A denied request has not probed anything yet: its target tries the next credential, if there is one.
        probed = reading.verdict is not Verdict.DENIED and self.leave(request.target)
        match reading.verdict:
            case Verdict.BUSY:
                return self._pause(reading, began, now)
            case Verdict.ELSEWHERE:
                self.close(describe_wrong_place(reading))
            case verdict if verdict in _FAULTS and not reading.is_answer:
                if crowded:
                    self.pace.observe_refusal(request.act, began, now, wait=0.0)
                if not self._is_of_step(request.act, status):
                    self._faults.add(request.target, reading)
                self._observe_fault(request.target, reading, now, left, within_reach, probed=probed)
            case verdict if verdict not in _NO_ANSWER or reading.is_answer:
                self._observe_answer(reading, began, now)
        return None

    def _is_of_step(self, act: Act, status: int | None) -> bool:
        """Return whether a fault is that of a step after a deploy, by the service behind the gateway.

        The service of the plug-ins may be ill, or answer creates in a form that we do not know, and deploys
        go well: so its faults park nothing.
        """
        return act is not self._policy.act and status is not None and status not in _NOBODY_ANSWERED

    def _observe_look(self, reading: Reading, began: float, now: float, *, crowded: bool) -> None:
        self.looks.observe(reading, began, now, crowded=crowded)
        if reading.verdict is Verdict.UNSENT and self.looks.are_unsendable(now):
            self.give_up(f"{Reason.PARKED}: {describe(reading)}", now)
            self.end_doubts()

    def _observe_look_fault(
        self, request: AdmissionRequest, reading: Reading, now: float, left: int, within_reach: int
    ) -> None:
        if self._is_guarding_deploy(request):
            probed = self.leave(request.target)
            self._faults.add(request.target, reading)
            self._observe_fault(request.target, reading, now, left, within_reach, probed=probed)
        elif self.given_up and request.settling:
            self.end_doubts()
        elif self.state == "parked" and self._probes.prober == request.target:
            # A target that goes on to its undeploy after a snapshot that failed is still the same probe.
            self._probes.put_off(now)
            if request.settling:
                self._probes.fail(request.target, now)

    def _is_guarding_deploy(self, request: AdmissionRequest) -> bool:
        """Return whether a look comes before a deploy, which is not sent without the look.

        There the look's fault stands for the deploy's: else a restore would look in vain for each target.
        """
        return self._policy.act is Act.DEPLOY and not request.settling

    def begin_anew(self) -> None:
        """Count the time of nothing but refusals from the next one on: for a while none could be asked."""
        self._busy_since = None
        self.looks.begin_anew()

    def leave_out(self, seconds: float) -> None:
        """Leave seconds that have passed out of the time of nothing but refusals."""
        if self._busy_since is not None:
            self._busy_since += seconds
        self.looks.leave_out(seconds)

    def is_held(self, now: float) -> bool:
        """Return whether nothing at all may leave now."""
        return self.state == "closed" or self.given_up or now < self._paused_until

    def pause_for_login(self, wait: float | None, now: float, *, most: float) -> float:
        """Pause everything before a login is tried again; return for how many seconds, ``most`` at most."""
        self._busy_in_a_row += 1
        longest = draw_backoff(self._policy, self._busy_in_a_row, 1.0)
        seconds = min(most, max(1.0, longest if wait is None else wait))
        self._paused_until = max(self._paused_until, now + seconds)
        self.looks.pause_until(now + seconds)
        return seconds

    def give_up(self, reason: str, now: float) -> None:
        """Park the lane without a probe, and leave its targets for a resume."""
        self._park(reason, now)
        self._give_up()

    def _pause(self, reading: Reading, began: float, now: float) -> float | None:
        if self._busy_since is None:
            self._busy_since = now
        # Requests in flight at the beginning of a pause may meet a 429, too: that is not another pause.
        is_new = now >= self._paused_until
        self._busy_in_a_row += is_new
        wait = choose_pause(self._policy, reading, self._busy_in_a_row, most=self._park_for)
        stated = bound_stated_rate(reading.rate, self._park_for)
        self.pace.observe_refusal(self._policy.act, began, now, wait=wait, hint=stated)
        self._paused_until = max(self._paused_until, now + wait)
        self.pace.hold(self._policy.act, self._paused_until)
        if now - self._busy_since >= self._park_for:
            self.give_up(f"{Reason.PARKED}: nothing but refusals to take more: {describe(reading)}", now)
        return self._paused_until - now if is_new else None

    def _observe_fault(
        self, target: TargetId, reading: Reading, now: float, left: int, within_reach: int, *, probed: bool
    ) -> None:
        # A fault ends a series of 429s: the gateway did something else than to refuse.
        self._busy_since, self._busy_in_a_row = None, 0
        if self.state == "parked":
            if probed:  # other requests left before the lane was parked, and tell nothing of it now
                self._probes.fail(target, now)
        elif self._faults.is_ill(left, within_reach):
            self._park(f"{Reason.PARKED}: {describe(reading)}", now)

    def _park(self, reason: str, now: float) -> None:
        if self.state == "closed":
            return
        self.state, self.reason = "parked", reason
        self._probes.begin(now)

    def _observe_answer(self, reading: Reading, began: float, now: float) -> None:
        self.pace.observe_answer(self._policy.act, began, now)
        self.looks.observe_undeploy()
        # Any answer shows that the gateway lives, but only a success shows that retries are worth it.
        if reading.verdict is Verdict.REMOVED:
            self._retry_budget.refund()
        self._faults.clear()
        self._busy_since, self._busy_in_a_row = None, 0
        if self.state == "parked" and not self.given_up:
            self.state, self.reason = "open", None

    def close(self, reason: str) -> None:
        """Close the lane to the end of the run; the first reason stays."""
        if self.state != "closed":
            self.state, self.reason = "closed", reason


def _bound_delay(
    ends: float, now: float, decision: AdmissionGranted | AdmissionDelayed
) -> AdmissionGranted | AdmissionDelayed:
    """Return the decision, but with no delay past ``ends``, if that is still to come."""
    if isinstance(decision, AdmissionDelayed) and now < ends:
        return AdmissionDelayed(min(decision.seconds, ends - now))
    return decision
