"""The stage of a scenario: real processes, real sockets, the machine's own time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.process import RunningSimulators, start_simulators
from tests.support.stage import Stage, make_fixture


@pytest.fixture(scope="session")
def platform() -> Iterator[RunningSimulators]:
    """Both platforms in one process for all scenarios; each begins with a fixture of its own."""
    with start_simulators(make_fixture(0, 0)) as running:
        yield running


@pytest.fixture
def staged(tmp_path: Path, platform: RunningSimulators) -> Callable[..., Stage]:
    """Sets a stage with so many targets of ROMA and of Apinizer; further arguments are of both fixtures."""

    def build(roma: int, apim: int, **fields: Any) -> Stage:
        platform.refill(make_fixture(roma, apim, **fields))
        platform.expect(FaultScenario())
        return Stage(tmp_path, platform, roma, apim)

    return build
