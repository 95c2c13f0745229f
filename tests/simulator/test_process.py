"""The simulators in a process of their own."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.process import SimulatorError, start_simulators
from tests.support.simulated import BACKEND, PLACE, apinizer, roma

FIXTURE = SimulatorFixture(gateways=(roma(), apinizer()))
TARGET = f"roma-eu/{BACKEND}"


def undeploy(url: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request(
        "POST", f"/v2/{PLACE}/livedata-apis/{BACKEND}/undeploy", headers={"X-Auth-Token": FAKE_TOKEN}
    )
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def ends(pid: int, within: float = 10.0) -> bool:
    until = time.monotonic() + within
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_alive(pid)


def test_they_serve_tell_their_books_and_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with start_simulators(FIXTURE, FaultScenario(script={TARGET: ("500",)})) as running:
        assert [undeploy(running.urls["roma-eu"]) for _ in range(2)] == [500, 204]
        books = running.books()
        seen = running.list_requests(after=1)
        running.expect(FaultScenario(script={TARGET: ("409",)}))
        assert undeploy(running.urls["roma-eu"]) == 409
        running.refill(FIXTURE)
        assert running.books().requests == 0

    assert list(running.urls) == ["roma-eu", "apim"]
    assert (books.targets[TARGET].undeploys, books.targets[TARGET].down) == (2, True)
    assert [one.status for one in seen] == [204]
    assert ends(running.pid)
    with pytest.raises(SimulatorError, match="do not answer"):
        running.books()


def test_they_end_when_the_body_raises():
    with pytest.raises(ZeroDivisionError), start_simulators(FIXTURE) as running:
        raise ZeroDivisionError

    assert ends(running.pid)


@pytest.fixture(scope="module")
def served():
    """Simulators for the tests that start and end none."""
    with start_simulators(FIXTURE) as running:
        yield running


def test_a_refusal_of_the_simulators_is_raised_with_its_reason(served):
    with pytest.raises(SimulatorError, match="moon"):
        served.expect(FaultScenario(script={"moon": ("500",)}))


def test_a_start_that_fails_says_why():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(SimulatorError, match=f"did not start: cannot listen on 127.0.0.1:{port}"),
            start_simulators(FIXTURE, port=port),
        ):
            pass


def test_a_machine_that_starts_no_process_is_no_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another user's Python, and at a limit of processes, too."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    with pytest.raises(SimulatorError, match=r"did not start: .*/python: No such file"):
        start_simulators(FIXTURE).__enter__()


def test_they_take_no_module_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan's folder may come from anybody, and `undeploy rehearse` runs nothing of it."""
    for name in ("random", "secrets", "json", "msgspec", "aiohttp"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the current folder')\n")
    monkeypatch.chdir(tmp_path)
    with start_simulators(FIXTURE) as running:
        assert running.books().requests == 0


def test_a_start_that_takes_too_long_is_given_up():
    with pytest.raises(SimulatorError, match="did not start"), start_simulators(FIXTURE, start_within=0.001):
        pass


PARENT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from orchestrator.simulator.process import start_simulators
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.roma_fixture import RomaFixture
roma = RomaFixture(name="r", project_id="p", instance_id="i")
with start_simulators(SimulatorFixture(gateways=(roma,))) as running:
    print(running.pid, flush=True)
    time.sleep(60)
"""


def test_they_end_when_their_parent_is_killed():
    root = str(Path(__file__).parents[2])
    with subprocess.Popen([sys.executable, "-c", PARENT, root], stdout=subprocess.PIPE) as parent:
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.send_signal(signal.SIGKILL)
        parent.wait()

    assert ends(child)


def test_an_interrupt_of_the_terminal_does_not_reach_them(served):
    assert os.getsid(served.pid) != os.getsid(0)


def test_a_large_world_starts():
    many = tuple(("P", f"proxy-{index}", "test") for index in range(10_000))
    with start_simulators(SimulatorFixture(gateways=(apinizer(targets=many, down=()),))) as running:
        assert len(running.books().targets) == 10_000
