"""The listener that counts and times a run's requests for the metrics of OpenTelemetry."""

from __future__ import annotations

from opentelemetry.metrics import Meter

from orchestrator.model.events import AnyEvent, AttemptEnded

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 150.0)
"""Seconds: the bounds of the semantic conventions for HTTP, and larger ones for slow deployments."""


class RequestMeter:
    """Listener: counts and times each request about a target."""

    def __init__(self, meter: Meter) -> None:
        self._requests = meter.create_counter(
            "undeploy.requests",
            "{request}",
            "Requests about targets that were sent, by the status of the reply",
        )
        self._seconds = meter.create_histogram(
            "undeploy.request.duration",
            "s",
            "Time from a request about a target to its reply, or to its loss",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )

    def __call__(self, event: AnyEvent) -> None:
        """Take in the next event."""
        if not isinstance(event, AttemptEnded):
            return
        who = {"undeploy.gateway": event.gateway, "undeploy.act": event.act.value}
        answer = (
            {"error.type": "no_reply"}
            if event.status is None
            else {"http.response.status_code": event.status}
        )
        self._requests.add(1, {**who, **answer})
        self._seconds.record(event.seconds, who)
