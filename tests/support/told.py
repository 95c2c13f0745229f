"""A service on loopback that is told by apprise, as people would be."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "s3cr3t-hook-token"


class ToldService:
    """Keeps what it was told, and answers with ``status``; ``hang`` seconds later if it is ill."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.status = 200
        self.location: str | None = None
        self.released = threading.Event()
        self.released.set()
        self.url = ""

    @property
    def titles(self) -> list[str]:
        return [each["title"] for each in self.told]


@contextmanager
def serve_told(answer: Callable[[ToldService], None] = lambda _: None) -> Iterator[ToldService]:
    """Serve on a free port of loopback for the block; ``answer`` prepares the service."""
    service = ToldService()
    answer(service)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.told.append(json.loads(body))
            service.authorizations.append(self.headers["Authorization"])
            service.released.wait(30)
            self.send_response(service.status)
            if service.location is not None:
                self.send_header("Location", service.location)
            self.end_headers()
            self.wfile.write(f"the token {SECRET} is wrong".encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"json://hook:{SECRET}@127.0.0.1:{server.server_address[1]}/{SECRET}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.released.set()
        server.shutdown()
        server.server_close()
