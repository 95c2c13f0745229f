"""The kinds of gateways that have a simulator: a line in the table for each."""

from __future__ import annotations

from typing import TypeAlias, get_args

from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.gateway_fixture import GatewayFixture
from orchestrator.simulator.roma_fixture import RomaFixture
from orchestrator.simulator.wso2 import Wso2Fixture

AnyFixture: TypeAlias = RomaFixture | ApinizerFixture | Wso2Fixture
"""One simulated gateway of any kind."""

FIXTURES: dict[str, type[GatewayFixture]] = {
    str(fixture.__struct_config__.tag): fixture for fixture in get_args(AnyFixture)
}
"""The same, by the word of a kind in a plan."""
