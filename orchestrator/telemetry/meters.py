"""The listeners that give OpenTelemetry the metrics of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from threading import Lock

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from orchestrator.display.progress import RunProgress
from orchestrator.display.request_tally import name_answer
from orchestrator.display.status import read_status
from orchestrator.model.events import AnyEvent, AttemptEnded
from orchestrator.model.live_status import SECONDS_BOUNDS, LiveStatus
from orchestrator.telemetry.gauges import GAUGES, REQUEST_SECONDS, REQUESTS, StatusGauge

FRESH = 0.5
"""Seconds for which a status counts as that of the present moment: one collection asks for it many times."""


class RequestMeter:
    """Listener: counts and times each request about a target."""

    def __init__(self, meter: Meter) -> None:
        self._requests = meter.create_counter(REQUESTS.name, REQUESTS.unit, REQUESTS.text)
        self._seconds = meter.create_histogram(
            REQUEST_SECONDS.name,
            REQUEST_SECONDS.unit,
            REQUEST_SECONDS.text,
            explicit_bucket_boundaries_advisory=SECONDS_BOUNDS,
        )

    def __call__(self, event: AnyEvent) -> None:
        """Take in the next event."""
        if not isinstance(event, AttemptEnded):
            return
        who = {"undeploy.gateway": event.gateway, "undeploy.act": event.act.value}
        self._requests.add(1, {**who, **_describe_answer(event.status)})
        self._seconds.record(event.seconds, who)


def _describe_answer(status: int | None) -> dict[str, str | int]:
    answer = name_answer(status)
    if status is None or answer != str(status):
        return {"error.type": answer}
    return {"http.response.status_code": status}


class StatusMeter:
    """Listener: folds the events into the run's status, and gives it whenever metrics are collected."""

    def __init__(self, meter: Meter, clock: Callable[[], float] = time.time) -> None:
        """``clock`` gives the Unix time."""
        self._clock = clock
        self._progress = RunProgress()
        self._status: LiveStatus | None = None
        # A thread of OpenTelemetry collects, while the run's own thread brings events.
        self._lock = Lock()
        for gauge in GAUGES:
            meter.create_observable_gauge(gauge.name, [partial(self._read, gauge)], gauge.unit, gauge.text)

    def __call__(self, event: AnyEvent) -> None:
        """Take in the next event."""
        with self._lock:
            self._progress.observe(event)
            self._status = None

    def _read(self, gauge: StatusGauge, _: CallbackOptions) -> Iterator[Observation]:
        for labels, value in gauge.read(self._find_status()):
            yield Observation(value, {f"undeploy.{name}": label for name, label in labels.items()})

    def _find_status(self) -> LiveStatus:
        now = self._clock()
        with self._lock:
            if self._status is None or now - self._status.at >= FRESH:
                self._status = read_status(self._progress, now)
            return self._status
