"""The status of a run as the text that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from orchestrator.model.live_status import SECONDS_BOUNDS, LiveStatus
from orchestrator.telemetry.gauges import GAUGES, REQUEST_SECONDS, REQUESTS, RequestMetric, StatusGauge

__all__ = ["CONTENT_TYPE", "name_for_prometheus", "render_metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""The value of the header ``Content-Type`` for the text."""

_UNITS = {"": "", "s": "_seconds", "1/s": "_per_second"}
_RUN_LABELS = ("run", "plan")


def render_metrics(status: LiveStatus) -> bytes:
    """Return the metrics of a run in Prometheus's text format, UTF-8; bounded as the status is."""
    # A registry of its own: nothing of this process or of another run stands among the metrics.
    registry = CollectorRegistry()
    registry.register(_StatusCollector(status))
    return generate_latest(registry)


def name_for_prometheus(gauge: StatusGauge) -> str:
    """Return the name of a metric in Prometheus: ``undeploy_lane_rate_per_second``."""
    return f"{gauge.name.replace('.', '_')}{_UNITS[gauge.unit]}"


def name_request_metric(metric: RequestMetric) -> str:
    """Return its name in Prometheus, which adds ``_total`` to that of a counter."""
    return f"{metric.name.replace('.', '_')}{'_seconds' if metric.unit == 's' else ''}"


class _StatusCollector(Collector):
    """Gives one status to a registry."""

    def __init__(self, status: LiveStatus) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """Yield each metric that has a value; none of a run that has not told its first event yet."""
        if not self._status.run.id:
            return
        run = (self._status.run.id, self._status.run.plan)
        yield self._describe_run()
        for gauge in GAUGES:
            family = GaugeMetricFamily(
                name_for_prometheus(gauge), gauge.text, labels=(*_RUN_LABELS, *gauge.labels)
            )
            for labels, value in gauge.read(self._status):
                family.add_metric((*run, *(labels[name] for name in gauge.labels)), value)
            if family.samples:
                yield family
        if self._status.requests:
            yield self._count_requests(run)
            yield self._time_requests(run)

    def _count_requests(self, run: tuple[str, str]) -> Metric:
        family = CounterMetricFamily(
            name_request_metric(REQUESTS), REQUESTS.text, labels=(*_RUN_LABELS, *REQUESTS.labels)
        )
        for counts in self._status.requests:
            for answer, count in counts.answers.items():
                family.add_metric((*run, counts.gateway, counts.act, answer), count)
        return family

    def _time_requests(self, run: tuple[str, str]) -> Metric:
        family = HistogramMetricFamily(
            name_request_metric(REQUEST_SECONDS),
            REQUEST_SECONDS.text,
            labels=(*_RUN_LABELS, *REQUEST_SECONDS.labels),
        )
        bounds = [*map(floatToGoString, SECONDS_BOUNDS), "+Inf"]
        for counts in self._status.requests:
            buckets = list(zip(bounds, accumulate(counts.within), strict=True))
            family.add_metric((*run, counts.gateway, counts.act), buckets, counts.seconds)
        return family

    def _describe_run(self) -> Metric:
        run = self._status.run
        facts = {
            "run": run.id,
            "plan": run.plan,
            "act": run.act,
            "rehearsal": str(run.rehearsal).lower(),
        }
        return InfoMetricFamily("undeploy_run", "What the run is", facts)
