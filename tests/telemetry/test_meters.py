"""The metrics for OpenTelemetry, from made-up events."""

import threading
from typing import Any

import msgspec
import pytest
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from orchestrator.display.progress import RunProgress
from orchestrator.display.status import read_status
from orchestrator.model.events import AnyEvent
from orchestrator.model.live_status import SECONDS_BOUNDS, LiveStatus
from orchestrator.telemetry import meters
from orchestrator.telemetry.gauges import GAUGES
from orchestrator.telemetry.meters import RequestMeter, StatusMeter
from tests.support import story

Points = dict[frozenset[tuple[str, Any]], Any]


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


def make_meter(reader: InMemoryMetricReader) -> Meter:
    return MeterProvider([reader], shutdown_on_exit=False).get_meter("test")


def collect(reader: InMemoryMetricReader) -> dict[str, Points]:
    """Return the points of each metric by their attributes."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: {frozenset((point.attributes or {}).items()): point for point in metric.data.data_points}
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_requests_are_counted_by_their_status(reader: InMemoryMetricReader) -> None:
    meter = RequestMeter(make_meter(reader))
    for status in (204, 204, 500, None, *range(900, 999)):
        meter(story.answered("roma-eu/1", status=status))
    who = {("undeploy.gateway", "roma-eu"), ("undeploy.act", "undeploy")}
    found = {labels - who: point.value for labels, point in collect(reader)["undeploy.requests"].items()}

    assert found == {
        frozenset({("http.response.status_code", 204)}): 2,
        frozenset({("http.response.status_code", 500)}): 1,
        frozenset({("error.type", "no_reply")}): 1,
        frozenset({("error.type", "unknown_status")}): 99,
    }


def test_requests_are_timed(reader: InMemoryMetricReader) -> None:
    meter = RequestMeter(make_meter(reader))
    for seconds in (0.02, 0.02, 100.0):
        meter(msgspec.structs.replace(story.answered("apim/1"), seconds=seconds))
    [point] = collect(reader)["undeploy.request.duration"].values()

    assert (point.count, point.sum) == (3, pytest.approx(100.04))
    assert point.explicit_bounds == SECONDS_BOUNDS
    assert point.bucket_counts[SECONDS_BOUNDS.index(0.025)] == 2


@pytest.mark.parametrize("events", [story.short_run(), story.short_run()[:4], []], ids=len)
def test_the_gauges_are_those_of_the_status(reader: InMemoryMetricReader, events: list[AnyEvent]) -> None:
    meter, progress = StatusMeter(make_meter(reader), lambda: story.START + 9), RunProgress()
    for event in events:
        meter(event)
        progress.observe(event)
    found, status = collect(reader), read_status(progress, story.START + 9)

    for gauge in GAUGES:
        expected = {
            frozenset((f"undeploy.{name}", label) for name, label in labels.items()): value
            for labels, value in gauge.read(status)
        }
        told = {labels: point.value for labels, point in found.get(gauge.name, {}).items()}
        assert told == expected, gauge.name


def test_an_event_waits_while_the_status_is_read_for_a_collection(
    reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = StatusMeter(make_meter(reader))
    meter(story.started({"roma-eu": 1}))
    bringing = threading.Thread(target=meter, args=(story.ended("roma-eu/1"),))
    waited = []

    def read_slowly(progress: RunProgress, now: float) -> LiveStatus:
        if not waited:
            bringing.start()
            bringing.join(0.2)
            waited.append(bringing.is_alive())
        return read_status(progress, now)

    monkeypatch.setattr(meters, "read_status", read_slowly)
    before = collect(reader)["undeploy.targets"]
    bringing.join()
    after = collect(reader)["undeploy.targets"]

    assert waited == [True]
    still_open = frozenset({("undeploy.outcome", "open")})
    assert (before[still_open].value, after[still_open].value) == (1, 0)
