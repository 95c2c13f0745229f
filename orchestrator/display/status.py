"""The status of a run at one moment, from its progress alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from math import ceil
from operator import attrgetter

from msgspec.structs import replace

from orchestrator.display.lane_progress import GIVEN_UP, LaneProgress
from orchestrator.display.phrases import describe_answers, describe_protect, describe_wait
from orchestrator.display.progress import RunProgress, merge_counts
from orchestrator.display.verdict import count_undone, describe_result, find_act, give_verdict
from orchestrator.display.wave_progress import WaveProgress
from orchestrator.model.causes import OTHER_CAUSES, CauseGroup
from orchestrator.model.events import Controlled, GatewayWarned, RunStarted, RunWarned
from orchestrator.model.forecast import Forecast
from orchestrator.model.live_status import (
    LONGEST_TEXT,
    MOST_CAUSES,
    MOST_LANES,
    MOST_MARKS,
    MOST_WARNINGS,
    ControlStatus,
    EndStatus,
    LaneStatus,
    LiveStatus,
    OverTime,
    RequestCounts,
    RuleHeadroom,
    RunFacts,
    TimeMark,
    WaveStatus,
)
from orchestrator.model.outcome import Outcome, drop_word
from orchestrator.model.plan import RunId
from orchestrator.report.values import list_outcomes
from orchestrator.report.words import ACT_WORDS, name_act, name_stop
from orchestrator.rules.stop_rules import StoppingScope, measure_headroom
from orchestrator.text.characters import show_briefly
from orchestrator.text.counting import join_words, name_first
from orchestrator.text.formats import find_utc_offset, format_clock, format_span, list_utc_offsets

_CAUSES_AN_OUTCOME = MOST_CAUSES // 3
_CAUSES_ASKED = 3
"""Causes that a question names."""
_MOST_GATEWAYS = 8
"""Gateways that a cause names."""

NOT_BEGUN = RunStarted(at=0.0, run=RunId(""), plan="", targets=0, left={}, resumed=False)
"""Stands for the first event of a run that has told none yet."""


def read_status(progress: RunProgress, now: float) -> LiveStatus:
    """Return the status of a run at the Unix time ``now``."""
    started = progress.started or NOT_BEGUN
    forecast, stopping = progress.make_forecast(now), progress.stopping
    waits_for, until = find_wait(progress, now)
    waves, lanes = _choose_waves(progress), _choose_lanes(progress)
    verdict = give_verdict(progress, now, forecast=forecast, waits_for=waits_for)
    return LiveStatus(
        at=now,
        run=_read_facts(started, now),
        verdict=verdict,
        wave=progress.waves[progress.wave].number if progress.wave in progress.waves else None,
        waves=tuple(_read_waves(waves, progress, forecast)),
        waves_left_out=len(progress.waves) - len(waves),
        lanes=tuple(_read_lanes(lanes, progress, now, forecast)),
        lanes_left_out=len(progress.lanes) - len(lanes),
        causes=tuple(choose_causes(progress.causes.list_groups())),
        over_time=_read_over_time(progress, now),
        requests=tuple(_read_requests(lanes)),
        controls=tuple(map(_read_control, progress.steering)),
        question=compose_question(progress),
        headroom=tuple(_read_headroom(progress)),
        warnings=tuple(map(_read_warning, progress.warnings[-MOST_WARNINGS:])),
        waits_for=waits_for,
        until=until,
        stopping=_shorten(name_stop(stopping.reason)) if stopping is not None else None,
        is_interrupted=stopping is not None and stopping.interrupted,
        closes=started.closes,
        forecast=forecast and _bound_forecast(forecast),
        ended=_read_end(progress, verdict.headline),
        unrestorable=progress.unrestorable,
    )


def _read_facts(started: RunStarted, now: float) -> RunFacts:
    return RunFacts(
        id=started.run,
        plan=_show(started.plan),
        act=started.act,
        act_words=name_act(started.act, rehearsal=started.rehearsal),
        goal=ACT_WORDS[started.act].goal,
        rehearsal=started.rehearsal,
        reason=_shorten(started.reason),
        targets=started.targets,
        session=started.session,
        resumed=started.resumed,
        started=started.at,
        opens=started.opens,
        closes=started.closes,
        approval=_show(started.approval),
        protect=describe_protect(started),
        utc_offset=find_utc_offset(now),
        utc_offsets=list_utc_offsets(now),
    )


def _choose_waves(progress: RunProgress) -> list[WaveProgress]:
    """Return the waves to name: all, or those around the wave that goes on."""
    waves = list(progress.waves.values())
    here = progress.waves[progress.wave].number if progress.wave in progress.waves else 0
    first = max(0, min(here - MOST_LANES // 2, len(waves) - MOST_LANES))
    return waves[first : first + MOST_LANES]


def _choose_lanes(progress: RunProgress) -> list[LaneProgress]:
    """Return the lanes to name: all in the plan's order, or those first that need attention."""
    lanes = list(progress.lanes.values())
    if len(lanes) > MOST_LANES:
        lanes.sort(key=lambda lane: (lane.state == "open", lane.ended >= lane.total))
    return lanes[:MOST_LANES]


def _read_waves(
    waves: Sequence[WaveProgress], progress: RunProgress, forecast: Forecast | None
) -> Iterator[WaveStatus]:
    ends = {wave.name: wave.done for wave in forecast.waves} if forecast else {}
    step = progress.step
    outcomes = list_outcomes(find_act(progress))
    for wave in waves:
        goes_on = step is not None and step.wave == wave.name and wave.state == "going"
        yield WaveStatus(
            name=_show(wave.name),
            number=wave.number,
            state=wave.state,
            total=wave.total,
            ended=wave.ended - count_undone(wave.outcomes[Outcome.NOT_STARTED], progress),
            counts={outcome.value: wave.outcomes[outcome] for outcome in outcomes},
            step=step.number if step is not None and goes_on else None,
            steps=wave.steps,
            done_by=None if wave.state == "ended" else ends.get(wave.name),
            pause_after=wave.pause_after,
            asks=wave.asks,
        )


def _read_lanes(
    lanes: Sequence[LaneProgress], progress: RunProgress, now: float, forecast: Forecast | None
) -> Iterator[LaneStatus]:
    ends = {gateway.name: gateway.done for gateway in forecast.gateways} if forecast else {}
    outcomes = list_outcomes(find_act(progress))
    for lane in lanes:
        undone = count_undone(lane.outcomes[Outcome.NOT_STARTED], progress)
        undone_earlier = count_undone(lane.earlier[Outcome.NOT_STARTED], progress)
        yield _read_lane(
            lane, outcomes, now, ends.get(lane.name), undone=undone, undone_earlier=undone_earlier
        )


def _read_lane(
    lane: LaneProgress,
    outcomes: Iterable[Outcome],
    now: float,
    done_by: float | None,
    *,
    undone: int,
    undone_earlier: int,
) -> LaneStatus:
    state = lane.find_state(now)
    left = lane.total - lane.ended
    earlier = sum(lane.earlier.values())
    return LaneStatus(
        name=_show(lane.name),
        kind=lane.kind,
        url=_show(lane.url),
        state=state,
        state_words="stopped" if undone and state == "open" else _describe_state(lane, now),
        reason=_shorten(lane.reason) if state != "open" else None,
        total=lane.total + earlier,
        ended=lane.ended + earlier - undone - undone_earlier,
        left=left,
        counts={outcome.value: lane.outcomes[outcome] + lane.earlier[outcome] for outcome in outcomes},
        in_flight=lane.in_flight,
        limit=lane.limit,
        rate=lane.pace.measure_rate(now) if left else None,
        bound=lane.bound,
        refused=lane.refused,
        repeating=len(lane.waiting),
        list_asked=_shorten(lane.list_asked),
        since=lane.since if state != "open" else None,
        until=lane.paused_until if state == "paused" else None,
        # A probe that is overdue leaves with the next target, and not in the past.
        # Where nothing is left, nothing probes the gateway any more.
        probe_at=None if lane.probe_at is None or not left else max(now, lane.probe_at),
        gives_up_at=lane.gives_up_at if left else None,
        given_up=lane.given_up,
        done_by=done_by if state in ("open", "paused") else None,
        warning=_shorten(lane.warning),
        fault=_shorten(lane.fault) if lane.waiting else None,
    )


def _read_requests(lanes: Sequence[LaneProgress]) -> Iterator[RequestCounts]:
    for lane in lanes:
        for act, tally in lane.requests.items():
            yield tally.describe(_show(lane.name), act.value)


def _describe_state(lane: LaneProgress, now: float) -> str:
    state = lane.find_state(now)
    if state == "paused" and lane.paused_until is not None:
        return f"paused {format_span(ceil(lane.paused_until - now))}"
    if state == "open":
        return "done" if lane.ended >= lane.total else "open"
    words = GIVEN_UP if lane.given_up else state
    return f"{words}: {_show(drop_word(lane.reason, state))}" if lane.reason else words


def find_wait(progress: RunProgress, now: float) -> tuple[str | None, float | None]:
    """Return what the run waits for, in words, and until when; None where it does not wait, or is unknown."""
    if (waiting := progress.waiting) is not None:
        # The question beside it names the wave and its result.
        asks = waiting.why == "proceed"
        words = f"waits for an answer: {describe_answers(progress, waiting)}" if asks else None
        return words or describe_wait(progress, now), waiting.until
    if progress.ended is not None:
        return None, None
    held = [lane for lane in progress.lanes.values() if lane.is_waited_for(now)]
    if not held:
        return _describe_silence(progress, now), None
    ends = (lane.paused_until or lane.probe_at or lane.gives_up_at for lane in held)
    instants = [at for at in ends if at is not None]
    by_state = {
        state: [lane for lane in held if lane.find_state(now) == state] for state in ("parked", "paused")
    }
    told = "; ".join(describe_lane_waits(lanes, now) for lanes in by_state.values() if lanes)
    return told, max(now, min(instants)) if instants else None


def _describe_silence(progress: RunProgress, now: float) -> str | None:
    """Return which gateways the part that goes on waits for, if none of its gateways gives a reply."""
    left = progress.parts.left_now
    at_work = [lane for lane in progress.lanes.values() if left.get(lane.name, 0) > 0 and not lane.is_over]
    silences = [lane.measure_silence(now) for lane in at_work]
    known = [silence for silence in silences if silence is not None]
    if not known or len(known) < len(silences):
        return None
    names = [_show(lane.name) for lane in at_work]
    return f"{name_first(names, 3)}, no reply for {format_span(int(min(known)))}"


def describe_lane_wait(lane: LaneProgress, now: float) -> str:
    """Return how a paused or parked lane waits: ``eu, parked 40 s; probe in 12 s; gives up 06:38:00``."""
    state = lane.find_state(now)
    since = "" if lane.since is None else f" {format_span(int(max(0.0, now - lane.since)))}"
    parts = [f"{_show(lane.name)}, {state}{since}"]
    if state == "paused" and lane.paused_until is not None:
        parts.append(f"goes on in {format_span(ceil(lane.paused_until - now))}")
    if lane.probe_at is not None:
        left = ceil(lane.probe_at - now)
        parts.append(f"probe in {format_span(left)}" if left > 0 else "probe is due")
    if lane.gives_up_at is not None:
        parts.append(f"gives up {format_clock(lane.gives_up_at)}")
    return "; ".join(parts)


def describe_lane_waits(lanes: Sequence[LaneProgress], now: float) -> str:
    """Return how lanes of one state wait, told once for all: ``eu and tr, parked; next probe in 12 s``."""
    if len(lanes) == 1:
        return describe_lane_wait(lanes[0], now)
    names = [_show(lane.name) for lane in lanes]
    named = name_first(names, 3) if len(names) > 3 else join_words(names)
    parts = [f"{named}, {lanes[0].find_state(now)}"]
    if pauses := [lane.paused_until for lane in lanes if lane.paused_until is not None]:
        parts.append(f"the first goes on in {format_span(ceil(min(pauses) - now))}")
    if probes := [lane.probe_at for lane in lanes if lane.probe_at is not None]:
        left = ceil(min(probes) - now)
        parts.append(f"next probe in {format_span(left)}" if left > 0 else "a probe is due")
    if ends := [lane.gives_up_at for lane in lanes if lane.gives_up_at is not None]:
        parts.append(f"the last gives up {format_clock(max(ends))}")
    return "; ".join(parts)


def choose_causes(groups: Sequence[CauseGroup]) -> Iterator[CauseGroup]:
    """Yield the largest causes of each outcome, and the rest of that outcome as one."""
    for outcome, here in groupby(groups, key=lambda group: group.outcome):
        found = list(here)
        shown = found if len(found) <= _CAUSES_AN_OUTCOME else found[: _CAUSES_AN_OUTCOME - 1]
        yield from map(_show_cause, shown)
        if rest := found[len(shown) :]:
            count = sum(group.count for group in rest)
            yield CauseGroup(outcome=outcome, label=OTHER_CAUSES, text=None, count=count)


def _show_cause(group: CauseGroup) -> CauseGroup:
    return CauseGroup(
        outcome=group.outcome,
        label=_show(group.label),
        text=_shorten(group.text),
        count=group.count,
        gateways=tuple(map(_show, group.gateways[:_MOST_GATEWAYS])),
        examples=tuple(map(_show, group.examples)),
        names=tuple(map(_shorten, group.names)),
    )


def _read_over_time(progress: RunProgress, now: float) -> OverTime:
    ended = progress.ended
    at, started = now if ended is None else min(now, ended.at), progress.started
    found = progress.timeline.read(at, progress.in_flight, progress.sum_bounds())
    if started is None or started.closes is None or at < started.closes:
        return found
    closed = TimeMark(at=started.closes, kind="close", text="the window closes")
    # A lane that parks, or a person who stops, may come after the close: a chart numbers the marks in order.
    return replace(found, marks=tuple(sorted((*found.marks[1 - MOST_MARKS :], closed), key=attrgetter("at"))))


def _read_headroom(progress: RunProgress) -> Iterator[RuleHeadroom]:
    started = progress.started
    if started is None or not progress.wave:
        return iter(())
    in_step = StoppingScope(
        where=_name_step(progress),
        counts=dict(progress.counts_in_step),  # another thread may count meanwhile
        # In the pause behind a step the parts begin with the next one, whose targets count there.
        left=0 if progress.is_between_steps else sum(max(0, n) for n in progress.parts.left_now.values()),
    )
    in_run = StoppingScope(
        where="the run",
        counts=merge_counts(progress.counts_before_step, progress.counts_in_step),
        left=progress.total - progress.done,
    )
    return measure_headroom(started.stop_when, in_run, in_step, first_run=not started.resumed)


def _name_step(progress: RunProgress) -> str:
    wave, step = f"wave {_show(progress.wave)}", progress.step
    return wave if step is None else f"step {step.number} of {step.steps} of {wave}"


def compose_question(progress: RunProgress) -> str | None:
    """Return what a person is asked, with the result of the wave, or of its steps so far, and the causes."""
    if (waiting := progress.waiting) is None or waiting.why != "proceed":
        return None
    name, ended_step = waiting.wave or progress.wave, progress.find_ended_step(waiting)
    ended = f"wave {_show(name)}"
    if ended_step is not None:
        number, steps = ended_step
        ended = f"step {number} of {steps} of {ended}"
    wave = progress.waves.get(name)
    result = "" if wave is None else f": {describe_result(progress, wave)}{_name_causes(progress)}"
    return f"{ended} has ended{result}; go on with the next?"


def _name_causes(progress: RunProgress) -> str:
    """Name the first causes of what is not as wanted in the wave, in brackets."""
    groups = progress.causes_in_wave.list_groups()
    labels = [_show(group.label) for group in groups]
    return f" ({name_first(labels, _CAUSES_ASKED)})" if labels else ""


def _read_control(event: Controlled) -> ControlStatus:
    return ControlStatus(at=event.at, act=_show(event.act), by=_show(event.by), origin=_show(event.origin))


def _read_warning(event: GatewayWarned | RunWarned) -> str:
    about = f"{_show(event.gateway)}: " if isinstance(event, GatewayWarned) else ""
    return f"{about}{_show(event.text)}"


def _read_end(progress: RunProgress, headline: str) -> EndStatus | None:
    if (ended := progress.ended) is None:
        return None
    return EndStatus(at=ended.at, state=ended.state, exit_status=ended.exit_status, headline=headline)


def _bound_forecast(forecast: Forecast) -> Forecast:
    return replace(
        forecast,
        hindered=_shorten(forecast.hindered),
        gateways=tuple(replace(each, name=_show(each.name)) for each in forecast.gateways[:MOST_LANES]),
        waves=tuple(replace(each, name=_show(each.name)) for each in forecast.waves[:MOST_LANES]),
    )


def _show(text: str) -> str:
    """Return a text from outside, visible and of bounded length."""
    return show_briefly(text, LONGEST_TEXT)


def _shorten(text: str | None) -> str | None:
    return None if text is None else _show(text)
