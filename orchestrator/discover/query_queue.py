"""The queries that a survey is still to make, shared by its workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.lanes.wakeup import Wakeup
from orchestrator.model.search import SearchQuery


class QueryQueue:
    """Gives queries depth first, and ends once no query is left and none in progress can bring more.

    Depth first, the queries still to be made are a handful of iterators, however many targets there are.
    """

    def __init__(self) -> None:
        self._left: list[Iterator[SearchQuery]] = []
        self._in_progress = 0
        self._is_closed = False
        self._changed = Wakeup()

    def add(self, queries: Iterable[SearchQuery]) -> None:
        """Put queries before those that are left."""
        self._left.append(iter(queries))

    async def take(self) -> SearchQuery | None:
        """Return the next query, as soon as there is one; None once no further query can come."""
        while True:
            while self._left and not self._is_closed:
                query = next(self._left[-1], None)
                if query is not None:
                    self._in_progress += 1
                    return query
                self._left.pop()
            if not self._in_progress:
                return None
            await self._changed.wait()

    def finish(self) -> None:
        """Count a taken query as done, after the queries that it brought were added."""
        self._in_progress -= 1
        self._changed.ring()

    def close(self) -> None:
        """Give no further query."""
        self._is_closed = True

    @property
    def is_closed(self) -> bool:
        """Whether no further query is given."""
        return self._is_closed
