"""Viewers of a live page: each does what the page's script does, until the run has ended.

    python -m bench.programs.viewers PORT COUNT

Prints a line when all look on, and at the end how many events they got.
"""

from __future__ import annotations

import http.client
import json
import sys
from threading import Barrier, Thread


class PageViewer:
    """One viewer: the whole state first, then its differences, and a page of targets."""

    def __init__(self, port: int) -> None:
        self.events = 0
        self._port = port

    def look(self, ready: Barrier) -> None:
        """Look on until the stream ends."""
        self._fetch("/")
        seq = json.loads(self._fetch("/state"))["seq"]
        self._fetch("/targets?n=100")
        stream = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        stream.request("GET", f"/events?after={seq}")
        with stream.getresponse() as reply:
            ready.wait()
            for line in reply:
                if line.startswith(b"event: "):
                    self._take(line[7:].strip())
        stream.close()

    def _take(self, event: bytes) -> None:
        self.events += event != b"beat"
        if event == b"stale":
            self._fetch("/state")
        if self.events % 10 == 0:  # as often as the page asks for newer charts
            self._fetch("/charts")

    def _fetch(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", path, headers={"Accept-Encoding": "identity"})
            with connection.getresponse() as reply:
                return reply.read()
        finally:
            connection.close()


def main() -> None:
    """Look on with so many viewers."""
    port, count = int(sys.argv[1]), int(sys.argv[2])
    ready = Barrier(count + 1)
    viewers = [PageViewer(port) for _ in range(count)]
    threads = [Thread(target=viewer.look, args=(ready,)) for viewer in viewers]
    for thread in threads:
        thread.start()
    ready.wait()
    print("looking", flush=True)
    for thread in threads:
        thread.join()
    print(sum(viewer.events for viewer in viewers))


if __name__ == "__main__":
    main()
