"""The status of a run as the text that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.model.live_status import LiveStatus
from orchestrator.telemetry.gauges import GAUGES, StatusGauge

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

    def _describe_run(self) -> Metric:
        run = self._status.run
        facts = {
            "run": run.id,
            "plan": run.plan,
            "act": run.act,
            "rehearsal": str(run.rehearsal).lower(),
        }
        return InfoMetricFamily("undeploy_run", "What the run is", facts)
