"""A Temporal server that all tests of one process share: each test has workflows of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.temporal import TemporalServer, run_temporal


@pytest.fixture(scope="session")
def temporal() -> Iterator[TemporalServer]:
    with run_temporal() as server:
        yield server
