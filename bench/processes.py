"""Starting the programs that are measured and those that serve them, so that none outlives the benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from bench.figures import BenchmarkError

ROOT = Path(__file__).parent.parent
TOKEN = "rehearsal-token"
"""What the simulators accept, and what every other server here takes no notice of."""
LONGEST = 3600.0
"""Seconds after which a measured program counts as stuck."""
GRACE = 10.0
"""Seconds that a server has to end after it was asked to."""


class Launcher:
    """Starts programs, and finds each of them when the benchmark is interrupted."""

    def __init__(self) -> None:
        self.interrupted = False
        self._starting = 0
        self._counting = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], **pipes: Any
    ) -> subprocess.Popen[str]:
        """Start a program. Raises BenchmarkError if the benchmark was interrupted."""
        self._count_start(1)
        try:
            process = subprocess.Popen(command, env=environment, text=True, **pipes)
            self._running.add(process)
        finally:
            self._count_start(-1)
        if self.interrupted:
            end_process(process)
            raise BenchmarkError("interrupted")
        return process

    def _count_start(self, step: int) -> None:
        with self._counting:
            self._starting += step

    def forget(self, process: subprocess.Popen[str]) -> None:
        """Forget a program that has ended, and close its pipes."""
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        self._running.discard(process)

    def interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """Ask everything that runs to end; to be the handler of SIGINT and SIGTERM."""
        self.interrupted = True
        # Not killed: nginx's worker would outlive its master.
        for process in list(self._running):
            process.terminate()
        # Raised while a program is being started, it would leave one behind that nobody knows of.
        if not self._starting:
            raise KeyboardInterrupt


LAUNCHER = Launcher()


def make_environment(**more: str) -> dict[str, str]:
    """Return an environment with the modules and the credential of measured programs, and without proxies."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith("UNDEPLOY_") and not name.lower().endswith("_proxy")
    }
    # Kept bytecode is what a user has, too.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    path = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, "BENCH_TOKEN": TOKEN, **more}


def measure(module: str, *arguments: object, **environment: str) -> dict[str, float]:
    """Run a module of ``bench.programs`` in a process of its own; return what it measured of itself."""
    command = [sys.executable, "-m", f"bench.programs.{module}", *map(str, arguments)]
    values: dict[str, float] = json.loads(run_program(command, environment).splitlines()[-1])
    return values


def run_program(
    command: Sequence[str], environment: Mapping[str, str] | None = None, statuses: Sequence[int] = (0,)
) -> str:
    """Run a program to its end; return its output. Raises BenchmarkError if it ends with another status."""
    process = LAUNCHER.start(
        command, make_environment(**(environment or {})),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=LONGEST)
    finally:
        end_process(process)
    if process.returncode not in statuses:
        said = f"{output[-1000:]}\n{errors[-2000:]}"
        raise BenchmarkError(f"{' '.join(command[:4])} … ended with {process.returncode}:\n{said}")
    return output


@contextmanager
def serve_program(command: Sequence[str]) -> Iterator[str]:
    """Keep a server running for the block; yields the first line that it prints."""
    process = LAUNCHER.start(command, make_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise BenchmarkError(f"{' '.join(command[:4])} … did not start to serve")
        yield line.strip()
    finally:
        end_process(process)


def end_process(process: subprocess.Popen[str]) -> None:
    """End a program if it still runs, and wait until it is gone."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    LAUNCHER.forget(process)
