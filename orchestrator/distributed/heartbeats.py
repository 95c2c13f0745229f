"""The signs of life of a chunk: each tells the server all that the chunk has written so far.

What waits for the server goes within milliseconds, together with all that was queued while the last heartbeat
was under way; otherwise there is a heartbeat each second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum

from orchestrator.distributed.bounds import PAYLOAD_BYTES
from orchestrator.distributed.lease import Lease
from orchestrator.distributed.payloads import ChunkBeat, LaneCarry
from orchestrator.distributed.remote_rows import ChunkLog, RemoteRows

PULSE = 1.0
"""Seconds between two heartbeats of a chunk that has nothing urgent to tell."""

GATHER = 0.001
"""Seconds without a further row after which those that wait are sent."""

MOST_GATHERS = 10
"""So often a heartbeat waits for a further row at most."""

SILENCE = 0.2
"""Seconds before a heartbeat is tried again that the server did not answer."""


class BeatAnswer(Enum):
    """What the server says to a heartbeat."""

    KNOWN = "known"
    """It has taken the heartbeat in."""
    CALLED_BACK = "called back"
    """It has, and the chunk is to come back."""
    GONE = "gone"
    """The chunk is not this worker's any more, or has more results than the server takes."""
    SILENT = "silent"
    """No answer: the server may have taken it in or not."""


SendBeat = Callable[[ChunkBeat], Awaitable[BeatAnswer]]


class Heartbeats:
    """Sends the heartbeats of one chunk until it is closed, or the chunk is lost."""

    def __init__(
        self,
        send: SendBeat,
        log: ChunkLog,
        lease: Lease,
        *,
        worker: str,
        monotonic: Callable[[], float],
        call_back: Callable[[], None] = lambda: None,
        describe_lane: Callable[[], LaneCarry | None] = lambda: None,
    ) -> None:
        """``call_back`` is called each time the server says that the chunk is to come back.

        ``describe_lane`` returns what the lane is now, once there is one.
        """
        self._send = send
        self._log = log
        self._lease = lease
        self._worker = worker
        self._monotonic = monotonic
        self._call_back = call_back
        self._describe_lane = describe_lane
        self._rows: RemoteRows | None = None
        self._urgent = asyncio.Event()
        self._is_closed = False

    def serve(self, rows: RemoteRows) -> None:
        """Tell the callers of ``rows``, from now on, once the server knows what they have written."""
        self._rows = rows

    def hurry(self) -> None:
        """Send a heartbeat as soon as the one under way is over."""
        self._urgent.set()

    def close(self) -> None:
        """Send nothing any more."""
        self._is_closed = True
        self._urgent.set()

    async def run(self) -> None:
        """Send heartbeats until the end; return once closed, or once the chunk is lost."""
        while True:
            await self._gather()
            if self._is_closed:
                return
            # Only now: what came while it gathered goes with this heartbeat, and asks for none of its own.
            self._urgent.clear()
            if await self._beat() is BeatAnswer.GONE:
                self._lease.lose()
                return
            if not self._count_waiting():
                await self._rest(PULSE)

    async def _gather(self) -> None:
        """Wait until no further row comes: requests that left together are answered together.

        The first of them would have a heartbeat of its own, and the others would wait for its answer.
        """
        for _ in range(MOST_GATHERS):
            if not (count := self._count_waiting()):
                return
            await asyncio.sleep(GATHER)
            if self._count_waiting() == count:
                return

    def _count_waiting(self) -> int:
        return 0 if self._rows is None else self._rows.waiting

    async def _beat(self) -> BeatAnswer:
        """Send one heartbeat, and let go of the callers whose rows it held."""
        waiting = [] if self._rows is None else self._rows.take_waiting()
        # A segment once cut goes with each later heartbeat: so the callers of one that failed just wait on.
        segments, carry = tuple(self._log.cut()), self._describe_lane()
        if self._log.size > PAYLOAD_BYTES:
            # The callers wait for good: the chunk ends as if its worker were lost, with the last heartbeat.
            return BeatAnswer.GONE
        beat = ChunkBeat(segments=segments, worker=self._worker, carry=carry)
        answer = BeatAnswer.SILENT
        while not self._is_closed:
            began = self._monotonic()
            answer = await self._send(beat)
            if answer is not BeatAnswer.SILENT:
                break
            await asyncio.sleep(SILENCE)
        if answer in (BeatAnswer.KNOWN, BeatAnswer.CALLED_BACK):
            self._lease.renew(began)
            for future in waiting:
                if not future.done():
                    future.set_result(None)
        if answer is BeatAnswer.CALLED_BACK:
            self._call_back()
        return answer

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._urgent.wait()
        except TimeoutError:
            return
