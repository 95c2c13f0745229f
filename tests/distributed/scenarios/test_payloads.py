"""Results that no single payload of the server can hold."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

import pytest

from orchestrator.simulator.bound_types import BoundFixture
from orchestrator.simulator.roma_fixture import BackendFixture
from tests.support.stage import backend
from tests.support.zones import EAST, ZoneStage

pytestmark = [pytest.mark.long("workers, drivers and a server are processes"), pytest.mark.timeout(300)]

APPLICATIONS = 150
"""Callers of each backend. Their names make a snapshot of it that takes 10 KB even compressed."""


def _name(dice: random.Random) -> str:
    return "".join(dice.choices(string.ascii_lowercase + string.digits, k=60))


@pytest.mark.promise(1)
def test_snapshots_beyond_a_payload_s_bound_arrive_whole(zoned: Callable[..., ZoneStage]) -> None:
    dice = random.Random(14)
    about = {
        backend(number): BackendFixture(
            bound=tuple(BoundFixture(type="applications", name=_name(dice)) for _ in range(APPLICATIONS))
        )
        for number in range(200)
    }
    stage = zoned(200, 1, latency=0.0, roma_eu={"about": about})
    stage.start_workers()
    ended = stage.drive("run", stage.write_plan(top="snapshot: required"), "--yes")
    would = stage.undeploy("restore", "latest", "--dry-run", "--accept", "new-front-end-id")

    assert ended.status == 0, ended.err
    assert stage.count_down(EAST) == 200
    assert stage.assert_sound() == []
    assert "comes back: 201" in would.out
    assert f"with {200 * APPLICATIONS:,} authorizations" in would.out, "some snapshots are cut"
    [size] = [path.stat().st_size for path in stage.run.glob("journal.sqlite")]
    assert size > 4_000_000, "the case is too small to prove anything"
