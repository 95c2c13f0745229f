"""The status of a live run, which only the run's own process knows.

The fields are the words of the control socket's answer to ``status``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.display.lane_progress import GIVEN_UP, LaneProgress
from orchestrator.display.phrases import describe_wait
from orchestrator.display.progress import RunProgress
from orchestrator.lanes.lane import Lane
from orchestrator.rules.forecast import Forecast
from orchestrator.text.characters import make_visible
from orchestrator.text.formats import format_clock

MOST_LANES = 60
"""Maximum number of lanes, and of waves, in one answer: an answer is one line of bounded length."""


class LiveLaneStatus(Struct, frozen=True, kw_only=True):
    """The status of one lane. Instants are Unix times."""

    name: str
    state: str
    """``open``, ``paused``, ``parked`` or ``closed``."""
    reason: str | None = None
    left: int = 0
    """Targets without an outcome in this session."""
    in_flight: int = 0
    list_asked: str | None = None
    """The page of a list that the gateway is being asked for, in words."""
    repeating: int = 0
    """Targets that wait before their next attempt."""
    rate: float | None = None
    """Maximum number of undeploys a second; None without a bound."""
    until: float | None = None
    """When a pause ends."""
    probe_at: float | None = None
    """When the next probe of a parked lane leaves."""
    gives_up_at: float | None = None
    """When the session gives a parked lane up, if no probe is answered by then."""
    given_up: bool = False
    """Whether the lane is parked and the session waits for it no more."""


class LiveStatus(Struct, frozen=True, kw_only=True):
    """The status of a run at the Unix time ``at``."""

    at: float
    wave: str = ""
    step: int | None = None
    steps: int | None = None
    ended: int = 0
    """Targets that have ended in this session, of the ``left`` that it began with."""
    left: int = 0
    waits_for: str | None = None
    until: float | None = None
    """When the wait ends at the latest, or the next probe leaves; None if no end is known."""
    stopping: str | None = None
    closes: float | None = None
    lanes: tuple[LiveLaneStatus, ...] = ()
    forecast: Forecast | None = None


def read_live_status(
    progress: RunProgress, lanes: Mapping[str, Lane], now: float, monotonic: float
) -> LiveStatus:
    """Return the status of a run at one moment: by its events, and by its lanes on the monotonic clock."""
    statuses = tuple(
        _read_lane_status(lane, lanes.get(lane.name), now, monotonic)
        for lane in list(progress.lanes.values())[:MOST_LANES]
    )
    step = progress.step
    waits_for, until = _find_wait(progress, statuses, now)
    forecast = progress.make_forecast(now)
    return LiveStatus(
        at=now,
        wave=progress.wave,
        step=step.number if step else None,
        steps=step.steps if step else None,
        ended=progress.done,
        left=progress.total,
        waits_for=waits_for,
        until=until,
        stopping=progress.stopping,
        closes=progress.started.closes if progress.started else None,
        lanes=statuses,
        forecast=forecast
        and replace(forecast, gateways=forecast.gateways[:MOST_LANES], waves=forecast.waves[:MOST_LANES]),
    )


def _read_lane_status(seen: LaneProgress, lane: Lane | None, now: float, monotonic: float) -> LiveLaneStatus:
    state = seen.find_state(now)
    probe, gives_up = lane.state.probe_times() if lane and state == "parked" else (None, None)
    return LiveLaneStatus(
        name=seen.name,
        state=state,
        reason=seen.reason if state != "open" else None,
        left=seen.total - seen.ended,
        in_flight=seen.in_flight,
        list_asked=seen.list_asked,
        repeating=len(seen.waiting),
        rate=seen.bound,
        until=seen.paused_until if state == "paused" else None,
        # A probe that is overdue leaves with the next target, and not in the past.
        probe_at=None if probe is None else max(now, now + probe - monotonic),
        gives_up_at=None if gives_up is None else now + gives_up - monotonic,
        given_up=seen.given_up,
    )


def _find_wait(
    progress: RunProgress, lanes: Sequence[LiveLaneStatus], now: float
) -> tuple[str | None, float | None]:
    if progress.waiting is not None:
        return describe_wait(progress, now), progress.waiting.until
    held = [lane for lane in lanes if lane.left and lane.state in ("paused", "parked") and not lane.given_up]
    if not held:
        return None, None
    instants = [at for lane in held if (at := lane.until or lane.probe_at) is not None]
    return "; ".join(map(describe_lane_wait, held)), min(instants, default=None)


def describe_lane_wait(lane: LiveLaneStatus) -> str:
    """Return in words how long a paused or parked lane waits, and why."""
    return f"{make_visible(lane.name)} is {lane.state}{''.join(_describe_times(lane))}"


def _describe_times(lane: LiveLaneStatus) -> Iterator[str]:
    if lane.until is not None:
        yield f" until {format_clock(lane.until)}"
    if lane.probe_at is not None:
        yield f", probed at {format_clock(lane.probe_at)}"
    if lane.gives_up_at is not None:
        yield f", given up at {format_clock(lane.gives_up_at)}"
    if lane.given_up:
        yield f", {GIVEN_UP}"
    if lane.reason:
        yield f": {make_visible(lane.reason.removeprefix(f'{lane.state}: '))}"
