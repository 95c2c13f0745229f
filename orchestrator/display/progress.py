"""The progress of a run, counted from its events. A million targets cost no more memory than ten."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.display.lane_progress import LaneProgress
from orchestrator.display.pace import PaceMeter
from orchestrator.display.remaining_parts import RemainingPart, RemainingParts
from orchestrator.display.wave_progress import WaveProgress
from orchestrator.model.events import (
    AnyEvent,
    AttemptEnded,
    AttemptStarted,
    Controlled,
    GatewayWarned,
    LaneChanged,
    ListAsked,
    PaceChanged,
    PartLeft,
    ProbePlanned,
    RetryPlanned,
    RunContinued,
    RunEnded,
    RunStarted,
    RunStopping,
    RunWaiting,
    SnapshotMissed,
    StepStarted,
    TargetEnded,
    WaveEnded,
    WaveFacts,
    WaveStarted,
)
from orchestrator.model.forecast import Forecast
from orchestrator.model.live_status import MOST_CONTROLS
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import CHANGES
from orchestrator.model.target import TargetId
from orchestrator.rules.forecast import GatewayWork, RunPart, find_last_starts, foresee

TROUBLES_KEPT = 8
"""How many of the latest failed and unknown targets are kept."""
CONTROLS_SHOWN = 3
"""How many of the latest times that a person steered the run a terminal shows."""
WARNINGS_KEPT = 20
"""How many of the latest warnings are kept."""

TROUBLE_OUTCOMES = (Outcome.FAILED, Outcome.UNKNOWN)


class RunProgress:
    """The facts of a run that displays show. ``observe`` takes every event and costs next to nothing.

    Another thread may read while ``observe`` writes: a number may be one event old, nothing else.
    """

    def __init__(self) -> None:
        self.started: RunStarted | None = None
        self.wave = ""
        self.step: StepStarted | None = None
        self.waiting: RunWaiting | None = None
        self.waves: dict[str, WaveProgress] = {}
        """By name, in the plan's order."""
        self.lanes: dict[str, LaneProgress] = {}
        self.pace = PaceMeter(0.0)
        self.retries = 0
        self.troubles: tuple[TargetEnded, ...] = ()
        self.steering: tuple[Controlled, ...] = ()
        """The latest times that a person steered the run."""
        self.warnings: tuple[GatewayWarned, ...] = ()
        self.unrestorable = 0
        """How many targets went down, or may have, without a snapshot that brings them back."""
        self.stopping: str | None = None
        self.ended: RunEnded | None = None
        self._parts = RemainingParts()
        self._wave_outcomes: dict[Outcome, int] = {}
        """Those of the wave that goes on."""
        # Both hold only targets in work: each is taken out again when the target ends.
        self._begun: set[TargetId] = set()
        self._without_snapshot: set[TargetId] = set()

    @property
    def total(self) -> int:
        """Return how many targets this session has to do."""
        return sum(lane.total for lane in self.lanes.values())

    @property
    def done(self) -> int:
        """Return how many of them have an outcome."""
        return sum(lane.ended for lane in self.lanes.values())

    @property
    def in_flight(self) -> int:
        """Return how many requests have no reply yet."""
        return sum(lane.in_flight for lane in self.lanes.values())

    def count(self, outcome: Outcome) -> int:
        """Return how many targets have ended with ``outcome`` in this session."""
        return sum(lane.outcomes[outcome] for lane in self.lanes.values())

    def count_in_run(self, outcome: Outcome) -> int:
        """Return how many targets have ended with ``outcome`` in the whole run, earlier sessions included."""
        return sum(wave.outcomes[outcome] for wave in self.waves.values())

    @property
    def controls(self) -> tuple[Controlled, ...]:
        """Return the latest few times that a person steered the run."""
        return self.steering[-CONTROLS_SHOWN:]

    def make_forecast(self, now: float) -> Forecast | None:
        """Return when the run will be done, and which gateways the window stops; None if nothing is left."""
        if self.started is None or self.stopping or self.ended or self.done >= self.total:
            return None
        hindrances = ((lane.name, lane.find_hindrance(now)) for lane in self.lanes.values())
        hindered = next((f"{name} is {state}" for name, state in hindrances if state is not None), None)
        until = self.waiting.until if self.waiting is not None else None
        return foresee(
            [*self._estimate_parts(now)],
            now=now if until is None else max(now, until),
            last=find_last_starts(self.started.closes, self.started.timeouts),
            hindered=hindered,
        )

    def _estimate_parts(self, now: float) -> Iterator[RunPart]:
        for part in self._parts:
            if work := tuple(self._estimate_work(part, now)):
                yield RunPart(wave=part.wave, work=work, rest=part.rest)

    def _estimate_work(self, part: RemainingPart, now: float) -> Iterator[GatewayWork]:
        for name, left in part.left.items():
            lane = self._find_lane(name)
            if left > 0 and not lane.is_over:
                # While the run or the lane stands still, no pace tells how long the rest takes.
                stands = self.waiting is not None or lane.find_hindrance(now) is not None
                seconds = None if stands else lane.estimate_seconds(left, now)
                yield GatewayWork(gateway=name, targets=left, seconds=seconds)

    def observe(self, event: AnyEvent) -> None:
        """Count ``event``."""
        # The first cases are the most frequent ones: a run of a million targets passes here.
        match event:
            case AttemptStarted():
                self._start_attempt(event)
            case AttemptEnded():
                self._find_lane(event.gateway).end_attempt(event.message or event.code)
            case TargetEnded():
                self._end_target(event)
            case RetryPlanned():
                self._find_lane(event.gateway).plan_retry(event.target)
            case SnapshotMissed():
                self._without_snapshot.add(event.target)
            case _:
                self._observe_lane(event)

    def _observe_lane(self, event: AnyEvent) -> None:
        """Count an event that concerns one lane."""
        match event:
            case LaneChanged():
                self._find_lane(event.gateway).change_state(event)
            case ProbePlanned():
                self._find_lane(event.gateway).plan_probe(event)
            case PaceChanged():
                self._find_lane(event.gateway).change_bound(event.rate)
            case ListAsked():
                self._find_lane(event.gateway).ask_list(event.text)
            case GatewayWarned():
                self._find_lane(event.gateway).warn(event.text)
                self.warnings = (*self.warnings[1 - WARNINGS_KEPT :], event)
            case _:
                self._observe_run(event)

    def _observe_run(self, event: AnyEvent) -> None:
        """Count an event that concerns the run as a whole."""
        match event:
            case RunStarted():
                self._start_run(event)
            case WaveStarted():
                self.wave, self.step = event.wave, None
                self._begin_wave(event)
                self._begin_part(event.at, event.wave, None)
            case StepStarted():
                self.wave, self.step = event.wave, event
                self._begin_part(event.at, event.wave, event.number)
            case RunWaiting():
                self._wait(event)
            case RunContinued():
                self._continue(event)
            case Controlled():
                self.steering = (*self.steering[1 - MOST_CONTROLS :], event)
            case WaveEnded():
                self._find_wave(event.wave).state = "ended"
            case RunStopping():
                self.stopping = event.reason
            case RunEnded():
                self.ended, self.waiting = event, None
            case _:
                pass

    def _start_run(self, event: RunStarted) -> None:
        self.started = event
        self.pace = PaceMeter(event.at)
        whole = PartLeft(wave="", number=1, left=event.left)
        self._parts = RemainingParts(event.parts or (whole,))
        self.waves = {wave.name: WaveProgress(wave, n) for n, wave in enumerate(event.waves, 1)}
        self.lanes = {
            name: LaneProgress(name, event.left.get(name, 0), event.at)
            for name in dict.fromkeys((*event.gateways, *event.left))
        }
        for name, facts in event.gateways.items():
            self.lanes[name].describe(facts)
        for wave in event.waves:
            for name, counts in wave.ended.items():
                self._find_lane(name).count_earlier(counts)
        self._update_idling(event.at)

    def _begin_wave(self, event: WaveStarted) -> None:
        wave = self._find_wave(event.wave, event.left)
        wave.state = "going"
        self._wave_outcomes = wave.outcomes

    def _begin_part(self, at: float, wave: str, number: int | None) -> None:
        self._parts.begin(wave, number)
        self._update_idling(at)

    def _update_idling(self, at: float) -> None:
        """Tell each lane whether it has something to do in the part that goes on now."""
        left = self._parts.left_now
        for name, lane in self.lanes.items():
            if left.get(name, 0) > 0:
                lane.stop_idling(at)
            elif lane.idle_since is None:
                lane.start_idling(at)

    def _wait(self, event: RunWaiting) -> None:
        self.waiting = event
        # The part is over, and its pause is this wait: to keep the part would count the pause twice.
        if event.why in ("pause_after", "proceed"):
            self._parts.end(event.wave, self.step.number if self.step is not None else None)

    def _continue(self, event: RunContinued) -> None:
        self.waiting = None
        for lane in self.lanes.values():
            lane.restart_pace(event.at)

    def _find_lane(self, name: str) -> LaneProgress:
        # A gateway that has nothing left to do may still be looked at or change its state.
        lane = self.lanes.get(name)
        if lane is None:
            lane = LaneProgress(name, 0, self.started.at if self.started else 0.0)
            # Another thread may iterate over the lanes: the dictionary is replaced, never changed.
            self.lanes = {**self.lanes, name: lane}
        return lane

    def _find_wave(self, name: str, targets: int = 0) -> WaveProgress:
        wave = self.waves.get(name)
        if wave is None:  # the stream began without this wave
            wave = WaveProgress(WaveFacts(name=name, targets=targets), len(self.waves) + 1)
            self.waves = {**self.waves, name: wave}
        return wave

    def _start_attempt(self, event: AttemptStarted) -> None:
        self._find_lane(event.gateway).start_attempt(event.target)
        if event.act in CHANGES:
            self.retries += event.target in self._begun
            self._begun.add(event.target)

    def _end_target(self, event: TargetEnded) -> None:
        lane = self._find_lane(event.gateway)
        lane.end_target(event)
        # Without a call: nearly all targets end in the wave that goes on.
        outcomes = self._wave_outcomes if event.wave == self.wave else self._find_wave(event.wave).outcomes
        outcomes[event.outcome] += 1
        if self._parts.count_down(event.gateway):
            lane.start_idling(event.at)
        self._begun.discard(event.target)
        if event.target in self._without_snapshot:
            self._without_snapshot.discard(event.target)
            self.unrestorable += event.outcome in (Outcome.UNDEPLOYED, Outcome.UNKNOWN)
        if event.outcome is not Outcome.NOT_STARTED:
            self.pace.count(event.at)
        if event.outcome in TROUBLE_OUTCOMES:
            self.troubles = (*self.troubles[1 - TROUBLES_KEPT :], event)
