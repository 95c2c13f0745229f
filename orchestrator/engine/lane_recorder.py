"""The recorder of lanes: it keeps their states in the journal, and tells them to the listeners."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.journal.record import SessionRecord
from orchestrator.lanes.announcer import LaneNews
from orchestrator.model.events import (
    AnyEvent,
    GatewayNoted,
    GatewayWarned,
    LaneChanged,
    ListAsked,
    PaceChanged,
    ProbePlanned,
    RunNoted,
    RunWarned,
)
from orchestrator.model.http import Lost, Reply


class LaneRecorder:
    """The listener of all lanes of a session, which also tells of the run. ``now`` gives Unix seconds."""

    def __init__(
        self, record: SessionRecord, emit: Callable[[AnyEvent], None], now: Callable[[], float]
    ) -> None:
        self._record = record
        self._emit = emit
        self._now = now
        self._parked: set[str] = set()

    def on_lane_request(self, gateway: str) -> None:
        """Keep that a lane has sent a request that is no single target's: a login, or a page of a list."""
        self._record.keep_note(self._now(), "request", gateway=gateway)

    def on_lane_state(self, gateway: str, state: LaneNews, reason: str | None, seconds: float | None) -> None:
        """Keep and tell a lane's new state, a warning or a remark."""
        if state == "warning":
            self.warn(gateway, reason or "")
            return
        if state == "remark":
            self.remark(gateway, reason or "")
            return
        at, given_up = self._now(), state == "given_up"
        kept = "parked" if state == "given_up" else state
        # A parked lane that is given up stays parked: the journal has that state already.
        if not given_up or gateway not in self._parked:
            self._record.keep_note(at, kept, gateway=gateway, text=reason)
        # A pause tells nothing of parking: a parked lane may be paused, too.
        if kept == "parked":
            self._parked.add(gateway)
        elif kept != "paused":
            self._parked.discard(gateway)
        self._emit(
            LaneChanged(at=at, gateway=gateway, state=kept, reason=reason, seconds=seconds, given_up=given_up)
        )

    def warn(self, gateway: str | None, text: str) -> None:
        """Keep and tell a warning about a gateway; None: about the run as a whole."""
        at = self._now()
        self._record.keep_note(at, "warning", gateway=gateway, text=text)
        whole = RunWarned(at=at, text=text)
        self._emit(whole if gateway is None else GatewayWarned(at=at, gateway=gateway, text=text))

    def remark(self, gateway: str | None, text: str) -> None:
        """Keep and tell a remark on a gateway with which nothing is wrong; None: on the run as a whole."""
        at = self._now()
        self._record.keep_note(at, "remark", gateway=gateway, text=text)
        whole = RunNoted(at=at, text=text)
        self._emit(whole if gateway is None else GatewayNoted(at=at, gateway=gateway, text=text))

    def on_pace(self, gateway: str, rate: float | None) -> None:
        """Keep and tell how many undeploys a second a lane sends at most; None is no bound."""
        at = self._now()
        self._record.keep_pace(at, gateway, rate)
        self._emit(PaceChanged(at=at, gateway=gateway, rate=rate))

    def on_probe(self, gateway: str, wait: float, gives_up: float) -> None:
        """Tell when a parked lane is probed next, and when it is given up."""
        at = self._now()
        self._emit(ProbePlanned(at=at, gateway=gateway, probe_at=at + wait, gives_up_at=at + gives_up))

    def on_list(self, gateway: str, text: str | None) -> None:
        """Tell that a page of a list is asked for, or no more."""
        self._emit(ListAsked(at=self._now(), gateway=gateway, text=text))

    def on_answer(self, gateway: str, answer: Reply | Lost) -> None:
        """Do nothing: each target keeps the answers to its own requests."""
