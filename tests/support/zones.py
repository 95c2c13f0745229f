"""Two network zones: each has a gateway that only its own worker reaches, in real processes.

The gateways' names resolve nowhere. A zone's worker gets a forward proxy that knows the zone's gateway alone;
a driver gets none, and no credential either. Both proxies and both simulators count who came.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import msgspec

from orchestrator.distributed.bounds import LEASE, LOOK_WAIT, OPEN_TARGETS, PART_TARGETS
from orchestrator.distributed.names import MEMO_ORDERS
from orchestrator.distributed.payloads import Orders
from orchestrator.model.reading import Act
from orchestrator.simulator.books import SeenRequest, SimulatorBooks
from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.process import RunningSimulators, start_simulators
from tests.support.commands import CommandResult
from tests.support.forked import start_program
from tests.support.stage import CONCURRENCY, Stage, make_fixture, until
from tests.support.temporal import TemporalServer, find_temporal
from tests.support.zone_proxy import ZoneProxy, run_zone_proxy

EAST, WEST = "east", "west"
GATEWAYS = {EAST: "roma-eu", WEST: "apim"}
"""The only gateway of each zone."""
HOSTS = {"roma-eu": "roma.east.test", "apim": "apim.west.test"}
TOKENS = {"roma-eu": "ROMA_TOKEN", "apim": "APINIZER_TOKEN"}
ZONES = {"roma": f"zone: {EAST}", "apim": f"zone: {WEST}"}
"""The key ``zone`` of each gateway, as ``Stage.write_plan`` takes further keys."""
_OF_THE_MOMENT = frozenset({"at", "started", "ended", "seconds", "taken"})
"""Keys of a target in report.json that differ between two runs that do the same."""

START = """
import faulthandler, signal
faulthandler.register(signal.SIGUSR1)
from orchestrator.distributed import bounds
bounds.LEASE, bounds.LOOK_WAIT = {lease}, {look_wait}
bounds.PART_TARGETS, bounds.OPEN_TARGETS = {part}, {open_targets}
from orchestrator.__main__ import main
main()
"""
"""The program, whose runs have other bounds than those of users, who cannot choose them."""

PATIENCE = 90.0
"""Seconds after which a process that should have got somewhere counts as stuck, on a busy machine, too."""

LAST_WORDS = 4000
"""Characters of each process's output that a failed test shows."""


def create_namespace(server: TemporalServer, name: str) -> None:
    """Register a namespace at a server."""
    command = [find_temporal(), "operator", "namespace", "create", "--namespace", name]
    subprocess.run(
        [*command, "--address", server.address.target], check=True, capture_output=True, timeout=20
    )


class Zone(NamedTuple):
    """One zone: its simulators and the border in front of them."""

    name: str
    simulators: RunningSimulators
    proxy: ZoneProxy


@contextmanager
def run_zones() -> Iterator[dict[str, Zone]]:
    """Have both zones, empty of targets, for the block."""
    with ExitStack() as stack:
        zones = {}
        for name, gateway in GATEWAYS.items():
            simulators = stack.enter_context(start_simulators(select_zone(make_fixture(0, 0), name)))
            place = urlsplit(simulators.urls[gateway])
            hosts = {HOSTS[gateway]: (place.hostname or "", place.port or 0)}
            zones[name] = Zone(name, simulators, stack.enter_context(run_zone_proxy(hosts)))
        yield zones


def select_zone(fixture: SimulatorFixture, zone: str) -> SimulatorFixture:
    """Return the part of a fixture that is in a zone."""
    return SimulatorFixture(gateways=tuple(each for each in fixture.gateways if each.name == GATEWAYS[zone]))


class ZonedPlatforms:
    """Both zones' simulators, asked as if they were one."""

    def __init__(self, zones: Mapping[str, Zone]) -> None:
        self.zones = zones
        self.urls = {name: f"http://{host}" for name, host in HOSTS.items()}

    def refill(self, fixture: SimulatorFixture) -> None:
        for zone in self.zones.values():
            zone.simulators.refill(select_zone(fixture, zone.name))
            zone.proxy.requests = 0
            zone.proxy.strangers.clear()

    def expect(self, faults: FaultScenario) -> None:
        for zone in self.zones.values():
            gateway = GATEWAYS[zone.name]
            script = {name: each for name, each in faults.script.items() if name.partition("/")[0] == gateway}
            zone.simulators.expect(FaultScenario(storm=faults.storm, script=script))

    def books(self) -> SimulatorBooks:
        each = [zone.simulators.books() for zone in self.zones.values()]
        return SimulatorBooks(
            requests=sum(one.requests for one in each),
            gateways={name: facts for one in each for name, facts in one.gateways.items()},
            targets={name: facts for one in each for name, facts in one.targets.items()},
            destroyed=tuple(name for one in each for name in one.destroyed),
        )

    def list_requests(self, after: int = 0, limit: int = 100_000) -> list[SeenRequest]:
        """Return the requests by the time of their arrival, without the first ``after``."""
        seen = [one for zone in self.zones.values() for one in zone.simulators.list_requests(0, 100_000)]
        return sorted(seen, key=lambda one: (one.at, one.number))[after : after + limit]


class ZoneStage(Stage):
    """One test's folder, its two zones, and its own namespace of a Temporal server."""

    def __init__(
        self, folder: Path, zones: Mapping[str, Zone], server: TemporalServer, namespace: str
    ) -> None:
        super().__init__(folder, cast(RunningSimulators, ZonedPlatforms(zones)), 0, 0)
        self.zones = zones
        self.server = server
        self.namespace = namespace
        self.url = f"temporal://{server.address.target}/{namespace}"
        self.tls: tuple[str, ...] = ()
        """The options by which everybody reaches the server."""
        self.lease = LEASE
        """Seconds without a sign of life after which a chunk goes to another worker."""
        self.look_wait = LOOK_WAIT
        """Seconds that a zone's workers get to take a look."""
        self.part_targets = PART_TARGETS
        """Targets of one lane workflow at most."""
        self.open_targets = OPEN_TARGETS
        """Targets whose results no driver has taken over, at most."""
        self.secrets = dict.fromkeys(GATEWAYS, FAKE_TOKEN)
        """The credential of each zone's gateway."""
        self.env["NO_PROXY"] = "127.0.0.1"
        for name in TOKENS.values():
            del self.env[name]
        self._logs = folder / "logs"
        self._logs.mkdir()
        self._started: list[subprocess.Popen[str]] = []
        self._workers: list[subprocess.Popen[str]] = []

    def fill(self, roma: int, apim: int, **fields: Any) -> None:
        """Have so many targets of each gateway deployed, with empty books and no faults."""
        self.roma, self.apim = roma, apim
        self.refill(**{"latency": 0.02} | fields)
        self.expect()

    def write_plan(self, *, roma: str = "", apim: str = "", **keys: Any) -> Path:
        """Write plan.yaml with each gateway in its zone."""
        return super().write_plan(
            roma=f"{ZONES['roma']}, {roma}".rstrip(", "), apim=f"{ZONES['apim']}, {apim}".rstrip(", "), **keys
        )

    @contextmanager
    def started(self, *arguments: str | Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """Run a command as the driver's machine does. Its output goes to files: see ``read_log``."""
        process = self._start(str(arguments[0]), arguments, **options)
        try:
            yield process
        finally:
            _end(process)

    def undeploy(self, *arguments: str | Path, timeout: float = PATIENCE, **options: Any) -> CommandResult:
        """Run a command to its end."""
        with self.started(*arguments, **options) as process:
            return self.finish(process, timeout)

    def drive(self, *arguments: str | Path, timeout: float = PATIENCE, **options: Any) -> CommandResult:
        """Run a command on the engine to its end."""
        return self.undeploy(*arguments, *self.on, timeout=timeout, **options)

    @property
    def on(self) -> tuple[str, ...]:
        """The options of a command that works on the engine."""
        return ("--on", self.url, *self.tls)

    def finish(self, process: subprocess.Popen[str], timeout: float = PATIENCE) -> CommandResult:
        """Return the result of a command once it has ended. Fails with all logs if it does not."""
        ends = time.monotonic() + timeout
        while (status := process.poll()) is None:
            if time.monotonic() > ends:
                process.send_signal(signal.SIGUSR1)
                time.sleep(0.5)
                raise AssertionError(f"{process.args} goes on after {timeout:g} s")
            self.assert_no_worker_failed()
            time.sleep(0.02)
        return CommandResult(status, self.read_log(process, "out"), self.read_log(process, "err"))

    def assert_no_worker_failed(self) -> None:
        """Assert that no worker has ended by itself: what waits for it would wait for long."""
        failed = [worker.args for worker in self._workers if (worker.poll() or 0) > 0]
        assert failed == []

    def start_worker(self, zone: str, **env: str) -> subprocess.Popen[str]:
        """Start a worker of a zone; it is ended with the stage."""
        gateway, at = GATEWAYS[zone], self.zones[zone]
        own = {TOKENS[gateway]: self.secrets[zone], "HTTP_PROXY": at.proxy.url}
        name = f"worker-{zone}-{len(self._started)}"
        arguments = ("worker", "--zone", zone, *self.on, "--state", str(self.folder / name))
        self._workers.append(self._start(name, arguments, env=own | env))
        return self._workers[-1]

    def start_workers(self) -> list[subprocess.Popen[str]]:
        """Start a worker in each zone."""
        return [self.start_worker(zone) for zone in self.zones]

    def wait_until_serving(self, worker: subprocess.Popen[str]) -> None:
        """Return once a worker takes chunks."""
        until(lambda: "serves zone" in self.read_log(worker, "out"), PATIENCE)

    def end(self) -> None:
        """End all processes of the stage, those that are stopped too."""
        for process in self._started:
            _end(process)

    def _start(
        self,
        name: str,
        arguments: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        stderr: int | None = None,
    ) -> subprocess.Popen[str]:
        begin = self._logs / f"{len(self._started):02}-{name.replace('/', '_')}"
        with begin.with_suffix(".out").open("w") as out, begin.with_suffix(".err").open("w") as err:
            process = start_program(
                [*map(str, arguments)],
                folder=self.folder,
                env={**self.env, **(env or {})},
                scope="everywhere",
                code=START.format(
                    lease=self.lease,
                    look_wait=self.look_wait,
                    part=self.part_targets,
                    open_targets=self.open_targets,
                ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err if stderr is None else stderr,
            )
        self._started.append(process)
        return process

    def read_log(self, process: subprocess.Popen[str], kind: str) -> str:
        """Return what a process has written so far; ``kind`` is ``out`` or ``err``."""
        (path,) = self._logs.glob(f"{self._started.index(process):02}-*.{kind}")
        return path.read_text()

    def read_logs(self) -> str:
        """Return the last words of all processes, for a person who looks into a failure."""
        texts = ((path.name, path.read_text()) for path in sorted(self._logs.iterdir()))
        return "\n".join(f"--- {name}\n{text[-LAST_WORDS:]}" for name, text in texts if text)

    def list_open_lanes(self) -> list[str]:
        """Return the ids of the lanes' workflows that have not ended."""
        return [workflow for workflow in self.list_open_workflows() if "/lane/" in workflow]

    def call_temporal(self, *arguments: str) -> str:
        """Run a command of Temporal's own command line on the stage's namespace."""
        address = ("--address", self.server.address.target, "--namespace", self.namespace)
        ended = subprocess.run(
            [find_temporal(), *arguments, *address], capture_output=True, text=True, timeout=20, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def list_open_workflows(self) -> list[str]:
        """Return the ids of the workflows of the namespace that have not ended."""
        query = ("workflow", "list", "--query", "ExecutionStatus = 'Running'", "--output", "json")
        return [each["execution"]["workflowId"] for each in json.loads(self.call_temporal(*query))]

    def read_run_orders(self) -> Orders:
        """Return the orders that the workflow of the newest run's first session obeys."""
        asked = ("workflow", "describe", "--workflow-id", f"undeploy/{self.run.name}/1", "--raw")
        told = json.loads(self.call_temporal(*asked, "--output", "json"))
        return msgspec.convert(told["workflowExecutionInfo"]["memo"]["fields"][MEMO_ORDERS], Orders)

    @contextmanager
    def reach_all(self) -> Iterator[dict[str, str]]:
        """Yield the environment of a machine that reaches both zones and has their credentials."""
        hosts = {name: place for zone in self.zones.values() for name, place in zone.proxy.hosts.items()}
        with run_zone_proxy(hosts) as proxy:
            yield {"HTTP_PROXY": proxy.url} | self.list_credentials()

    def list_credentials(self) -> dict[str, str]:
        """Return the credentials of both zones, as the program finds them in its environment."""
        return {TOKENS[GATEWAYS[zone]]: secret for zone, secret in self.secrets.items()}

    def read_events(self, *names: str) -> list[dict[str, Any]]:
        """Return the events with these names that the driver wrote with ``--events events``."""
        lines = (self.folder / "events").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] in names]

    def describe_targets(self) -> dict[str, Any]:
        """Return what the newest report tells of each target, without times and texts of this machine."""
        return {each["id"]: leave_out(each, _OF_THE_MOMENT) for each in self.report()["targets"]}

    def settled_after(self, seconds: float) -> int:
        """Return how many requests have arrived, that many seconds later."""
        time.sleep(seconds)
        return self.requests()

    def count_down(self, zone: str) -> int:
        """Return how many targets of a zone are down by its simulator's books."""
        return self.zones[zone].simulators.books().gateways[GATEWAYS[zone]].down

    def wait_for_down(self, zone: str, count: int, *, patience: float = PATIENCE) -> None:
        """Return once so many targets of a zone are down."""
        until(lambda: self.count_down(zone) >= count, patience)

    def wait_for_words(self, process: subprocess.Popen[str], *words: str, patience: float = PATIENCE) -> None:
        """Return once a process has written all of the words to stderr, or has ended."""
        until(
            lambda: (
                process.poll() is not None or all(word in self.read_log(process, "err") for word in words)
            ),
            patience,
        )
        told = self.read_log(process, "err")
        assert all(word in told for word in words), told

    def assert_sound(self, *, losses: int = 0) -> list[str]:
        """Assert what holds of each run, and return the targets that were sent twice.

        ``losses``: how often something died, of which each leaves at most the requests in flight in doubt.
        """
        self.assert_truth()
        self.assert_intents()
        self.assert_zones()
        return assert_looked_between(self.list_requests(), losses * sum(CONCURRENCY.values()))

    def assert_zones(self) -> None:
        """Assert that each zone's gateway saw the targets of its zone alone, from its own workers."""
        books = self.platform.books()
        for zone in self.zones.values():
            assert zone.proxy.strangers == [], f"a worker of {zone.name} asked for another zone's gateway"
            facts = books.gateways[GATEWAYS[zone.name]]
            assert facts.strays == 0
            assert facts.requests == zone.proxy.requests, "somebody came past the zone's border"
            assert facts.together <= CONCURRENCY[facts.name]


def assert_looked_between(seen: Sequence[SeenRequest], most: int) -> list[str]:
    """Assert that at most so many targets were sent twice, with a look between. Returns those targets.

    It holds where no gateway answers with a fault.
    """
    acts: dict[str, list[Act]] = {}
    for one in seen:
        if one.target is not None and one.act in (Act.UNDEPLOY, Act.LOOK):
            acts.setdefault(one.target, []).append(one.act)
    again = {name: each for name, each in acts.items() if each.count(Act.UNDEPLOY) > 1}
    assert len(again) <= most, again
    for name, each in again.items():
        first = each.index(Act.UNDEPLOY)
        rest = each[first + 1 :]
        assert Act.LOOK in rest[: rest.index(Act.UNDEPLOY)], (name, each)
    return sorted(again)


def leave_out(value: Any, keys: Container[str]) -> Any:
    """Return a value of JSON without ``keys``, in it and in all that it holds."""
    if isinstance(value, dict):
        return {key: leave_out(each, keys) for key, each in value.items() if key not in keys}
    return [leave_out(each, keys) for each in value] if isinstance(value, list) else value


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a process, even a stopped one; nothing if it has ended."""
    if process.poll() is None:
        process.kill()
        process.wait()


def freeze(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGSTOP)


def thaw(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGCONT)


def kill(process: subprocess.Popen[str]) -> None:
    """End a process as ``kill -9`` does."""
    process.send_signal(signal.SIGKILL)
    process.wait()
