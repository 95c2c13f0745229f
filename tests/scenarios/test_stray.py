"""Whole runs against a server that says what nobody has asked for, or that never ends what it says."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.stage import Stage, apim_id, roma_id

pytestmark = pytest.mark.long("waits for stray replies on real sockets")

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
REFUSAL = b'{"error_code": "APIG.1005", "error_msg": "No permissions"}'
DENIED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(REFUSAL), REFUSAL)
TIMEOUT_408 = b"HTTP/1.0 408 Request Time-out\r\nConnection: close\r\n\r\n<html>408</html>\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PACED = "limits: {concurrency: 1, rate: 5/s}, timeout: 3s, park_for: 2s"
LATER = 0.02
"""Seconds after a reply at which its server says more."""

Serve = Callable[[socket.socket, int], None]
"""Answers the requests of one connection; is told how many there were before it."""


@contextmanager
def served(serve: Serve) -> Iterator[str]:
    """Serve each connection in a thread of its own."""
    server = socket.create_server(("127.0.0.1", 0))

    def one(line: socket.socket, number: int) -> None:
        with line, contextlib.suppress(OSError):
            serve(line, number)

    def accept() -> None:
        number = 0
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=one, args=(server.accept()[0], number), daemon=True).start()
                number += 1

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def asked(line: socket.socket) -> bool:
    """Take one request that has come; False where the connection has ended."""
    return bool(line.recv(65536))


def stray_204(line: socket.socket, number: int) -> None:
    """Say yes twice to the first request of all, and no to every other one."""
    while asked(line):
        line.sendall(DENIED if number else NO_CONTENT)
        if not number:
            time.sleep(LATER)
            line.sendall(NO_CONTENT)


def stray_408(line: socket.socket, _number: int) -> None:
    """Serve one request, say that none has come in time, and end when the next one comes all the same."""
    if asked(line):
        line.sendall(NO_CONTENT)
        time.sleep(LATER)
        line.sendall(TIMEOUT_408)
        asked(line)


def endless(line: socket.socket, _number: int) -> None:
    while asked(line):
        while True:
            line.sendall(CONTINUE * 2_000)


@pytest.mark.promise(3)
def test_a_reply_to_nobody_takes_no_target_down(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0)
    with served(stray_204) as url:
        plan = stage.write_plan(
            urls={"roma-eu": url}, roma=f"api_version: v2, {PACED}, retry: {{attempts: 1}}"
        )
        ended = stage.undeploy("run", plan, "--yes")

    assert ended.status == 1, ended.err
    assert list(stage.outcomes().values()) == ["undeployed", "failed", "failed", "failed"]
    assert all(stage.reasons()[roma_id(number)].startswith("refused: APIG.1005") for number in (1, 2, 3))


@pytest.mark.promise(10)
def test_a_farewell_on_an_idle_connection_hangs_nobody(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0)
    with served(stray_408) as url:
        ended = stage.undeploy(
            "run", stage.write_plan(urls={"roma-eu": url}, roma=PACED), "--yes", timeout=15
        )

    assert ended.status == 0, ended.err
    assert set(stage.outcomes().values()) == {"undeployed"}


@pytest.mark.promise(6)
@pytest.mark.promise(10)
def test_a_gateway_that_never_ends_its_replies_slows_no_other(staged: Callable[..., Stage]) -> None:
    stage = staged(12, 12)
    with served(endless) as url:
        keys = "park_for: 1s, timeout: 10s, retry: {attempts: 2, first: 1ms, ceiling: 2ms}"
        plan = stage.write_plan(urls={"roma-eu": url}, roma=keys)
        began = time.monotonic()
        ended = stage.undeploy("run", plan, "--yes", timeout=20)

    assert ended.status == 4, ended.err
    assert time.monotonic() - began < 10
    assert {stage.outcomes()[apim_id(number)] for number in range(12)} == {"undeployed"}
    assert {stage.outcomes()[roma_id(number)] for number in range(12)} <= {"unknown", "not_started"}
    seconds = [target["seconds"] for target in stage.report()["targets"] if target["gateway"] == "apim"]
    assert max(seconds) < 2
