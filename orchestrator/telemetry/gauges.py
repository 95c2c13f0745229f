"""The metrics that a run's status gives, each defined once: for OpenTelemetry and for Prometheus. Pure.

Prometheus has the same names with ``_`` for each dot, and with the unit at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TypeAlias, get_args

from msgspec import Struct

from orchestrator.model.live_status import LaneStatus, LiveStatus, RunPhase

Labels: TypeAlias = Mapping[str, str]
Points: TypeAlias = Iterator[tuple[Labels, float]]
Unit: TypeAlias = Literal["", "s", "1/s"]
"""In OpenTelemetry's form; empty for a bare number."""


class RequestMetric(Struct, frozen=True):
    """One metric of the requests about targets: a counter, or a histogram over ``SECONDS_BOUNDS``."""

    name: str
    unit: Literal["{request}", "s"]
    text: str
    labels: tuple[str, ...]


REQUESTS = RequestMetric(
    "undeploy.requests",
    "{request}",
    "Requests about targets by the status of the reply; no reply comes to one that cannot leave, either",
    ("gateway", "act", "status"),
)
REQUEST_SECONDS = RequestMetric(
    "undeploy.request.duration",
    "s",
    "Time from a request about a target to its reply, or to its loss",
    ("gateway", "act"),
)

LANE_STATES = ("open", "paused", "parked", "closed")


class StatusGauge(Struct, frozen=True):
    """One metric that the status gives."""

    name: str
    unit: Unit
    text: str
    """What its value is, for people."""
    labels: tuple[str, ...]
    read: Callable[[LiveStatus], Points]
    """Yields the labels and the value of each point; nothing where the value is not known."""


def _read_targets(status: LiveStatus) -> Points:
    for outcome, count in _count_targets(status.verdict.counts, status.verdict.counts.get("targets", 0)):
        yield {"outcome": outcome}, count


def _read_lane_targets(status: LiveStatus) -> Points:
    for lane in status.lanes:
        for outcome, count in _count_targets(lane.counts, lane.total):
            yield {"gateway": lane.name, "outcome": outcome}, count


def _count_targets(counts: Mapping[str, int], total: int) -> Iterator[tuple[str, int]]:
    """Yield each outcome with its count, then the targets without one, so that the sum is the total."""
    outcomes = {name: count for name, count in counts.items() if name not in ("targets", "ended")}
    yield from outcomes.items()
    yield "open", max(0, total - sum(outcomes.values()))


def _read_states(status: LiveStatus) -> Points:
    for state in get_args(RunPhase):
        yield {"state": state}, int(state == status.verdict.state)


def _read_lane_states(status: LiveStatus) -> Points:
    for lane in status.lanes:
        for state in LANE_STATES:
            yield {"gateway": lane.name, "state": state}, int(state == lane.state)


def _read_headroom(status: LiveStatus) -> Points:
    for rule in status.headroom:
        if rule.more is not None:
            yield {"rule": rule.rule}, rule.more


def _of_run(name: str, unit: Unit, text: str, find: Callable[[LiveStatus], float | None]) -> StatusGauge:
    """Return a metric with one value for the run."""

    def read(status: LiveStatus) -> Points:
        if (value := find(status)) is not None:
            yield {}, value

    return StatusGauge(name, unit, text, (), read)


def _of_lanes(name: str, unit: Unit, text: str, find: Callable[[LaneStatus], float | None]) -> StatusGauge:
    """Return a metric with one value for each lane."""

    def read(status: LiveStatus) -> Points:
        for lane in status.lanes:
            if (value := find(lane)) is not None:
                yield {"gateway": lane.name}, value

    return StatusGauge(name, unit, text, ("gateway",), read)


GAUGES: tuple[StatusGauge, ...] = (
    StatusGauge(
        "undeploy.targets",
        "",
        "Targets of the run by outcome, earlier sessions included; open: without one",
        ("outcome",),
        _read_targets,
    ),
    StatusGauge(
        "undeploy.run.state", "", "1 for the state that the run is in, else 0", ("state",), _read_states
    ),
    _of_run(
        "undeploy.run.session",
        "",
        "1 in the first session of the run, one more in each resume",
        lambda status: status.run.session,
    ),
    _of_run(
        "undeploy.run.started.timestamp",
        "s",
        "Unix time at which the session began",
        lambda status: status.run.started,
    ),
    _of_run(
        "undeploy.run.closes.timestamp",
        "s",
        "Unix time at which the window closes; absent without a window",
        lambda status: status.closes,
    ),
    _of_run(
        "undeploy.run.done.timestamp",
        "s",
        "Unix time at which the work will be done; absent while that is unknown",
        lambda status: status.forecast.done if status.forecast else None,
    ),
    _of_run(
        "undeploy.run.late",
        "",
        "Targets that cannot start before the window stops their gateway, at least",
        lambda status: status.forecast.late if status.forecast else None,
    ),
    _of_run(
        "undeploy.run.exit_status",
        "",
        "Exit status of the session; absent until it has ended",
        lambda status: status.ended.exit_status if status.ended else None,
    ),
    _of_run(
        "undeploy.run.unrestorable",
        "",
        "Targets that went down, or may have, without a snapshot that brings them back",
        lambda status: status.unrestorable,
    ),
    _of_run(
        "undeploy.wave",
        "",
        "Number of the wave that goes on or has ended last, from 1 on",
        lambda status: status.wave,
    ),
    _of_run(
        "undeploy.waves",
        "",
        "Number of waves of the plan",
        lambda status: len(status.waves) + status.waves_left_out,
    ),
    StatusGauge(
        "undeploy.stop_rule.headroom",
        "",
        "Targets in a row that the stop rule counts until it stops the run",
        ("rule",),
        _read_headroom,
    ),
    StatusGauge(
        "undeploy.lane.targets",
        "",
        "Targets of the gateway by outcome, earlier sessions included; open: without one",
        ("gateway", "outcome"),
        _read_lane_targets,
    ),
    StatusGauge(
        "undeploy.lane.state",
        "",
        "1 for the state that the gateway's lane is in, else 0",
        ("gateway", "state"),
        _read_lane_states,
    ),
    _of_lanes(
        "undeploy.lane.requests.active", "", "Requests that are in flight", lambda lane: lane.in_flight
    ),
    _of_lanes(
        "undeploy.lane.concurrency", "", "Requests that may be in flight at once", lambda lane: lane.limit
    ),
    _of_lanes(
        "undeploy.lane.rate",
        "1/s",
        "Targets that ended a second lately; absent if it cannot be measured",
        lambda lane: lane.rate,
    ),
    _of_lanes(
        "undeploy.lane.rate.bound",
        "1/s",
        "Undeploys a second that the lane allows; absent without a bound",
        lambda lane: lane.bound,
    ),
    _of_lanes(
        "undeploy.lane.repeating",
        "",
        "Targets that wait before their next attempt",
        lambda lane: lane.repeating,
    ),
    _of_lanes(
        "undeploy.lane.refused",
        "",
        "Replies 429, and 503 with Retry-After, of this session",
        lambda lane: lane.refused,
    ),
)
