"""The activity that takes chunks: its heartbeats, its calls back, its result, its failures.

A chunk is completed by calls of our own and not by the return of a function: the heartbeats must be ours, as
an intent waits for the very one that tells it, and a library beside them could tell an older state after it.
"""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp

import anyio
from anyio.abc import TaskGroup
from temporalio import activity
from temporalio.client import AsyncActivityCancelledError, AsyncActivityHandle, Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from orchestrator.distributed.bounds import PAYLOAD_BYTES
from orchestrator.distributed.chunk_run import ChunkRun, NoCredentialError
from orchestrator.distributed.heartbeats import BeatAnswer, Heartbeats
from orchestrator.distributed.kept_session import KeptSession, SessionStore
from orchestrator.distributed.lease import Lease
from orchestrator.distributed.names import CHUNK_ACTIVITY, TAKEN
from orchestrator.distributed.patience import CALL_TIMEOUT, ServerPatience, is_gone
from orchestrator.distributed.payloads import ChunkBeat, ChunkEnd, ChunkOrder, LaneCarry, Orders
from orchestrator.distributed.remote_rows import ChunkLog
from orchestrator.errors import OrchestratorError
from orchestrator.lanes.environment import Environment

LEAVING = "this worker ends"

LAST_CLOSE = 1.0
"""Seconds for closing the connections of a chunk that was cut off."""

LONGEST_TEXT = 2000
"""Characters of a failure that the server keeps."""

_ABANDON_PERIOD = 1.0
"""Seconds between two questions whether a chunk is worth waiting for."""


class ChunkWorker:
    """Takes the chunks of a zone, and brings each of them to its result."""

    def __init__(
        self,
        client: Client,
        store: SessionStore,
        environment: Environment,
        worker: str,
        tell: Callable[[str], None],
    ) -> None:
        """``worker`` names this process; ``tell`` gets lines for people."""
        self.tell = tell
        self._client = client
        self._store = store
        self._environment = environment
        self._worker = worker
        self._group: TaskGroup | None = None
        self._open: set[OpenChunk] = set()
        self._is_leaving = False

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Work on chunks during the block; it ends once all of them have."""
        async with anyio.create_task_group() as self._group:
            yield

    @activity.defn(name=CHUNK_ACTIVITY)
    async def run_chunk(self, order: ChunkOrder) -> None:
        """Take a chunk; its result comes later, from a task of its own."""
        assert self._group is not None  # noqa: S101 - chunks come during the block only
        info = activity.info()
        handle = self._client.get_async_activity_handle(task_token=info.task_token)
        ahead = info.started_time.timestamp() - self._environment.monotonic()
        self._group.start_soon(self._carry_out, order, handle, ahead)
        activity.raise_complete_async()

    def leave(self) -> None:
        """Land what flies: the chunks under way come back, and go on elsewhere."""
        self._is_leaving = True
        for chunk in self._open:
            chunk.leave()

    async def _carry_out(self, order: ChunkOrder, handle: AsyncActivityHandle, ahead: float) -> None:
        chunk = OpenChunk(self._client, handle, order, self._environment, self._worker, ahead)
        self._open.add(chunk)
        try:
            if self._is_leaving:
                chunk.leave()
            await chunk.carry_out(self._store)
        except Exception as error:  # noqa: BLE001 - the other chunks go on; this one is handed out again
            why = chunk.clean(describe_bug(find_cause(error)))
            self.tell(f"a chunk of {order.place.gateway} was lost: {why}")
        finally:
            self._open.discard(chunk)


class OpenChunk:
    """One chunk that this worker has."""

    def __init__(
        self,
        client: Client,
        handle: AsyncActivityHandle,
        order: ChunkOrder,
        environment: Environment,
        worker: str,
        ahead: float,
    ) -> None:
        """``ahead``: the server's Unix time, less the monotonic clock's."""
        self._client = client
        self._handle = handle
        self._order = order
        self._environment = environment
        self._worker = worker
        self._ahead = ahead
        self._log = ChunkLog()
        self._lease = Lease(order.lease, environment.monotonic)
        self._beats = Heartbeats(
            self._send_beat,
            self._log,
            self._lease,
            worker=worker,
            monotonic=environment.monotonic,
            call_back=self._take_call,
            describe_lane=self._describe_lane,
        )
        self._group: TaskGroup | None = None
        self._run: ChunkRun | None = None
        self._carry: LaneCarry | None = None
        """What the lane was when it was told last."""
        self._called_back: str | None = None
        self._is_asking = False
        self._is_leaving = False

    def come_back(self, why: str) -> None:
        """Have the chunk land what flies, and return."""
        self._called_back = self._called_back or why
        if self._run is not None:
            self._run.come_back(self._called_back, lets_look=not self._is_leaving)

    def leave(self) -> None:
        """Come back since the worker ends: it waits neither for an ill gateway nor for a server."""
        self._is_leaving = True
        self.come_back(LEAVING)

    async def carry_out(self, store: SessionStore) -> None:
        """Work on the chunk and tell the server what came of it; nothing once the chunk is another's."""
        async with anyio.create_task_group() as group:
            self._group = group
            group.start_soon(self._tell_taken)
            group.start_soon(self._beat_until_lost, group.cancel_scope)
            group.start_soon(self._abandon, group.cancel_scope)
            ended = await self._work(store)
            # The heartbeats go on until the server has the result: it may be away for longer than the lease.
            await self._settle(ended)
            self._beats.close()
            group.cancel_scope.cancel()

    async def _beat_until_lost(self, scope: anyio.CancelScope) -> None:
        await self._beats.run()
        if self._lease.is_lost:
            scope.cancel()

    async def _abandon(self, scope: anyio.CancelScope) -> None:
        """End the chunk of a worker that ends, once the server has not heard of it for two leases.

        Its result would come too late: the next worker looks at what the last heartbeat left open.
        """
        silent = 0.0
        while not (self._is_leaving and silent >= self._order.lease):
            await anyio.sleep(_ABANDON_PERIOD)
            silent = 0.0 if self._lease.is_alive else silent + _ABANDON_PERIOD
        scope.cancel()

    async def _work(self, store: SessionStore) -> ChunkEnd | ApplicationError:
        try:
            kept = await store.open(self._order)
            try:
                async with kept.lock_lane(self._order.place.gateway):
                    return await self._run_on(kept)
            finally:
                store.leave(kept)
        except NoCredentialError as error:
            return ApplicationError(self.clean(str(error)), type="credential", non_retryable=True)
        except Exception as error:  # noqa: BLE001 - a bug must reach the run, and no other chunk
            cause = find_cause(error)
            if isinstance(cause, OrchestratorError):
                return self._fail(self.clean(str(cause)), "trouble")
            return self._fail(self.clean(describe_bug(cause)), "bug")

    async def _run_on(self, kept: KeptSession) -> ChunkEnd:
        run = self._run = ChunkRun(
            self._order, kept, self._log, self._lease, self._beats.hurry, ahead=self._ahead
        )
        if self._called_back is not None:
            run.come_back(self._called_back, lets_look=not self._is_leaving)
        place = Path(mkdtemp(prefix="chunk-", dir=kept.folder))
        try:
            return await run.run(place / "journal.sqlite", self._beats.serve)
        except BaseException:
            # What the lane is now, nobody knows: requests may have been cut off.
            with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_CLOSE):
                await kept.drop_lane(self._order.place.gateway)
            raise
        finally:
            self._run = None
            remove_folder(place)

    def _fail(self, text: str, kind: str) -> ApplicationError:
        # With what was written so far: nothing that was sent may be missing.
        beat = ChunkBeat(segments=tuple(self._log.cut()), worker=self._worker, carry=self._carry)
        return ApplicationError(text, beat, type=kind, non_retryable=True)

    def _describe_lane(self) -> LaneCarry | None:
        """Return what the lane is now, for whoever goes on if this worker is lost."""
        if self._run is not None:
            self._carry = self._run.describe_lane() or self._carry
        return self._carry

    def clean(self, text: str) -> str:
        """Return a text without the credentials that this process knows."""
        return self._environment.known.mask.clean_text(text)[:LONGEST_TEXT]

    # What goes to the server.

    async def _send_beat(self, beat: ChunkBeat) -> BeatAnswer:
        try:
            await self._handle.heartbeat(beat, rpc_timeout=timedelta(seconds=self._order.lease / 3))
        except AsyncActivityCancelledError:
            return BeatAnswer.CALLED_BACK
        except RPCError as error:
            return BeatAnswer.GONE if is_gone(error) else BeatAnswer.SILENT
        return BeatAnswer.KNOWN

    async def _settle(self, ended: ChunkEnd | ApplicationError) -> None:
        """Give the server the result, or the failure; nothing if the chunk is another worker's by now.

        One that is too large stays here: the server would drop it, and what the heartbeats told with it.
        """
        rows = ended.rows if isinstance(ended, ChunkEnd) else b""
        if self._log.size + len(rows) > PAYLOAD_BYTES:
            return

        async def tell() -> None:
            if isinstance(ended, ChunkEnd):
                await self._handle.complete(ended, rpc_timeout=CALL_TIMEOUT)
            else:
                await self._handle.fail(ended, rpc_timeout=CALL_TIMEOUT)

        # A result that the server does not want is lost with its lease; the next worker has the heartbeats.
        with suppress(RPCError):
            await ServerPatience().ask(tell)

    async def _tell_taken(self) -> None:
        with suppress(RPCError):
            lane = self._client.get_workflow_handle(self._order.lane)
            await lane.signal(TAKEN, self._order.dispatch, rpc_timeout=CALL_TIMEOUT)

    def _take_call(self) -> None:
        """Obey a call back: come back at once, and ask whether the run stops."""
        self.come_back("an operator's orders")
        if self._group is not None and not self._is_asking:
            self._is_asking = True
            self._group.start_soon(self._obey_orders)

    async def _obey_orders(self) -> None:
        try:
            orders = await self._client.get_workflow_handle(self._order.lane).query(
                "orders", result_type=Orders, rpc_timeout=CALL_TIMEOUT
            )
            if self._run is not None:
                # While it is recalled, an ill lane is probed by no undeploy, and would be given up although
                # its gateway is well again. So a run that goes on hands the rest of it out again at once.
                lets_look = orders.paused or orders.stop is not None or not self._run.is_parked
                self._run.come_back("an operator's orders", orders, lets_look=lets_look)
        except RPCError:
            return  # the next heartbeat asks again
        finally:
            self._is_asking = False


def find_cause(error: Exception) -> Exception:
    """Return the error that counts among those of a task group, a bug before others; else the error itself.

    The workers of a lane are such a group, and its own text says nothing but how many they were.
    """
    if not isinstance(error, ExceptionGroup):
        return error
    causes = [find_cause(each) for each in error.exceptions]
    return next((each for each in causes if not isinstance(each, OrchestratorError)), causes[0])


def describe_bug(error: BaseException) -> str:
    """Return a fault of the program in one line: what it is, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return " ".join(f"{type(error).__name__}: {error}{where}".split())


def remove_folder(folder: Path) -> None:
    """Remove a folder of files; what cannot be removed stays until the worker's own folder goes."""
    for path in folder.iterdir():
        with suppress(OSError):
            path.unlink()
    with suppress(OSError):
        folder.rmdir()
