"""Builds OpenTelemetry's providers for one session of a run, by the standard variables of the environment."""

from __future__ import annotations

import os
from collections.abc import Callable

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from orchestrator.lanes.masking import Mask
from orchestrator.model.events import AnyEvent, RunStarted
from orchestrator.telemetry.collector import (
    CollectorWatch,
    CountingMetricExporter,
    CountingSpanExporter,
)
from orchestrator.telemetry.meters import RequestMeter, StatusMeter
from orchestrator.telemetry.settings import Signal, TelemetrySettings
from orchestrator.telemetry.spans import TraceListener, read_parent
from orchestrator.version import __version__

SCOPE = "orchestrator"
"""The name of what tells the spans and metrics, as OpenTelemetry's instrumentation scope."""


class TelemetryProviders:
    """The providers of a session, with the listeners that feed them."""

    def __init__(
        self, settings: TelemetrySettings, started: RunStarted, mask: Mask, tell: Callable[[str], None]
    ) -> None:
        """Begin to send. Raises what OpenTelemetry raises at the text of a variable."""
        self._tell = tell
        self._signals: list[_TraceSignal | _MetricSignal] = []
        self._is_failure_told = False
        self._watch = CollectorWatch(mask.clean_text)
        try:
            resource = build_resource(started)
            if settings.traces:
                self._signals.append(_TraceSignal(resource, started))
            if settings.metrics:
                self._signals.append(_MetricSignal(resource))
        except BaseException:
            self._watch.release_loggers()
            raise

    def observe(self, event: AnyEvent) -> None:
        """Tell the next event to the listeners, and to people that the collector refused something."""
        for signal in self._signals:
            signal.listener(event)
            if signal.delivery.has_failed and not self._is_failure_told:
                self._is_failure_told = True
                reason = self._watch.describe_reason(signal.name)
                self._tell(f"telemetry: {signal.name} do not arrive, and the run goes on: {reason}")

    def list_ends(self) -> list[Callable[[], None]]:
        """Return, for each signal, the function that sends what is left; it may take long."""
        return [signal.end for signal in self._signals]

    def tell_losses(self) -> None:
        """Tell people what had not arrived by the end."""
        for signal in self._signals:
            if loss := signal.describe_loss():
                self._tell(f"telemetry: {loss}: {self._watch.describe_reason(signal.name)}")

    def release(self) -> None:
        """Give the log lines of OpenTelemetry back to the process, once none of its threads sends."""
        self._watch.release_loggers()


class _TraceSignal:
    """The trace of a session on its way to the collector."""

    name: Signal = "traces"

    def __init__(self, resource: Resource, started: RunStarted) -> None:
        exporter = CountingSpanExporter()
        self.delivery = exporter.delivery
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        tracer = self._provider.get_tracer(SCOPE, __version__)
        self.listener = TraceListener(tracer, started, read_parent(os.environ))

    def end(self) -> None:
        self.listener.close()
        self._provider.shutdown()

    def describe_loss(self) -> str | None:
        lost = self.listener.spans - self.delivery.arrived
        return f"{lost:,} of {self.listener.spans:,} spans did not arrive" if lost else None


class _MetricSignal:
    """The metrics of a session on their way to the collector."""

    name: Signal = "metrics"

    def __init__(self, resource: Resource) -> None:
        exporter = CountingMetricExporter()
        self.delivery = exporter.delivery
        self._provider = MeterProvider(
            [PeriodicExportingMetricReader(exporter)], resource, shutdown_on_exit=False
        )
        meter = self._provider.get_meter(SCOPE, __version__)
        self._listeners = (RequestMeter(meter), StatusMeter(meter))

    def listener(self, event: AnyEvent) -> None:
        for listener in self._listeners:
            listener(event)

    def end(self) -> None:
        # The last set leaves now: until it has arrived, it counts as lost.
        self.delivery.is_newest_lost = True
        self._provider.shutdown()

    def describe_loss(self) -> str | None:
        return "the newest metrics did not arrive" if self.delivery.is_newest_lost else None


def build_resource(started: RunStarted) -> Resource:
    """Return the description of this process. What the environment says of it takes precedence."""
    ours = Resource(
        {
            "service.name": "undeploy",
            "service.version": __version__,
            "undeploy.run": started.run,
            "undeploy.plan": started.plan,
        }
    )
    # ``create`` alone would put our attributes above those of the environment.
    return Resource.create().merge(ours).merge(OTELResourceDetector().detect())
