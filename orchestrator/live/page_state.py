"""The state of the run as one server has it: read at most twice a second, and only while somebody looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import msgspec
from aiohttp import web

from orchestrator.live.page_files import PageFile, pack_file
from orchestrator.live.run_link import RunLink
from orchestrator.live.state_feed import JsonObject, StateFeed
from orchestrator.live.viewers import TICK, ViewerGroup
from orchestrator.model.live_status import LiveStatus
from orchestrator.report.page.live_charts import render_live_charts

_LEAST_AGE = TICK * 0.8
"""Seconds for which a state is new enough for everybody who asks."""


class PageState:
    """The feed of a run, and its viewers."""

    def __init__(self, link: RunLink) -> None:
        self.link = link
        # Beyond every number of an earlier server at this address: see ``StateFeed``.
        self._feed = StateFeed(int(time.time() * 1000))
        self.viewers = ViewerGroup(self._feed)
        self.status: JsonObject = {}
        """The newest state as the run told it; empty before the first ``refresh``."""
        self._read: float | None = None
        self._reading = asyncio.Lock()
        self._packed: tuple[int, PageFile] | None = None
        self._charts: tuple[int, PageFile | None] | None = None
        self._told_end = False

    async def refresh(self) -> None:
        """Read the run's state, if the newest one is older than a tick."""
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if self._read is not None and now - self._read < _LEAST_AGE:
                return
            self.status = status = await self.link.read_status()
            self._read = now
            self._feed.advance(status | {"report": "/report" if self.link.shows_report else None})
            self.viewers.publish(status["at"])

    async def watch(self) -> None:
        """Refresh the state for the viewers, for as long as there are any; at the end send them away.

        Never ends by itself: a run of another process may be resumed.
        """
        while True:
            await asyncio.sleep(TICK)
            if self.viewers.count or self.link.is_over != self._told_end:
                await self.refresh()
            if self.link.is_over and not self._told_end:
                await self.say_goodbye()
            self._told_end = self.link.is_over

    async def say_goodbye(self) -> None:
        """Tell every viewer the last state, and that it is the last."""
        self._told_end = True
        self._read = None
        await self.refresh()
        self.viewers.end()

    def pack(self) -> PageFile:
        """Return the whole newest state, encoded and compressed once for all viewers."""
        if self._packed is None or self._packed[0] != self._feed.seq:
            self._packed = self._feed.seq, pack_file("application/json", self._feed.state)
        return self._packed[1]

    def render_charts(self) -> PageFile | None:
        """Return the newest charts as a part of a page, made once for all viewers; None without any."""
        if self._charts is None or self._charts[0] != self._feed.charts:
            status = msgspec.convert(self.status, LiveStatus)
            request = "undeploy" if status.run.act == "undeploy" else "deploy"
            drawn = render_live_charts(status.over_time, request=request, utc_offset=status.run.utc_offset)
            file = None if drawn is None else pack_file("text/html", drawn.encode())
            self._charts = self._feed.charts, file
        return self._charts[1]

    def forget_age(self) -> None:
        """Have the next look at the state read it anew: a command has changed it."""
        self._read = None

    async def serve_viewer(
        self, request: web.BaseRequest, known: int | None, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        """Send the events of the run to one viewer until it goes, or the run ends."""
        await self.refresh()
        return await self.viewers.serve(request, known, headers)
