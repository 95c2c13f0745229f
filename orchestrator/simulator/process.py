"""The simulators in a process of their own, for rehearsals and for tests."""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from orchestrator.errors import OrchestratorError
from orchestrator.simulator.books import SeenRequest, SimulatorBooks
from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.fixtures import SimulatorFixture

Value = TypeVar("Value")

_CHILD = (
    "import sys; sys.path.insert(0, sys.argv[1]); from orchestrator.simulator.__main__ import main; main()"
)
_CONTROL_TIMEOUT = 60.0
_END_TIMEOUT = 5.0


class SimulatorError(OrchestratorError):
    """The process of the simulators did not start, or does not answer."""


class ServeOrder(Struct, frozen=True, kw_only=True):
    """The order to the child process: the gateways to serve, and their faults."""

    fixture: SimulatorFixture
    faults: FaultScenario
    port: int = 0


class RunningSimulators:
    """Simulators in another process. The keys of ``urls`` are gateway names; the calls block briefly."""

    def __init__(self, urls: Mapping[str, str], pid: int) -> None:
        self.urls = urls
        self.pid = pid

    def books(self) -> SimulatorBooks:
        """Return the books so far. Raises SimulatorError if the simulators do not answer."""
        return self._get("/_books", SimulatorBooks)

    def list_requests(self, after: int = 0, limit: int = 1000) -> list[SeenRequest]:
        """Return the requests in the order of their arrival, from number ``after`` + 1 on."""
        return self._get(f"/_requests?after={after}&limit={limit}", list[SeenRequest])

    def expect(self, faults: FaultScenario) -> None:
        """Replace all faults to come."""
        self._post("/_faults", faults)

    def refill(self, fixture: SimulatorFixture) -> None:
        """Begin again with other targets, empty books and no faults."""
        self._post("/_seed", fixture)

    def _get(self, path: str, kind: type[Value]) -> Value:
        return msgspec.json.decode(self._exchange("GET", path, None), type=kind)

    def _post(self, path: str, value: Struct) -> None:
        self._exchange("POST", path, msgspec.json.encode(value))

    def _exchange(self, method: str, path: str, body: bytes | None) -> bytes:
        place = urlsplit(next(iter(self.urls.values())))
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=_CONTROL_TIMEOUT)
        try:
            connection.request(method, path, body)
            reply = connection.getresponse()
            told = reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise SimulatorError(f"the simulators (process {self.pid}) do not answer: {error}") from error
        finally:
            connection.close()
        if reply.status >= 300:
            raise SimulatorError(f"the simulators refused {path}: {told.decode('utf-8', 'replace')}")
        return told


@contextmanager
def start_simulators(
    fixture: SimulatorFixture,
    faults: FaultScenario | None = None,
    *,
    port: int = 0,
    start_within: float = 30.0,
) -> Iterator[RunningSimulators]:
    """Start the simulators, and end them on leaving; they end by themselves if this process dies.

    Yields when every gateway listens. Raises SimulatorError with their last words if that takes longer than
    ``start_within`` seconds. They have a session of their own: Ctrl-C reaches the caller alone.
    """
    # The child imports the package from the place of this one, and nothing from the current folder: with -c
    # that folder would come before the standard library, and may hold anybody's random.py. So -P.
    command = [sys.executable, "-P", "-c", _CHILD, str(Path(__file__).parents[2])]
    # A file, not a pipe: a full pipe that this process does not read would stop the simulators.
    with TemporaryFile() as said, _open_child(command, said) as child:
        try:
            lines = _start(
                child, ServeOrder(fixture=fixture, faults=faults or FaultScenario(), port=port), start_within
            )
            if len(lines) < len(fixture.gateways):
                child.kill()
                child.wait()
                raise SimulatorError(f"the simulators did not start: {_read_last_words(said)}")
            yield RunningSimulators(
                {name: url for name, _, url in (line.rpartition(" ") for line in lines)}, child.pid
            )
        finally:
            _end(child)


def _open_child(command: list[str], said: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the process. Raises SimulatorError where this machine lets no further one start."""
    try:
        return subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, start_new_session=True
        )
    except OSError as error:
        raise SimulatorError(f"the simulators did not start: {command[0]}: {error.strerror}") from error


def _start(child: subprocess.Popen[bytes], order: ServeOrder, start_within: float) -> list[str]:
    # Killing the child ends every wait on its pipes, so one timer bounds the sending and the reading.
    timer = threading.Timer(start_within, child.kill)
    timer.start()
    try:
        return _hand_over(child, order)
    finally:
        timer.cancel()


def _hand_over(child: subprocess.Popen[bytes], order: ServeOrder) -> list[str]:
    if child.stdin is None or child.stdout is None:
        return []
    with suppress(BrokenPipeError):
        child.stdin.write(msgspec.json.encode(order) + b"\n")
        child.stdin.flush()
    lines = [child.stdout.readline().decode() for _ in order.fixture.gateways]
    return [line.rstrip("\n") for line in lines if line.endswith("\n")]


def _read_last_words(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "they said nothing in the time they had"


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        with suppress(BrokenPipeError):
            child.stdin.close()
    child.terminate()
    try:
        child.wait(_END_TIMEOUT)
    except subprocess.TimeoutExpired:
        child.kill()
