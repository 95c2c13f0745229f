"""How a run stands, in a few words: its state, its tone, its counts and its end. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestrator.display.phrases import describe_done, describe_stillness, describe_window_fit
from orchestrator.display.progress import RunProgress
from orchestrator.display.wave_progress import WaveProgress
from orchestrator.model.forecast import Forecast
from orchestrator.model.live_status import LONGEST_TEXT, RunPhase, RunVerdict, Tone
from orchestrator.model.outcome import DONE, Outcome
from orchestrator.report.headline import choose_end_tone, name_completion
from orchestrator.report.values import list_outcomes
from orchestrator.report.words import ACT_WORDS, OUTCOME_WORDS, name_stop
from orchestrator.text.characters import show_briefly
from orchestrator.text.counting import count_noun

_TONES: dict[RunPhase, Tone] = {
    "starting": "going",
    "running": "going",
    "waiting": "waiting",
    "paused": "waiting",
    "parked": "waiting",
    "stopping": "waiting",
}

_REST = (Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_STARTED)


def find_act(progress: RunProgress) -> str:
    """Return the act of a run, also of one that has told none yet."""
    return progress.started.act if progress.started is not None else "undeploy"


def give_verdict(
    progress: RunProgress, now: float, *, forecast: Forecast | None, waits_for: str | None
) -> RunVerdict:
    """Return how the run stands at the Unix time ``now``; ``waits_for`` is what it waits for, in words."""
    phase = find_phase(progress, now)
    return RunVerdict(
        state=phase,
        tone=_choose_tone(progress, phase),
        headline=compose_headline(progress),
        sentence=_compose_sentence(progress, phase, waits_for),
        done_by=describe_done(forecast, now) if forecast is not None else "",
        against_close=describe_window_fit(forecast) if forecast is not None else "",
        is_late=forecast is not None and forecast.fits is False,
        counts=_count(progress),
    )


def find_phase(progress: RunProgress, now: float) -> RunPhase:
    """Return the state of the run at the Unix time ``now``."""
    if progress.ended is not None:
        return progress.ended.state
    if progress.started is None:
        return "starting"
    if progress.stopping is not None:
        return "stopping"
    if progress.waiting is not None:
        return "paused" if progress.waiting.why == "paused" else "waiting"
    at_work = [lane for lane in progress.lanes.values() if lane.ended < lane.total and not lane.is_over]
    if at_work and all(lane.find_state(now) == "parked" for lane in at_work):
        return "parked"
    return "running" if progress.wave else "starting"


def _choose_tone(progress: RunProgress, phase: RunPhase) -> Tone:
    if progress.ended is None:
        return "bad" if any(_has_closed(progress)) else _TONES[phase]
    wrong = progress.count_in_run(Outcome.FAILED) + progress.count_in_run(Outcome.UNKNOWN)
    is_whole = progress.ended.exit_status == 0
    return choose_end_tone(
        is_whole=is_whole,
        is_broken=not is_whole and (wrong > 0 or any(_has_closed(progress))),
        is_done=_count_done(progress) > 0,
    )


def _has_closed(progress: RunProgress) -> Iterator[bool]:
    return (lane.state == "closed" for lane in progress.lanes.values())


def _count(progress: RunProgress) -> dict[str, int]:
    counts = {outcome.value: progress.count_in_run(outcome) for outcome in list_outcomes(find_act(progress))}
    targets = progress.started.targets if progress.started is not None else 0
    ended = sum(counts.values()) - count_undone(progress.count_in_run(Outcome.NOT_STARTED), progress)
    return {"targets": targets, "ended": ended, **counts}


def count_undone(not_started: int, progress: RunProgress) -> int:
    """Return how many of so many targets ended with a run that ended early, and not for themselves."""
    is_early = progress.ended is not None and progress.ended.state != "complete"
    return not_started if is_early else 0


def _count_done(progress: RunProgress) -> int:
    return sum(progress.count_in_run(outcome) for outcome in DONE)


def compose_headline(progress: RunProgress) -> str:
    """Return the counts of the whole run in words: ``412 of 3,000 down · 9 failed · 2 unknown``."""
    started = progress.started
    if started is None:
        return ""
    reached = f"{_count_done(progress):,} of {started.targets:,} {ACT_WORDS[started.act].goal}"
    return " · ".join([reached, *_list_rest(progress.count_in_run)])


def describe_result(progress: RunProgress, wave: WaveProgress) -> str:
    """Return how the targets of a wave ended: ``3 of 4 down, 1 failed``."""
    done = sum(wave.outcomes[outcome] for outcome in DONE)
    reached = f"{done:,} of {wave.total:,} {ACT_WORDS[find_act(progress)].goal}"
    return ", ".join([reached, *_list_rest(wave.outcomes.__getitem__)])


def _list_rest(count: Callable[[Outcome], int]) -> Iterator[str]:
    return (f"{number:,} {OUTCOME_WORDS[outcome]}" for outcome in _REST if (number := count(outcome)))


def _compose_sentence(progress: RunProgress, phase: RunPhase, waits_for: str | None) -> str:
    match phase:
        case "starting":
            return "the run starts"
        case "stopping":
            landing = count_noun(progress.in_flight, "request lands", "requests land")
            return f"nothing new starts; {landing if progress.in_flight else describe_stillness(progress)}"
        case "complete" if progress.stopping is None:
            return _name_completion(progress)
        case "complete" | "stopped" | "interrupted":
            if progress.stopping is None:
                return phase
            return f"{phase}: {show_briefly(name_stop(progress.stopping.reason), LONGEST_TEXT)}"
        case "running":
            goes_on = f"{describe_wave(progress)} goes on"
            return f"{goes_on}; waits for {waits_for}" if waits_for else goes_on
        case "parked":
            return f"waits for {waits_for}"
        case _:
            return waits_for or phase


def _name_completion(progress: RunProgress) -> str:
    """Say what is wrong with a run that came to its end, as its report does: "complete" alone is praise."""
    is_whole = progress.ended is not None and progress.ended.exit_status == 0
    return name_completion(
        ACT_WORDS[find_act(progress)].goal,
        done=_count_done(progress),
        failed=progress.count_in_run(Outcome.FAILED),
        unknown=progress.count_in_run(Outcome.UNKNOWN),
        missed=0 if is_whole else progress.count_in_run(Outcome.NOT_STARTED),
    )


def describe_wave(progress: RunProgress) -> str:
    """Return the wave that goes on: ``wave 2 of 3, everything, step 1 of 4,``."""
    wave, step = progress.waves[progress.wave], progress.step
    text = f"wave {wave.number:,} of {len(progress.waves):,}, {show_briefly(wave.name, LONGEST_TEXT)},"
    return text if step is None else f"{text} step {step.number} of {step.steps},"
