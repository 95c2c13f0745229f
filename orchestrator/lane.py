"""One gateway of one run: whether it may be sent to now, its credential, and how it is doing.

The rules are ``lane_state``'s, which knows no clock; ``Lane`` waits for it on behalf of the workers.
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
from orchestrator.lane_state import Go, LaneState, Refuse, Wait
from orchestrator.model import Act, Gateway, Reading, Reason, TargetId, Verdict
from orchestrator.retry import Policy, describe
from orchestrator.stopping import Stopping
from orchestrator.wire import Secret
from orchestrator.world import World

PARK_FOR = 600.0
"""Seconds that a parked lane is probed before its targets are left for a resume."""

LaneStatus: TypeAlias = Literal["open", "paused", "parked", "closed"]
Tell: TypeAlias = Callable[[str, LaneStatus, str | None, float | None], None]
"""Told of a lane's name, its new state, why, and for how many seconds."""


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
        stopping.wake(self._broadcast)
        self._renewing = anyio.Lock()
        self.credential = Credential(world.credential(gateway))
        self.marks = credential_forms(self.credential.secret)
        """What is masked in the vendor's texts: every credential ever in use, as it may be written."""

    def refusal(self, act: Act = Act.UNDEPLOY, wait: float = 0.0) -> str | None:
        """Return why no such request may leave in ``wait`` seconds, in this session; None if one may."""
        now = self._world.monotonic() + wait
        if refused := self._stopping.refuses(act, now, takes=self.gateway.reply_timeout):
            return refused
        return self.state.refusal(act)

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
        with anyio.move_on_after(math.inf if seconds is None else seconds):
            await self._changed.wait()

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
