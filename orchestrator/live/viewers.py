"""The viewers of a run: each gets the differences of its state as server-sent events, or has to start anew.

Nothing is queued for a viewer. One that has not taken what was sent is left out, and is later told that it
has to fetch the whole state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal

import msgspec
from aiohttp import web

from orchestrator.live.state_feed import StateFeed

TICK = 0.5
"""Seconds between two states."""
HEARTBEAT = 2.0
"""Seconds of silence after which a viewer is told that the run is still watched."""
MOST_VIEWERS = 64

EventName = Literal["delta", "stale", "beat", "end"]


class ViewerGroup:
    """All viewers of one feed. ``publish`` wakes them; ``end`` sends them away."""

    def __init__(self, feed: StateFeed) -> None:
        self._feed = feed
        self._news = asyncio.Event()
        self._ends = 0
        self._at = 0.0
        self._frame: tuple[int, bytes] = (-1, b"")
        self.count = 0

    @property
    def is_full(self) -> bool:
        """Whether no further viewer is taken."""
        return self.count >= MOST_VIEWERS

    def publish(self, at: float) -> None:
        """Tell every viewer that a tick is over; ``at`` is the Unix time of the newest state."""
        self._at = at
        self._news.set()
        self._news = asyncio.Event()

    def end(self) -> None:
        """Tell every viewer of now the newest state, and that no other one follows."""
        self._ends += 1
        self.publish(self._at)

    async def serve(
        self, request: web.BaseRequest, known: int | None, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        """Send events until ``end``, or until the viewer goes. ``known`` is the state that the viewer has."""
        self.count += 1
        try:
            viewer = await _Viewer.welcome(self._feed, request, known, headers)
            ends = self._ends
            while ends == self._ends:
                news = self._news
                await self._tell(viewer)
                await news.wait()
            await self._tell(viewer)
            return await viewer.dismiss()
        finally:
            self.count -= 1

    async def _tell(self, viewer: _Viewer) -> None:
        if not viewer.is_ready:
            return
        if viewer.known != self._feed.seq:
            await viewer.send(self._frame_step(viewer.known))
        elif viewer.silence >= HEARTBEAT:
            await viewer.send(frame_event("beat", {"at": self._at, "seq": self._feed.seq}, self._feed.seq))

    def _frame_step(self, known: int | None) -> bytes:
        """Return the event that brings a viewer from the state ``known`` to the newest one."""
        feed = self._feed
        if known != feed.base or feed.delta is None:
            return frame_event("stale", {"seq": feed.seq}, feed.seq)
        if self._frame[0] != feed.seq:
            self._frame = feed.seq, _frame("delta", feed.delta, feed.seq)
        return self._frame[1]


class _Viewer:
    """One event stream. ``known`` is the number of the state that it was brought to."""

    def __init__(
        self, feed: StateFeed, request: web.BaseRequest, response: web.StreamResponse, known: int | None
    ) -> None:
        self._feed = feed
        self._request = request
        self._response = response
        self._spoken = -HEARTBEAT
        self.known = known

    @classmethod
    async def welcome(
        cls, feed: StateFeed, request: web.BaseRequest, known: int | None, headers: Mapping[str, str]
    ) -> _Viewer:
        """Begin the stream of one viewer."""
        response = web.StreamResponse(headers={**headers, "Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        return cls(feed, request, response, known)

    @property
    def is_ready(self) -> bool:
        """Whether the viewer has taken all that it was sent."""
        transport = self._request.transport
        return transport is not None and not transport.get_write_buffer_size()

    @property
    def silence(self) -> float:
        """Seconds since the last event."""
        return asyncio.get_running_loop().time() - self._spoken

    async def send(self, frame: bytes) -> None:
        """Send an event; it brings the viewer to the newest state."""
        await self._response.write(frame)
        self.known, self._spoken = self._feed.seq, asyncio.get_running_loop().time()

    async def dismiss(self) -> web.StreamResponse:
        """Say that the run is over, and end the stream."""
        if self.is_ready:
            await self._response.write(frame_event("end", {"seq": self._feed.seq}, self._feed.seq))
            await self._response.write_eof()
        return self._response


def frame_event(name: EventName, value: object, number: int) -> bytes:
    """Return a server-sent event with ``value`` as its JSON."""
    return _frame(name, msgspec.json.encode(value), number)


def _frame(name: EventName, data: bytes, number: int) -> bytes:
    return b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), number, data)
