"""Small plans, and the simulators that they are run against: one process for all tests of the commands."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from orchestrator.simulator.process import RunningSimulators, start_simulators
from tests.support.commands import FIXTURE, PROXIES, Undeploy, refill_platform, run_command


@pytest.fixture(scope="session")
def _platform() -> Iterator[RunningSimulators]:
    with start_simulators(FIXTURE) as running:
        yield running


@pytest.fixture
def platform(_platform: RunningSimulators, monkeypatch: pytest.MonkeyPatch) -> RunningSimulators:
    """The simulated manager, with everything deployed, and the token that it takes."""
    refill_platform(_platform, monkeypatch)
    return _platform


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no protect file from outside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UNDEPLOY_PROTECT_FILE", raising=False)
    return tmp_path


@pytest.fixture
def plan(folder: Path) -> Callable[..., Path]:
    """Writes a plan of six targets; ``url`` is where its gateway is, ``more`` further top-level lines."""

    def write(url: str = "http://127.0.0.1:9", more: str = "", name: str = "plan.yaml") -> Path:
        path = folder / name
        path.write_text(
            f"version: 1\nname: clean-up\nsnapshot: off\n{more}\n"
            "gateways:\n"
            f"  apim: {{kind: apinizer, url: '{url}', auth: {{token: {{env: APINIZER_TOKEN}}}},"
            " limits: {concurrency: 1}, retry: {attempts: 2, first: 1ms}}\n"
            "targets:\n"
            f"  - {{gateway: apim, project: Retail, proxies: [{', '.join(PROXIES)}], environments: [test]}}\n"
        )
        return path

    return write


@pytest.fixture
def undeploy(folder: Path, capfd: pytest.CaptureFixture[str]) -> Undeploy:
    """Runs a command line in ``folder``."""

    return partial(run_command, capfd)
