"""Takes the rows and events of chunks over into the run's own journal and to its listeners, each once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from orchestrator.distributed.open_requests import OpenRequests
from orchestrator.journal.record import SessionRecord
from orchestrator.journal.transfer import decode_segment
from orchestrator.model.events import AnyEvent


class DispatchKey(NamedTuple):
    """One time that a chunk was handed out: the lane's workflow, and which one of its dispatches."""

    workflow: str
    dispatch: int


class ResultTaker:
    """Takes segments over. A segment that an earlier process took over already is left out."""

    def __init__(
        self,
        record: SessionRecord,
        emit: Callable[[AnyEvent], None],
        now: Callable[[], float],
        taken: Mapping[tuple[str, int], int] | None = None,
    ) -> None:
        """``taken`` counts the segments that the journal has already, by workflow and dispatch."""
        self._record = record
        self._emit = emit
        self._now = now
        self._taken = dict(taken or {})
        self._open: defaultdict[DispatchKey, OpenRequests] = defaultdict(OpenRequests)

    def take(self, key: DispatchKey, segments: Sequence[bytes]) -> None:
        """Take over those of the ``segments`` of a dispatch that are new. Give all of them so far."""
        known = self._taken.get(key, 0)
        if len(segments) <= known:
            return
        decoded = [decode_segment(segment) for segment in segments[known:]]
        # Without a wait in between, so that one commit has the rows and the note that they are here.
        for rows, _ in decoded:
            self._record.take_over(rows)
        self._record.keep_taken(self._now(), *key, len(segments))
        self._taken[key] = len(segments)
        requests = self._open[key]
        for _, events in decoded:
            for event in requests.pair(events):
                self._emit(event)

    def settle(self, key: DispatchKey) -> None:
        """Note that no more comes of a dispatch: the requests that it left open count as lost."""
        if (requests := self._open.pop(key, None)) is not None:
            for event in requests.close(self._now()):
                self._emit(event)
