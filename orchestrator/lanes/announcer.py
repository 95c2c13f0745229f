"""The news of a lane, each change once: its states, its pace, its warnings."""

from __future__ import annotations

import math
from typing import Literal, Protocol, TypeAlias

from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply
from orchestrator.model.reading import Reading
from orchestrator.rules.admission import LaneState
from orchestrator.rules.retry import describe

PACE_REPORT_INTERVAL = 1.0
"""Seconds between two reports of a pace that grows; a cut is reported at once."""

YEAR = 366 * 86_400.0
"""Seconds; nobody needs to know how much longer than this a gateway asks to wait."""

LaneNews: TypeAlias = Literal["open", "paused", "parked", "given_up", "closed", "warning", "remark"]
"""``given_up`` is parked, too, and not probed any more. A remark is no state, and nothing is wrong."""


class LaneListener(Protocol):
    """Hears how a lane is doing, for a report or a display."""

    def on_lane_state(
        self, gateway: str, state: LaneNews, reason: str | None, seconds: float | None, /
    ) -> None:
        """Hear of a new state of the lane, a warning or a remark; why; and how many seconds a pause lasts."""
        ...

    def on_pace(self, gateway: str, rate: float | None, /) -> None:
        """Hear that at most ``rate`` undeploys a second leave from now on; None is no bound."""
        ...

    def on_probe(self, gateway: str, wait: float, gives_up: float, /) -> None:
        """Hear in how many seconds a parked lane is probed next, and in how many it is given up."""
        ...

    def on_lane_request(self, gateway: str, /) -> None:
        """Hear that the lane has sent a request of no single target: a login, or a page of a list."""
        ...

    def on_list(self, gateway: str, text: str | None, /) -> None:
        """Hear that the lane asks for the page of a list that ``text`` names; None: that is over."""
        ...

    def on_answer(self, gateway: str, answer: Reply | Lost, /) -> None:
        """Hear of the reply to a request, or that no reply came; logins apart."""
        ...


class LaneAnnouncer:
    """Tells one lane's listener of each change, once."""

    def __init__(self, gateway: Gateway, listener: LaneListener) -> None:
        self._gateway = gateway
        self._listener = listener
        self._told_state: LaneNews = "open"
        self._told_probe: tuple[float, float] | None = None
        self._told_rate: float | None = None
        self._told_rate_at = -math.inf
        self._warned_topics: set[str] = set()

    def tell_state(self, lane: LaneState) -> None:
        """Tell the lane's state if it has changed."""
        # An open lane is the usual one, and is asked after each reply.
        if lane.state == self._told_state and not lane.given_up:
            return
        state = self._name_state(lane)
        if state != self._told_state:
            self._told_state = state
            self._listener.on_lane_state(self._gateway.name, state, lane.reason, None)

    def take_up(self, lane: LaneState, listener: LaneListener) -> None:
        """Tell ``listener`` from now on; what the lane is at this moment was told before."""
        self._listener = listener
        self._told_state = self._name_state(lane)

    @staticmethod
    def _name_state(lane: LaneState) -> LaneNews:
        # To the rules, given up is a kind of parked; to people they differ: nothing is probed any more.
        return "given_up" if lane.state == "parked" and lane.given_up else lane.state

    def tell_probe(self, lane: LaneState, now: float) -> None:
        """Tell when a parked lane is probed next, and when it is given up, if that has changed."""
        times = lane.probe_times()
        if times is not None and times != self._told_probe:
            self._told_probe = times
            self._listener.on_probe(self._gateway.name, times[0] - now, times[1] - now)

    def tell_pause(self, reason: str, seconds: float) -> None:
        """Tell that the lane pauses."""
        self._listener.on_lane_state(self._gateway.name, "paused", reason, seconds)

    def tell_pace(self, rate: float | None, now: float, *, at_once: bool = True) -> None:
        """Tell the pace if it has changed; without ``at_once``, only every ``PACE_REPORT_INTERVAL``."""
        if rate == self._told_rate:
            return
        # A pace grows with each answer: the journal would fill with rows that nobody reads.
        if at_once or now - self._told_rate_at >= PACE_REPORT_INTERVAL:
            self._told_rate, self._told_rate_at = rate, now
            self._listener.on_pace(self._gateway.name, rate)

    def tell_request(self) -> None:
        """Tell of a request that is no single target's."""
        self._listener.on_lane_request(self._gateway.name)

    def tell_list(self, text: str | None) -> None:
        """Tell which page of a list is asked for; None once that is over."""
        self._listener.on_list(self._gateway.name, text)

    def tell_answer(self, answer: Reply | Lost) -> None:
        """Tell of the reply to a request, or that no reply came."""
        self._listener.on_answer(self._gateway.name, answer)

    def warn(self, text: str) -> None:
        """Have the report say something that concerns the gateway as a whole."""
        self._listener.on_lane_state(self._gateway.name, "warning", text, None)

    def warn_once(self, topic: str, text: str) -> None:
        """Warn as ``warn`` does, but only the first time on a ``topic``."""
        if topic not in self._warned_topics:
            self._warned_topics.add(topic)
            self.warn(text)

    def remark(self, text: str) -> None:
        """Tell something that is as it may be, for people who wonder."""
        self._listener.on_lane_state(self._gateway.name, "remark", text, None)

    def warn_of_long_wait(self, reading: Reading) -> None:
        """Warn once if the gateway asks for a longer wait than the lane grants."""
        bound = self._gateway.park_for
        if reading.wait is None or reading.wait <= bound:
            return
        asked = f"{reading.wait:.0f} s" if reading.wait <= YEAR else "more than a year"
        text = f"it asks to wait for {asked}; it is asked again after {bound:g} s (park_for)"
        self.warn_once("long wait", text)

    def tell_refusal(self, reading: Reading, pause: float) -> None:
        """Tell of the pause that a reading has begun."""
        self.tell_pause(describe(reading), pause)
