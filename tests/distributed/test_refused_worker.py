"""A worker that the server refuses says why, after it has landed what is in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio
import pytest

from orchestrator.distributed import worker
from orchestrator.distributed.names import RUNS_QUEUE
from orchestrator.distributed.worker import WorkerSpec, serve_zone
from orchestrator.errors import RunError
from orchestrator.runs.machine import make_real_environment

URL = "temporal://127.0.0.1:7233/undeploy"
REFUSAL = (
    'Poll failure: Unhandled grpc error when polling: Status { code: PermissionDenied, message: "Request'
    ' unauthorized.", source: None }'
)


class RefusedWorker:
    """A worker that fails as those of Temporal's library: it cancels the task that has it open."""

    def __init__(self, _: object, *, task_queue: str, **__: object) -> None:
        self._fails = task_queue in REFUSED
        self._error = RuntimeError("Worker failed")
        self._error.__cause__ = RuntimeError(REFUSAL)
        self._inner: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> RefusedWorker:
        self._inner = asyncio.current_task()
        self._failing = asyncio.create_task(self._fail())
        return self

    async def _fail(self) -> None:
        await asyncio.sleep(0.01)
        if self._fails and self._inner is not None:
            self._inner.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The library waits here for its own end, and a failure in that time cancels the task, too.
        await self._failing
        await asyncio.sleep(0)
        if kind is asyncio.CancelledError and self._fails:
            raise self._error


REFUSED: set[str] = set()


class NoSignal:
    async def receive(self) -> AsyncIterator[str]:
        await anyio.sleep_forever()
        yield ""


@pytest.mark.parametrize(
    "refused", [{RUNS_QUEUE}, {"undeploy-zone-east"}, {RUNS_QUEUE, "undeploy-zone-east"}]
)
def test_a_worker_whose_polls_are_refused_ends_with_the_servers_words(
    refused: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "Worker", RefusedWorker)
    monkeypatch.setattr(f"{__name__}.REFUSED", refused)

    async def watch(*_: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(worker, "watch_server", watch)
    spec = WorkerSpec(zone="east", state=tmp_path, name="w", url=URL)

    async def main() -> None:
        with anyio.fail_after(30):
            await serve_zone(
                None,  # type: ignore[arg-type]
                spec,
                make_real_environment(Path()),
                NoSignal(),  # type: ignore[arg-type]
                lambda _: None,
            )

    with pytest.raises(RunError, match=r"gives this worker no work: Request unauthorized\.$"):
        anyio.run(main)
