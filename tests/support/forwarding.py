"""A real forward proxy beside a test."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Forward:
    """A forward proxy in a process of its own. Each line of its log is a connection that has ended."""

    def __init__(self, port: int, log: Path) -> None:
        self.place = f"127.0.0.1:{port}"
        self.url = f"http://{self.place}"
        self._log = log

    async def said(self, *words: str) -> str:
        """The log, once all ``words`` are in it."""
        for _ in range(200):
            text = self._log.read_text()
            if all(word in text for word in words):
                return text
            await asyncio.sleep(0.02)
        raise AssertionError(f"not in the proxy's log: {words}")

    @property
    def log(self) -> str:
        return self._log.read_text()


@contextmanager
def forwarding(folder: Path, *options: str) -> Iterator[Forward]:
    port, log = folder / "port", folder / "log"
    command = [sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0"]
    settings = ["--num-workers", "1", "--num-acceptors", "1", "--port-file", port, "--log-file", log]
    with subprocess.Popen(
        [*command, *map(str, settings), "--data-dir", str(folder), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            ends = time.monotonic() + 20
            while not (port.exists() and port.read_text().strip()):
                assert process.poll() is None
                assert time.monotonic() < ends
                time.sleep(0.02)
            yield Forward(int(port.read_text()), log)
        finally:
            process.terminate()
            process.wait(timeout=20)
