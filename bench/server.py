"""The least a server can do: a 204 for a POST, Apinizer's full evidence for a DELETE, nothing looked at.

python -m bench.server [500]     prints its port, and serves until stdin closes; with 500 it answers only that
"""

from __future__ import annotations

import asyncio
import sys

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
_ROW = b'{"environmentName": "prod", "success": true, "message": "Undeployment successful"}'
_BODY = b'{"success": true, "deploymentResult": {"success": true, "deploymentResults": [' + _ROW + b"]}}"
EVIDENCE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY
)


ILL = sys.argv[1:] == ["500"]


class Server(asyncio.Protocol):
    """Answers each request as soon as it has arrived whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._held = b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._held) < end + 4 + length:
                return
            self._held = self._held[end + 4 + length :]
            answer = EVIDENCE if head.startswith(b"delete") else NO_CONTENT
            self._transport.write(ERROR if ILL else answer)


async def main() -> None:
    """Serve until stdin closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
