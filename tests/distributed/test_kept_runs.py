"""The run that a person's word means, among those that a Temporal server keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.commands.terminal.schedule_words import describe_schedules
from orchestrator.distributed import kept_runs
from orchestrator.distributed.kept_runs import KeptRun, find_kept_run, find_session
from orchestrator.distributed.kept_schedules import KeptSchedule, describe_outcome
from orchestrator.distributed.names import name_scheduled_workflow
from orchestrator.distributed.payloads import Orders, StopOrder
from orchestrator.model.plan import RunId

STOP = StopOrder(kind="stop_rule", text="surprising: 4 of 4")


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


class Started:
    """A session of a schedule's run, as a server describes it."""

    start_time = datetime(2026, 11, 22, 22, tzinfo=UTC)
    status = WorkflowExecutionStatus.COMPLETED

    def __init__(self, **memo: object) -> None:
        self._memo = msgspec.to_builtins(memo)
        self.id = name_scheduled_workflow("night-1") + "-2026-11-22T22:00:00Z"

    def get_workflow_handle(self, _: str) -> Started:
        return self

    async def describe(self) -> Started:
        return self

    async def memo(self) -> dict[str, Any]:
        return dict(self._memo)


@pytest.mark.parametrize(
    ("memo", "outcome"),
    [
        (
            {"progress": "over, 161 of 161 targets ended", "orders": Orders()},
            "over, 161 of 161 targets ended",
        ),
        (
            {"progress": "over, 4 of 161 targets ended", "orders": Orders(stop=STOP)},
            "over, 4 of 161 targets ended; stop_rule: surprising: 4 of 4",
        ),
        ({"orders": "of a later version"}, "over"),
    ],
)
async def test_a_list_of_schedules_tells_how_the_newest_run_ended(
    memo: dict[str, object], outcome: str
) -> None:
    server: Any = Started(**memo)

    found = await find_session(server, server.id)
    assert describe_outcome(found) == outcome
    assert describe_outcome(None) == ""
    kept = KeptSchedule(
        name="night-1",
        plan="orders",
        starts="",
        following=(),
        newest=RunId("r1"),
        outcome=outcome,
        is_paused=False,
    )
    assert outcome in list(describe_schedules([kept]))[1]


def test_no_text_that_a_server_keeps_steers_the_terminal() -> None:
    odd = "\x1b]0;x\x07"
    kept = KeptSchedule(
        name=odd, plan=odd, starts=odd, following=(), newest=RunId(odd), outcome=odd, is_paused=False
    )
    assert "".join(describe_schedules([kept])).isprintable()


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
