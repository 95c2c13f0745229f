"""Serves the simulated platforms on loopback sockets. No other module has an aiohttp server."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from orchestrator.errors import UsageError
from orchestrator.simulator.control import PREFIX, control
from orchestrator.simulator.exchange import Delivery, DeliveryManner, HttpAnswer
from orchestrator.simulator.platforms import SimulatedPlatforms
from orchestrator.system.interrupts import handle_signals

HOST = "127.0.0.1"
_GRACE = 0.05
"""Seconds that an open answer may still take at the end; aiohttp would take 0 for no limit."""
LONGEST_HEADER = 64 * 1024
"""Bytes of a header that are read: the vendor documents tokens of 16 KB."""
_NO_LINGER = struct.pack("ii", 1, 0)


@asynccontextmanager
async def serve_platforms(
    platforms: SimulatedPlatforms, *, port: int = 0, clock: Callable[[], float] = time.time
) -> AsyncIterator[Mapping[str, str]]:
    """Serve each gateway on a port of its own. Yields their URLs by name.

    The first gateway listens on ``port``, the others on the ports after it; 0 takes free ports. On
    leaving, open connections are closed at once. Raises UsageError if a port is taken.
    """
    servers: list[tuple[web.Server, asyncio.Server]] = []
    urls: dict[str, str] = {}
    try:
        for index, name in enumerate(platforms.names):
            protocol = web.Server(
                _RequestHandler(platforms, name, clock).answer,
                # A handler that gives no answer ends only by this, when its client goes away.
                handler_cancellation=True,
                access_log=None,
                max_field_size=LONGEST_HEADER,
            )
            server = await _listen(protocol, port + index if port else 0)
            servers.append((protocol, server))
            urls[name] = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
        yield urls
    finally:
        for protocol, server in servers:
            server.close()
            await protocol.shutdown(_GRACE)


async def _listen(protocol: web.Server, port: int) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(protocol, HOST, port, backlog=1024)
    except (OSError, OverflowError) as error:
        # asyncio's own text repeats the address.
        number = error.errno if isinstance(error, OSError) else None
        why = "the highest port is 65535" if number is None else os.strerror(number)
        raise UsageError(f"cannot listen on {HOST}:{port}: {why}; choose another --port") from error


async def serve_until_ended(
    platforms: SimulatedPlatforms,
    ready: Callable[[Mapping[str, str]], None],
    *,
    port: int = 0,
    orphan: int | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, or until the file descriptor ``orphan`` is at its end.

    Calls ``ready`` once with the URLs by gateway name. Needs the event loop of the main thread.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    if orphan is not None:
        loop.add_reader(orphan, ended.set)
    try:
        async with serve_platforms(platforms, port=port) as urls:
            with handle_signals(lambda _: loop.call_soon_threadsafe(ended.set)):
                ready(urls)
                await ended.wait()
    finally:
        if orphan is not None:
            loop.remove_reader(orphan)


class _RequestHandler:
    """Takes the requests of one gateway, and carries out its deliveries."""

    def __init__(self, platforms: SimulatedPlatforms, name: str, clock: Callable[[], float]) -> None:
        self._platforms = platforms
        self._name = name
        self._clock = clock

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        now = self._clock()
        if request.raw_path.startswith(PREFIX):
            return _build_response(control(self._platforms, request.method, request.raw_path, body, now=now))
        delivery = self._platforms.handle(
            self._name, request.method, request.raw_path, request.headers, body, now=now
        )
        try:
            return await _carry_out(request, delivery)
        finally:
            self._platforms.finish(self._name, delivery)


async def _carry_out(request: web.BaseRequest, delivery: Delivery) -> web.StreamResponse:
    if delivery.delay:
        await asyncio.sleep(delivery.delay)
    match delivery.manner, delivery.answer:
        case DeliveryManner.WHOLE, HttpAnswer() as answer:
            return _build_response(answer)
        case DeliveryManner.CUT, HttpAnswer() as answer:
            whole = _render(answer)
            await _break_off(
                request, whole[: -(len(answer.body) // 2 + 1) if answer.body else len(whole) // 2]
            )
        case DeliveryManner.GARBAGE, _:
            await _break_off(request, b"\x16\x03\x01\x02\x00 this is not HTTP\r\n\r\n")
        case DeliveryManner.RESET, _:
            _reset(request)
    # No answer follows: this handler ends when the client goes away and aiohttp cancels it.
    await asyncio.Event().wait()
    return web.Response()


def _build_response(answer: HttpAnswer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body or None, headers=answer.headers)


def _render(answer: HttpAnswer) -> bytes:
    headers = {
        **answer.headers,
        **({} if answer.status == 204 else {"Content-Length": str(len(answer.body))}),
    }
    lines = [f"HTTP/1.1 {answer.status} Simulated", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "replace") + answer.body


async def _break_off(request: web.BaseRequest, some: bytes) -> None:
    if request.transport is not None:
        request.transport.write(some)
        request.transport.close()


def _reset(request: web.BaseRequest) -> None:
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        # Without lingering, a close sends a reset in place of an orderly end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
