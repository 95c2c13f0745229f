"""The way from a simulated process to the played server: Temporal's own client, with this beneath it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

import anyio
from temporalio.client import Client
from temporalio.service import ConnectConfig, RPCError, RPCStatusCode, ServiceClient

from orchestrator.distributed.conversion import CONVERTER
from tests.simulation.far.processes import SimulatedProcess, travel
from tests.simulation.far.server import PlayedServer

Answer = TypeVar("Answer")

WAY = 0.02
"""Seconds at most of one way to the server."""

RETRIES_FOR = 10.0
"""Seconds for which Temporal's library repeats a call by itself, where it does."""


class ServerWay:
    """How one process reaches the server: calls get lost, and so do answers to calls that took effect."""

    def __init__(
        self, server: PlayedServer, process: SimulatedProcess, random: Random, *, lost: float = 0.0
    ) -> None:
        """``lost`` is the share of answers that never come."""
        self.server = server
        self.process = process
        self._random = random
        self._lost = lost

    async def ask(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return what a call of the server returns. Raises RPCError."""
        await self.process.step()
        await travel(self._random, WAY)
        self._check()
        answer = await call()
        await travel(self._random, WAY)
        self._check()
        if self._random.random() < self._lost:
            raise _describe_silence()
        await self.process.step()
        return answer

    def _check(self) -> None:
        if self.server.is_away or self.process.is_cut_off:
            raise _describe_silence()


def _describe_silence() -> RPCError:
    return RPCError("connection refused", RPCStatusCode.UNAVAILABLE, b"")


class PlayedService(ServiceClient):
    """Beneath a client of Temporal's: each call goes to the played server."""

    def __init__(self, way: ServerWay) -> None:
        super().__init__(ConnectConfig(target_host="played:7233", identity=way.process.name))
        self.way = way

    @property
    def worker_service_client(self) -> Any:
        """Raise: the library's own workers speak to no played server."""
        raise NotImplementedError

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        """Do nothing: the played server asks for none."""

    def update_api_key(self, api_key: str | None) -> None:
        """Do nothing: the played server asks for none."""

    async def _rpc_call(
        self,
        rpc: str,
        req: Any,
        resp_type: type[Any],
        *,
        service: str,
        retry: bool,
        metadata: Mapping[str, str | bytes],
        timeout: timedelta | None,  # noqa: ASYNC109 -- the signature is Temporal's
    ) -> Any:
        until = anyio.current_time() + min(RETRIES_FOR, timeout.total_seconds() if timeout else RETRIES_FOR)
        wait = 0.1
        while True:
            try:
                return await self.way.ask(lambda: self.way.server.handle(rpc, req))
            except RPCError as error:
                may_repeat = retry and error.status is RPCStatusCode.UNAVAILABLE
                if not may_repeat or anyio.current_time() + wait > until:
                    raise
            await anyio.sleep(wait)
            wait = min(wait * 1.7, 5.0)


def make_client(way: ServerWay) -> Client:
    """Return a client of Temporal's that speaks to the played server."""
    return Client(PlayedService(way), namespace="default", data_converter=CONVERTER)
