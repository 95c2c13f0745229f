"""A viewer of the live page of a process, and the process on a terminal, which alone shows the token."""

from __future__ import annotations

import http.client
import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

from tests.support.stage import Stage, until

LINK = re.compile(r"live page: http://(127\.0\.0\.1|\[::1\]):(\d+)/(?:#token=(\S+))?")


class ShownOnTerminal:
    """What a process has written to its terminal so far."""

    def __init__(self, ours: int) -> None:
        self.text = ""
        self._ours = ours
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(OSError):  # Linux's way to say that the other side was closed
            while piece := os.read(self._ours, 65536):
                self.text += piece.decode(errors="replace")


@contextmanager
def started_on_terminal(
    stage: Stage, *arguments: str | Path
) -> Iterator[tuple[subprocess.Popen[str], ShownOnTerminal]]:
    """Run a command whose stderr is a terminal."""
    ours, theirs = pty.openpty()
    try:
        with stage.started(*arguments, stderr=theirs) as process:
            os.close(theirs)
            yield process, ShownOnTerminal(ours)
    finally:
        os.close(ours)


class PageClient:
    """Asks the page at a port of loopback, a connection for each request."""

    def __init__(self, port: int, token: str = "", host: str = "127.0.0.1") -> None:
        self.port = port
        self.token = token
        self.host = host
        self.cookie: dict[str, str] = {}

    @classmethod
    def find(cls, shown: ShownOnTerminal) -> PageClient:
        """Return a viewer for the link that a terminal shows, once it shows one."""
        until(lambda: LINK.search(shown.text) is not None)
        found = LINK.search(shown.text)
        assert found is not None
        return cls(int(found[2]), found[3] or "", found[1].strip("[]"))

    @classmethod
    def read_from(cls, process: subprocess.Popen[str]) -> PageClient:
        """Return a viewer for the link in the lines that a process writes to a pipe as its stderr."""
        assert process.stderr is not None
        for line in process.stderr:
            if found := LINK.search(line):
                return cls(int(found[2]), found[3] or "", found[1].strip("[]"))
        raise AssertionError("the process ended without telling where its page is")

    @property
    def origin(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def ask(self, path: str, method: str = "GET", value: object = None) -> tuple[int, bytes]:
        """Return the status and the body of an answer."""
        headers = dict(self.cookie)
        body = None
        if method == "POST":
            headers |= {"Origin": self.origin, "Content-Type": "application/json"}
            body = json.dumps(value)
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            if cookie := reply.getheader("Set-Cookie"):
                self.cookie = {"Cookie": cookie.partition(";")[0]}
            return reply.status, reply.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """Return the JSON of an answer, which is one of success."""
        status, body = self.ask(path)
        assert status == 200, (path, status, body)
        return json.loads(body)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/state")
        return found

    def open_session(self) -> None:
        """Exchange the token."""
        status, body = self.ask("/session", "POST", {"token": self.token})
        assert status == 200, body

    def steer(self, **command: object) -> Mapping[str, Any]:
        """Give a command; return the answer."""
        status, body = self.ask("/control", "POST", command)
        found: dict[str, Any] = json.loads(body)
        return found | {"status": status}

    def list_targets(self, query: str = "") -> list[dict[str, Any]]:
        """Return all targets, page by page."""
        rows: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self.get(f"/targets?n=7&after={after}{query}")
            rows += page["rows"]
            if page["next"] is None:
                return rows
            after = page["next"]

    @contextmanager
    def watch(self) -> Iterator[http.client.HTTPResponse]:
        """Open the stream of events."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            connection.request("GET", "/events")
            with connection.getresponse() as reply:
                assert reply.status == 200
                yield reply
        finally:
            connection.close()
