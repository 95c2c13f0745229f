"""The rest of a run as its events tell it, for the forecast: what is left, and how fast that will go. Pure.

A lane goes on as fast as lately. A lane that has sent little or nothing yet goes as fast as
its own requests allow, or those of the other gateways of its kind, or as its bound allows.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from orchestrator.display.lane_progress import LaneProgress
from orchestrator.display.remaining_parts import RemainingPart, RemainingParts
from orchestrator.model.events import RunStarted, RunWaiting
from orchestrator.model.forecast import Forecast
from orchestrator.rules.forecast import (
    LOOKS_PAST_CLOSE,
    RunPart,
    WorkAhead,
    find_last_starts,
    foresee,
)
from orchestrator.text.counting import choose_form


def forecast_rest(
    started: RunStarted,
    parts: RemainingParts,
    lanes: Mapping[str, LaneProgress],
    waiting: RunWaiting | None,
    asking: Container[str],
    now: float,
) -> Forecast:
    """Return when what is left of a run will be done, and which gateways the window stops.

    ``asking`` has the names of the waves after which, and after the steps of which, a person is asked.
    """
    prospects = dict(_list_prospects(lanes, now))
    until = waiting.until if waiting is not None else None
    # A run that waits for a person goes on at a time that no pace tells.
    stands = waiting is not None and until is None
    ahead = list[RunPart]()
    for part in parts:
        work = tuple(_estimate_work(part, prospects, stands=stands, is_next=not ahead))
        if work:
            ahead.append(RunPart(wave=part.wave, work=work, rest=part.rest, asks=part.wave in asking))
    found = foresee(
        ahead,
        now=now if until is None else max(now, until),
        last=find_last_starts(started.closes, started.timeouts),
        hindered=_find_hindrance(lanes, waiting, now),
    )
    return found if started.closes is None else _bound_by_window(found, started.closes)


def _bound_by_window(forecast: Forecast, closes: float) -> Forecast:
    """Return the forecast with the window's end as the latest one, if nothing brings an earlier one."""
    if forecast.hindered is None:
        return forecast
    ends = closes + LOOKS_PAST_CLOSE
    return replace(forecast, latest=ends if forecast.latest is None else min(forecast.latest, ends))


def _find_hindrance(lanes: Mapping[str, LaneProgress], waiting: RunWaiting | None, now: float) -> str | None:
    """Return what keeps the end of the run unknown, in words."""
    if waiting is not None and waiting.until is None:
        return "the run is paused" if waiting.why == "paused" else "the run waits for an answer"
    states = ((lane.name, lane.find_hindrance(now)) for lane in lanes.values())
    held = [f"{name} is {state}" for name, state in states if state is not None]
    if len(held) < 2:
        return held[0] if held else None
    others = len(held) - 1
    return f"{held[0]} and {others:,} more {choose_form(others, 'stands', 'stand')} still"


def _measure_kinds(lanes: Mapping[str, LaneProgress]) -> dict[str, float]:
    """Return how many seconds of requests a target takes at the gateways of each kind, as far as known."""
    busy: dict[str, list[float]] = {}
    for lane in lanes.values():
        if lane.kind and (seconds := lane.measure_request_seconds()) is not None:
            busy.setdefault(lane.kind, []).append(seconds)
    return {kind: sum(seconds) / len(seconds) for kind, seconds in busy.items()}


class _LaneProspect(NamedTuple):
    """What a lane may be expected to do from now on."""

    rate: float | None
    """Targets a second; None if nothing tells that."""
    least: float
    """Seconds that a single target takes; 0 if nothing tells that."""
    is_held: bool
    longest_hold: float | None
    """Seconds for which it stands still at most; None if that is unknown."""
    under_way: int
    """Targets whose undeploy has left, and need not be repeated so far."""


def _list_prospects(lanes: Mapping[str, LaneProgress], now: float) -> Iterator[tuple[str, _LaneProspect]]:
    """Yield the name and the prospect of each lane that goes on."""
    # Once for all waves: a plan may have many gateways in each of many waves.
    peers = _measure_kinds(lanes)
    for name, lane in lanes.items():
        if not lane.is_over:
            yield (
                name,
                _LaneProspect(
                    rate=lane.estimate_rate(now, peers.get(lane.kind)),
                    least=lane.measure_request_seconds() or peers.get(lane.kind) or 0.0,
                    is_held=lane.find_hindrance(now) is not None,
                    longest_hold=lane.find_longest_hold(now),
                    under_way=len(lane.started),
                ),
            )


def _estimate_work(
    part: RemainingPart, prospects: Mapping[str, _LaneProspect], *, stands: bool, is_next: bool
) -> Iterator[WorkAhead]:
    """Yield what each gateway has to do in a part. ``stands``: the run waits for a person."""
    for name, left in part.list_to_do():
        lane = prospects.get(name)
        if lane is None or left <= 0:
            continue
        # Many waves with a target of each gateway take the time of many targets, however many go at once.
        seconds = max(left / lane.rate, lane.least) if lane.rate else None
        held = lane.longest_hold if is_next else 0.0
        at_most = None if seconds is None or held is None or stands else held + seconds
        is_held = stands or lane.is_held
        yield WorkAhead(
            gateway=name,
            targets=left,
            under_way=min(left, lane.under_way) if is_next else 0,
            seconds=None if is_held else seconds,
            at_most=at_most,
        )
