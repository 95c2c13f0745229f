"""The beginning of a run, without a process and without a connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.engine.storage import Storage
from orchestrator.errors import DiskError, ExitStatus
from orchestrator.journal.database import Database
from orchestrator.model.credentials import Secret
from orchestrator.model.events import AnyEvent, RunEnded, RunStarted
from orchestrator.model.gateway import Gateway
from orchestrator.runs.load import load_plan
from orchestrator.runs.machine import make_real_environment
from orchestrator.runs.start import RunDraft, start_run

PLAN = """\
version: 1
name: full
gateways:
  apim: {kind: apinizer, url: "https://apim.example.com", auth: {token: {env: TOKEN}}}
targets:
  - {gateway: apim, project: Retail, proxies: [a, b, c], environment: test}
"""


class FullDisk:
    """Writes no row of a journal: the disk is full from the first one on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def post(self, *_: Any) -> None:
        return

    async def write(self, *_: Any) -> None:
        raise DiskError("no space left on device")

    async def flush(self) -> None:
        raise DiskError("no space left on device")

    async def close(self) -> None:
        self._database.close()


async def _resolve(_: Gateway) -> Secret:
    return Secret("the-token")


@pytest.mark.promise(1)
async def test_a_run_whose_disk_is_full_from_the_first_row_on_tells_of_all_its_targets(
    tmp_path: Path,
) -> None:
    plan, events = tmp_path / "plan.yaml", list[AnyEvent]()
    plan.write_text(PLAN)
    request = RunRequest(
        options=RunOptions(state=tmp_path / "state"),
        listeners=(events.append,),
        storage=Storage(start_writer=FullDisk),
    )

    with load_plan(plan) as loaded:
        here = replace(make_real_environment(loaded.folder), credential=_resolve)
        result = await start_run(RunDraft(loaded.plan, loaded.draft, loaded.place), request, here)

    assert result.exit_status is ExitStatus.STOPPED
    (started,) = (event for event in events if isinstance(event, RunStarted))
    (ended,) = (event for event in events if isinstance(event, RunEnded))
    assert started.targets == 3
    assert ended.state == "stopped"
    assert sum(started.left.values()) == 3
