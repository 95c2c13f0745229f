"""What a Temporal server answers to the commands that only ask it: a plain sentence, and status 2."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from msgspec.structs import replace
from temporalio.client import ScheduleActionStartWorkflow
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.commands.options.engine import EngineAccess
from orchestrator.distributed import attach, looking, run_scheduling
from orchestrator.distributed.attach import rebuild_kept_run
from orchestrator.distributed.conversion import CONVERTER
from orchestrator.distributed.payloads import JournalPages, RunInput
from orchestrator.engine.options import RunOptions
from orchestrator.errors import RunError
from orchestrator.model.plan import RunId, StopWhen
from tests.support.commands import CommandResult, run_command
from tests.support.plans import UNSENT

URL = "temporal://127.0.0.1:7233/default"
AT = ("--yes", "--at", "2099-12-05T22:00:00Z", "--for", "4h", "--name", "night")
GIVEN = RunInput(
    run=RunId("night"),
    session=1,
    plan="far",
    act="undeploy",
    journal=JournalPages(workflow="undeploy/scheduled/night/another", pages=1, size=1, digest=""),
    steps=(),
    gateways={},
    stop_when=StopWhen(),
)

Undeploy = Callable[..., CommandResult]


class ErrorServer:
    """A client of a server that answers each question with one error."""

    namespace = "default"
    identity = "test"
    data_converter = CONVERTER

    def __init__(self, status: RPCStatusCode) -> None:
        self._status = status
        self.workflow_service = self.operator_service = self

    def __getattr__(self, _: str) -> Callable[..., Any]:
        return self._answer

    def get_workflow_handle(self, _: str) -> ErrorServer:
        return self

    get_schedule_handle = get_workflow_handle

    def _answer(self, *_: object, **__: object) -> Any:
        raise RPCError("Request unauthorized.", self._status, b"")

    async def _fail(self, *_: object, **__: object) -> None:
        self._answer()

    start_workflow = list_search_attributes = signal_workflow_execution = terminate = _fail
    describe: Callable[..., Any] = _fail


@pytest.fixture
def undeploy(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Undeploy:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text(UNSENT)
    return lambda *arguments: run_command(capfd, *arguments)


def serve(server: object, monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(_: EngineAccess) -> object:
        return server

    monkeypatch.setattr(EngineAccess, "connect", connect)


@pytest.mark.parametrize(
    "arguments",
    [
        ("schedule", "--list"),
        ("schedule", "--delete", "night"),
        ("schedule", "plan.yaml", *AT),
        ("preview", "plan.yaml"),
        ("doctor", "plan.yaml"),
        ("attach", "20261205-220000-far-25b7"),
    ],
)
@pytest.mark.parametrize(
    ("status", "told"),
    [
        (
            RPCStatusCode.UNAUTHENTICATED,
            "refuses this (UNAUTHENTICATED): Request unauthorized.; see --api-key",
        ),
        (RPCStatusCode.RESOURCE_EXHAUSTED, "refuses this (RESOURCE_EXHAUSTED): Request unauthorized."),
    ],
)
def test_an_error_of_the_server_is_told_and_is_no_bug(
    arguments: tuple[str, ...],
    status: RPCStatusCode,
    told: str,
    undeploy: Undeploy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serve(ErrorServer(status), monkeypatch)
    monkeypatch.setattr("orchestrator.distributed.patience.GONE_AFTER", 0.0)

    ended = undeploy(*arguments, "--on", URL)

    assert ended.status == 2, ended.err
    assert f"the Temporal server at {URL} {told}" in ended.err
    assert "Traceback" not in ended.err


def test_a_look_that_was_ended_at_the_server_is_no_bug(
    undeploy: Undeploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def do_nothing(*_: object) -> None:
        return

    class EndedHistory:
        def __init__(self, *_: object) -> None:
            pass

        async def read(self) -> None:
            return

    serve(ErrorServer(RPCStatusCode.NOT_FOUND), monkeypatch)
    monkeypatch.setattr(looking, "ship_pages", do_nothing)
    monkeypatch.setattr(looking, "start_workflow", do_nothing)
    monkeypatch.setattr(looking, "HistoryReader", EndedHistory)

    ended = undeploy("preview", "plan.yaml", "--on", URL)

    assert ended.status == 2, ended.err
    assert "the look was ended at the Temporal server; ask again" in ended.err


class SchedulingServer(ErrorServer):
    """A client of a server that makes a schedule, whose answer is lost on the way."""

    def __init__(self, *, is_gone: bool = False, pages: str | None = None) -> None:
        super().__init__(RPCStatusCode.UNAVAILABLE)
        self.schedule: Any = None
        self.deleted = 0
        self._is_gone = is_gone
        self._pages = pages

    async def create_schedule(self, _: str, schedule: Any, **__: object) -> None:
        self.schedule = schedule
        self._answer()

    async def describe(self, *_: object, **__: object) -> Any:
        if self.schedule is None:
            raise RPCError("no such schedule", RPCStatusCode.NOT_FOUND, b"")
        if self._is_gone:
            self._answer()
        (given,) = self.schedule.action.args
        kept = replace(given, journal=replace(given.journal, workflow=self._pages or given.journal.workflow))
        action = ScheduleActionStartWorkflow("UndeployRun", kept, id="w", task_queue="undeploy")
        action.args = await self.data_converter.encode([kept])
        return SimpleNamespace(schedule=SimpleNamespace(action=action))

    async def delete(self) -> None:
        self.deleted += 1


@pytest.mark.parametrize(
    ("server", "deleted", "is_warned"),
    [
        (SchedulingServer(), 1, False),
        (SchedulingServer(pages="undeploy/scheduled/night/of-another"), 0, False),
        (SchedulingServer(is_gone=True), 0, True),
    ],
    ids=["ours", "another's", "gone"],
)
def test_a_schedule_whose_answer_was_lost_is_taken_back_or_named(
    server: SchedulingServer,
    deleted: int,
    is_warned: bool,
    undeploy: Undeploy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def do_nothing(*_: object) -> None:
        return

    serve(server, monkeypatch)
    monkeypatch.setattr(run_scheduling, "ship_pages", do_nothing)
    monkeypatch.setattr(run_scheduling, "release_pages", do_nothing)

    ended = undeploy("schedule", "plan.yaml", *AT, "--on", URL)

    assert ended.status == 2, ended.err
    assert "does not answer (UNAVAILABLE)" in ended.err
    assert server.deleted == deleted
    assert ("whether it has made schedule night" in ended.err) is is_warned


def test_a_run_whose_id_is_not_that_of_its_workflow_gets_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find(*_: object) -> Any:
        return SimpleNamespace(
            id="20261205-220000-123-far-25b7", workflow="undeploy/20261205-220000-123-far-25b7/1"
        )

    async def read_start(*_: object) -> Any:
        return SimpleNamespace(given=replace(GIVEN, run=RunId("../../x")), at=0.0)

    monkeypatch.setattr(attach, "find_kept_run", find)
    monkeypatch.setattr(attach, "read_run_start", read_start)
    state = tmp_path / "deep" / "state"

    with pytest.raises(RunError, match=r"is of another run, '\.\./\.\./x'"):
        anyio.run(
            partial(rebuild_kept_run, cast("Any", None), "far", URL, RunOptions(state=state), print, on=URL)
        )

    assert not list(tmp_path.rglob("x"))
