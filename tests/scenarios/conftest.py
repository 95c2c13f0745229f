"""The stage of a scenario: real processes, real sockets, the machine's own time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.simulator.faults import Faults
from orchestrator.simulator.process import Running, simulators
from tests.support.stage import Stage, seed_of


@pytest.fixture(scope="session")
def platform() -> Iterator[Running]:
    """Both platforms in one process for all scenarios; each begins with a seed of its own."""
    with simulators(seed_of(0, 0)) as running:
        yield running


@pytest.fixture
def staged(tmp_path: Path, platform: Running) -> Callable[..., Stage]:
    """Sets a stage with so many targets of ROMA and of Apinizer; further arguments are of both seeds."""

    def build(roma: int, apim: int, **fields: Any) -> Stage:
        platform.seed(seed_of(roma, apim, **fields))
        platform.expect(Faults())
        return Stage(tmp_path, platform, roma, apim)

    return build
