"""Phrases that the live picture, the plain lines and ``undeploy status`` share."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from orchestrator.display.lane_progress import GIVEN_UP
from orchestrator.display.progress import RunProgress
from orchestrator.model.events import (
    Controlled,
    LaneChanged,
    RunStarted,
    RunStopping,
    RunWaiting,
)
from orchestrator.model.forecast import Forecast
from orchestrator.model.outcome import NO_WORKER, drop_word
from orchestrator.report.words import describe_protection, name_act
from orchestrator.rules.forecast import find_last_starts
from orchestrator.text.characters import make_visible
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import format_clock, format_span, format_time_of_day


def describe_done(forecast: Forecast, now: float) -> str:
    """Return the full minute by which all will be done; else as much of that as is known."""
    if forecast.done is not None:
        return f"done by {_name_minute(forecast.done, now)}{describe_questions(forecast)}"
    if forecast.hindered:
        latest = (
            f"; at the latest {_name_minute(forecast.latest, now)}" if forecast.latest is not None else ""
        )
        return f"{make_visible(forecast.hindered)}: the end is unknown{latest}"
    known = [wave for wave in forecast.waves if wave.done is not None]
    if not known:
        return "forecast: not yet known"
    wave = make_visible(known[-1].name)
    return f"wave {wave} done by {_name_minute(known[-1].done or now, now)}; the rest is not yet known"


def describe_questions(forecast: Forecast) -> str:
    """Return the condition that the run's questions put on a forecast, after a comma; empty without any."""
    if not forecast.questions:
        return ""
    questions = "its question is" if forecast.questions == 1 else f"its {forecast.questions:,} questions are"
    return f", if {questions} answered at once"


def _name_minute(at: float, now: float) -> str:
    """Return the full minute that ends after the Unix time ``at``."""
    return format_time_of_day(ceil(at / 60) * 60, now)


def describe_window_fit(forecast: Forecast) -> str:
    """Return whether the run fits its window; empty without a window, or if unknown."""
    if forecast.spare is None:
        return "misses the window" if forecast.late else ""
    if forecast.spare < 0:
        return f"misses the window by {_round_spare(forecast.spare)}"
    return f"fits the window, {_round_spare(forecast.spare)} to spare"


def list_late_gateways(forecast: Forecast) -> Iterator[str]:
    """Yield, for each gateway that is late, its last start and how many targets that leaves out."""
    for gateway in forecast.gateways:
        if gateway.late and gateway.starts_until is not None:
            targets = count_noun(gateway.late, "target")
            begins = f"starts nothing after {format_clock(gateway.starts_until)}"
            name = make_visible(gateway.name)
            yield f"{name} {begins}: at least {targets} of it cannot start in the window"


def list_last_starts(event: RunStarted) -> Iterator[str]:
    """Yield one line with the last start of each gateway; none without a window."""
    last = find_last_starts(event.closes, event.timeouts)
    phrases = [f"{make_visible(name)} {format_clock(last[name])}" for name in event.left if name in last]
    if phrases:
        yield f"undeploys start until one timeout before the window closes: {', '.join(phrases)}"


def _round_spare(spare: float) -> str:
    # A spare time is rounded down, a missing time up: a forecast must not promise too much.
    unit = 60 if abs(spare) >= 60 else 1
    return format_span(abs(spare // unit * unit))


def format_rate(rate: float) -> str:
    """Return a measured rate, with one decimal even if it is 0: a number that changes keeps its width."""
    return f"{rate:.1f}/s"


def format_bound(rate: float) -> str:
    """Return the bound of a rate, with one decimal if it is below 10/s."""
    return f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s"


def describe_wait(progress: RunProgress, now: float) -> str:
    """Return the cause and the length of a wait, and the command that ends it; empty without a wait."""
    event = progress.waiting
    if event is None:
        return ""
    left = format_span(ceil(max(0.0, event.until - now))) if event.until is not None else ""
    match event.why:
        case "window":
            opens = (
                f" at {format_time_of_day(event.until, now)}, in {left}" if event.until is not None else ""
            )
            return f"waits for the window to open{opens}"
        case "pause_after":
            return f"pause after {_name_ended_part(progress, event)}{left and f', {left} left'}"
        case "proceed":
            return f"{_name_ended_part(progress, event)} has ended: {describe_answers(progress, event)}"
        case _:
            return f"paused; {_name_continue(progress)}"


def describe_answers(progress: RunProgress, event: RunWaiting) -> str:
    """Return how a person answers a run that asks after a wave."""
    # Read on the page and in other terminals, too: only the run's own question says what to type.
    here = "its terminal asks; " if event.answers else ""
    return f"{here}{_name_continue(progress)} with the next"


def _name_continue(progress: RunProgress) -> str:
    started = progress.started
    run, state = ("RUN", "") if started is None else (started.run, started.state_option)
    return f"`undeploy control {run} continue{state}` goes on"


def _name_ended_part(progress: RunProgress, event: RunWaiting) -> str:
    """Name the wave that has ended, or the step that has ended."""
    name, ended_step = make_visible(event.wave or progress.wave), progress.find_ended_step(event)
    if ended_step is not None:
        number, steps = ended_step
        return f"wave {name}, step {number} of {steps}"
    return f"wave {name}"


def describe_setting(event: RunStarted) -> str:
    """Return the act, the gateways, the window, the session and the approval of a run."""
    places = ", ".join(f"{make_visible(name)} {make_visible(url)}" for name, url in event.urls.items())
    stand_in = "simulators in place of " if event.rehearsal else ""
    phrases = [
        f"{name_act(event.act, rehearsal=event.rehearsal)} at {stand_in}{places}",
        *_list_setting(event),
    ]
    if event.approval:
        phrases.append(f"approved: {make_visible(event.approval)}")
    return "; ".join(phrases)


def describe_protect(event: RunStarted) -> str:
    """Return how many patterns are in force, and how many targets they protect; empty for a restore."""
    if event.patterns is None:
        return ""
    return f"protect: {describe_protection(event.patterns, event.protected)}"


def _list_setting(event: RunStarted) -> Iterator[str]:
    if event.opens is not None or event.closes is not None:
        opens = f"from {format_time_of_day(event.opens, event.at)} " if event.opens is not None else ""
        closes = (
            f"until {format_time_of_day(event.closes, event.at)}"
            if event.closes is not None
            else "without an end"
        )
        yield f"window {opens}{closes}"
    if event.session > 1:
        yield f"session {event.session}"


def describe_control(event: Controlled) -> str:
    """Return the person who steered the run, the place, and the act."""
    origin = f" ({make_visible(event.origin)})" if event.origin else ""
    return f"{make_visible(event.by)}{origin}: {make_visible(event.act)}"


def describe_landing(progress: RunProgress, event: RunStopping) -> str:
    """Return how much a run that stops still awaits, and how to leave at once."""
    again = "; interrupt again to leave at once" if event.interrupted else ""
    # Requests, looks among them: the targets of looks alone will count as not started.
    flying = f"{count_noun(progress.in_flight, 'request')} in flight will land"
    return f"{flying if progress.in_flight else describe_stillness(progress)}{again}"


def describe_stillness(progress: RunProgress) -> str:
    """Return that nothing is in flight, and what is in doubt though no reply to it is awaited any more."""
    # The requests of a worker that was lost may have arrived.
    lost = progress.count_unanswered()
    return f"nothing is in flight{f', and {lost:,} had no reply' if lost else ''}"


def describe_lane(event: LaneChanged) -> str:
    """Return the state of a lane in words: ``paused for 12 s: 429``."""
    # Where a worker is missing, the gateway was never asked, and nothing probes it.
    parked = "parked" if NO_WORKER in (event.reason or "") else "parked, being probed"
    parked = GIVEN_UP if event.given_up else parked
    words = {"open": "goes on", "parked": parked, "closed": "closed to the end of the run"}
    text = words.get(event.state, event.state)
    if event.state == "paused" and event.seconds is not None:
        text += f" for {format_span(event.seconds)}"
    return f"{text}: {make_visible(drop_word(event.reason, event.state))}" if event.reason else text
