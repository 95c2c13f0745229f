"""One gateway of one run: whether it may be sent to now, its credential, and how it is doing.

The rules are ``lane_state``'s, which knows no clock; ``Lane`` waits for it on behalf of the workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import anyio
from msgspec import Struct

from orchestrator.lanes.environment import Environment, compute_exchange_limit
from orchestrator.lanes.login import Authenticator, LoginDelayed, LoginDenied
from orchestrator.lanes.offered_looks import OfferedLooks
from orchestrator.lanes.run_gate import RunGate
from orchestrator.lanes.state_list import StateList
from orchestrator.lanes.wakeup import Wakeup
from orchestrator.model.credentials import Material
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
from orchestrator.rules.retry import RetryPolicy, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

PACE_REPORT_INTERVAL = 1.0
"""Seconds between two words about a pace that grows; a cut is told at once."""

YEAR = 366 * 86_400.0
"""Seconds; how much longer a gateway asks to wait is nothing that anybody has to know."""

LaneStatus: TypeAlias = Literal["open", "paused", "parked", "given_up", "closed", "warning"]
"""``given_up`` is parked, too, and not probed any more."""


class LaneListener(Protocol):
    """Hears how a lane is doing, for a report or a display."""

    def on_lane_state(
        self, gateway: str, state: LaneStatus, reason: str | None, seconds: float | None, /
    ) -> None:
        """Hear that the lane has a new state, or a warning; why; and how many seconds a pause lasts."""
        ...

    def on_pace(self, gateway: str, rate: float | None, /) -> None:
        """Hear that at most ``rate`` undeploys a second leave from now on; None is no bound."""
        ...

    def on_lane_request(self, gateway: str, /) -> None:
        """Hear that the lane sends a request that is no single target's: a login, or a page of the list."""
        ...

    def on_answer(self, gateway: str, answer: Reply | Lost, /) -> None:
        """Hear what came back of a request, or that nothing did; logins apart."""
        ...


class LearnedLimits(Struct, frozen=True, kw_only=True):
    """What earlier sessions of the run have left for a lane."""

    rate: float | None = None
    """The pace that its gateway turned out to bear."""
    limits: Limits | None = None
    """What somebody has put in the place of the plan's limits."""


NOTHING_LEARNED = LearnedLimits()


class Lane:
    """A lane as the workers see it: they ask it before each request, and tell it each reading."""

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
        """``material`` is what the gateway's references gave; ``send`` sends one request to it."""
        limits = learned.limits or gateway.limits
        self.gateway = gateway
        self._send = send
        self.environment = environment
        self.authenticator = authenticator = Authenticator(
            gateway, material, environment, send, self.tell_request
        )
        self.policy = RetryPolicy.of(gateway, act)
        self.state = LaneState(
            self.policy,
            gateway.park_for,
            limits=limits,
            learned=learned.rate,
            first_alone=authenticator.must_go_alone,
            takes=compute_exchange_limit(gateway),
        )
        self.concurrency = limits.concurrency or gateway.CONCURRENCY
        """How many requests may be in flight now."""
        self.left = 0
        """Targets of the present step that have not ended."""
        self.offered_looks = OfferedLooks()
        self._under_way: set[TargetId] = set()
        self._hire: Callable[[int], None] = _hire_nobody
        self._run_gate = run_gate
        self._listener = listener
        self._in_flight = 0
        self._crowded = False
        self._rate_told: float | None = None
        self._rate_told_at = -math.inf
        self._absurd_told = False
        self._state_told: LaneStatus = "open"
        self._no_login_since: float | None = None
        self._topics: set[str] = set()
        self._wakeup = Wakeup()
        self._logging_in = anyio.Lock()
        self.state_list = StateList(self)
        run_gate.call_on_change(self._wakeup.ring)
        self._tell_pace()

    def refusal(self, act: Act = Act.UNDEPLOY, wait: float = 0.0, *, settling: bool = False) -> str | None:
        """Return why no such request may leave in ``wait`` seconds, in this session; None if one may.

        ``settling``: a look that is to settle a doubt."""
        now = self.environment.monotonic() + wait
        if refused := self._run_gate.refusal(act, now, takes=self.gateway.reply_timeout):
            return refused
        return self.state.refusal(act, settling=settling)

    async def admit(self, turn: AdmissionRequest) -> str | None:
        """Return None as soon as a request may leave, or the reason why none may any more.

        Each round ends it, waits for a while, or waits for a request in flight or for somebody who has paused
        the run: a login that fails changes the state of the lane, so none is tried twice at one moment.
        """
        while True:
            if refused := self.refusal(turn.act, settling=turn.settling) or self._skip_reason(turn):
                return refused
            if held_up := self._measure_hold_up(turn):
                await self._wakeup.wait(held_up)
                continue
            match self.state.admit(turn, self.environment.monotonic()):
                case AdmissionGranted() if self.authenticator.is_ready:
                    return None
                case AdmissionGranted() if self.state.given_up:
                    return self._end_doubts()
                case AdmissionGranted():
                    turn.note_login(succeeded=await self._log_in())
                case AdmissionRefused(reason):
                    self._tell_state()
                    self._wakeup.ring()
                    return reason
                case AdmissionDelayed(seconds):
                    if refused := self.refusal(turn.act, seconds, settling=turn.settling):
                        return refused
                    await self._wakeup.wait(seconds)

    def _measure_hold_up(self, turn: AdmissionRequest) -> float:
        """Return for how long a request waits for others in flight or for whoever has paused the run, unless
        that ends before; 0.0 where it need not."""
        if self._in_flight >= self.concurrency:
            self._crowded = True
            return math.inf
        if self._run_gate.paused and not turn.settling:
            return self._run_gate.seconds_until_refused(turn.act, self.environment.monotonic(), self.gateway)
        return 0.0

    def _end_doubts(self) -> str | None:
        """Let no look leave any more: a lane that was given up logs in no more."""
        self.state.end_doubts()
        self._wakeup.ring()
        return self.state.reason

    def _skip_reason(self, turn: AdmissionRequest) -> str | None:
        """Return why a target is passed over, unless a look is to settle what was sent for it."""
        return None if turn.settling else self._run_gate.skip_reason(turn.target)

    async def send(self, request: Request) -> Reply | Lost:
        """Send one request, once; return what comes back."""
        answer = await self._send(request)
        self._listener.on_answer(self.gateway.name, answer)
        return answer

    @contextmanager
    def track_flight(self) -> Iterator[None]:
        """One request is in flight for the block, from its intent to its result."""
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            if self._crowded:
                self._crowded = False
                self._wakeup.ring()

    def limit(self, *, concurrency: int | None = None, rate: float | Literal["same"] | None = "same") -> None:
        """Put other limits in force at once; what is not given stays as it is."""
        if rate != "same":
            self.state.limit(rate, self.environment.monotonic())
            self._tell_pace()
        if concurrency is not None:
            more, self.concurrency = concurrency - self.concurrency, concurrency
            if more > 0:
                self._hire(more)
        self._wakeup.ring()

    def begin_step(self, targets: int, hire: Callable[[int], None] | None = None) -> None:
        """Begin with a step's targets. ``hire`` is called with how many workers more there may be, each time
        somebody raises the lane's concurrency before ``end_step``."""
        self.left = targets
        self._hire = hire or _hire_nobody

    def end_step(self) -> None:
        """End a step: nobody takes its targets any more."""
        self._hire = _hire_nobody

    def enter(self, target: TargetId) -> None:
        """A worker has taken a target, and keeps it until it leaves."""
        self._under_way.add(target)

    def leave(self, target: TargetId) -> None:
        """A target has ended for this session."""
        self.left -= 1
        self._under_way.discard(target)
        self.release(target)

    def release(self, target: TargetId) -> None:
        """A target sends nothing more for now: where it went alone, another one may."""
        if self.state.leave(target):
            self._wakeup.ring()

    def observe(
        self, turn: AdmissionRequest, reading: Reading, began: float, status: int | None = None
    ) -> None:
        """Take in a reading of one of this lane's requests, which left at ``began`` (monotonic).

        ``status`` is its reply's, None where none came.
        """
        before, epoch = self.state.state, self.state.undeploys.epoch
        one_by_one = self.state.alone or self.state.is_fruitless
        pause = self.state.observe(
            turn,
            reading,
            self.environment.monotonic(),
            began=began,
            left=self.left,
            within_reach=len(self._under_way),
            status=status,
        )
        if pause is not None:
            self._listener.on_lane_state(self.gateway.name, "paused", describe(reading), pause)
        self._tell_state()
        self._tell_pace(at_once=self.state.undeploys.epoch != epoch)
        self._tell_absurd(reading)
        if pause is not None or self.state.state != before or before == "parked" or one_by_one:
            self._wakeup.ring()

    def _tell_pace(self, *, at_once: bool = True) -> None:
        """Tell the bound that is in force, where it has changed: not every hair's breadth of its growth."""
        rate = self.state.undeploys.rate
        if rate == self._rate_told:
            return
        now = self.environment.monotonic()
        if at_once or now - self._rate_told_at >= PACE_REPORT_INTERVAL:
            self._rate_told, self._rate_told_at = rate, now
            self._listener.on_pace(self.gateway.name, rate)

    def _tell_absurd(self, reading: Reading) -> None:
        if self._absurd_told or reading.wait is None or reading.wait <= self.gateway.park_for:
            return
        self._absurd_told = True
        bound = self.gateway.park_for
        asked = f"{reading.wait:.0f} s" if reading.wait <= YEAR else "more than a year"
        self.warn(f"it asks to wait for {asked}; it is asked again after {bound:g} s (park_for)")

    async def _log_in(self) -> bool:
        """Get a token; where that fails the lane is closed, or pauses before the next try.

        Returns whether a token came of it: no other one's login counts."""
        async with self._logging_in:
            # Whoever waited here goes by what the one before has found: nobody repeats a refused login.
            if self.authenticator.is_ready or self.state.is_held(self.environment.monotonic()):
                return False
            match await self.authenticator.authenticate():
                case LoginDenied(reason):
                    self._close(reason)
                case LoginDelayed(reason, _, True):
                    self._change_state(lambda now: self.state.give_up(f"{Reason.PARKED}: {reason}", now))
                case LoginDelayed(reason, wait, False):
                    self._put_off_login(reason, wait)
                case _:
                    self._no_login_since = None
                    return True
        return False

    def _put_off_login(self, reason: str, wait: float | None) -> None:
        """Pause before the next login; give the lane up once none has been answered for ``park_for``."""
        now = self.environment.monotonic()
        if self._no_login_since is None:
            self._no_login_since = now
        left = self._no_login_since + self.gateway.park_for - now
        if left <= 0.0:
            self._change_state(lambda now: self.state.give_up(f"{Reason.PARKED}: {reason}", now))
        else:
            pause = self.state.pause_for_login(wait, now, most=left)
            self._listener.on_lane_state(self.gateway.name, "paused", reason, pause)

    def tell_request(self) -> None:
        """Tell the listener of a request that is no single target's."""
        self._listener.on_lane_request(self.gateway.name)

    def warn(self, text: str) -> None:
        """Have something said in the report that concerns the gateway as a whole."""
        self._listener.on_lane_state(self.gateway.name, "warning", text, None)

    def warn_once(self, topic: str, text: str) -> None:
        """Warn as ``warn`` does, but only the first time on a ``topic``."""
        if topic not in self._topics:
            self._topics.add(topic)
            self.warn(text)

    def confirm_credential(self, generation: int) -> None:
        """Keep that the credential of this generation was answered with something else than 401."""
        self.authenticator.confirm(generation)
        if self.state.confirm_credential():
            self._wakeup.ring()

    async def renew_credential(self, generation: int, reading: Reading) -> None:
        """Get another credential after a 401, once for the whole lane; or close the lane."""
        if self.state.state != "closed" and (denied := await self.authenticator.renew(generation, reading)):
            self._close(denied.reason)

    def _close(self, reason: str) -> None:
        self._change_state(lambda _: self.state.close(f"{Reason.DENIED}: {reason}"))

    def _change_state(self, change: Callable[[float], None]) -> None:
        """Change the state, and tell it to all whom it concerns."""
        change(self.environment.monotonic())
        self._tell_state()
        self._wakeup.ring()

    def _tell_state(self) -> None:
        """Tell the state, where it has changed since that was done last."""
        state: LaneStatus = self.state.state
        if state == "parked" and self.state.given_up:
            state = "given_up"
        if state != self._state_told:
            self._state_told = state
            self._listener.on_lane_state(self.gateway.name, state, self.state.reason, None)


def _hire_nobody(_more: int) -> None:
    """Between two steps a higher concurrency finds nobody a place."""
