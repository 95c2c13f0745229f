"""Pairs the beginning and the end of each request, where a worker or an earlier process may miss one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from orchestrator.model.events import AnyEvent, AttemptEnded, AttemptStarted, ListAsked
from orchestrator.model.target import TargetId

LOST = "its worker was lost before it told of a reply"


class OpenRequests(Struct):
    """The requests of one dispatch of a chunk that have begun here and not ended."""

    attempts: dict[tuple[TargetId, int], AttemptStarted] = field(default_factory=dict)
    lists: list[ListAsked] = field(default_factory=list)

    def pair(self, events: Iterable[AnyEvent]) -> Iterator[AnyEvent]:
        """Yield the events, and the beginning of a request that only an earlier process was told of.

        The end of a list whose beginning is not known here is left out.
        """
        for event in events:
            match event:
                case AttemptStarted():
                    self.attempts[event.target, event.number] = event
                case AttemptEnded():
                    if self.attempts.pop((event.target, event.number), None) is None:
                        yield _begin(event)
                case ListAsked(text=None):
                    if not self.lists:
                        continue
                    self.lists.pop()
                case ListAsked():
                    self.lists.append(event)
                case _:
                    pass
            yield event

    def close(self, at: float) -> Iterator[AnyEvent]:
        """Yield the ends of the requests that are open, at a Unix time: their worker tells no more."""
        for begun in self.attempts.values():
            yield AttemptEnded(
                at=at,
                target=begun.target,
                gateway=begun.gateway,
                number=begun.number,
                act=begun.act,
                seconds=max(0.0, at - begun.at),
                status=None,
                code=None,
                message=LOST,
            )
        for asked in self.lists:
            yield ListAsked(at=at, gateway=asked.gateway, text=None)


def _begin(ended: AttemptEnded) -> AttemptStarted:
    return AttemptStarted(
        at=ended.at - ended.seconds,
        target=ended.target,
        gateway=ended.gateway,
        number=ended.number,
        act=ended.act,
    )
