"""undeploy worker as a command: what it hands to the worker of a zone, and how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from orchestrator.commands.options.engine import EngineAccess
from orchestrator.distributed import worker
from orchestrator.errors import CredentialError
from orchestrator.lanes.environment import Environment
from orchestrator.model.settings import Auth, CredentialReference
from tests.support.commands import Undeploy
from tests.support.engine import gateway

URL = "temporal://127.0.0.1:7233/undeploy"


class PlayedWorker:
    """Stands in the place of ``serve_zone``."""

    def __init__(self) -> None:
        self.specs: list[worker.WorkerSpec] = []
        self.environments: list[Environment] = []
        self.lands = True

    async def serve(
        self, client: Any, spec: worker.WorkerSpec, environment: Environment, signals: Any, tell: Any
    ) -> bool:
        assert client == "a client"
        self.specs.append(spec)
        self.environments.append(environment)
        tell(f"serves zone {spec.zone} on {spec.url}")
        tell("SIGTERM: what is in flight lands")
        return self.lands


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> PlayedWorker:
    async def connect(self: EngineAccess) -> str:
        return "a client"

    played = PlayedWorker()
    monkeypatch.setattr(EngineAccess, "connect", connect)
    monkeypatch.setattr(worker, "serve_zone", played.serve)
    return played


def test_a_worker_serves_its_zone_and_says_so_on_stdout(undeploy: Undeploy, played: PlayedWorker) -> None:
    ended = undeploy("worker", "--zone", "east", "--on", URL, "--state", "kept")

    assert ended.status == 0, ended.err
    assert ended.out == f"serves zone east on {URL}\n"
    assert "SIGTERM: what is in flight lands" in ended.err
    (spec,) = played.specs
    assert (spec.zone, spec.state, spec.url, spec.name) == ("east", Path("kept"), URL, worker.name_process())


def test_a_worker_that_was_cut_off_ends_as_interrupted(undeploy: Undeploy, played: PlayedWorker) -> None:
    played.lands = False

    assert undeploy("worker", "--zone", "east", "--on", URL).status == 130


@pytest.mark.parametrize("allowed", [False, True])
def test_programs_that_a_plan_names_run_only_where_that_was_allowed(
    undeploy: Undeploy, played: PlayedWorker, allowed: bool
) -> None:
    undeploy("worker", "--zone", "east", "--on", URL, *(["--allow-commands"] if allowed else []))
    (environment,) = played.environments
    named = Auth(token=CredentialReference(command=("echo", "the-secret-of-a-program")))

    async def resolve() -> str:
        try:
            material = await environment.credential(replace(gateway(), auth=named))
        except CredentialError as error:
            return str(error)
        return material.reveal()

    told = anyio.run(resolve)
    assert (told == "the-secret-of-a-program") is allowed
    assert ("--allow-commands" in told) is not allowed


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("", "--zone wants a value"),
        ("a zone", "is not the name of a zone; write 1 to 64 of A to Z"),
        ("east/west", "is not the name of a zone; write 1 to 64 of A to Z"),
    ],
)
def test_a_zone_that_no_plan_can_name_is_refused(
    undeploy: Undeploy, played: PlayedWorker, zone: str, told: str
) -> None:
    ended = undeploy("worker", "--zone", zone, "--on", URL)

    assert ended.status == 2
    assert told in ended.err
    assert played.specs == []
