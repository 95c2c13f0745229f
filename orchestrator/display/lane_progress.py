"""The progress of one lane, counted from its events."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Literal

from orchestrator.display.pace import PaceMeter
from orchestrator.display.request_tally import RequestTally
from orchestrator.model.events import (
    AttemptEnded,
    GatewayFacts,
    LaneChanged,
    LimitsChanged,
    ProbePlanned,
    TargetEnded,
)
from orchestrator.model.live_status import SECONDS_BOUNDS
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import CHANGES, Act
from orchestrator.model.target import TargetId

GIVEN_UP = "given up until a resume"
"""The displays' name for a parked lane that is not probed any more."""
BRIEF_PAUSE = 5.0
"""Seconds. A shorter pause is part of a lane's pace; after a longer one the pace must be measured anew."""
LONG_SILENCE = 5.0
"""Seconds without a reply after which the displays say that they wait for a gateway."""


class LaneProgress:
    """One gateway: this session has to do ``total`` targets, and ``ended`` of them have an outcome."""

    __slots__ = (
        "begun",
        "bound",
        "earlier",
        "ended",
        "fault",
        "first_bound",
        "given_up",
        "gives_up_at",
        "idle_since",
        "in_flight",
        "kind",
        "limit",
        "list_asked",
        "name",
        "outcomes",
        "pace",
        "paused_for",
        "paused_until",
        "probe_at",
        "reason",
        "refused",
        "request_seconds",
        "requests",
        "silent_since",
        "since",
        "started",
        "state",
        "total",
        "url",
        "waiting",
        "warning",
    )

    def __init__(self, name: str, total: int, at: float) -> None:
        self.name = name
        self.total, self.ended = total, 0
        self.earlier = dict.fromkeys(Outcome, 0)
        """Targets that had an outcome when the session began."""
        self.in_flight = 0
        """Requests that have no reply yet, pages of lists included."""
        self.list_asked: str | None = None
        """The page of a list that the gateway is being asked for, in words."""
        self.waiting: set[TargetId] = set()
        """Targets that wait for their next request."""
        self.started: set[TargetId] = set()  # those whose undeploy has left, and need not be repeated so far
        self.outcomes = dict.fromkeys(Outcome, 0)
        self.pace = PaceMeter(at)
        self.idle_since: float | None = None
        """Unix time since which the lane waits for the other gateways of a part."""
        self.kind = ""
        self.url = ""
        self.limit: int | None = None
        """Requests that may be in flight; None if unknown."""
        self.silent_since: float | None = None
        """Unix time since which the gateway owes replies for targets and gives none; else None."""
        self.begun = 0
        """Targets for which a request that changes them was sent in this session."""
        self.requests: dict[Act, RequestTally] = {}
        self.request_seconds = 0.0
        """Seconds of all requests for targets, summed up."""
        self.first_bound: float | None = None
        """Undeploys a second that the lane begins with, before an event tells its bound."""
        self.refused = 0
        """Replies by which the gateway refused to take more for now."""
        self.since: float | None = None
        """Unix time since which the lane is in its ``state``."""
        self.probe_at: float | None = None
        """Unix time at which the next probe of a parked lane leaves."""
        self.gives_up_at: float | None = None
        """Unix time at which a parked lane is given up, if no probe is answered by then."""
        self.state: Literal["open", "paused", "parked", "closed"] = "open"
        self.given_up = False
        """The lane is parked, and this session does not probe it any more."""
        self.reason: str | None = None
        """Why the lane is in its ``state``."""
        self.warning: str | None = None
        self.fault: str | None = None
        """The text of the newest reply, or why none came; None for a reply without a text."""
        self.paused_until: float | None = None
        """Unix time at which a pause ends."""
        self.paused_for = 0.0
        """Seconds of the latest pause."""
        self.bound: float | None = None
        """Undeploys a second that the lane allows; None without a limit of ours."""

    @property
    def is_over(self) -> bool:
        """Return whether this session does nothing more for the gateway, even if targets are left."""
        return self.state == "closed" or self.given_up

    def find_state(self, now: float) -> Literal["open", "paused", "parked", "closed"]:
        """Return the state of the lane at the Unix time ``now``."""
        # No event tells that a pause is over.
        over = self.state == "paused" and self.paused_until is not None and self.paused_until <= now
        return "open" if over else self.state

    def is_waited_for(self, now: float) -> bool:
        """Return whether the run waits for the lane: it is parked or long paused, and has targets left."""
        return self.find_hindrance(now) is not None

    def find_hindrance(self, now: float) -> str | None:
        """Return the state that keeps the lane from its remaining targets; None if none does."""
        state = self.find_state(now)
        brief = state == "paused" and self.paused_until is not None and self.paused_for <= BRIEF_PAUSE
        held = state in ("paused", "parked") and not brief and not self.given_up
        return state if held and self.ended < self.total else None

    def measure_silence(self, now: float) -> float | None:
        """Return for how many seconds the gateway has owed a reply; None if that is not long."""
        silence = 0.0 if self.silent_since is None else now - self.silent_since
        return silence if silence >= LONG_SILENCE and not self.is_over else None

    def find_longest_hold(self, now: float) -> float | None:
        """Return for how many seconds at most the lane still stands still; None if that is unknown."""
        match self.find_hindrance(now):
            case None:
                return 0.0
            case "parked":
                return None if self.gives_up_at is None else max(0.0, self.gives_up_at - now)
            case _:
                return None if self.paused_until is None else self.paused_until - now

    def measure_request_seconds(self) -> float | None:
        """Return how many seconds of requests a target takes, looks included; None as long as none ended."""
        targets = max(self.begun, self.pace.counted)
        return self.request_seconds / targets if targets and self.request_seconds else None

    def estimate_rate(self, now: float, peer_seconds: float | None = None) -> float | None:
        """Return how many targets a second the lane will end; None if nothing tells that.

        ``peer_seconds``: how many seconds of requests a target takes at other gateways of its kind.
        """
        measured = self.pace.measure_rate(self._find_last_work(now))
        # One target of a canary tells little of a pace: a lane has that only with its workers all at work.
        if measured and self.pace.counted >= (self.limit or 0):
            return measured
        seconds = self.measure_request_seconds() or peer_seconds
        if seconds:
            seconds = max(seconds, self._measure_flight(now))
        capacity = self.limit / seconds if self.limit and seconds else None
        bound = self.bound if self.bound is not None else self.first_bound
        return min(filter(None, (capacity, bound)), default=measured or None)

    def _measure_flight(self, now: float) -> float:
        """Return how many seconds a request takes at least, by what is in flight; 0.0 if nothing tells."""
        # However quick the gateway was before. Of a lane that stands still only the probe is in flight.
        if self.silent_since is None or not self.in_flight or self.find_hindrance(now) is not None:
            return 0.0
        return now - self.silent_since

    def _find_last_work(self, now: float) -> float:
        """Return until when the lane had work and could do it: a lane that stands still is not slow."""
        if self.idle_since is not None:
            return self.idle_since
        held = self.find_hindrance(now) is not None
        return self.since if held and self.since is not None else now

    def start_attempt(self, target: TargetId, at: float) -> None:
        """Count a request that leaves."""
        self.in_flight += 1
        if self.silent_since is None:
            self.silent_since = at
        self.waiting.discard(target)

    def end_attempt(self, event: AttemptEnded) -> None:
        """Count a request that has its reply, or is lost, and keep its fault."""
        self.in_flight -= 1
        if event.status is not None:
            self.silent_since = event.at if self.in_flight else None
        self.request_seconds += event.seconds
        tally = self.requests.get(event.act)
        if tally is None:
            # Another thread may iterate over the tallies: the dictionary is replaced, never changed.
            tally = RequestTally()
            self.requests = {**self.requests, event.act: tally}
        status, seconds = event.status, event.seconds
        tally.answers[status] = tally.answers.get(status, 0) + 1
        tally.seconds += seconds
        tally.within[bisect_left(SECONDS_BOUNDS, seconds)] += 1
        self.refused += event.refused
        self.fault = event.message or event.code

    def ask_list(self, text: str | None) -> None:
        """Count a page of a list that is asked for; None: it has its reply, or is lost."""
        self.in_flight += 1 if text else -1
        self.list_asked = text

    def plan_retry(self, target: TargetId, act: Act) -> None:
        """Note that ``target`` waits for its next request ``act``."""
        self.waiting.add(target)
        if act in CHANGES:
            self.started.discard(target)

    def end_target(self, event: TargetEnded) -> None:
        """Count a target that has its outcome."""
        self.ended += 1
        self.outcomes[event.outcome] += 1
        self.waiting.discard(event.target)
        self.started.discard(event.target)
        # A thousand targets can end as not started in an instant, which tells nothing about the gateway.
        if event.outcome is not Outcome.NOT_STARTED:
            self.pace.count(event.at)

    def count_earlier(self, counts: Mapping[Outcome, int]) -> None:
        """Count targets that had an outcome when the session began."""
        for outcome, count in counts.items():
            self.earlier[outcome] += count

    def warn(self, text: str) -> None:
        """Keep the newest warning about the gateway."""
        self.warning = text

    def change_limit(self, event: LimitsChanged) -> None:
        """Note how many requests may be in flight from now on, and measure the pace under that anew."""
        self.limit = event.concurrency
        self.restart_pace(event.at)

    def change_bound(self, rate: float | None) -> None:
        """Note how many undeploys a second the lane allows from now on."""
        self.bound = rate

    def describe(self, facts: GatewayFacts) -> None:
        """Take over what the session's first event says of the gateway."""
        self.kind, self.url, self.limit = facts.kind, facts.url, facts.concurrency
        self.first_bound = facts.rate

    def settle(self, ended: Iterable[Mapping[Outcome, int]]) -> None:
        """Take over how the lane's targets stand at the end; ``ended`` is by wave."""
        counts = dict.fromkeys(Outcome, 0)
        for here in ended:
            for outcome, count in here.items():
                counts[outcome] += count
        self.outcomes = {outcome: count - self.earlier[outcome] for outcome, count in counts.items()}
        self.ended = sum(self.outcomes.values())

    def change_state(self, event: LaneChanged) -> None:
        """Take over the state that ``event`` tells of."""
        if event.state == "paused" and self.state == "parked":
            return  # the gateway told a probe to wait, and the lane stays parked
        if self.find_hindrance(event.at) is not None and event.state == "open":
            self.restart_pace(event.at)
        if event.state == "paused" and event.seconds is not None and event.seconds > BRIEF_PAUSE:
            self.restart_pace(event.at + event.seconds)
        # A pause that is over has told no end: the next one begins now.
        if event.state != self.find_state(event.at):
            self.since = event.at
        self.state, self.reason, self.given_up = event.state, event.reason, event.given_up
        self.paused_until = event.at + event.seconds if event.seconds is not None else None
        self.paused_for = event.seconds or 0.0
        self.probe_at = self.gives_up_at = None

    def plan_probe(self, event: ProbePlanned) -> None:
        """Note when the parked lane is given up, and when it is probed next if that comes first."""
        self.probe_at = event.probe_at if event.probe_at <= event.gives_up_at else None
        self.gives_up_at = event.gives_up_at

    def restart_pace(self, at: float) -> None:
        """Measure the pace anew from ``at`` on, because the lane stood still before."""
        self.pace = PaceMeter(at)

    def start_idling(self, at: float) -> None:
        """Note that the lane has nothing to do until the other gateways have ended their part."""
        self.silent_since = None
        if self.idle_since is None:
            self.idle_since = at

    def stop_idling(self, at: float) -> None:
        """Note that the lane has work again, and keep the pace that it had before it was idle."""
        if self.idle_since is not None:
            self.pace.skip(at - self.idle_since)
            self.idle_since = None
