"""A whole run whose live page is served from its process, and looked at.

    python -m bench.programs.watched_run PLAN STATE VIEWERS

With 0 viewers there is no page. The viewers are a process of their own. Reported: the processor's seconds
and the clock's from the run's start to its end (``execute``, ``execution``), the processor's of the page's
thread (``page``), the events that the run ``told``, and those that the viewers have ``seen``.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from bench.programs.meter import Meter
from bench.programs.whole_run import Marks
from orchestrator.api import LoadedPlan, RunOptions, load_plan, run
from orchestrator.engine.request import MakeControlSocket
from orchestrator.live.address import PageAddress, bind
from orchestrator.live.own_run import OwnRun
from orchestrator.live.server import make_guard
from orchestrator.live.thread import PageThread
from orchestrator.model.events import AnyEvent
from orchestrator.runs.control_socket import open_control_socket
from orchestrator.runs.result import RunResult


class CountedMarks(Marks):
    """Notes the run's start and end, and counts its events."""

    def __init__(self) -> None:
        super().__init__()
        self.told = 0

    def __call__(self, event: AnyEvent) -> None:
        self.told += 1
        super().__call__(event)


class Audience:
    """The process of the viewers; ``seen`` and ``page`` are known when they have gone."""

    def __init__(self) -> None:
        self.seen = 0
        self.page = 0.0
        """The processor's seconds of the page's thread."""


@contextmanager
def show_to(viewers: int, audience: Audience) -> Iterator[MakeControlSocket]:
    """Serve the page of a run to so many viewers, for the block."""
    if not viewers:
        yield open_control_socket
        return
    own = OwnRun()
    listener, address = bind(PageAddress("127.0.0.1", 0))
    page = PageThread(listener, make_guard(address), own, print)
    page.start()
    command = [sys.executable, "-m", "bench.programs.viewers", str(address.port), str(viewers)]
    with listener, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as looking:
        assert looking.stdout
        looking.stdout.readline()  # they look on
        thread = next(each for each in threading.enumerate() if each.name == "live page")
        clock = time.pthread_getcpuclockid(thread.ident or 0)
        before = time.clock_gettime(clock)
        yield own.join(open_control_socket)
        audience.page = time.clock_gettime(clock) - before
        page.finish(None)
        audience.seen = int(looking.communicate(timeout=30)[0])


async def run_loaded(
    loaded: LoadedPlan, state: Path, marks: Marks, control_socket: MakeControlSocket
) -> RunResult:
    """Run a plan that is loaded already."""
    return await run(loaded, RunOptions(state=state), listeners=[marks], control_socket=control_socket)


def main() -> None:
    """Run, and report what it took."""
    plan, state, viewers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    marks, audience = CountedMarks(), Audience()
    with load_plan(plan) as loaded, show_to(viewers, audience) as control_socket:
        meter = Meter()
        result = anyio.run(run_loaded, loaded, state, marks, control_socket)
    assert result.exit_status == 0, result
    meter.report(
        execute=marks.ended.processor - marks.started.processor,
        execution=marks.ended.clock - marks.started.clock,
        told=marks.told,
        seen=audience.seen,
        page=audience.page,
    )


if __name__ == "__main__":
    main()
