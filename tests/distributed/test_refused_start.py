"""A Temporal server that refuses to start a run: a plain error, and nothing is left of the run."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from temporalio.converter import default
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.api import RunOptions, load_plan, run
from orchestrator.distributed.address import parse_engine_address
from orchestrator.distributed.conductor import TemporalConductor
from orchestrator.distributed.names import JOURNAL_WORKFLOW, RUN_WORKFLOW
from orchestrator.errors import DiskError, ExitStatus, UsageError
from orchestrator.journal.engine_mark import read_engine_mark
from orchestrator.journal.run_lookup import list_runs
from orchestrator.runs.result import RunResult
from tests.support.plans import UNSENT

URL = "temporal://127.0.0.1:7233/default"
TOO_LONG = "BadInput:\nthe memo is too long"


class RefusingServer:
    """A client of a server that has no workflow, and refuses to start those of one name."""

    namespace = "default"
    identity = "test"
    data_converter = default()

    def __init__(
        self, refused: str, why: RPCStatusCode = RPCStatusCode.INVALID_ARGUMENT, text: str = TOO_LONG
    ) -> None:
        self._refused = refused
        self._why = why
        self._text = text
        self.workflow_service = self.operator_service = self

    async def start_workflow(self, name: str, *_: object, **__: object) -> None:
        if name == self._refused:
            raise RPCError(self._text, self._why, b"")

    async def list_search_attributes(self, *_: object, **__: object) -> None:
        raise RPCError("not an operator", RPCStatusCode.PERMISSION_DENIED, b"")

    async def signal_workflow_execution(self, *_: object, **__: object) -> None:
        raise RPCError("workflow not found", RPCStatusCode.NOT_FOUND, b"")


@pytest.mark.parametrize("refused", [JOURNAL_WORKFLOW, RUN_WORKFLOW])
def test_a_refusal_at_the_start_of_a_run_is_told_and_nothing_is_left_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    async def connect(*_: object, **__: object) -> RefusingServer:
        return RefusingServer(refused)

    monkeypatch.setattr("orchestrator.distributed.conductor.connect", connect)
    (tmp_path / "plan.yaml").write_text(UNSENT)
    options = RunOptions(state=tmp_path / "state")

    async def play() -> None:
        with load_plan(tmp_path / "plan.yaml") as loaded:
            await run(loaded, options, conductor=TemporalConductor(parse_engine_address(URL)))

    told = r"refuses the run \(INVALID_ARGUMENT\): BadInput: the memo is too long\. Nothing was sent"
    with pytest.raises(UsageError, match=told):
        anyio.run(play)

    assert list_runs(options.state) == []


def test_a_server_that_gives_us_no_right_ends_the_start_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A wrong key may connect: a server need not let every account list what there is.
    async def connect(*_: object, **__: object) -> RefusingServer:
        return RefusingServer(JOURNAL_WORKFLOW, RPCStatusCode.PERMISSION_DENIED, "Request unauthorized.")

    monkeypatch.setattr("orchestrator.distributed.conductor.connect", connect)
    (tmp_path / "plan.yaml").write_text(UNSENT)
    options = RunOptions(state=tmp_path / "state")

    async def play() -> None:
        with load_plan(tmp_path / "plan.yaml") as loaded, anyio.fail_after(30):
            await run(loaded, options, conductor=TemporalConductor(parse_engine_address(URL)))

    told = r"refuses the run \(PERMISSION_DENIED\): Request unauthorized\. Nothing was sent"
    with pytest.raises(UsageError, match=told):
        anyio.run(play)

    assert list_runs(options.state) == []


def test_a_server_that_is_lost_before_the_start_stops_the_run_after_park_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(*_: object, **__: object) -> RefusingServer:
        return RefusingServer(JOURNAL_WORKFLOW, RPCStatusCode.UNAVAILABLE, "tcp connect error")

    monkeypatch.setattr("orchestrator.distributed.conductor.connect", connect)
    (tmp_path / "plan.yaml").write_text(UNSENT.replace("kind: apinizer,", "kind: apinizer, park_for: 1ms,"))
    options = RunOptions(state=tmp_path / "state")

    async def play() -> RunResult:
        with load_plan(tmp_path / "plan.yaml") as loaded, anyio.fail_after(30):
            return await run(loaded, options, conductor=TemporalConductor(parse_engine_address(URL)))

    result = anyio.run(play)

    assert result.exit_status is ExitStatus.STOPPED
    told = f"interrupt: the Temporal server at {URL} does not answer for"
    assert (result.report.run.stopped_by or "").startswith(told)
    (folder,) = list_runs(options.state)
    assert read_engine_mark(folder.path) is None, "the server has nothing of it"


def test_a_full_disk_for_the_copy_of_the_journal_stops_the_run_by_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(*_: object, **__: object) -> RefusingServer:
        return RefusingServer("")

    def pack(*_: object) -> None:
        raise DiskError("the journal cannot be copied in the temporary folder: No space left on device")

    monkeypatch.setattr("orchestrator.distributed.conductor.connect", connect)
    monkeypatch.setattr("orchestrator.distributed.session_start.pack_journal", pack)
    (tmp_path / "plan.yaml").write_text(UNSENT)
    options = RunOptions(state=tmp_path / "state")

    async def play() -> RunResult:
        with load_plan(tmp_path / "plan.yaml") as loaded:
            return await run(loaded, options, conductor=TemporalConductor(parse_engine_address(URL)))

    result = anyio.run(play)

    assert result.exit_status is ExitStatus.STOPPED
    assert (result.report.run.stopped_by or "").startswith("disk: the journal cannot be copied")
    (folder,) = list_runs(options.state)
    assert read_engine_mark(folder.path) is None, "the server has nothing of it"
