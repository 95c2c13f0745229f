"""A worker that takes down everything without a gateway: for tests of what drivers do with results."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from temporalio import activity
from temporalio.worker import Worker

from orchestrator.distributed.address import parse_engine_address
from orchestrator.distributed.connection import connect
from orchestrator.distributed.names import CHUNK_ACTIVITY, RUNS_QUEUE, TAKEN, name_zone_queue
from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.payloads import ChunkEnd, ChunkOrder, ChunkPlace, EndCount
from orchestrator.distributed.shipping import fetch_journal
from orchestrator.distributed.workflows import RUNNER, WORKFLOWS
from orchestrator.journal.database import open_database
from orchestrator.journal.meta import read_plan
from orchestrator.journal.transfer import NamedRow, encode_segment
from orchestrator.model.outcome import Outcome

_PLACE = """
SELECT seq FROM target WHERE outcome IS NULL AND wave = ? AND step = ? AND gateway = ?
ORDER BY depth, seq LIMIT ? OFFSET ?
"""


class FakeWorker:
    """Serves the workflows and the chunks of some zones. ``chunk_seconds`` is how long a chunk takes."""

    def __init__(self, url: str, zones: Sequence[str], chunk_seconds: float) -> None:
        self.chunks: list[ChunkOrder] = []
        self.has_begun = threading.Event()
        """Set with the first chunk."""
        self._url = url
        self._zones = zones
        self._chunk_seconds = chunk_seconds
        self._serves = threading.Event()
        self._ends: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._serves.wait(20)

    def stop(self) -> None:
        assert self._loop is not None
        assert self._ends is not None
        self._loop.call_soon_threadsafe(self._ends.set)
        self._thread.join(20)

    async def _serve(self) -> None:
        self._loop, self._ends = asyncio.get_running_loop(), asyncio.Event()
        self._client = await connect(parse_engine_address(self._url))
        workers = [
            Worker(self._client, task_queue=RUNS_QUEUE, workflows=WORKFLOWS, workflow_runner=RUNNER),
            *(
                Worker(self._client, task_queue=name_zone_queue(zone), activities=[self.run_chunk])
                for zone in self._zones
            ),
        ]
        served = [asyncio.create_task(worker.run()) for worker in workers]
        self._serves.set()
        await self._ends.wait()
        await asyncio.gather(*(worker.shutdown() for worker in workers))
        await asyncio.gather(*served)

    @activity.defn(name=CHUNK_ACTIVITY)
    async def run_chunk(self, order: ChunkOrder) -> ChunkEnd:
        """End all targets of a chunk as undeployed."""
        self.chunks.append(order)
        self.has_begun.set()
        await self._client.get_workflow_handle(order.lane).signal(TAKEN, order.dispatch)
        numbers = await self._find_targets(order)
        await asyncio.sleep(self._chunk_seconds)
        now = time.time()
        rows = [
            NamedRow("outcome", (Outcome.UNDEPLOYED.value, None, "look", 0.1, now, number))
            for number in numbers
        ]
        return ChunkEnd(
            segments=(encode_segment(rows, ()),),
            left=0,
            rows=b"",
            counts=(EndCount(outcome=Outcome.UNDEPLOYED, word="", count=len(numbers)),),
            stop=order.stop,
            breach=None,
            carry=order.carry,
            refusal=None,
        )

    async def _find_targets(self, order: ChunkOrder) -> list[int]:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            await fetch_journal(self._client, order.journal, place, ServerPatience())
            with closing(open_database(place / "journal.sqlite", write=False)) as database:
                names = [gateway.name for gateway in read_plan(database).gateways]
                at: ChunkPlace = order.place
                values = (at.wave, at.step, names.index(at.gateway), at.count, at.first)
                return [number for (number,) in database.rows(_PLACE, values)]


@contextmanager
def serve_zones(url: str, *zones: str, chunk_seconds: float = 0.0) -> Iterator[FakeWorker]:
    """Have a worker for the block."""
    worker = FakeWorker(url, zones, chunk_seconds)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
