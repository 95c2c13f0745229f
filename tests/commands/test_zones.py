"""What a command says of the zones of a plan where no engine is named whose workers serve them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.simulator.process import RunningSimulators
from tests.support.commands import Undeploy

LINE = "zones are ignored without --on; all gateways are reached from here"


@pytest.fixture
def zoned(platform: RunningSimulators, plan: Callable[..., Path]) -> Path:
    """A plan whose gateway is in a zone."""
    path = plan(platform.urls["apim"])
    path.write_text(path.read_text().replace("kind: apinizer,", "kind: apinizer, zone: dmz,"))
    return path


@pytest.mark.parametrize(
    "command", [("run", "--yes"), ("run", "--dry-run"), ("preview",), ("doctor",)], ids=" ".join
)
def test_zones_are_said_to_be_ignored_once(command: tuple[str, ...], zoned: Path, undeploy: Undeploy) -> None:
    name, *options = command
    ended = undeploy(name, zoned, *options)

    assert ended[2].splitlines().count(LINE) == 1
    assert LINE not in ended[1]


@pytest.mark.parametrize(
    "command",
    [
        ("run", "--yes", "--quiet"),
        ("run", "--yes", "--log-format", "json"),
        ("preview", "--quiet"),
        ("preview", "--format", "json"),
        ("doctor", "--format", "json"),
    ],
    ids=" ".join,
)
def test_a_quiet_command_and_one_for_programs_says_nothing_of_zones(
    command: tuple[str, ...], zoned: Path, undeploy: Undeploy
) -> None:
    name, *options = command

    assert LINE not in undeploy(name, zoned, *options)[2]


def test_a_plan_without_zones_is_told_nothing_of_them(
    platform: RunningSimulators, plan: Callable[..., Path], undeploy: Undeploy
) -> None:
    assert LINE not in undeploy("preview", plan(platform.urls["apim"]))[2]
