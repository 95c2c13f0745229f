"""A live page on a real socket: its server in this process with a made-up run, and clients of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from orchestrator.engine.control_commands import ControlCommand
from orchestrator.errors import UsageError
from orchestrator.journal.folder import RunFolder
from orchestrator.live.access import AccessGuard
from orchestrator.live.address import PageAddress, bind
from orchestrator.live.server import make_guard, serve_page
from tests.support.made_up_status import make_status

LOOPBACK = PageAddress("127.0.0.1", 0)


class MadeUpLink:
    """Satisfies ``RunLink`` with a made-up state."""

    def __init__(self, status: dict[str, Any] | None = None, folder: RunFolder | None = None) -> None:
        self.status = make_status("running") if status is None else status
        self.folder = folder
        self.is_over = False
        self.shows_report = False
        self.reads = 0
        self.executed: list[tuple[ControlCommand, str]] = []
        self.refuses: str | None = None
        self.fails: Exception | None = None

    async def read_status(self) -> dict[str, Any]:
        self.reads += 1
        if self.fails is not None:
            raise self.fails
        return self.status

    async def preview(self, command: ControlCommand) -> str:
        if self.refuses:
            raise UsageError(self.refuses)
        return f"would {command}"

    async def execute(self, command: ControlCommand, peer: str) -> str:
        if self.refuses:
            raise UsageError(self.refuses)
        self.executed.append((command, peer))
        return f"did {command}"


class LiveServer(NamedTuple):
    """A server that runs, and its gate."""

    address: PageAddress
    guard: AccessGuard
    link: MadeUpLink
    complaints: list[str]


@asynccontextmanager
async def serve_made_up(
    link: MadeUpLink | None = None, at: PageAddress = LOOPBACK
) -> AsyncIterator[LiveServer]:
    """Serve a made-up run for the block."""
    link = link or MadeUpLink()
    listener, address = bind(at)
    guard, complaints = make_guard(address), list[str]()
    with listener:
        async with serve_page(listener, guard, link, complaints.append):
            yield LiveServer(address, guard, link, complaints)


class HttpAnswer(NamedTuple):
    """The answer to a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def connect(
    address: PageAddress, *, limit: int = 2**16
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection."""
    return await asyncio.open_connection(address.host, address.port, limit=limit)


async def ask(
    address: PageAddress,
    path: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> HttpAnswer:
    """Send a request as it is, on a connection of its own, and read the whole answer."""
    reader, writer = await connect(address)
    try:
        writer.write(make_request(address, path, method, headers, body))
        async with asyncio.timeout(20):
            status, found = await read_head(reader)
            return HttpAnswer(status, found, await reader.read())
    finally:
        await hang_up(writer)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever became of it."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def make_request(
    address: PageAddress,
    path: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> bytes:
    """Return a request as it is sent; a header of ``headers`` takes the place of one that is usual."""
    usual = {"Host": address.url.removeprefix("http://").rstrip("/"), "Connection": "close"}
    if body:
        usual["Content-Length"] = str(len(body))
    lines = [f"{name}: {text}" for name, text in {**usual, **(headers or {})}.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode() + body


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Read the status and the headers of an answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    pairs = (line.split(": ", 1) for line in head[1:] if line)
    return int(head[0].split()[1]), {name.title(): text for name, text in pairs}


async def post(
    server: LiveServer, path: str, value: object, headers: Mapping[str, str] | None = None
) -> HttpAnswer:
    """Post JSON as the page itself does."""
    usual = {"Origin": server.address.url.rstrip("/"), "Content-Type": "application/json"}
    return await ask(server.address, path, "POST", {**usual, **(headers or {})}, json.dumps(value).encode())


async def open_session(server: LiveServer) -> dict[str, str]:
    """Exchange the token; return the header with the session's cookie."""
    answer = await post(server, "/session", {"token": server.guard.token})
    assert answer.status == 200, answer
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


class EventReader:
    """Reads the events of a stream."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._rest = b""

    async def read(self, patience: float = 10.0) -> tuple[str, int, Any]:
        """Return the next event: its name, its id, its data. Raises EOFError at the end of the stream."""
        async with asyncio.timeout(patience):
            while b"\n\n" not in self._rest:
                size = int(await self._reader.readuntil(b"\r\n"), 16)
                piece = await self._reader.readexactly(size + 2)
                if not size:
                    raise EOFError
                self._rest += piece.removesuffix(b"\r\n")
        event, _, self._rest = self._rest.partition(b"\n\n")
        fields = dict(line.split(": ", 1) for line in event.decode().split("\n"))
        return fields["event"], int(fields["id"]), json.loads(fields["data"])

    async def read_news(self) -> tuple[str, int, Any]:
        """Return the next event that is no heartbeat."""
        while (event := await self.read())[0] == "beat":
            pass
        return event

    async def read_all(self) -> list[tuple[str, int, Any]]:
        """Return all events up to the end of the stream."""
        events = []
        with suppress(EOFError):
            while True:
                events.append(await self.read())
        return events


@asynccontextmanager
async def follow(
    address: PageAddress, after: int | None = None, headers: Mapping[str, str] | None = None
) -> AsyncIterator[EventReader]:
    """Open the stream of events behind the state ``after``, for the block."""
    reader, writer = await connect(address)
    try:
        path = "/events" if after is None else f"/events?after={after}"
        writer.write(make_request(address, path, headers=headers))
        status, found = await read_head(reader)
        assert (status, found["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        assert found["Transfer-Encoding"] == "chunked"
        yield EventReader(reader)
    finally:
        await hang_up(writer)
