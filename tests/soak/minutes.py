"""Minutes of one real run against the simulators: targets at a steady rate, some of them with faults."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.simulator.faults import FaultScenario, FaultStorm
from orchestrator.simulator.process import start_simulators
from tests.soak.gauges import count_descriptors, read_memory, read_size
from tests.soak.growth import Sample
from tests.support.stage import Stage, make_fixture

RATE = 40
"""Undeploys a second to ROMA, and a quarter of that to Apinizer."""

WARM_UP = 5.0
"""Seconds from the beginning of the run to the first sample: the program connects, and fills its pools."""

BETWEEN = 1.0
"""Seconds between the end of a sample and the next one: the books of many targets take a while to read."""

LATE = 5.0
"""How many times as long as planned the run may take: the machine may be busy."""

_STORM = FaultStorm(share=0.05, seed=1, kinds=("500", "500-after", "reset", "look:500"))


def play_minutes(minutes: float, folder: Path, tell: Callable[[int, Sample], None]) -> Iterator[Sample]:
    """Run for about so many minutes, and yield samples; to take one may last some seconds.

    Raises AssertionError if the run did not end as it should, or the report contradicts the books.
    """
    roma, apim = int(RATE * minutes * 60), int(RATE * minutes * 15)
    with start_simulators(make_fixture(roma, apim)) as platform:
        platform.expect(FaultScenario(storm=_STORM))
        stage = Stage(folder, platform, roma, apim)
        quick = "retry: {attempts: 8, first: 5ms, ceiling: 50ms}"
        stage.write_plan(
            roma=f"{quick}, limits: {{concurrency: 8, rate: {RATE}/s}}",
            apim=f"{quick}, limits: {{concurrency: 4, rate: {RATE // 4}/s}}",
        )
        command = ("run", "plan.yaml", "--yes", "--log-level", "info", "--events", "events.jsonl")
        with (
            (folder / "log").open("w") as log,
            stage.started(*command, stderr=log, stdout=subprocess.DEVNULL) as process,
        ):
            longest = minutes * 60 * LATE + 60
            yield from _sample(stage, process, longest, tell)
            # A twentieth of the targets is left, and then the reports of all.
            status = process.wait(timeout=longest / 10 + 60)
        last = (folder / "log").read_text(encoding="utf-8").splitlines()[-1:]
        assert status in (0, 1), f"the run ended with {status}: {' '.join(last)}"
        stage.assert_truth()


def _sample(
    stage: Stage, process: subprocess.Popen[str], longest: float, tell: Callable[[int, Sample], None]
) -> Iterator[Sample]:
    """Yield samples until most targets have ended: the end of a run writes its reports."""
    began, enough = time.monotonic(), 0.95 * (stage.roma + stage.apim)
    while not stage.has_run and process.poll() is None:
        assert time.monotonic() < began + longest, f"no run has begun within {longest:.0f} s"
        time.sleep(BETWEEN)
    time.sleep(WARM_UP)
    number = 0
    while process.poll() is None and (requests := stage.requests()) < enough:
        assert time.monotonic() < began + longest, f"the run has not ended within {longest:.0f} s"
        number += 1
        sample = _take(stage, process.pid, requests)
        tell(number, sample)
        yield sample
        time.sleep(BETWEEN)


def _take(stage: Stage, pid: int, requests: int) -> Sample:
    journal = stage.run / "journal.sqlite"
    return Sample(
        memory=read_memory(pid),
        descriptors=count_descriptors(pid),
        requests=requests,
        journal=read_size(journal),
        ahead=read_size(journal.with_name("journal.sqlite-wal")),
        logs=read_size(stage.folder / "events.jsonl") + read_size(stage.folder / "log"),
    )
