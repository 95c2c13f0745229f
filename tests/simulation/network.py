"""A network without sockets: it takes requests to the simulated platforms, and replies come late or never."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from random import Random
from typing import Protocol

import anyio
from yarl import URL

from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request, Send
from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId
from orchestrator.simulator.exchange import Delivery, DeliveryManner, FaultKind, RequestEffect
from orchestrator.simulator.platforms import SimulatedPlatforms
from orchestrator.simulator.roma_fixture import RomaFixture
from tests.simulation.disk import ProcessFate
from tests.simulation.scene import ECHO, Illness, SeedScene
from tests.simulation.wire import SessionWire, WireExchange

_MINUTES = re.compile(rb"time:\s*(\d+)\s*minute")
"""What ROMA Connect says of its pause where it sends no ``Retry-After``."""
_SECONDS = re.compile(rb'"retry_after":\s*(\d+)')
"""What Apinizer says of its pause, with a ``Retry-After`` or without."""
_BAD_TOKEN = re.compile(
    rb"Token is not valid|Token was expired|Invalid token|must be authenticated|ROMA\.100[02]"
)
"""The words and codes for a bad token, whatever status comes with them."""
_LIMIT = re.compile(rb'"rate_limit_exceeded"|"(?:APIGW|APIG|APIC)\.0308"')
"""The codes of a refusal to take more, whatever status comes with them."""


class ArrivalWitness(Protocol):
    """Sees each request that reaches its platform."""

    def note_arrival(self, target: str, act: Act, at: float) -> None:
        """Note that a request about one target has arrived."""
        ...

    def note_shared_look(self, targets: Iterable[str]) -> None:
        """Note that one look at several targets has arrived."""
        ...


class SimulatedNetwork:
    """Connects the lanes of one process, and their traffic logs, to platforms that outlive the process."""

    def __init__(
        self,
        platforms: SimulatedPlatforms,
        random: Random,
        fate: ProcessFate,
        *,
        now: Callable[[], float],
        wall: Callable[[], float],
        scene: SeedScene,
        find_illness: Callable[[str], Illness | None],
        witness: ArrivalWitness,
        wire: SessionWire,
    ) -> None:
        """``now`` is the true time, which the platforms go by; ``wall`` that of the process, in replies."""
        self._platforms = platforms
        self._random = random
        self._fate = fate
        self._now = now
        self._wall = wall
        self._scene = scene
        self._find_illness = find_illness
        self._witness = witness
        self._wire = wire
        self._open: list[tuple[str, Delivery]] = []

    @asynccontextmanager
    async def connect(self, gateway: Gateway) -> AsyncIterator[Send]:
        """Open the connection of one lane."""

        async def send(request: Request) -> Reply | Lost:
            seen = self._note_departure(gateway, request)
            try:
                answer = await self._send(gateway, request, seen)
                note_answer(seen, answer)
                return answer
            finally:
                # A dead process gets no reply any more: what still runs here only leaves the memory.
                seen.came = None if self._fate.dead else self._now()

        yield send

    def _note_departure(self, gateway: Gateway, request: Request) -> WireExchange:
        call = self._platforms.identify(
            gateway.name, request.method, find_path(request), request.headers, request.body or b""
        )
        seen = WireExchange(
            gateway=gateway.name,
            left=self._now(),
            target=call.row.id if call.row is not None else None,
            act=call.act,
            login=call.login,
            store="_search" in request.url,
            is_report=re.search("/apiops/(reports/|environments/$|projects/$)", request.url) is not None,
            credential="" if call.login else _tell_apart(request),
            is_astray=not _is_at_home(gateway, request),
            body=request.body or b"",
        )
        self._wire.exchanges.append(seen)
        return seen

    async def _send(self, gateway: Gateway, request: Request, seen: WireExchange) -> Reply | Lost:
        if self._rolls(self._scene.stuck):
            await anyio.sleep_forever()
        if self._rolls(self._scene.unsent):
            return await self._refuse()
        with anyio.move_on_after(gateway.reply_timeout):
            return await self._exchange(gateway.name, request, seen)
        return Lost(sent=True, detail="no whole reply in time")

    def _rolls(self, share: float) -> bool:
        return share > 0.0 and self._random.random() < share

    async def _refuse(self) -> Lost:
        await anyio.sleep(self._random.random())
        return Lost(sent=False, detail="no connection: refused")

    async def _exchange(self, gateway: str, request: Request, seen: WireExchange) -> Reply | Lost:
        await self._fate.step()
        await anyio.sleep(self._random.random() * 0.05)
        await self._fate.step()
        path = find_path(request)
        match self._find_illness(gateway):
            case "502":
                await anyio.sleep(self._random.random() * 0.05)
                return Reply(502, {"content-type": "text/html"}, b"<html>bad gateway</html>", self._wall())
            case "refused":
                return await self._refuse()
            case "silent":
                await anyio.sleep_forever()
            case "login" if "/auth/token" in path:
                return Reply(503, {}, b"", self._wall())
        delivery = self._platforms.handle(
            gateway, request.method, path, request.headers, request.body or b"", now=self._now()
        )
        if delivery.call.row is not None and delivery.call.act is not None:
            self._witness.note_arrival(delivery.call.row.id, delivery.call.act, self._now())
        elif delivery.call.act is Act.LOOK:
            self._witness.note_shared_look(self._list_seen_together(gateway, path))
        seen.is_elsewhere = delivery.fault == FaultKind.ELSEWHERE.value or self._is_misplaced(
            gateway, path, delivery
        )
        seen.is_login_refused = delivery.effect is RequestEffect.REFUSED
        self._open.append((gateway, delivery))
        try:
            return await self._deliver(delivery, request)
        finally:
            self._end(gateway, delivery)

    def _list_seen_together(self, gateway: str, path: str) -> list[TargetId]:
        """Return the targets that one look shows: a control plane lists all that an API has."""
        return [
            target.id
            for target in self._scene.targets
            if target.gateway == gateway and f"/apis/{target.id.split('/')[1]}/revisions" in path
        ]

    def _is_misplaced(self, gateway: str, path: str, delivery: Delivery) -> bool:
        """Return whether an instance has answered that it does not serve the version that a path names."""
        fixture = next(each for each in self._scene.fixture.gateways if each.name == gateway)
        if not isinstance(fixture, RomaFixture) or "/livedata-apis" not in path or delivery.fault is not None:
            return False
        answered = delivery.answer is not None and delivery.answer.status == 404
        return answered and path.split("/")[1] not in fixture.dialects

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
                return Reply(delivery.answer.status, headers, body, self._wall())
            case DeliveryManner.HANG:
                await anyio.sleep_forever()
        return Lost(sent=True, detail=f"the connection broke ({delivery.manner.value})")


def find_path(request: Request) -> str:
    """Return the path of a request, with its query, as it is sent."""
    return URL(request.url, encoded=True).raw_path_qs


def _is_at_home(gateway: Gateway, request: Request) -> bool:
    """Return whether a request goes to the host of its gateway, and not where a reply has pointed."""
    url = URL(request.url, encoded=True)
    return url.origin() == URL(gateway.url).origin() and url.raw_path != "/login"


def _tell_apart(request: Request) -> str:
    """Return a name for what lets a request in: the same for the same token, and for the same access key.

    Empty for a request without a credential.
    """
    signed = re.search("Access=([^,]+)", request.headers.get("Authorization", ""))
    text = signed[1] if signed else _read_credential(request)
    return blake2b(text.encode(), digest_size=8).hexdigest() if text else ""


def note_answer(seen: WireExchange, answer: Reply | Lost) -> None:
    """Note in an exchange what the program got."""
    if isinstance(answer, Lost):
        seen.is_unsent = not answer.sent
        seen.is_elsewhere = seen.is_login_refused = False
        return
    seen.status = answer.status
    with suppress(ValueError):
        seen.wait = float(answer.headers.get("retry-after", ""))
    seen.is_denied = seen.status >= 400 and _BAD_TOKEN.search(answer.body) is not None and not seen.login
    seen.is_limit = seen.status >= 400 and _LIMIT.search(answer.body) is not None
    if not seen.is_refusal_to_take_more:
        return
    if seen.wait is None and (told := _MINUTES.search(answer.body)):
        seen.wait = 60.0 * int(told[1])
    if told := _SECONDS.search(answer.body):
        seen.wait = float(told[1])


def _read_credential(request: Request) -> str:
    sent = request.headers.get("X-Auth-Token") or request.headers.get("Authorization", "")
    return sent.removeprefix("Bearer ")
