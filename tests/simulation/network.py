"""A network without sockets: it takes requests to the simulated platforms, and replies come late or never."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import anyio
from yarl import URL

from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request, Send
from orchestrator.model.reading import Act
from orchestrator.simulator.exchange import Delivery, DeliveryManner
from orchestrator.simulator.platforms import SimulatedPlatforms
from tests.simulation.disk import ProcessFate
from tests.simulation.scene import ECHO, Illness, SeedScene

ArrivalListener = Callable[[str, Act, float], None]
"""Gets each request that reached a platform: its target, its act and the virtual second."""


class SimulatedNetwork:
    """Connects the lanes of one process, and their traffic logs, to platforms that outlive the process."""

    def __init__(
        self,
        platforms: SimulatedPlatforms,
        random: Random,
        fate: ProcessFate,
        *,
        now: Callable[[], float],
        scene: SeedScene,
        find_illness: Callable[[str], Illness | None],
        note_arrival: ArrivalListener,
    ) -> None:
        self._platforms = platforms
        self._random = random
        self._fate = fate
        self._now = now
        self._scene = scene
        self._find_illness = find_illness
        self._note_arrival = note_arrival
        self._open: list[tuple[str, Delivery]] = []

    @asynccontextmanager
    async def connect(self, gateway: Gateway) -> AsyncIterator[Send]:
        """Open the connection of one lane."""

        async def send(request: Request) -> Reply | Lost:
            if self._rolls(self._scene.stuck):
                await anyio.sleep_forever()
            if self._rolls(self._scene.unsent):
                return await self._refuse()
            with anyio.move_on_after(gateway.reply_timeout):
                return await self._exchange(gateway.name, request)
            return Lost(sent=True, detail="no whole reply in time")

        yield send

    def _rolls(self, share: float) -> bool:
        return share > 0.0 and self._random.random() < share

    async def _refuse(self) -> Lost:
        await anyio.sleep(self._random.random())
        return Lost(sent=False, detail="no connection: refused")

    async def _exchange(self, gateway: str, request: Request) -> Reply | Lost:
        await self._fate.step()
        await anyio.sleep(self._random.random() * 0.05)
        await self._fate.step()
        path = URL(request.url, encoded=True).raw_path_qs
        match self._find_illness(gateway):
            case "502":
                await anyio.sleep(self._random.random() * 0.05)
                return Reply(502, {"content-type": "text/html"}, b"<html>bad gateway</html>", self._now())
            case "refused":
                return await self._refuse()
            case "silent":
                await anyio.sleep_forever()
            case "login" if "/auth/token" in path:
                return Reply(503, {}, b"", self._now())
        delivery = self._platforms.handle(
            gateway, request.method, path, request.headers, request.body or b"", now=self._now()
        )
        if delivery.call.row is not None and delivery.call.act is not None:
            self._note_arrival(delivery.call.row.id, delivery.call.act, self._now())
        self._open.append((gateway, delivery))
        try:
            return await self._deliver(delivery, request)
        finally:
            self._end(gateway, delivery)

    def _end(self, gateway: str, delivery: Delivery) -> None:
        if (gateway, delivery) in self._open:
            self._open.remove((gateway, delivery))
            self._platforms.finish(gateway, delivery)

    def cut(self) -> None:
        """End the exchanges that were open when the process died."""
        for gateway, delivery in tuple(self._open):
            self._end(gateway, delivery)

    async def _deliver(self, delivery: Delivery, request: Request) -> Reply | Lost:
        await anyio.sleep(delivery.delay + self._random.random() * 0.05)
        await self._fate.step()
        if self._rolls(self._scene.stray):
            return Lost(sent=True, detail="the reply is not HTTP: bytes that nobody asked for came before it")
        match delivery.manner:
            case DeliveryManner.WHOLE if delivery.answer is not None:
                headers = {name.lower(): value for name, value in delivery.answer.headers.items()}
                body = delivery.answer.body.replace(ECHO.encode(), _read_credential(request).encode())
                return Reply(delivery.answer.status, headers, body, self._now())
            case DeliveryManner.HANG:
                await anyio.sleep_forever()
        return Lost(sent=True, detail=f"the connection broke ({delivery.manner.value})")


def _read_credential(request: Request) -> str:
    sent = request.headers.get("X-Auth-Token") or request.headers.get("Authorization", "")
    return sent.removeprefix("Bearer ")
