"""Commands inside the test's own process, and the simulated manager that most of their tests talk to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest

from orchestrator.cli import execute
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.process import RunningSimulators

PROXIES = tuple(f"proxy-{number}" for number in range(6))
FIXTURE = SimulatorFixture(
    gateways=(ApinizerFixture(name="apim", targets=tuple(("Retail", name, "test") for name in PROXIES)),)
)
"""One manager, on which six proxies are deployed."""


class CommandResult(NamedTuple):
    """The exit status of a command, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def run(self) -> str:
        """The id of its run."""
        first, _, run = self.out.partition("\n")[0].partition(" ")
        assert first == "run:", self
        return run


Undeploy: TypeAlias = Callable[..., CommandResult]
"""Runs a command line."""


def run_command(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> CommandResult:
    """Run a command line in this process and the current folder."""
    capfd.readouterr()
    status = execute([str(argument) for argument in arguments])
    written = capfd.readouterr()
    return CommandResult(status, written.out, written.err)


def refill_platform(platform: RunningSimulators, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything of ``FIXTURE`` deployed again, without faults, and its token in the environment."""
    platform.refill(FIXTURE)
    platform.expect(FaultScenario())
    monkeypatch.setenv("APINIZER_TOKEN", FAKE_TOKEN)
