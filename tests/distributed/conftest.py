"""A Temporal server that all tests of one process share: each test has workflows of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from orchestrator.distributed.connection import connect
from tests.support.fake_zone import Engine
from tests.support.temporal import TemporalServer, run_temporal


@pytest.fixture(scope="session")
def temporal() -> Iterator[TemporalServer]:
    with run_temporal() as server:
        yield server


@pytest.fixture
async def engine(temporal: TemporalServer) -> AsyncIterator[Engine]:
    async with Engine(await connect(temporal.address)).serve() as served:
        yield served
