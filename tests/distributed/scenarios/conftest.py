"""The stage of a distributed scenario: two zones, a server, and one test's own namespace of it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.temporal import TemporalServer
from tests.support.zones import Zone, ZoneStage, create_namespace, run_zones

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def zones() -> Iterator[dict[str, Zone]]:
    """Both zones, for all scenarios; each begins with a fixture of its own."""
    with run_zones() as running:
        yield running


@pytest.fixture
def zoned(
    tmp_path: Path, zones: dict[str, Zone], temporal: TemporalServer
) -> Iterator[Callable[..., ZoneStage]]:
    """Sets a stage with so many targets of ROMA in the east and of Apinizer in the west.

    Further arguments are of both fixtures; ``server`` replaces the server that the tests share.
    """
    stages: list[ZoneStage] = []

    def build(roma: int, apim: int, *, server: TemporalServer = temporal, **fields: Any) -> ZoneStage:
        # What another test left behind must not reach this one's workers.
        namespace = f"scene-{next(_numbers)}"
        create_namespace(server, namespace)
        stages.append(ZoneStage(tmp_path, zones, server, namespace))
        stages[-1].fill(roma, apim, **fields)
        return stages[-1]

    yield build
    for stage in stages:
        stage.end()
        # pytest shows it beside a failure, and keeps it to itself otherwise.
        sys.stdout.write(stage.read_logs())
