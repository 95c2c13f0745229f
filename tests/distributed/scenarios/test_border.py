"""The two zones of the scenarios are apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.zones import EAST, GATEWAYS, HOSTS, WEST, ZoneStage

pytestmark = pytest.mark.long("a run is a process of its own, beside a server")

QUICK = "park_for: 1s, retry: {attempts: 2, first: 5ms, ceiling: 10ms}"


def test_a_zone_s_border_lets_nobody_else_through(zoned: Callable[..., ZoneStage]) -> None:
    """The other scenarios would prove nothing if a worker could reach the other zone."""
    stage = zoned(3, 3)
    own = {"HTTP_PROXY": stage.zones[EAST].proxy.url} | stage.list_credentials()
    plan = stage.write_plan(roma=QUICK, apim=QUICK)
    ended = stage.undeploy("run", plan, "--yes", env=own)

    assert ended.status == 4, ended.err
    assert (stage.count_down(EAST), stage.count_down(WEST)) == (3, 0)
    assert set(stage.zones[EAST].proxy.strangers) == {HOSTS[GATEWAYS[WEST]]}
