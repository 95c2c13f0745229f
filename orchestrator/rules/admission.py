"""The rules of a lane: its pace, when it pauses, is parked and probed, and is closed. No clock."""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

from orchestrator.model.outcome import Reason
from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.model.settings import Limits
from orchestrator.model.target import TargetId
from orchestrator.rules.pacing import LATE, Pacer, RetryBudget
from orchestrator.rules.retry import RetryPolicy, describe, describe_wrong_place, draw_backoff

FAULTY_TARGETS = 5
"""A lane parks after faults of this many different targets with no answered undeploy between."""

FRUITLESS = 2
"""Pauses with nothing but refusals after which a lane sends one undeploy at a time, until one is taken."""

UNSENT_IN_A_ROW = 5
"""It parks after so many that could not even be sent, too, once all that are under way have met that: they
cost no attempt, so nothing else would bring another target's turn."""

UNAVAILABLE = 503
"""The status by which a reverse proxy says that it takes no more."""

FIRST_PROBE = 5.0
"""Seconds from parking to the first probe; each further one waits twice as long, up to a minute."""

LONGEST_PROBE = 60.0

FOR_OTHERS = 1.0
"""Seconds for which a probe that is due is left to those who may undeploy: a look cannot open the lane."""

_FAULTS = {Verdict.DOUBT, Verdict.STRANGE, Verdict.UNSENT}
_LOOK_FAULTS = {Verdict.UNCLEAR, Verdict.UNSENT}
_NO_ANSWER = _FAULTS | {Verdict.BUSY, Verdict.DENIED, Verdict.ELSEWHERE}


NO_LIMITS = Limits()


class AdmissionGranted(Struct, frozen=True):
    """The request may leave now."""


class AdmissionDelayed(Struct, frozen=True):
    """Ask again after ``seconds``, or when the lane changes."""

    seconds: float


class AdmissionRefused(Struct, frozen=True):
    """No request may leave in this session any more, for ``reason``."""

    reason: str


class AdmissionRequest:
    """One request that waits to be let out: what it needs besides an open lane, and has already."""

    __slots__ = ("act", "dispensable", "due", "epoch", "last", "repeats", "settling", "slot", "target")

    def __init__(
        self,
        target: TargetId,
        act: Act,
        *,
        settling: bool = False,
        repeats: bool = False,
        last: bool = False,
        dispensable: bool = False,
    ) -> None:
        """``settling``: a look that is to settle a doubt; ``last``: no further one may be sent for it.
        ``repeats``: an undeploy after the first. ``dispensable``: a list, which nobody waits for while the
        lane is parked."""
        self.target = target
        self.act = act
        self.settling = settling
        self.last = last
        self.dispensable = dispensable
        self.repeats = repeats
        """It still has to take its share of the lane's allowance of retries."""
        self.slot: float | None = None
        self.epoch = -1
        self.due = False
        """A login of its own made it miss its slot: it goes now, while its token lasts."""


class LaneState:
    """The rules of a lane. All times are monotonic seconds, handed in."""

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
        seconds one request may take: who goes alone, and is not heard of for longer, makes room."""
        self.undeploys = Pacer(limits.rate, learned)
        self.looks = Pacer(limits.rate)
        self._retry_budget = RetryBudget()
        self.state: Literal["open", "parked", "closed"] = "open"
        self.reason: str | None = None
        self._policy = policy
        self._park_for = park_for
        self._paused_until = 0.0
        self._looks_paused_until = 0.0
        self._looks_busy_since: float | None = None
        self._looks_unsent_since: float | None = None
        self._looks_unsent = 0
        self._looks_refused: str | None = None
        """Why no look may leave any more, though undeploys may."""
        self._busy_since: float | None = None
        self._busy_in_a_row = 0
        self._faulty: set[TargetId] = set()
        self._unsent = 0
        self._parked_since = 0.0
        self._probe_at = 0.0
        self._probe_wait = FIRST_PROBE
        self._prober: TargetId | None = None
        self._prober_since = 0.0
        self._takes = takes + policy.ceiling
        self.alone = first_alone
        """Whether one request goes at a time: a signature that was never let in is tried by one alone."""
        self._has_answered = False
        """Whether some undeploy was answered in this session."""
        self.given_up = False
        """Nothing but a look that settles a doubt leaves any more."""
        self._hopeless = False
        """Such a look has met a fault, or could not leave: no further one does."""

    def probe_times(self) -> tuple[float | None, float | None]:
        """Return when a parked lane is probed next, and when it is given up; None where it is neither."""
        if self.state != "parked" or self.given_up:
            return None, None
        return self._probe_at, self._parked_since + self._park_for

    def limit(self, rate: float | None, now: float) -> None:
        """Put another cap on the pace of undeploys, and on that of looks."""
        self.undeploys.limit(rate, max(now, self._paused_until))
        self.looks.limit(rate, max(now, self._looks_paused_until))

    def refusal(self, act: Act, *, settling: bool = False) -> str | None:
        """Return why no such request may leave in this session any more, or None.

        A lane that was given up while parked lets looks settle its doubts, until one of them meets a fault.
        """
        if self.state == "closed" or self._hopeless or (self.given_up and not settling):
            return self.reason
        return self._looks_refused if act is Act.LOOK else None

    @property
    def hopeless(self) -> str | None:
        """Why the doubts of a lane that was given up stay doubts, once that is so."""
        return self.reason if self._hopeless else None

    def end_doubts(self) -> None:
        """A look could not settle a doubt of a lane that was given up: nor will another one."""
        self._hopeless = True

    @property
    def is_fruitless(self) -> bool:
        """Whether pauses have passed and nothing was taken after them: then one at a time finds out."""
        return self._busy_in_a_row >= FRUITLESS

    def admit(
        self, turn: AdmissionRequest, now: float
    ) -> AdmissionGranted | AdmissionDelayed | AdmissionRefused:
        """Say whether a request may leave now. Every wait has an end: time alone brings a decision.

        A parked lane lets one target go on at a time, as its probe, which is neither spaced by what the
        gateway bears nor counted as a retry.
        """
        if reason := self.refusal(turn.act, settling=turn.settling):
            return AdmissionRefused(reason)
        if self.state == "parked" and not self.given_up:
            return self._admit_to_parked(turn, now)
        if wait := self._pause_left(turn.act, now):
            return AdmissionDelayed(wait)
        if self.alone or (self.is_fruitless and turn.act is not Act.LOOK):
            return self._admit_alone(turn, now)
        return self._admit_paced(turn, now)

    def _pause_left(self, act: Act, now: float) -> float:
        looks = self._looks_paused_until if act is Act.LOOK else 0.0
        return max(0.0, max(self._paused_until, looks) - now)

    def _admit_paced(self, turn: AdmissionRequest, now: float) -> AdmissionGranted | AdmissionDelayed:
        if turn.repeats:
            if wait := self._retry_budget.take(now):
                return AdmissionDelayed(wait)
            turn.repeats = False
        pacer = self._choose_pacer(turn)
        if turn.due:
            pacer.note_unpaced_departure(now)
            return AdmissionGranted()
        if turn.slot is None or turn.epoch != pacer.epoch or now > turn.slot + LATE:
            turn.slot, turn.epoch = pacer.reserve(now), pacer.epoch
        if now < turn.slot:
            return AdmissionDelayed(turn.slot - now)
        pacer.note_departure(now)
        return AdmissionGranted()

    def _choose_pacer(self, turn: AdmissionRequest) -> Pacer:
        return self.looks if turn.act is Act.LOOK else self.undeploys

    def _admit_alone(self, turn: AdmissionRequest, now: float) -> AdmissionGranted | AdmissionDelayed:
        if self._prober in (None, turn.target) or self._patience_left(now) <= 0.0:
            return self._go_alone(turn, now)
        return AdmissionDelayed(self._patience_left(now))

    def _go_alone(self, turn: AdmissionRequest, now: float) -> AdmissionGranted | AdmissionDelayed:
        self._prober, self._prober_since = turn.target, now
        return self._admit_unpaced(turn, now)

    def _patience_left(self, now: float) -> float:
        """Return the seconds after which whoever goes alone has not been heard of for too long."""
        return self._prober_since + self._takes - now

    def _admit_unpaced(self, turn: AdmissionRequest, now: float) -> AdmissionGranted | AdmissionDelayed:
        """Let the one request go that goes alone: the plan's rate is all that it must keep.

        What the gateway was found to bear does not bind it, since it is sent to find that out.
        """
        pacer = self._choose_pacer(turn)
        if turn.slot is None or turn.epoch != pacer.epoch or now < turn.slot:
            if wait := pacer.seconds_until_allowed(now):
                return AdmissionDelayed(wait)
            pacer.note_unpaced_departure(now)
            turn.slot, turn.epoch = now, pacer.epoch
        return AdmissionGranted()

    def confirm_credential(self) -> bool:
        """The credential was let in; returns whether others have waited for that."""
        if not self.alone:
            return False
        self.alone, self._prober = False, None
        return True

    def _admit_to_parked(
        self, turn: AdmissionRequest, now: float
    ) -> AdmissionGranted | AdmissionDelayed | AdmissionRefused:
        """Let the probe go; have the others wait for its answer, at most until the lane is given up.

        A look that settles a doubt waits, and is the probe only where nobody else is; the last one that a
        doubt has is kept for the end.
        """
        ends = self._parked_since + self._park_for
        if turn.dispensable:
            return AdmissionRefused(self.reason or "")
        starts = self._find_probe_start(turn, now)
        if now >= starts and (now < ends or self._probe_at < ends):
            return _bound_delay(ends, now, self._go_alone(turn, now))
        waits_for_late_one = self._prober is not None and self._prober_since >= ends > self._probe_at
        last = self._prober_since + self._takes if waits_for_late_one else ends
        if now < last:
            return AdmissionDelayed(min(starts, last) - now)
        return self._give_up(turn, now)

    def _find_probe_start(self, turn: AdmissionRequest, now: float) -> float:
        """Return when a turn may be the probe, as far as is known now."""
        paused = now + self._pause_left(turn.act, now)
        if self._prober == turn.target:
            return paused
        if self._prober is not None and self._patience_left(now) > 0.0:
            return max(paused, now + self._patience_left(now))
        if not turn.settling:
            return max(paused, self._probe_at)
        return math.inf if turn.last else max(paused, self._probe_at + FOR_OTHERS)

    def _give_up(
        self, turn: AdmissionRequest, now: float
    ) -> AdmissionGranted | AdmissionDelayed | AdmissionRefused:
        self.given_up, self._prober = True, None
        return self.admit(turn, now)

    def leave(self, target: TargetId) -> bool:
        """A target has ended for this session; returns whether another one may probe in its place."""
        if self._prober != target:
            return False
        self._prober = None
        return True

    def observe(
        self,
        turn: AdmissionRequest,
        reading: Reading,
        now: float,
        *,
        began: float,
        left: int,
        within_reach: int,
        status: int | None = None,
    ) -> float | None:
        """Take in a reading. Returns the seconds of a pause that it began, None where it began none.

        ``began`` is when the request left. ``left`` counts the targets that the lane still has, this one
        included; ``within_reach`` those of them that are under way. ``status`` is that of the reply, None
        without one.
        """
        # Reverse proxies say so that they take no more, and dead gateways that they are dead: a pacer heeds
        # it only where something was taken before. Nobody pauses for it, and for the breaker it is a fault.
        crowded = status == UNAVAILABLE and reading.verdict is not Verdict.BUSY
        if turn.act is Act.LOOK:
            self._observe_look(reading, began, now, crowded=crowded)
            if reading.verdict in _LOOK_FAULTS:
                self._observe_look_fault(turn, reading, now, left, within_reach)
            elif turn.settling and reading.verdict is not Verdict.DENIED:
                self._leave_probe(turn.target)
            return None
        # Whoever was denied tries the next credential, if there is one.
        probed = reading.verdict is not Verdict.DENIED and self.leave(turn.target)
        match reading.verdict:
            case Verdict.BUSY:
                return self._pause(reading, began, now)
            case Verdict.ELSEWHERE:
                self.close(describe_wrong_place(reading))
            case verdict if verdict in _FAULTS:
                if crowded:
                    self.undeploys.observe_refusal(began, now, wait=0.0)
                self._observe_fault(turn.target, reading, now, left, within_reach, probed=probed)
            case verdict if verdict not in _NO_ANSWER:
                self._observe_answer(reading, began, now)
        return None

    def _observe_look_fault(
        self, turn: AdmissionRequest, reading: Reading, now: float, left: int, within_reach: int
    ) -> None:
        if self._is_guarding_deploy(turn):
            probed = self.leave(turn.target)
            self._observe_fault(turn.target, reading, now, left, within_reach, probed=probed)
        elif self.given_up and turn.settling:
            self.end_doubts()
        elif self.state == "parked" and self._prober == turn.target:
            # Whoever goes on to its undeploy after a snapshot that failed is still the same probe.
            self._probe_at = max(self._probe_at, now + self._probe_wait)
            if turn.settling:
                self._fail_probe(turn.target, now)

    def _leave_probe(self, target: TargetId) -> None:
        """A doubt was looked at as the probe: the next one may go at once."""
        if self.state == "parked":
            self.leave(target)

    def _fail_probe(self, target: TargetId, now: float) -> None:
        self.leave(target)
        self._probe_wait = min(self._probe_wait * 2, LONGEST_PROBE)
        self._probe_at = now + self._probe_wait

    def _is_guarding_deploy(self, turn: AdmissionRequest) -> bool:
        """Tell whether a look comes before a deploy, which is not sent without it.

        There a fault speaks for the deploy: else an ill gateway would be looked at for each target.
        """
        return self._policy.act is Act.DEPLOY and not turn.settling

    def is_held(self, now: float) -> bool:
        """Tell whether nothing at all may leave now."""
        return self.state == "closed" or self.given_up or now < self._paused_until

    def pause_for_login(self, wait: float | None, now: float, *, most: float) -> float:
        """Pause everything before a login is tried again; returns for how many seconds: ``most`` at most."""
        self._busy_in_a_row += 1
        longest = draw_backoff(self._policy, self._busy_in_a_row, 1.0)
        seconds = min(most, max(1.0, longest if wait is None else wait))
        self._paused_until = max(self._paused_until, now + seconds)
        self._looks_paused_until = max(self._looks_paused_until, now + seconds)
        return seconds

    def give_up(self, reason: str, now: float) -> None:
        """Park the lane, and leave its targets for a resume without a probe."""
        self._park(reason, now)
        self.given_up, self._prober = True, None

    def _observe_look(self, reading: Reading, began: float, now: float, *, crowded: bool) -> None:
        """Take in a look. Like one that could not be sent, one that was refused for a while costs its target
        nothing: so for how long there may be nothing else has a bound."""
        match reading.verdict:
            case Verdict.BUSY:
                self._observe_busy_look(reading, began, now)
            case Verdict.UNSENT:
                self._observe_unsent_look(reading, now)
            case _:
                self._looks_busy_since = self._looks_unsent_since = None
                if crowded:
                    self.looks.observe_refusal(began, now, wait=0.0)
                else:
                    self.looks.observe_answer(began, now)

    def _observe_busy_look(self, reading: Reading, began: float, now: float) -> None:
        """A 429 to a look pauses the looks alone."""
        self._looks_unsent_since = None
        if self._looks_busy_since is None:
            self._looks_busy_since = now
        if now - self._looks_busy_since >= self._park_for:
            self._looks_refused = f"{Reason.PARKED}: nothing but refusals to be looked at more"
        wait = self._choose_pause(reading, 1)
        self.looks.observe_refusal(began, now, wait=wait, hint=reading.rate)
        self._looks_paused_until = max(self._looks_paused_until, now + wait)
        self.looks.hold(self._looks_paused_until)

    def _observe_unsent_look(self, reading: Reading, now: float) -> None:
        """Give the lane up where nothing but looks is sent, and none could be for ``park_for``."""
        if self._looks_unsent_since is None:
            self._looks_unsent_since, self._looks_unsent = now, 0
        self._looks_unsent += 1
        if now - self._looks_unsent_since >= self._park_for and self._looks_unsent >= UNSENT_IN_A_ROW:
            self.give_up(f"{Reason.PARKED}: {describe(reading)}", now)
            self.end_doubts()

    def _choose_pause(self, reading: Reading, in_a_row: int) -> float:
        """Return how long to pause: what the gateway asks for, bounded; else the longest backoff."""
        if reading.wait is not None:
            return min(reading.wait, self._park_for)
        return max(1.0, draw_backoff(self._policy, in_a_row, 1.0))

    def _pause(self, reading: Reading, began_at: float, now: float) -> float | None:
        if self._busy_since is None:
            self._busy_since = now
        began = now >= self._paused_until
        self._busy_in_a_row += began
        wait = self._choose_pause(reading, self._busy_in_a_row)
        self.undeploys.observe_refusal(began_at, now, wait=wait, hint=reading.rate)
        self._paused_until = max(self._paused_until, now + wait)
        self.undeploys.hold(self._paused_until)
        if now - self._busy_since >= self._park_for:
            self.give_up(f"{Reason.PARKED}: nothing but refusals to take more: {describe(reading)}", now)
        return self._paused_until - now if began else None

    def _observe_fault(
        self, target: TargetId, reading: Reading, now: float, left: int, within_reach: int, *, probed: bool
    ) -> None:
        self._faulty.add(target)
        self._unsent = self._unsent + 1 if reading.verdict is Verdict.UNSENT else 0
        self._busy_since, self._busy_in_a_row = None, 0
        if self.state == "parked":
            if probed:  # else it had left before the lane was parked
                self._fail_probe(target, now)
        elif self._is_ill(left, within_reach):
            self._park(f"{Reason.PARKED}: {describe(reading)}", now)

    def _is_ill(self, left: int, within_reach: int) -> bool:
        """Tell whether the faults are the gateway's. One bad target is not a bad gateway: alone, it is only
        believed to be one where nothing of it could be sent. Nor are a few, once something was answered."""
        faulty = len(self._faulty)
        fewer = not self._has_answered and faulty >= max(2, left)
        if faulty >= FAULTY_TARGETS or fewer:
            return True
        return self._unsent >= UNSENT_IN_A_ROW and faulty >= min(left, within_reach)

    def _park(self, reason: str, now: float) -> None:
        if self.state == "closed":
            return
        self.state, self.reason = "parked", reason
        self._parked_since, self._probe_at = now, now + FIRST_PROBE
        self._probe_wait = FIRST_PROBE

    def _observe_answer(self, reading: Reading, began: float, now: float) -> None:
        self.undeploys.observe_answer(began, now)
        self._has_answered = True
        self._looks_unsent_since = None
        if reading.verdict is Verdict.REMOVED:
            self._retry_budget.refund()
        self._faulty.clear()
        self._unsent = 0
        self._busy_since, self._busy_in_a_row = None, 0
        if self.state == "parked" and not self.given_up:
            self.state, self.reason = "open", None

    def close(self, reason: str) -> None:
        """Close the lane to the end of the run; the first reason stays."""
        if self.state != "closed":
            self.state, self.reason = "closed", reason


def _bound_delay(
    ends: float, now: float, said: AdmissionGranted | AdmissionDelayed
) -> AdmissionGranted | AdmissionDelayed:
    """Return the same, but no wait past ``ends``, where that is still to come."""
    if isinstance(said, AdmissionDelayed) and now < ends:
        return AdmissionDelayed(min(said.seconds, ends - now))
    return said
