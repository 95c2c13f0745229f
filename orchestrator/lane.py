"""One gateway of one run: whether it may be sent to now, its credential, and how it is doing.

``LaneState`` holds the rules and knows no clock; ``Lane`` waits for it on behalf of the workers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import anyio
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.errors import CredentialError
from orchestrator.model import Act, Gateway, Reading, Reason, TargetId, Verdict
from orchestrator.retry import Policy, backoff, describe, wrong_place
from orchestrator.stopping import Stopping
from orchestrator.wire import Secret
from orchestrator.world import World

FAULTY_TARGETS = 5
"""A lane parks after faults of this many different targets with no answered undeploy between."""

FIRST_PROBE = 5.0
"""Seconds from parking to the first probe; each further one waits twice as long, up to a minute."""

LONGEST_PROBE = 60.0

PARK_FOR = 600.0
"""Seconds that a parked lane is probed before its targets are left for a resume."""

LaneStatus: TypeAlias = Literal["open", "paused", "parked", "closed"]
Tell: TypeAlias = Callable[[str, LaneStatus, str | None, float | None], None]
"""Told of a lane's name, its new state, why, and for how many seconds."""

_FAULTS = {Verdict.DOUBT, Verdict.STRANGE, Verdict.UNSENT}
_NO_ANSWER = _FAULTS | {Verdict.BUSY, Verdict.DENIED, Verdict.ELSEWHERE}


class Go(Struct, frozen=True):
    """The request may leave now."""


class Wait(Struct, frozen=True):
    """Ask again after ``seconds``, or when the lane changes; None is until it changes."""

    seconds: float | None


class Refuse(Struct, frozen=True):
    """No request may leave in this session any more, for ``reason``."""

    reason: str


class LaneState:
    """The rules of a lane. All times are monotonic seconds, handed in."""

    def __init__(self, policy: Policy, park_for: float) -> None:
        self.state: Literal["open", "parked", "closed"] = "open"
        self.reason: str | None = None
        self._policy = policy
        self._park_for = park_for
        self._paused_until = 0.0
        self._looks_paused_until = 0.0
        self._busy_since: float | None = None
        self._busy_in_a_row = 0
        self._faulty: set[TargetId] = set()
        self._faults = 0
        self._parked_since = 0.0
        self._probe_at = 0.0
        self._probe_wait = FIRST_PROBE
        self._prober: TargetId | None = None
        self._given_up = False

    @property
    def ended(self) -> bool:
        """No request may leave in this session any more."""
        return self.state == "closed" or self._given_up

    def admit(self, target: TargetId, act: Act, now: float, *, settling: bool) -> Go | Wait | Refuse:
        """Say whether a request may leave now.

        A parked lane looks to settle doubts (``settling``); of everything else it lets one target go on at a
        time, as its probe.
        """
        if self.ended:
            return Refuse(self.reason or "")
        paused = self._paused_until
        if act is Act.LOOK:
            paused = max(paused, self._looks_paused_until)
        if now < paused:
            return Wait(paused - now)
        if self.state == "parked" and not (act is Act.LOOK and settling):
            return self._admit_probe(target, now)
        return Go()

    def _admit_probe(self, target: TargetId, now: float) -> Go | Wait | Refuse:
        if self._prober == target:
            return Go()
        gives_up = self._parked_since + self._park_for
        if self._prober is None and now >= gives_up:
            self._given_up = True
            return Refuse(self.reason or "")
        if self._prober is not None:
            return Wait(None)
        if now < self._probe_at:
            return Wait(min(self._probe_at, gives_up) - now)
        self._prober = target
        return Go()

    def leave(self, target: TargetId) -> bool:
        """A target has ended for this session; returns whether another one may probe in its place."""
        if self._prober != target:
            return False
        self._prober = None
        return True

    def heed(self, target: TargetId, act: Act, reading: Reading, now: float, left: int) -> float | None:
        """Take in a reading. Returns the seconds of a pause that it began, None where it began none.

        ``left`` counts the targets that the lane still has, this one included.
        """
        if act is Act.LOOK:
            return self._heed_look(reading, now)
        probed = self.leave(target)
        match reading.verdict:
            case Verdict.BUSY:
                return self._pause(reading, now)
            case Verdict.ELSEWHERE:
                self.close(wrong_place(reading))
            case verdict if verdict in _FAULTS:
                self._fault(target, reading, now, left, probed=probed)
            case verdict if verdict not in _NO_ANSWER:
                self._answered()
        return None

    def _heed_look(self, reading: Reading, now: float) -> float | None:
        if reading.verdict is Verdict.BUSY:
            self._looks_paused_until = max(self._looks_paused_until, now + self._wanted(reading, 1))
        return None

    def _wanted(self, reading: Reading, in_a_row: int) -> float:
        """Return how long to pause: what the gateway asks for, bounded; else the longest backoff."""
        if reading.wait is not None:
            return min(reading.wait, self._park_for)
        return max(1.0, backoff(self._policy, in_a_row, 1.0))

    def _pause(self, reading: Reading, now: float) -> float | None:
        if self._busy_since is None:
            self._busy_since = now
        began = now >= self._paused_until
        self._busy_in_a_row += began
        self._paused_until = max(self._paused_until, now + self._wanted(reading, self._busy_in_a_row))
        if now - self._busy_since >= self._park_for:
            self._park(f"{Reason.PARKED}: nothing but refusals to take more: {describe(reading)}", now)
            self._given_up = True
        return self._paused_until - now if began else None

    def _fault(self, target: TargetId, reading: Reading, now: float, left: int, *, probed: bool) -> None:
        self._faulty.add(target)
        self._faults += 1
        self._busy_since, self._busy_in_a_row = None, 0
        if self.state == "parked":
            if not probed:  # it had left before the lane was parked
                return
            self._probe_wait = min(self._probe_wait * 2, LONGEST_PROBE)
            self._probe_at = now + self._probe_wait
        elif len(self._faulty) >= min(FAULTY_TARGETS, left) and self._faults >= FAULTY_TARGETS:
            self._park(f"{Reason.PARKED}: {describe(reading)}", now)

    def _park(self, reason: str, now: float) -> None:
        if self.state == "closed":
            return
        self.state, self.reason = "parked", reason
        self._parked_since, self._probe_at = now, now + FIRST_PROBE
        self._probe_wait = FIRST_PROBE

    def _answered(self) -> None:
        self._faulty.clear()
        self._faults = 0
        self._busy_since, self._busy_in_a_row = None, 0
        if self.state == "parked" and not self._given_up:
            self.state, self.reason = "open", None

    def close(self, reason: str) -> None:
        """Close the lane to the end of the run; the first reason stays."""
        if self.state != "closed":
            self.state, self.reason = "closed", reason


class Credential(Struct):
    """The secret in use. ``worked`` tells that the gateway has answered it with something else than 401."""

    secret: Secret
    generation: int = 1
    worked: bool = False


def credential_forms(secret: Secret) -> tuple[bytes, ...]:
    """Return the ways in which a reply may repeat a credential: as it is, and as JSON escapes it."""
    text = secret.reveal()
    forms = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    return tuple(form.encode() for form in sorted(forms))


class Lane:
    """A lane as the workers see it: they ask it before each request, and tell it each reading."""

    def __init__(self, gateway: Gateway, world: World, stopping: Stopping, tell: Tell) -> None:
        self.gateway = gateway
        self.policy = Policy.of(gateway)
        self.state = LaneState(self.policy, PARK_FOR)
        self.left = 0
        self.lacking: set[str] = set()
        """The looks that this gateway turned out not to offer."""
        self._offered: set[str] = set()
        self._world = world
        self._stopping = stopping
        self._tell = tell
        self._changed = anyio.Event()
        self._renewing = anyio.Lock()
        self.credential = Credential(world.credential(gateway))
        self.marks = credential_forms(self.credential.secret)
        """What is masked in the vendor's texts: every credential ever in use, as it may be written."""

    def refusal(self, act: Act = Act.UNDEPLOY, wait: float = 0.0) -> str | None:
        """Return why no such request may leave in ``wait`` seconds, in this session; None if one may."""
        now = self._world.monotonic() + wait
        if refused := self._stopping.refuses(act, now, takes=self.gateway.reply_timeout):
            return refused
        return self.state.reason if self.state.ended else None

    async def admit(self, target: TargetId, act: Act, *, settling: bool) -> str | None:
        """Return None as soon as a request may leave, or the reason why none may any more."""
        while True:
            if refused := self.refusal(act):
                return refused
            match self.state.admit(target, act, self._world.monotonic(), settling=settling):
                case Go():
                    return None
                case Refuse(reason):
                    self._broadcast()
                    return reason
                case Wait(seconds):
                    if seconds and (refused := self.refusal(act, seconds)):
                        return refused
                    await self._wait(seconds)

    async def _wait(self, seconds: float | None) -> None:
        """Wait for time to pass, for the lane to change, or for the run to stop."""
        changed = self._changed
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                await changed.wait()
                group.cancel_scope.cancel()

            group.start_soon(watch)
            await self._stopping.pause(math.inf if seconds is None else seconds)
            group.cancel_scope.cancel()

    def _broadcast(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def leave(self, target: TargetId) -> None:
        """A target has ended for this session."""
        self.left -= 1
        if self.state.leave(target):
            self._broadcast()

    def heed(self, target: TargetId, act: Act, reading: Reading) -> None:
        """Take in a reading of one of this lane's requests."""
        before = self.state.state
        pause = self.state.heed(target, act, reading, self._world.monotonic(), self.left)
        if pause is not None:
            self._tell(self.gateway.name, "paused", describe(reading), pause)
        if self.state.state != before:
            self._tell(self.gateway.name, self.state.state, self.state.reason, None)
        if pause is not None or self.state.state != before or before == "parked":
            self._broadcast()

    def found(self, via: str, reading: Reading) -> Reading:
        """Take in what a look gave, and keep for the whole lane whether it is offered.

        A look that was answered once is offered: a later "no such look" is a fault, and tells nothing.
        """
        if reading.verdict is Verdict.NOT_OFFERED and via in self._offered:
            return replace(reading, verdict=Verdict.UNCLEAR)
        if reading.verdict is Verdict.NOT_OFFERED:
            self.lacking.add(via)
        elif reading.verdict in (Verdict.UP, Verdict.DOWN):
            self._offered.add(via)
        return reading

    def accepted(self, generation: int) -> None:
        """Keep that the credential of this generation was answered with something else than 401."""
        if generation == self.credential.generation:
            self.credential.worked = True

    async def renew(self, generation: int, reading: Reading) -> None:
        """Resolve the credential again after a 401, once for the whole lane; or close the lane.

        A worker whose credential is not the newest any more has nothing to do. A credential that never
        worked is refreshed only if it is the first one; the same text again, or one that is refused at
        once, closes the lane.
        """
        async with self._renewing:
            if generation == self.credential.generation and self.state.state != "closed":
                self._renew(self.credential, reading)

    def _renew(self, current: Credential, reading: Reading) -> None:
        if current.generation > 1 and not current.worked:
            self._deny(reading, "the renewed credential was refused too")
            return
        try:
            secret = self._world.credential(self.gateway)
        except CredentialError as error:
            self._deny(reading, str(error))
            return
        if secret == current.secret:
            self._deny(reading, "the credential was rejected, and its reference gives no other one")
            return
        self.credential = Credential(secret, current.generation + 1)
        self.marks += credential_forms(secret)

    def _deny(self, reading: Reading, why: str) -> None:
        self.state.close(f"{Reason.DENIED}: {why} ({describe(reading)})")
        self._tell(self.gateway.name, "closed", self.state.reason, None)
        self._broadcast()
