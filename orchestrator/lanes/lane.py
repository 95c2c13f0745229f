"""One gateway of one run: whether it may be sent to now, its credential, and how it is doing.

The rules are in ``rules/admission.py``, which knows no clock; ``Lane`` waits on behalf of the workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import anyio
from msgspec import Struct

from orchestrator.lanes.announcer import LaneAnnouncer, LaneListener
from orchestrator.lanes.binding_reader import BindingReader
from orchestrator.lanes.endable_reads import EndableReads
from orchestrator.lanes.environment import Environment, compute_exchange_limit
from orchestrator.lanes.key_trials import LOOK_PERIOD
from orchestrator.lanes.login import Authenticator, LoginDelayed, LoginDenied
from orchestrator.lanes.offered_looks import OfferedLooks
from orchestrator.lanes.run_gate import RunGate
from orchestrator.lanes.standstill import StandstillWatch
from orchestrator.lanes.state_list import StateList
from orchestrator.lanes.wakeup import Wakeup
from orchestrator.model.credentials import AccessKeys, Material
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request, Send
from orchestrator.model.outcome import Reason
from orchestrator.model.reading import Act, Reading
from orchestrator.model.settings import Limits
from orchestrator.model.target import TargetId
from orchestrator.rules.admission import (
    AdmissionDelayed,
    AdmissionGranted,
    AdmissionRefused,
    AdmissionRequest,
    LaneState,
)
from orchestrator.rules.lane_standing import LaneStanding
from orchestrator.rules.retry import RetryPolicy

MOST_RESTING = 4
"""For each request that may be in flight, so many targets may wait for their next try without keeping a
worker from another target."""


class LearnedLimits(Struct, frozen=True, kw_only=True):
    """The limits that earlier sessions of the run have found, or were told, for a lane."""

    rate: float | None = None
    """The pace that the gateway turned out to bear."""
    limits: Limits | None = None
    """The limits that an operator has put in the place of the plan's."""


NOTHING_LEARNED = LearnedLimits()


class Lane:
    """A lane as its workers see it: they ask for admission before each request, and report each reading."""

    def __init__(
        self,
        gateway: Gateway,
        material: Material,
        send: Send,
        environment: Environment,
        run_gate: RunGate,
        listener: LaneListener,
        learned: LearnedLimits = NOTHING_LEARNED,
        act: Act = Act.UNDEPLOY,
    ) -> None:
        """``material`` is what the gateway's references gave; ``send`` sends one request to the gateway."""
        limits = learned.limits or gateway.limits
        self.gateway = gateway
        self.environment = environment
        self.announcer = LaneAnnouncer(gateway, listener)
        self.authenticator = Authenticator(gateway, material, environment, send, self.announcer.tell_request)
        self.policy = RetryPolicy.of(gateway, act)
        self.state = LaneState(
            self.policy,
            gateway.park_for,
            limits=limits,
            learned=learned.rate,
            first_alone=self.authenticator.must_go_alone,
            takes=compute_exchange_limit(gateway),
        )
        self.concurrency = limits.concurrency or gateway.CONCURRENCY
        """How many requests may be in flight now."""
        self.left = 0
        """Targets of the present step that have not ended."""
        self.later = 0
        """Targets of the next steps, as far as these come soon."""
        self.offered_looks = OfferedLooks()
        self._send = send
        self._reply_timeout = gateway.reply_timeout
        self._longest_exchange = compute_exchange_limit(gateway)
        self._under_way: set[TargetId] = set()
        self._hire: Callable[[int], None] = _hire_nobody
        self._run_gate = run_gate
        self._in_flight = 0
        self._resting = 0
        """Targets that wait for their next try."""
        self._is_crowded = False
        """Some request waits for another one in flight to end."""
        self._trial: AccessKeys | None = None
        """The key of the lane's first request, from its intent until its signature was judged."""
        self._no_login_since: float | None = None
        self._standstill = StandstillWatch(environment.monotonic)
        self._wakeup = Wakeup()
        self._logging_in = anyio.Lock()
        self.state_list = StateList(self)
        self.bindings = BindingReader(self)
        self.endable_reads = EndableReads(gateway, run_gate, environment.monotonic)
        self._is_paused = False
        run_gate.call_on_change(self._note_change)
        self._tell_pace()

    def go_on(self, run_gate: RunGate, listener: LaneListener) -> None:
        """Go on with further targets, under another run gate, and tell another listener."""
        self._run_gate = run_gate
        run_gate.call_on_change(self._note_change)
        self._begin_anew()
        self.endable_reads = EndableReads(self.gateway, run_gate, self.environment.monotonic)
        self.announcer.take_up(self.state, listener)

    def _note_change(self) -> None:
        """Take in that the run was paused, goes on, or is steered otherwise; waiting workers ask again."""
        was_paused, self._is_paused = self._is_paused, self._run_gate.paused
        if was_paused and not self._is_paused:
            self._begin_anew()
        self._wakeup.ring()

    def _begin_anew(self) -> None:
        """Let ``park_for`` begin anew for refusals and logins: a pause is no time in which these failed."""
        self.state.begin_anew()
        self._no_login_since = None

    def describe_standing(self) -> LaneStanding:
        """Return where the lane stands, for another process that goes on with it."""
        return self.state.describe_standing(self.environment.monotonic())

    def take_up(self, standing: LaneStanding, listener: LaneListener) -> None:
        """Go on where another process stood."""
        self.state.take_up(standing, self.environment.monotonic())
        self.announcer.take_up(self.state, listener)

    def refusal(self, act: Act = Act.UNDEPLOY, wait: float = 0.0, *, settling: bool = False) -> str | None:
        """Return why no such request may leave in ``wait`` seconds, in this session; None if one may.

        ``settling``: a look that is to settle a doubt."""
        now = self.environment.monotonic() + wait
        if refused := self._run_gate.refusal(act, now, takes=self._reply_timeout):
            return refused
        return self.state.refusal(act, settling=settling)

    def find_change_refusal(self, target: TargetId) -> str | None:
        """Return why a target's undeploy, or deploy, may not leave in this session; None if it may."""
        return self.refusal(self.policy.act) or self._run_gate.skip_reason(target)

    async def admit(self, admission: AdmissionRequest) -> str | None:
        """Return None as soon as a request may leave, or the reason why none may leave any more.

        Each round of the loop ends the wait, or waits for one of these: for time to pass, for a request in
        flight, for the end of a pause of the run. A login that fails changes the lane's state, so no two
        requests try the same login at one moment.
        """
        while True:
            if refused := self._refuse(admission):
                return refused
            if seconds := self._measure_hold_up(admission):
                await self.wait_for_change(seconds)
                continue
            match self.state.admit(admission, self.environment.monotonic()):
                case AdmissionGranted() if self.authenticator.is_ready:
                    return None
                # A given-up lane lets looks leave, but tries no login for them: its gateway is ill, or no
                # login was answered.
                case AdmissionGranted() if self.state.given_up:
                    return self._end_doubts()
                case AdmissionGranted():
                    admission.note_login(succeeded=await self._log_in())
                case AdmissionRefused(reason):
                    self.announcer.tell_state(self.state)
                    self._wakeup.ring()
                    return reason
                case AdmissionDelayed(seconds):
                    # To wait in vain would keep the run open past its window.
                    if refused := self.refusal(admission.act, seconds, settling=admission.settling):
                        return refused
                    await self.wait_for_change(seconds)

    async def wait_for_room(self) -> None:
        """Wait until another target may be begun, or none may any more."""
        while self.refusal() is None:
            now = self.environment.monotonic()
            seconds = self.state.seconds_until_room(now)
            if not seconds:
                return
            closes = self._run_gate.seconds_until_refused(self.policy.act, now, self.gateway)
            await self.wait_for_change(min(seconds, closes))

    def _refuse(self, admission: AdmissionRequest) -> str | None:
        """Return why a request may not leave in this session any more; then others may leave in its place."""
        refused = self.refusal(admission.act, settling=admission.settling) or self._find_futility(admission)
        # A look that is to settle what was sent for a target goes, though the target is passed over.
        if refused is None and not admission.settling:
            refused = self._run_gate.skip_reason(admission.target)
        if refused is not None and self.state.give_back(admission, self.environment.monotonic()):
            self._wakeup.ring()
        return refused

    async def wait_for_change(self, seconds: float = math.inf) -> None:
        """Wait for a change of the lane or of its run, but no longer than ``seconds``."""
        due = self.environment.monotonic() + seconds
        await self._wakeup.wait(seconds)
        self._leave_out_standstill(due)

    def wake_all(self) -> None:
        """Have all that wait for a change ask again."""
        self._wakeup.ring()

    def _leave_out_standstill(self, due: float) -> None:
        """Count no time in which this process stood still as one of refusals: the gateway was not asked.

        ``due``: by when what comes now would have come otherwise, in monotonic seconds.
        """
        if still := self._standstill.measure(due):
            self.state.leave_out(still)
            if self._no_login_since is not None:
                self._no_login_since += still

    def _measure_hold_up(self, admission: AdmissionRequest) -> float:
        """Return for how many seconds at most a request waits for others in flight, for the end of the run's
        pause, or for another credential; 0.0 if it waits for none of them."""
        # What left now would get a 401, too.
        if self.authenticator.is_renewing:
            return math.inf
        if self._in_flight >= self.concurrency:
            self._is_crowded = True
            return math.inf
        # A pause of the run lets doubts be settled: an operator who pauses wants to know what has happened.
        if self._run_gate.paused and not admission.settling:
            now = self.environment.monotonic()
            return self._run_gate.seconds_until_refused(admission.act, now, self.gateway)
        if self.state.alone and not self._close_if_key_is_refused():
            return self._measure_trials()
        return 0.0

    def _close_if_key_is_refused(self) -> bool:
        """Close the lane before its first request if other lanes have tried its key in vain; return whether.

        While the lane's own request is out, it is one of those that count, and too few others were refused.
        """
        keys, trials = self.authenticator.keys, self.environment.trials
        refused = None if keys is None else trials.find_refusal(keys, self.environment.monotonic())
        if refused is not None:
            self._close(refused)
        return refused is not None

    def _measure_trials(self) -> float:
        """Return for how many seconds the lane's first request waits, as other lanes try the same key."""
        keys, now = self.authenticator.keys, self.environment.monotonic()
        if keys is None or self._trial is not None or self.environment.trials.may_begin(keys, now):
            return 0.0
        return LOOK_PERIOD

    def _begin_trial(self) -> None:
        """Count a request that leaves with a key which was never let in, until its signature is judged."""
        if self._trial is None and (keys := self.authenticator.keys) is not None:
            self._trial = keys
            self.environment.trials.begin(keys)

    def _end_trial(self, *, is_let_in: bool | None = None) -> None:
        """Let other lanes try the key; ``is_let_in`` is what this lane's request has shown of it."""
        keys, self._trial = self._trial, None
        if keys is not None:
            self.environment.trials.end(keys, self.environment.monotonic(), is_let_in=is_let_in)

    def _end_doubts(self) -> str | None:
        """Let no look leave any more, since a lane that was given up logs in no more; return why."""
        self.state.end_doubts()
        self._wakeup.ring()
        return self.state.reason

    def _find_futility(self, admission: AdmissionRequest) -> str | None:
        """Return why a look is in vain: it settles no doubt, and the change behind it may not start."""
        is_before = admission.act is Act.LOOK and not admission.settling
        return self.refusal(self.policy.act) if is_before else None

    async def send(self, request: Request) -> Reply | Lost:
        """Send one request, once; return its reply, or that no reply came."""
        answer = await self._send(request)
        self.announcer.tell_answer(answer)
        return answer

    def begin_flight(self) -> None:
        """Count one request as in flight, from its intent on."""
        self._in_flight += 1
        if self.state.alone:
            self._begin_trial()

    def end_flight(self) -> None:
        """Count it no more, since it has its result."""
        self._in_flight -= 1
        if self._trial is not None:
            self._end_trial()
        if self._is_crowded:
            self._is_crowded = False
            self._wakeup.ring()

    def limit(self, *, concurrency: int | None = None, rate: float | Literal["same"] | None = "same") -> None:
        """Put other limits in force at once; a limit that is not given stays as it is."""
        if rate != "same":
            self.state.limit(rate, self.environment.monotonic())
            self._tell_pace()
        if concurrency is not None:
            more, self.concurrency = concurrency - self.concurrency, concurrency
            if more > 0:  # fewer: the workers that are too many wait for a free place
                self._hire(more)
        self._wakeup.ring()

    @property
    def ahead(self) -> int:
        """Targets that a list read now may serve: of the present step, and of the next ones."""
        return self.left + self.later

    def begin_step(self, targets: int, hire: Callable[[int], None] | None = None, *, later: int = 0) -> None:
        """Begin a step with so many targets, and ``later`` targets in the steps that come soon after it.

        The lane calls ``hire`` with a number of further workers, each time an operator raises the concurrency
        before ``end_step``.
        """
        self.left, self.later = targets, later
        self._hire = hire or _hire_nobody

    async def rest(self, seconds: float) -> None:
        """Let a target wait before its next try; meanwhile a further worker may take another target.

        Otherwise a few targets could spend all their attempts on an outage, before five of them show that the
        gateway is ill. Returns early if the run stops.
        """
        self._resting += 1
        if self._resting <= MOST_RESTING * self.concurrency:
            self._hire(1)
        try:
            await self._run_gate.sleep(seconds)
        finally:
            self._resting -= 1

    def has_enough(self, workers: int) -> bool:
        """Return whether one of so many workers is to spare, as the targets of some no longer rest."""
        return workers - self._resting > self.concurrency

    def end_step(self) -> None:
        """End a step: its targets are all taken."""
        self._hire = _hire_nobody

    def enter(self, target: TargetId) -> None:
        """Keep that a worker has taken a target, until the target leaves."""
        self._under_way.add(target)

    def leave(self, target: TargetId) -> None:
        """Keep that a target has ended for this session."""
        self.left -= 1
        self._under_way.discard(target)
        self.release(target)

    def release(self, target: TargetId) -> None:
        """Keep that a target sends nothing more for now: where it went alone, another target may go."""
        if self.state.leave(target):
            self._wakeup.ring()

    def observe(
        self, admission: AdmissionRequest, reading: Reading, began: float, status: int | None = None
    ) -> None:
        """Take in the reading of a request that left at ``began`` (monotonic seconds).

        ``status`` is the HTTP status of its reply, None where no reply came.
        """
        now = self.environment.monotonic()
        if now - began > self._longest_exchange:
            self._leave_out_standstill(began + self._longest_exchange)
        before, epoch = self.state.state, self.state.pace.find_epoch(self.policy.act)
        one_by_one = self.state.alone or self.state.is_fruitless
        pause = self.state.observe(
            admission,
            reading,
            now,
            began=began,
            left=self.left,
            within_reach=len(self._under_way),
            status=status,
        )
        if pause is not None:
            self.announcer.tell_refusal(reading, pause)
        self.announcer.tell_state(self.state)
        if self.state.state == "parked":
            self.announcer.tell_probe(self.state, now)
        self._tell_pace(at_once=self.state.pace.find_epoch(self.policy.act) != epoch)
        if reading.wait is not None:
            self.announcer.warn_of_long_wait(reading)
        # Waiting workers ask again only where the answer may have changed: a thousand replies a second would
        # otherwise wake every worker a thousand times.
        if pause is not None or self.state.state != before or before == "parked" or one_by_one:
            self._wakeup.ring()

    def _tell_pace(self, *, at_once: bool = True) -> None:
        now = self.environment.monotonic()
        self.announcer.tell_pace(self.state.pace.find_rate(self.policy.act), now, at_once=at_once)

    async def _log_in(self) -> bool:
        """Get a token; where that fails the lane is closed, or pauses before the next try.

        Returns whether this very login gave a token."""
        async with self._logging_in:
            # Another worker may have logged in meanwhile, or was refused. A refused login is never repeated.
            if self.authenticator.is_ready or self.state.is_held(self.environment.monotonic()):
                return False
            due = self.environment.monotonic() + self._longest_exchange
            result = await self.authenticator.authenticate()
            self._leave_out_standstill(due)
            match result:
                case LoginDenied(reason):
                    self._close(reason)
                case LoginDelayed(reason, _, True):
                    self._give_up(reason)
                case LoginDelayed(reason, wait, False):
                    self._put_off_login(reason, wait)
                case _:
                    self._no_login_since = None
                    return True
        return False

    def _put_off_login(self, reason: str, wait: float | None) -> None:
        """Pause before the next login; give the lane up once no login was answered for ``park_for``."""
        now = self.environment.monotonic()
        if self._no_login_since is None:
            self._no_login_since = now
        left = self._no_login_since + self.gateway.park_for - now
        if left <= 0.0:
            self._give_up(reason)
        else:
            self.announcer.tell_pause(reason, self.state.pause_for_login(wait, now, most=left))

    def confirm_credential(self, generation: int) -> None:
        """Keep that the gateway answered the credential of this generation by something else than 401."""
        self.authenticator.confirm(generation)
        self._end_trial(is_let_in=True)
        if self.state.confirm_credential():
            self._wakeup.ring()

    async def renew_credential(self, generation: int, reading: Reading) -> None:
        """Get another credential after a 401, once for the whole lane; or close the lane."""
        if self.state.state == "closed":
            return
        if denied := await self.authenticator.renew(generation, reading):
            self._end_trial(is_let_in=False)
            self._close(denied.reason)
        else:
            self._wakeup.ring()

    def _close(self, reason: str) -> None:
        self.state.close(f"{Reason.DENIED}: {reason}")
        self._tell_change()

    def _give_up(self, reason: str) -> None:
        self.state.give_up(f"{Reason.PARKED}: {reason}", self.environment.monotonic())
        self._tell_change()

    def _tell_change(self) -> None:
        self.announcer.tell_state(self.state)
        self._wakeup.ring()


def _hire_nobody(_more: int) -> None:
    """Between two steps there is no work for further workers."""
