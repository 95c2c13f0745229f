"""The run that a person's word means, among those that a Temporal server keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.distributed import kept_runs
from orchestrator.distributed.kept_runs import KeptRun, find_kept_run
from orchestrator.model.plan import RunId


class EmptyServer:
    """A server that has no workflow but those that it lists."""

    def get_workflow_handle(self, _: str) -> EmptyServer:
        return self

    async def describe(self) -> None:
        raise RPCError("not found", RPCStatusCode.NOT_FOUND, b"")


def make_run(name: str, plan: str) -> KeptRun:
    return KeptRun(
        id=RunId(name),
        session=1,
        workflow=f"undeploy/{name}/1",
        started=datetime(2026, 11, 22, tzinfo=UTC),
        state="over",
        plan=plan,
        progress="",
    )


@pytest.mark.parametrize("ref", ["latest", "orders"])
async def test_latest_and_a_plan_s_name_mean_the_newest_undeploy(
    ref: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run("3-restore", "orders"), make_run("2-newer", "orders"), make_run("1-older", "orders")]

    async def list_runs(_: object) -> list[KeptRun]:
        return runs

    async def read_start(_client: object, workflow: str, _patience: object) -> Any:
        act = "restore" if "restore" in workflow else "undeploy"
        return SimpleNamespace(given=SimpleNamespace(act=act))

    monkeypatch.setattr(kept_runs, "list_kept_runs", list_runs)
    monkeypatch.setattr(kept_runs, "read_run_start", read_start)

    assert (await find_kept_run(EmptyServer(), ref)).id == "2-newer"  # type: ignore[arg-type]
