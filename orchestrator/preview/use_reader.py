"""Reads how much the targets of one gateway are used, for a preview."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio
from msgspec.structs import replace

from orchestrator.lanes.exchange import ExchangeResult
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.usage_reader import UsageAnswer, UsageReader
from orchestrator.model.http import Reply
from orchestrator.model.reading import Operation, Reading
from orchestrator.model.target import Target, TargetId
from orchestrator.model.usage import Usage
from orchestrator.preview.states import PreviewGroup, SeenTarget

SendLook = Callable[[Lane, TargetId, Operation, Target], Awaitable[ExchangeResult[Reading] | str]]
"""Sends one look at a target under a name, and returns the exchange, or why none may be sent."""


class UseReader:
    """Asks for the use of each target that would go down."""

    def __init__(self, lane: Lane, send: SendLook, hours: int) -> None:
        self._lane = lane
        self._send = send
        self._reader = UsageReader(lane, hours)

    @property
    def shared_requests(self) -> int:
        """How many requests the reads took that tell of many targets."""
        return self._reader.shared_requests

    async def read_all(self, seen_targets: Sequence[SeenTarget]) -> list[SeenTarget]:
        """Return the targets with their use, as many at a time as the lane may have requests in flight."""
        found = list(seen_targets)
        left = iter(range(len(found)))

        async def work() -> None:
            for place in left:
                found[place] = await self.add_use(found[place])

        async with anyio.create_task_group() as group:
            for _ in range(min(self._lane.concurrency, len(found))):
                group.start_soon(work)
        return found

    async def add_use(self, seen: SeenTarget) -> SeenTarget:
        """Return a target with its use; unchanged where a run would leave it as it is."""
        if seen.group is not PreviewGroup.WILL_CHANGE:
            return seen
        reads = 0

        async def ask(operation: Operation) -> UsageAnswer | str:
            nonlocal reads
            exchanged = await self._send(self._lane, seen.target.id, operation, seen.target)
            if isinstance(exchanged, str):
                return exchanged
            reads += 1
            status = exchanged.answer.status if isinstance(exchanged.answer, Reply) else None
            return UsageAnswer(exchanged.found, status)

        found = await self._reader.read(seen.target, seen.snapshot, ask)
        usage = Usage(hours=self._reader.hours, why=found) if isinstance(found, str) else found
        return replace(seen, usage=usage, use_reads=reads)
