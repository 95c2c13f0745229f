"""The progress of a run, counted from its events. A million targets cost no more memory than ten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from orchestrator.display.ahead import forecast_rest
from orchestrator.display.lane_progress import LaneProgress
from orchestrator.display.over_time import TimelineCounter
from orchestrator.display.pace import PaceMeter
from orchestrator.display.remaining_parts import RemainingParts
from orchestrator.display.wave_progress import WaveProgress
from orchestrator.model.causes import CauseGroup
from orchestrator.model.events import (
    AnyEvent,
    AttemptEnded,
    AttemptStarted,
    Controlled,
    GatewayWarned,
    LaneChanged,
    LimitsChanged,
    ListAsked,
    PaceChanged,
    PartLeft,
    ProbePlanned,
    RetryPlanned,
    RunContinued,
    RunEnded,
    RunNoted,
    RunStarted,
    RunStopping,
    RunWaiting,
    RunWarned,
    SnapshotMissed,
    StepStarted,
    TargetEnded,
    WaveEnded,
    WaveFacts,
    WaveStarted,
)
from orchestrator.model.forecast import Forecast
from orchestrator.model.live_status import MOST_CONTROLS, MOST_WARNINGS
from orchestrator.model.outcome import DONE, PASSING, Outcome, Reason, find_word
from orchestrator.model.reading import CHANGES
from orchestrator.model.target import TargetId
from orchestrator.report.causes import CauseCounter, LastAnswers, name_cause
from orchestrator.report.words import name_stop
from orchestrator.rules.stop_rules import may_end_so_again


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
        self.in_flight = 0
        """Requests that have no reply yet, pages of lists included."""
        self.pace = PaceMeter(0.0)
        self.timeline = TimelineCounter(0.0)
        self.causes = CauseCounter()
        """The targets of the whole run that are not as it wants them."""
        self.causes_in_wave = CauseCounter()
        """Those of the wave that goes on, or has just ended, in this session."""
        self.steering: tuple[Controlled, ...] = ()
        """The latest times that a person steered the run."""
        self.warnings: tuple[GatewayWarned | RunWarned, ...] = ()
        self.unrestorable = 0
        """How many targets went down, or may have, without a snapshot that brings them back."""
        self.stopping: RunStopping | None = None
        self.ended: RunEnded | None = None
        self.parts = RemainingParts()
        self.counts_before_step = Counter[tuple[Outcome, str]]()
        """The targets that the stop rules count, but those of the step of a wave that goes on."""
        self.is_between_steps = False
        """Whether the newest wave, or its newest step, has ended, and the next one has not begun."""
        self.counts_in_step = Counter[tuple[Outcome, str]]()
        self._wave_outcomes: dict[Outcome, int] = {}
        """Those of the wave that goes on."""
        # These hold only targets in work: each is taken out again when the target ends.
        self._begun: set[TargetId] = set()
        self._without_snapshot: set[TargetId] = set()
        self._last_answers: dict[TargetId, AttemptEnded] = {}
        self._coded_answers: dict[TargetId, AttemptEnded] = {}

    @property
    def total(self) -> int:
        """Return how many targets this session has to do."""
        return sum(lane.total for lane in self.lanes.values())

    @property
    def done(self) -> int:
        """Return how many of them have an outcome."""
        return sum(lane.ended for lane in self.lanes.values())

    def count(self, outcome: Outcome) -> int:
        """Return how many targets have ended with ``outcome`` in this session."""
        return sum(lane.outcomes[outcome] for lane in self.lanes.values())

    def count_in_run(self, outcome: Outcome) -> int:
        """Return how many targets have ended with ``outcome`` in the whole run, earlier sessions included."""
        return sum(wave.outcomes[outcome] for wave in self.waves.values())

    def find_ended_step(self, event: RunWaiting) -> tuple[int, int] | None:
        """Return the step before a wait, and the number of steps of its wave; None if the wave has ended."""
        step, following = self.step, self.parts.first
        if step is not None and step.wave == event.wave and step.number < step.steps:
            return step.number, step.steps
        # A session that begins with a question of the session before has told of no step yet.
        if not self.wave and following is not None and following.wave == event.wave and following.number > 1:
            return following.number - 1, self._find_wave(following.wave).steps
        return None

    def count_unanswered(self) -> int:
        """Count the targets in work whose last request had no reply, and is not in flight any more."""
        # Another thread may read: to copy takes one step, and an iteration would see the answers change.
        return sum(answer.status is None for answer in list(self._last_answers.values()))

    def sum_bounds(self) -> float | None:
        """Return how many undeploys a second all open lanes together allow; None if one has no bound."""
        bounds = [lane.bound for lane in self.lanes.values() if lane.total and not lane.is_over]
        return None if None in bounds or not bounds else sum(filter(None, bounds))

    def make_forecast(self, now: float) -> Forecast | None:
        """Return when the run will be done, and which gateways the window stops; None if nothing is left."""
        if self.started is None or self.stopping or self.ended or self.done >= self.total:
            return None
        asking = {name for name, wave in self.waves.items() if wave.asks}
        return forecast_rest(self.started, self.parts, self.lanes, self.waiting, asking, now)

    def observe(self, event: AnyEvent) -> None:
        """Count ``event``."""
        # The first cases are the most frequent ones: a run of a million targets passes here.
        match event:
            case AttemptStarted():
                self._start_attempt(event)
            case AttemptEnded():
                self._find_lane(event.gateway).end_attempt(event)
                self.in_flight -= 1
                self._last_answers[event.target] = event
                if event.code:
                    self._coded_answers[event.target] = event
                if event.refused:
                    self._count_refusal(event)
            case TargetEnded():
                self._end_target(event)
            case RetryPlanned():
                self._find_lane(event.gateway).plan_retry(event.target, event.act)
            case SnapshotMissed():
                self._without_snapshot.add(event.target)
            case _:
                self._observe_lane(event)

    def _observe_lane(self, event: AnyEvent) -> None:
        """Count an event that concerns one lane."""
        match event:
            case LaneChanged():
                self._change_lane(event)
            case ProbePlanned():
                self._find_lane(event.gateway).plan_probe(event)
            case PaceChanged():
                self._find_lane(event.gateway).change_bound(event.rate)
            case LimitsChanged():
                self._find_lane(event.gateway).change_limit(event)
            case ListAsked():
                self.in_flight += 1 if event.text else -1
                self._find_lane(event.gateway).ask_list(event.text)
            case GatewayWarned():
                self._find_lane(event.gateway).warn(event.text)
                self._keep_warning(event)
            case RunWarned():
                self._keep_warning(event)
            case RunNoted(text=text) if begins := PASSING.get(text):
                self.warnings = tuple(
                    kept
                    for kept in self.warnings
                    if not (isinstance(kept, RunWarned) and kept.text.startswith(begins))
                )
            case _:
                self._observe_run(event)

    def _keep_warning(self, event: GatewayWarned | RunWarned) -> None:
        self.warnings = (*self.warnings[1 - MOST_WARNINGS :], event)

    def _observe_run(self, event: AnyEvent) -> None:
        """Count an event that concerns the run as a whole."""
        match event:
            case RunStarted():
                self._start_run(event)
            case WaveStarted():
                self._begin_wave(event)
            case StepStarted():
                self.step = event
                self._begin_part(event.at, event.wave, event.number)
            case RunWaiting():
                self._wait(event)
            case RunContinued():
                self.waiting = None
                self._update_idling(event.at)
            case Controlled():
                self.parts.skip(event.skipped)
                self.steering = (*self.steering[1 - MOST_CONTROLS :], event)
                self.timeline.mark(event.at, "steer", f"{event.by}: {event.act}")
            case WaveEnded():
                self._find_wave(event.wave).state = "ended"
            case RunStopping():
                self.stopping = event
                self.timeline.mark(event.at, "stop", f"stopping: {name_stop(event.reason)}")
            case RunEnded():
                self._end_run(event)
            case _:
                pass

    def _start_run(self, event: RunStarted) -> None:
        self.started = event
        self.pace, self.timeline = PaceMeter(event.at), TimelineCounter(event.at)
        whole = PartLeft(wave="", number=1, left=event.left)
        self.parts = RemainingParts(event.parts or (whole,))
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
        for group in event.causes:
            self.causes.count_group(group)
        if not event.past_stop:
            self.counts_before_step.update(
                {(entry.outcome, entry.word): entry.count for entry in event.earlier}
            )
        self._update_idling(event.at)

    def _begin_wave(self, event: WaveStarted) -> None:
        self.wave, self.step, self.causes_in_wave = event.wave, None, CauseCounter()
        wave = self._find_wave(event.wave, event.left)
        wave.state = "going"
        self._wave_outcomes = wave.outcomes
        self.timeline.mark(event.at, "wave", f"wave {event.wave}")
        self._begin_part(event.at, event.wave, None)

    def _begin_part(self, at: float, wave: str, number: int | None) -> None:
        self.counts_before_step.update(self.counts_in_step)
        self.counts_in_step.clear()
        self.is_between_steps = False
        self.parts.begin(wave, number)
        self._update_idling(at)

    def _update_idling(self, at: float) -> None:
        """Tell each lane whether it has something to do in the part that goes on now."""
        left = self.parts.left_now
        for name, lane in self.lanes.items():
            if left.get(name, 0) > 0 and self.waiting is None:
                lane.stop_idling(at)
            else:
                lane.start_idling(at)

    def _wait(self, event: RunWaiting) -> None:
        self.waiting = event
        # The part is over, and its pause is this wait: to keep the part would count the pause twice. The
        # question that an earlier session left open comes before all parts of this one.
        if event.why in ("pause_after", "proceed") and self.wave:
            self.is_between_steps = True
            self.parts.end(event.wave, self.step.number if self.step is not None else None)
        self._update_idling(event.at)

    def _change_lane(self, event: LaneChanged) -> None:
        lane = self._find_lane(event.gateway)
        was_parked = lane.state == "parked"
        lane.change_state(event)
        if lane.state in ("parked", "closed") or (was_parked and lane.state == "open"):
            words = "answers again" if lane.state == "open" else lane.state
            self.timeline.mark(event.at, "park", f"{event.gateway} {words}")

    def _end_run(self, event: RunEnded) -> None:
        self.ended, self.waiting = event, None
        if not event.outcomes:
            return
        for name, by_gateway in event.outcomes.items():
            self._find_wave(name).settle(by_gateway.values())
        for lane in self.lanes.values():
            lane.settle([by_gateway.get(lane.name, {}) for by_gateway in event.outcomes.values()])
        self._settle_causes(event)

    def _settle_causes(self, event: RunEnded) -> None:
        """Bring the causes to the counts of the end.

        No event told of the targets that the session did not come to. And a journal that broke off may lack
        outcomes that events have told: what a report tells of those targets counts instead.
        """
        told = Counter[tuple[Outcome, str]]()
        for group in self.causes.list_groups():
            # Apart from targets not started, a label is not always the first word of the reason.
            told[group.outcome, group.label if group.outcome is Outcome.NOT_STARTED else ""] += group.count
        for entry in sorted(event.reasons, key=lambda entry: entry.count):
            key = entry.outcome, entry.word if entry.outcome is Outcome.NOT_STARTED else ""
            counted = min(told[key], entry.count)
            told[key] -= counted
            if entry.outcome not in DONE and (more := entry.count - counted):
                label, text = name_cause(entry.outcome, entry.word, LastAnswers())
                self.causes.count_group(CauseGroup(outcome=entry.outcome, label=label, text=text, count=more))
        for (outcome, label), surplus in told.items():
            self.causes.take_away(outcome, label or None, surplus)

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
        lane = self._find_lane(event.gateway)
        lane.start_attempt(event.target, event.at)
        self.in_flight += 1
        # The timeline without a call: only the first event of a bucket costs one.
        if event.at >= self.timeline.until:
            self.timeline.go_to(event.at, self.in_flight, self.sum_bounds())
        bucket = self.timeline.bucket
        bucket.in_flight = max(bucket.in_flight, self.in_flight)
        if event.act in CHANGES:
            bucket.sent += 1
            lane.started.add(event.target)
            if event.target not in self._begun:
                self._begun.add(event.target)
                lane.begun += 1

    def _count_refusal(self, event: AttemptEnded) -> None:
        """Count an undeploy that the gateway asked to wait, at the time of its reply."""
        if event.act in CHANGES:
            if event.at >= self.timeline.until:
                self.timeline.go_to(event.at, self.in_flight, self.sum_bounds())
            self.timeline.bucket.refused += 1

    def _end_target(self, event: TargetEnded) -> None:
        lane, outcome = self._find_lane(event.gateway), event.outcome
        lane.end_target(event)
        # Without a call: nearly all targets end in the wave that goes on, and as the run wants them.
        outcomes = self._wave_outcomes if event.wave == self.wave else self._find_wave(event.wave).outcomes
        outcomes[outcome] += 1
        if self.parts.count_down(event.gateway):
            lane.start_idling(event.at)
        if event.at >= self.timeline.until:
            self.timeline.go_to(event.at, self.in_flight, self.sum_bounds())
        ended = self.timeline.bucket.ended
        ended[outcome] = ended.get(outcome, 0) + 1
        if outcome is not Outcome.NOT_STARTED:
            self.pace.count(event.at)
        if outcome in DONE and not event.reason:
            self.counts_in_step[outcome, ""] += 1
        else:
            self._count_trouble(event)
        if event.target in self._without_snapshot:
            self.unrestorable += outcome in (Outcome.UNDEPLOYED, Outcome.UNKNOWN)
        self._begun.discard(event.target)
        self._last_answers.pop(event.target, None)
        # Most runs have nothing of these.
        if self._without_snapshot:
            self._without_snapshot.discard(event.target)
        if self._coded_answers:
            self._coded_answers.pop(event.target, None)

    def _count_trouble(self, event: TargetEnded) -> None:
        """Count a target for the stop rules and by its cause."""
        word = find_word(event.outcome, event.reason)
        if event.outcome is Outcome.NOT_STARTED and word == Reason.SKIPPED:
            self.parts.pass_over(event.gateway)
        is_excused = event.doubted and may_end_so_again(event.outcome, event.reason)
        if not (is_excused and self.started is not None and self.started.past_stop):
            self.counts_in_step[event.outcome, word] += 1
        if event.outcome in DONE:
            return
        label, text = name_cause(event.outcome, event.reason, self._find_answers(event.target))
        for counter in (self.causes, self.causes_in_wave):
            counter.count_target(event.outcome, label, text, event.gateway, event.target, event.name)

    def _find_answers(self, target: TargetId) -> LastAnswers:
        coded, last = self._coded_answers.get(target), self._last_answers.get(target)
        return LastAnswers(
            code=coded.code if coded else None,
            code_message=coded.message if coded else None,
            status=last.status if last else None,
            message=last.message if last else None,
        )


def merge_counts(*counts: Mapping[tuple[Outcome, str], int]) -> Counter[tuple[Outcome, str]]:
    """Return the sums of several counts."""
    merged = Counter[tuple[Outcome, str]]()
    for each in counts:
        # Another thread may read: to copy takes one step, and an iteration would see the counts change.
        merged.update(dict(each))
    return merged
