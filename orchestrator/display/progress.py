"""How a run stands: counters folded from its events. A million targets cost no more memory than ten."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from orchestrator.model.events import (
    AnyEvent,
    AttemptEnded,
    AttemptStarted,
    Controlled,
    GatewayWarned,
    LaneChanged,
    PaceChanged,
    PartLeft,
    RetryPlanned,
    RunContinued,
    RunEnded,
    RunStarted,
    RunStopping,
    RunWaiting,
    SnapshotMissed,
    StepStarted,
    TargetEnded,
    WaveStarted,
)
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId
from orchestrator.rules.forecast import Forecast, GatewayWork, RunPart, find_last_starts, foresee

RATE_SECONDS = 20.0
"""Seconds over which a rate is taken."""
HISTORY_SECONDS = 40
"""Seconds of which the number of ended targets is kept, for the curve."""
TROUBLES_KEPT = 8
"""How many of the latest failed and unknown targets are kept."""
CONTROLS_KEPT = 3
"""How many of the latest times that somebody steered the run are kept."""
GIVEN_UP = "given up until a resume"
"""What a parked lane is called once it is not probed any more."""
BRIEF_PAUSE = 5.0
"""Seconds up to which a pause is part of a lane's pace; after a longer one nobody can tell how it goes on."""

TROUBLE_OUTCOMES = (Outcome.FAILED, Outcome.UNKNOWN)


class PaceMeter:
    """How many ended in the last seconds. Times are Unix times."""

    __slots__ = ("_counts", "_second", "_since")

    def __init__(self, since: float) -> None:
        self._since = since
        self._second = int(since)
        self._counts: deque[int] = deque([0], maxlen=HISTORY_SECONDS)

    def count(self, at: float) -> None:
        """Count one more, ended at ``at``."""
        self._forward(int(at))
        self._counts[-1] += 1

    def history(self, now: float) -> tuple[int, ...]:
        """Return how many ended in each of the last seconds, oldest first, the running second last."""
        idle = min(max(int(now) - self._second, 0), HISTORY_SECONDS)
        return (*self._counts, *[0] * idle)[-HISTORY_SECONDS:]

    def rate(self, now: float) -> float | None:
        """Return how many end a second; None in the first second, when nobody can tell."""
        span = min(now - self._since, RATE_SECONDS)
        if span < 1:
            return None
        return sum(self.history(now)[-int(span) - 1 :]) / span

    def skip(self, seconds: float) -> None:
        """Leave out so many seconds that have just passed: they say nothing of the pace."""
        self._since += seconds
        self._second += int(seconds)

    def _forward(self, second: int) -> None:
        for _ in range(min(second - self._second, HISTORY_SECONDS)):
            self._counts.append(0)
        self._second = max(second, self._second)


class _PartProgress:
    """A wave, or one step of it, with what it has left."""

    __slots__ = ("left", "number", "rest", "wave")

    def __init__(self, part: PartLeft) -> None:
        self.wave, self.number, self.rest = part.wave, part.number, part.rest
        self.left = dict(part.left)


class LaneProgress:
    """One gateway: ``total`` targets are to be done in this session, ``ended`` of them have an outcome."""

    __slots__ = (
        "bound",
        "ended",
        "fault",
        "given_up",
        "idle_since",
        "in_flight",
        "name",
        "outcomes",
        "pace",
        "paused_for",
        "state",
        "total",
        "until",
        "waiting",
        "warning",
        "why",
    )

    def __init__(self, name: str, total: int, at: float) -> None:
        self.name = name
        self.total = total
        self.ended = 0
        self.in_flight = 0
        self.waiting: set[TargetId] = set()
        self.outcomes = dict.fromkeys(Outcome, 0)
        self.pace = PaceMeter(at)
        self.idle_since: float | None = None
        """Unix time since which it waits for the other gateways of a part: that says nothing of its pace."""
        self.state = "open"
        self.given_up = False
        """It is parked, and not probed any more in this session."""
        self.why: str | None = None
        self.warning: str | None = None
        self.fault: str | None = None
        """What the newest reply (or the lack of one) said, where it said anything: why targets wait."""
        self.until: float | None = None
        """Unix time at which a pause is over."""
        self.paused_for = 0.0
        """Seconds of the latest pause."""
        self.bound: float | None = None
        """At most so many undeploys a second leave; None without a bound of ours."""

    def standing(self, now: float) -> str:
        """Return the state of the lane; a pause is over by itself."""
        over = self.state == "paused" and self.until is not None and self.until <= now
        return "open" if over else self.state

    def hindrance(self, now: float) -> str | None:
        """Return the state that keeps the lane from going on with what is left, if one does."""
        state = self.standing(now)
        brief = state == "paused" and self.until is not None and self.paused_for <= BRIEF_PAUSE
        held = state in ("paused", "parked") and not brief and not self.given_up
        return state if held and self.ended < self.total else None

    @property
    def over(self) -> bool:
        """Whether nothing more of it is done in this session, whatever is left."""
        return self.state == "closed" or self.given_up

    def seconds_for(self, targets: int, now: float) -> float | None:
        """Return how long so many targets take at the present pace; None where that cannot be told."""
        rate = self.pace.rate(now if self.idle_since is None else self.idle_since)
        return targets / rate if rate else None

    def begin_part(self, at: float) -> None:
        """Something of it is to be done again after it was idle, at the pace that it had before."""
        if self.idle_since is not None:
            self.pace.skip(at - self.idle_since)
            self.idle_since = None


class RunProgress:
    """What a display shows of a run; ``observe`` is told every event and costs next to nothing.

    Another thread may read while ``observe`` writes: a number may be one event old, nothing else.
    """

    def __init__(self) -> None:
        self.started: RunStarted | None = None
        self.wave = ""
        self.wave_left = 0
        self.step: StepStarted | None = None
        self.waiting: RunWaiting | None = None
        self.lanes: dict[str, LaneProgress] = {}
        self.pace = PaceMeter(0.0)
        self.retries = 0
        self._begun: set[TargetId] = set()  # an undeploy or deploy was begun, and there is no outcome yet
        self.troubles: tuple[TargetEnded, ...] = ()
        self.controls: tuple[Controlled, ...] = ()
        self._missed: set[TargetId] = set()
        self.lost = 0
        """How many went down, or may have, without a snapshot that brings them back."""
        self.stopping: str | None = None
        self.ended: RunEnded | None = None
        self._parts: list[_PartProgress] = []
        """What goes on and what is still to come, in its order."""

    @property
    def total(self) -> int:
        """How many targets are to be done in this session."""
        return sum(lane.total for lane in self.lanes.values())

    @property
    def done(self) -> int:
        """How many of them have an outcome."""
        return sum(lane.ended for lane in self.lanes.values())

    @property
    def in_flight(self) -> int:
        """How many requests have no reply yet."""
        return sum(lane.in_flight for lane in self.lanes.values())

    def count(self, outcome: Outcome) -> int:
        """Return how many targets ended so in this session."""
        return sum(lane.outcomes[outcome] for lane in self.lanes.values())

    def forecast(self, now: float) -> Forecast | None:
        """Return when all will be done, and whom the window stops; None where nothing is left to be done."""
        if self.started is None or self.stopping or self.ended or self.done >= self.total:
            return None
        standing = ((lane.name, lane.hindrance(now)) for lane in self.lanes.values())
        hindered = next((f"{name} is {state}" for name, state in standing if state is not None), None)
        until = self.waiting.until if self.waiting is not None else None
        return foresee(
            [*self._ahead(now)],
            now=now if until is None else max(now, until),
            last=find_last_starts(self.started.closes, self.started.timeouts),
            hindered=hindered,
        )

    def _ahead(self, now: float) -> Iterator[RunPart]:
        """Yield what is left; where nothing goes on, nobody can tell how long it takes."""
        for part in self._parts:
            work = tuple(
                GatewayWork(gateway=name, targets=left, seconds=self._seconds_for(name, left, now))
                for name, left in part.left.items()
                if left > 0 and not self._lane(name).over
            )
            if work:
                yield RunPart(wave=part.wave, work=work, rest=part.rest)

    def _seconds_for(self, name: str, targets: int, now: float) -> float | None:
        lane = self._lane(name)
        stands = self.waiting is not None or lane.hindrance(now) is not None
        return None if stands else lane.seconds_for(targets, now)

    def observe(self, event: AnyEvent) -> None:
        """Take ``event`` into the counters."""
        match event:
            case AttemptStarted():
                self._attempt_started(event)
            case AttemptEnded():
                lane = self._lane(event.gateway)
                lane.in_flight -= 1
                lane.fault = event.message or event.code
            case TargetEnded():
                self._target_ended(event)
            case RetryPlanned():
                self._lane(event.gateway).waiting.add(event.target)
            case GatewayWarned() | LaneChanged():
                self._lane_changed(event)
            case RunStarted():
                self.started = event
                self.pace = PaceMeter(event.at)
                self._parts = [_PartProgress(part) for part in event.parts or (_whole(event),)]
                self.lanes = {name: LaneProgress(name, left, event.at) for name, left in event.left.items()}
                self._set_idle(event.at)
            case WaveStarted():
                self.wave, self.wave_left, self.step = event.wave, event.left, None
                self._begin_part(event.at, event.wave, None)
            case RunStopping():
                self.stopping = event.reason
            case RunEnded():
                self.ended, self.waiting = event, None
            case _:
                self._steered(event)

    def _steered(self, event: AnyEvent) -> None:
        match event:
            case StepStarted():
                self.wave, self.wave_left, self.step = event.wave, event.left, event
                self._begin_part(event.at, event.wave, event.number)
            case RunWaiting():
                self.waiting = event
                if event.why in ("pause_after", "proceed"):
                    self._parts = [part for part in self._parts if not self._has_ended(part, event)]
            case RunContinued():
                self.waiting = None
                for lane in self.lanes.values():  # the time that was waited says nothing of their pace
                    lane.pace = PaceMeter(event.at)
            case PaceChanged():
                self._lane(event.gateway).bound = event.rate
            case SnapshotMissed():
                self._missed.add(event.target)
            case Controlled():
                self.controls = (*self.controls[1 - CONTROLS_KEPT :], event)
            case _:
                pass

    def _has_ended(self, part: _PartProgress, event: RunWaiting) -> bool:
        """Tell whether it is the part behind which the run waits."""
        number = self.step.number if self.step is not None else None
        return part.wave == event.wave and number in (None, part.number)

    def _begin_part(self, at: float, wave: str, number: int | None) -> None:
        """Leave behind what came before a wave, or a step of it: it does not come again in this session."""
        index = next(
            (n for n, part in enumerate(self._parts) if part.wave == wave and number in (None, part.number)),
            0,
        )
        self._parts = self._parts[index:]
        self._set_idle(at)

    def _set_idle(self, at: float) -> None:
        """Tell each lane whether it has something to do in the part that goes on now."""
        here = self._parts[0].left if self._parts else {}
        for name, lane in self.lanes.items():
            if here.get(name, 0) > 0:
                lane.begin_part(at)
            elif lane.idle_since is None:
                lane.idle_since = at

    def _lane(self, name: str) -> LaneProgress:
        # A gateway that has nothing left to do may still be looked at or change its state.
        lane = self.lanes.get(name)
        if lane is None:
            lane = LaneProgress(name, 0, self.started.at if self.started else 0.0)
            self.lanes = {**self.lanes, name: lane}
        return lane

    def _attempt_started(self, event: AttemptStarted) -> None:
        lane = self._lane(event.gateway)
        lane.in_flight += 1
        lane.waiting.discard(event.target)
        if event.act is not Act.LOOK:
            self.retries += event.target in self._begun
            self._begun.add(event.target)

    def _target_ended(self, event: TargetEnded) -> None:
        lane = self._lane(event.gateway)
        lane.ended += 1
        self._count_down(lane, event)
        lane.outcomes[event.outcome] += 1
        lane.waiting.discard(event.target)
        self._begun.discard(event.target)
        if event.target in self._missed:
            self._missed.discard(event.target)
            self.lost += event.outcome in (Outcome.UNDEPLOYED, Outcome.UNKNOWN)
        if event.outcome is not Outcome.NOT_STARTED:
            lane.pace.count(event.at)
            self.pace.count(event.at)
        if event.outcome in TROUBLE_OUTCOMES:
            self.troubles = (*self.troubles[1 - TROUBLES_KEPT :], event)

    def _count_down(self, lane: LaneProgress, event: TargetEnded) -> None:
        """Take a target from what is left of the part that goes on."""
        if not self._parts:
            return
        left = self._parts[0].left
        left[lane.name] = left.get(lane.name, 0) - 1
        if left[lane.name] <= 0 and len(self._parts) > 1:
            lane.idle_since = event.at

    def _lane_changed(self, event: LaneChanged | GatewayWarned) -> None:
        lane = self._lane(event.gateway)
        if isinstance(event, GatewayWarned):
            lane.warning = event.text
            return
        if event.state == "paused" and lane.state == "parked":
            return  # a probe was told to wait: parked it stays
        if lane.hindrance(event.at) is not None and event.state == "open":
            lane.pace = PaceMeter(event.at)
        if event.state == "paused" and event.seconds is not None and event.seconds > BRIEF_PAUSE:
            lane.pace = PaceMeter(event.at + event.seconds)  # it is over without a further event
        lane.state, lane.why, lane.given_up = event.state, event.reason, event.given_up
        lane.until = event.at + event.seconds if event.seconds is not None else None
        lane.paused_for = event.seconds or 0.0


def _whole(event: RunStarted) -> PartLeft:
    """Return all that is left as one part, where it is not told by its parts."""
    return PartLeft(wave="", number=1, left=event.left)
