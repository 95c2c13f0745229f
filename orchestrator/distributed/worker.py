"""The worker of a zone: it serves the workflows of all runs, and the chunks of its own zone's gateways."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import anyio
from msgspec import Struct
from temporalio.client import Client
from temporalio.worker import Worker

from orchestrator.distributed.chunk_activity import LONGEST_TEXT, ChunkWorker
from orchestrator.distributed.connection import find_innermost
from orchestrator.distributed.kept_session import SessionStore
from orchestrator.distributed.look_activity import LookWorker
from orchestrator.distributed.names import RUNS_QUEUE, name_zone_queue
from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.payloads import JournalPages
from orchestrator.distributed.server_watch import watch_server
from orchestrator.distributed.server_words import clean_words
from orchestrator.distributed.shipping import fetch_journal
from orchestrator.distributed.workflows import RUNNER, WORKFLOWS
from orchestrator.engine.signals import SignalSource
from orchestrator.errors import RunError
from orchestrator.journal.holder import LockHeldError, take_lock
from orchestrator.journal.ownership import check_state
from orchestrator.journal.publishing import make_private
from orchestrator.journal.read_types import prepare_read_types
from orchestrator.lanes.environment import Environment
from orchestrator.model.events import Listener
from orchestrator.model.outcome import NO_SERVER
from orchestrator.system.state_folder import WORKERS


class WorkerSpec(Struct, frozen=True, kw_only=True):
    """What a worker serves, and where it keeps the journals that it was sent."""

    zone: str
    state: Path
    name: str
    """Names this process to people."""
    url: str
    """The server, as ``--on`` takes it."""
    observe: Listener = lambda _: None
    """Hears the events of all chunks: the log."""


LAST_CLOSE = 1.0
"""Seconds for closing the connections at the end, and as many for the ends of the library's tasks."""
BETWEEN_CANCELS = 0.05
"""Seconds between two cancels of a task."""

# What the server gives a frozen worker is lost until it times out, and the server gives as much as the worker
# had asked for before: a chunk for each of its polls, and what it has in its cache for as long as that lasts.
PROGRESS = timedelta(seconds=1)
"""How often at most the server hears how far a look is."""

STICKY = timedelta(seconds=3)
"""How long a decision waits for the worker that has its workflow in the cache, before any may take it."""


def name_process() -> str:
    """Return host and number of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


async def serve_zone(
    client: Client,
    spec: WorkerSpec,
    environment: Environment,
    signals: SignalSource,
    tell: Callable[[str], None],
) -> bool:
    """Serve until a signal comes; then land the chunks under way. A second signal ends that at once.

    ``tell`` gets a line when it serves, one when it lands, and two of a server that is lost for a while.
    Returns whether all has landed. Raises RunError where ``state`` cannot be used, and, once all has landed,
    where the server refuses the worker: its namespace is gone, or its credential has no right to it any more.
    """
    with _hold_folder(spec.state) as folder:
        store = SessionStore(folder, environment, partial(_fetch, client), spec.name, spec.observe)
        before, has_landed = asyncio.all_tasks(), False
        try:
            async with anyio.create_task_group() as group:
                end = _End(group.cancel_scope, tell)
                group.start_soon(end.watch, signals)
                group.start_soon(watch_server, client, spec.url, tell)
                chunks = ChunkWorker(client, store, environment, spec.name, tell)
                await _serve(client, spec, chunks, LookWorker(client, environment, folder), end)
                group.cancel_scope.cancel()
            has_landed = not end.is_cut
            if end.fault is not None:
                raise RunError(f"{NO_SERVER} {spec.url} gives this worker no work: {end.fault}")
            return has_landed
        finally:
            with anyio.CancelScope(shield=True):
                if not has_landed:
                    await _end_tasks(asyncio.all_tasks() - before)
                with anyio.move_on_after(LAST_CLOSE):
                    await store.close()


async def _end_tasks(left: set[asyncio.Task[Any]]) -> None:
    """Cancel tasks that the library has left behind, until they have ended.

    It takes a first cancel for the wish to land, and may wait for ever then. The loop, which cancels once,
    would never close.
    """
    until = anyio.current_time() + LAST_CLOSE
    while left and anyio.current_time() < until:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=BETWEEN_CANCELS)


async def _fetch(client: Client, pages: JournalPages, folder: Path) -> None:
    await fetch_journal(client, pages, folder, ServerPatience())


class _End:
    """The end of a worker: the first signal lets it land, the second one cuts it off."""

    def __init__(self, scope: anyio.CancelScope, tell: Callable[[str], None]) -> None:
        self.is_due = anyio.Event()
        self.is_cut = False
        self.fault: str | None = None
        """Why the server gives the worker nothing."""
        self._scope = scope
        self._tell = tell

    async def watch(self, signals: SignalSource) -> None:
        """Take the signals."""
        was_told = False
        async for name in signals.receive():
            if was_told:
                self.is_cut = True
                self._scope.cancel()
                return
            was_told = True
            self._tell(f"{name}: what is in flight lands, and the rest goes on elsewhere; once more ends it")
            self.is_due.set()

    def fail(self, error: Exception) -> None:
        """Land, since the server refuses the worker. Of several reasons the first one counts."""
        why = find_innermost(clean_words(str(error.__cause__ or error)))
        self.fault = self.fault or why[:LONGEST_TEXT]
        self.is_due.set()


async def _serve(client: Client, spec: WorkerSpec, worker: ChunkWorker, looks: LookWorker, end: _End) -> None:
    """Take chunks until the end is due, and return once those under way have landed."""
    prepare_read_types()
    runs = Worker(
        client,
        task_queue=RUNS_QUEUE,
        workflows=WORKFLOWS,
        workflow_runner=RUNNER,
        max_concurrent_workflow_task_polls=2,
        sticky_queue_schedule_to_start_timeout=STICKY,
    )
    chunks = Worker(
        client,
        task_queue=name_zone_queue(spec.zone),
        activities=[worker.run_chunk, looks.look],
        max_concurrent_activity_task_polls=1,
        max_heartbeat_throttle_interval=PROGRESS,
    )
    # Workflows are served until the last chunk has landed: its lane takes the result in.
    async with _serve_queue(runs, end), worker.hold(), _serve_queue(chunks, end):
        worker.tell(f"serves zone {spec.zone} on {spec.url}")
        await end.is_due.wait()
        worker.leave()


@asynccontextmanager
async def _serve_queue(worker: Worker, end: _End) -> AsyncIterator[None]:
    """Have a task queue served during the block; the ``end`` is due where the server refuses that."""
    is_over = anyio.Event()

    async def serve() -> None:
        try:
            async with worker:
                await is_over.wait()
        # The library raises this for whatever the server refuses.
        except RuntimeError as error:
            end.fail(error)

    # In a task of its own: the library cancels the task that has the worker open when the worker fails, and
    # what is in flight would be cut off.
    serving = asyncio.create_task(serve())
    try:
        yield
    finally:
        is_over.set()
        await _await_end(serving)


async def _await_end(serving: asyncio.Task[None]) -> None:
    """Wait for the end of a task. Raises what it raised, unless the library has cancelled it."""
    try:
        await asyncio.wait((serving,))
    except asyncio.CancelledError:
        serving.cancel()
        raise
    if not serving.cancelled():
        serving.result()


@contextmanager
def _hold_folder(state: Path) -> Iterator[Path]:
    """Have a folder of this process's own for the block; those of processes that were killed go away."""
    check_state(state)
    workers = state / WORKERS
    try:
        make_private(workers)
        _remove_abandoned(workers)
        # It has the name that others look for only with its lock: another worker may start at this moment.
        place = Path(mkdtemp(prefix="new-", dir=workers))
        lock = take_lock(place / "lock")
        folder = place.rename(workers / f"worker-{place.name.removeprefix('new-')}")
    except OSError as error:
        raise RunError(f"{workers}: a worker can keep nothing there: {error.strerror or error}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _remove_abandoned(workers: Path) -> None:
    for folder in workers.glob("worker-*"):
        with suppress(LockHeldError, OSError):
            take_lock(folder / "lock").close()
            shutil.rmtree(folder, ignore_errors=True)
