"""One gateway of one run: whether it may be sent to now, its credential, and how it is doing.

The rules are ``lane_state``'s, which knows no clock; ``Lane`` waits for it on behalf of the workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import anyio
from msgspec.structs import replace

from orchestrator.access import Denied, Entrance, Later
from orchestrator.lane_state import Go, LaneState, Refuse, Wait
from orchestrator.model import Act, Gateway, Reading, Reason, TargetId, Verdict
from orchestrator.retry import Policy, describe
from orchestrator.stopping import Stopping
from orchestrator.world import World

PARK_FOR = 600.0
"""Seconds that a parked lane is probed before its targets are left for a resume."""

LaneStatus: TypeAlias = Literal["open", "paused", "parked", "closed", "warning"]
Tell: TypeAlias = Callable[[str, LaneStatus, str | None, float | None], None]
"""Told of a lane's name, its new state (or ``warning``), why, and for how many seconds."""


class Lane:
    """A lane as the workers see it: they ask it before each request, and tell it each reading."""

    def __init__(
        self, gateway: Gateway, entrance: Entrance, world: World, stopping: Stopping, tell: Tell
    ) -> None:
        self.gateway = gateway
        self.entrance = entrance
        self.policy = Policy.of(gateway)
        self.state = LaneState(self.policy, PARK_FOR, first_alone=entrance.alone)
        self.left = 0
        """Targets of the present wave that have not ended."""
        self.lacking: set[str] = set()
        """The looks that this gateway turned out not to offer."""
        self._offered: set[str] = set()
        self._world = world
        self._stopping = stopping
        self._tell = tell
        self._changed = anyio.Event()
        self._logging_in = anyio.Lock()
        stopping.wake(self._broadcast)

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
                case Go() if self.entrance.ready:
                    return None
                case Go():
                    await self._log_in()
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
        # No more targets can be seen to fail than there are workers to try them.
        within_reach = min(self.left, self.gateway.concurrency)
        pause = self.state.heed(target, act, reading, self._world.monotonic(), within_reach)
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

    async def _log_in(self) -> None:
        """Get a token; where that fails the lane is closed, or pauses before the next try."""
        async with self._logging_in:
            # Whoever waited here goes by what the one before has found: nobody repeats a refused login.
            if self.entrance.ready or self.state.held(self._world.monotonic()):
                return
            match await self.entrance.enter():
                case Denied(reason):
                    self._close(reason)
                case Later(reason, _, True):
                    self._changing(lambda now: self.state.give_up(f"{Reason.PARKED}: {reason}", now))
                case Later(reason, wait, False):
                    pause = self.state.pause_for(wait, self._world.monotonic())
                    self._tell(self.gateway.name, "paused", reason, pause)
                case _:
                    pass

    def warn(self, text: str) -> None:
        """Have something said in the report that concerns the gateway as a whole."""
        self._tell(self.gateway.name, "warning", text, None)

    def accepted(self, generation: int) -> None:
        """Keep that the credential of this generation was answered with something else than 401."""
        self.entrance.accepted(generation)
        if self.state.prove():
            self._broadcast()

    async def renew(self, generation: int, reading: Reading) -> None:
        """Get another credential after a 401, once for the whole lane; or close the lane."""
        if self.state.state != "closed" and (denied := await self.entrance.renew(generation, reading)):
            self._close(denied.reason)

    def _close(self, reason: str) -> None:
        self._changing(lambda _: self.state.close(f"{Reason.DENIED}: {reason}"))

    def _changing(self, change: Callable[[float], None]) -> None:
        """Change the state, and tell it to all whom it concerns."""
        before = self.state.state
        change(self._world.monotonic())
        if self.state.state != before:
            self._tell(self.gateway.name, self.state.state, self.state.reason, None)
        self._broadcast()
