"""A worker of a Temporal server whose chunks send nothing: they end their targets as a test says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from orchestrator.distributed.names import CHUNK_ACTIVITY, RUNS_QUEUE, TAKEN, name_zone_queue
from orchestrator.distributed.payloads import ChunkBeat, ChunkEnd, ChunkOrder, EndCount
from orchestrator.distributed.workflows import RUNNER, WORKFLOWS
from orchestrator.journal.schema import INSERT_INTENT, UPDATE_OUTCOME, UPDATE_RESULT
from orchestrator.journal.transfer import decode_segment, encode_segment, name_row
from orchestrator.model.events import AnyEvent, AttemptEnded, AttemptStarted, TargetEnded
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId

Find = Callable[[ChunkOrder], Sequence[tuple[int, str]]]
"""Returns the number and the id of each target of a chunk."""


class MadeUpChunks:
    """The activity ``run_chunk``. ``seconds`` is how long each target takes."""

    def __init__(
        self,
        find: Find,
        *,
        wave: Callable[[ChunkOrder], str] = lambda _: "targets",
        outcome: Callable[[str], tuple[Outcome, str | None]] = lambda _: (Outcome.UNDEPLOYED, None),
        seconds: float = 0.0,
        before: Callable[[ChunkOrder], Awaitable[None]] | None = None,
        lost_after: int | None = None,
    ) -> None:
        """After ``lost_after`` targets the first chunk tells of one more request, and then nothing."""
        self.orders: list[ChunkOrder] = []
        self._find = find
        self._wave = wave
        self._outcome = outcome
        self._seconds = seconds
        self._before = before
        self._lost_after = lost_after
        self._done: set[int] = set()

    @activity.defn(name=CHUNK_ACTIVITY)
    async def run_chunk(self, order: ChunkOrder) -> ChunkEnd:
        self.orders.append(order)
        await activity.client().get_workflow_handle(order.lane).signal(TAKEN, order.dispatch)
        if self._before is not None:
            await self._before(order)
        segments: list[bytes] = []
        ends: list[tuple[Outcome, str | None]] = []
        # What an earlier dispatch did is in ``order.rows`` and ``beats`` of a real one.
        targets = [(seq, name) for seq, name in self._find(order) if seq not in self._done]
        for seq, name in targets:
            if order.dispatch == 0 and len(ends) == self._lost_after:
                segments.append(self._make_intent(order, seq, name))
                activity.heartbeat(ChunkBeat(segments=tuple(segments), worker="made up"))
                await asyncio.sleep(60)  # without a sign of life: the chunk goes to another worker
            outcome, reason = self._outcome(name)
            segments.append(self._make_segment(order, seq, name, outcome, reason))
            ends.append((outcome, reason))
            self._done.add(seq)
            activity.heartbeat(ChunkBeat(segments=tuple(segments), worker="made up"))
            try:
                await asyncio.sleep(self._seconds)
            except asyncio.CancelledError:
                break  # a chunk that is called back returns what it has
        return ChunkEnd(
            segments=tuple(segments),
            left=len(targets) - len(ends),
            rows=b"",
            counts=tuple(
                EndCount(outcome=outcome, word=(reason or "").partition(":")[0], count=1)
                for outcome, reason in ends
            ),
            stop=order.stop,
            breach=None,
            carry=order.carry,
            refusal=None,
        )

    def _make_intent(self, order: ChunkOrder, seq: int, name: str) -> bytes:
        at = time.time()
        begin = AttemptStarted(
            at=at, target=TargetId(name), gateway=order.place.gateway, number=1, act=Act.UNDEPLOY
        )
        return encode_segment([name_row(INSERT_INTENT, (seq, 1, "undeploy", "undeploy", at))], [begin])

    def _make_segment(
        self, order: ChunkOrder, seq: int, name: str, outcome: Outcome, reason: str | None
    ) -> bytes:
        at, target, gateway = time.time(), TargetId(name), order.place.gateway
        number = count_intents(order, seq) + 1
        rows = [
            name_row(INSERT_INTENT, (seq, number, "undeploy", "undeploy", at)),
            name_row(UPDATE_RESULT, (0.01, 200, None, None, "removed", True, None, seq, number)),
            name_row(UPDATE_OUTCOME, (str(outcome), reason, "deploymentResult", 0.01, at, seq)),
        ]
        answer = AttemptEnded(
            at=at,
            target=target,
            gateway=gateway,
            number=number,
            act=Act.UNDEPLOY,
            seconds=0.01,
            status=200,
            code=None,
            message=None,
        )
        end = TargetEnded(
            at=at,
            target=target,
            gateway=gateway,
            wave=self._wave(order),
            outcome=outcome,
            reason=reason,
            evidence="deploymentResult",
            seconds=0.01,
            attempts=number,
        )
        begin = AttemptStarted(at=at, target=target, gateway=gateway, number=number, act=Act.UNDEPLOY)
        events: list[AnyEvent] = [begin, answer, end]
        return encode_segment(rows, events)


def count_intents(order: ChunkOrder, seq: int) -> int:
    """Count the requests about a target that lost dispatches of a chunk have told of."""
    rows = [row for beat in order.beats for row in decode_segment(beat).rows]
    return sum(row.name == "intent" and row.values[0] == seq for row in rows)


@asynccontextmanager
async def serve(client: Client, *zones: tuple[str, MadeUpChunks]) -> AsyncIterator[None]:
    """Serve the workflows, and each zone with its chunks, for the block."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            Worker(client, task_queue=RUNS_QUEUE, workflows=WORKFLOWS, workflow_runner=RUNNER)
        )
        for zone, chunks in zones:
            worker = Worker(
                client,
                task_queue=name_zone_queue(zone),
                activities=[chunks.run_chunk],
                # Else the library holds most heartbeats back, which a worker of ours sends by itself.
                max_heartbeat_throttle_interval=timedelta(seconds=0.2),
            )
            await stack.enter_async_context(worker)
        yield
