"""The kinds of gateways, with all facts about their vendors: a folder and a line in the table for each."""

from __future__ import annotations

from orchestrator.gateways.apinizer.gateway import Apinizer
from orchestrator.gateways.roma.gateway import Roma
from orchestrator.gateways.wso2 import Wso2
from orchestrator.model.gateway import Gateway
from orchestrator.model.obstacles import Obstacle

KINDS: dict[str, type[Gateway]] = {"roma": Roma, "apinizer": Apinizer, "wso2": Wso2}


def list_obstacles() -> tuple[Obstacle, ...]:
    """Return the obstacles to a restore of all kinds, each once."""
    return tuple(dict.fromkeys(one for kind in KINDS.values() for one in kind.OBSTACLES))
