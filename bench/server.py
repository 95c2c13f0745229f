"""The least a server can do: a 204 for a POST, Apinizer's full evidence for a DELETE, nothing looked at.

    python -m bench.server [--status 500] [--late SECONDS]

Prints its port, and serves until its standard input closes, which it does when the benchmark is gone.
"""

from __future__ import annotations

import asyncio
import sys

import click

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
_ROW = b'{"environmentName": "prod", "success": true, "message": "Undeployment successful"}'
_BODY = b'{"success": true, "deploymentResult": {"success": true, "deploymentResults": [' + _ROW + b"]}}"
EVIDENCE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY
)


class LeastProtocol(asyncio.Protocol):
    """Answers each request as soon as it has arrived whole, or ``late`` seconds after."""

    def __init__(self, late: float, ill: bool) -> None:
        self._late = late
        self._ill = ill
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._held) < end + 4 + length:
                return
            self._held = self._held[end + 4 + length :]
            self._answer(EVIDENCE if head.startswith(b"delete") else NO_CONTENT)

    def _answer(self, answer: bytes) -> None:
        answer = ERROR if self._ill else answer
        if self._late:
            asyncio.get_running_loop().call_later(self._late, self._transport.write, answer)
        else:
            self._transport.write(answer)


async def serve(late: float, ill: bool) -> None:
    """Serve until standard input closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: LeastProtocol(late, ill), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


@click.command()
@click.option("--status", type=click.Choice(["500"]), help="Answer only this.")
@click.option("--late", type=float, default=0.0, help="Answer so many seconds late.")
def main(status: str | None, late: float) -> None:
    """Serve, and print the port."""
    asyncio.run(serve(late, status is not None))


if __name__ == "__main__":
    main()
