"""The network between workers and gateways: a request that has left arrives, whatever its sender does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import anyio
from msgspec.structs import replace

from orchestrator.model.gateway import Gateway
from orchestrator.model.http import HELD_BACK, Lost, Reply, Request, Send
from orchestrator.simulator.platforms import SimulatedPlatforms
from tests.simulation.disk import ProcessFate
from tests.simulation.far.processes import FarLoop, SimulatedProcess, find_process, travel
from tests.simulation.network import SimulatedNetwork, note_answer
from tests.simulation.promises import PromiseWitness
from tests.simulation.scene import Illness, SeedScene
from tests.simulation.wire import SessionWire, WireExchange

CONNECTING = 0.03
"""Seconds at most until a connection stands."""

Depart = Callable[[SimulatedProcess, WireExchange], None]


class FarNetwork(SimulatedNetwork):
    """Connects the lanes of all workers."""

    def __init__(
        self,
        platforms: SimulatedPlatforms,
        random: Random,
        loop: FarLoop,
        *,
        now: Callable[[], float],
        wall: Callable[[], float],
        scene: SeedScene,
        find_illness: Callable[[str], Illness | None],
        witness: PromiseWitness,
        wire: SessionWire,
        on_departure: Depart,
    ) -> None:
        """``on_departure`` hears of each request before its first byte leaves, with its sender."""
        super().__init__(
            platforms,
            random,
            ProcessFate(loop),
            now=now,
            wall=wall,
            scene=scene,
            find_illness=find_illness,
            witness=witness,
            wire=wire,
        )
        self._loop = loop
        self._on_departure = on_departure

    @asynccontextmanager
    async def connect(self, gateway: Gateway) -> AsyncIterator[Send]:
        """Open the connections of one lane of the process that asks."""
        process = find_process()

        async def send(request: Request) -> Reply | Lost:
            await process.step()
            if self._rolls(self._scene.stuck):
                await anyio.sleep_forever()
            if self._rolls(self._scene.unsent):
                return await self._refuse()
            await travel(self._random, CONNECTING)
            if request.may_leave is not None and not request.may_leave():
                return HELD_BACK
            return await self._leave(process, gateway, request)

        yield send

    async def _leave(self, process: SimulatedProcess, gateway: Gateway, request: Request) -> Reply | Lost:
        seen = self._note_departure(gateway, request)
        seen.behind = process.behind
        self._on_departure(process, seen)
        exchange: asyncio.Task[Reply | Lost] = self._loop.start_outside(self._pass(gateway, request, seen))
        # The system closes the connections of a dead process.
        process.ends.append(exchange.cancel)
        try:
            answer = await asyncio.shield(exchange)
            note_answer(seen, answer)
            if isinstance(answer, Reply):
                answer = replace(answer, at=answer.at + process.ahead)
        finally:
            process.ends.remove(exchange.cancel)
            seen.came = self._now()
        await process.step()
        return answer

    async def _pass(self, gateway: Gateway, request: Request, seen: WireExchange) -> Reply | Lost:
        with anyio.move_on_after(gateway.reply_timeout):
            return await self._exchange(gateway.name, request, seen)
        return Lost(sent=True, detail="no whole reply in time")
