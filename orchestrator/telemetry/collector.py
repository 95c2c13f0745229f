"""The connection to the collector: a bounded reply, a count of what arrived, and the reason if it did not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_auth_from_url

from orchestrator.telemetry.settings import Signal
from orchestrator.text.characters import show_briefly

MOST_REPLY = 65_536
"""Bytes read of a reply. The exporter looks at its status alone."""

LONGEST_REASON = 300
"""Characters of a reason that people see."""


class AddressAuth(AuthBase):
    """Authorizes by a credential in the address. Without this, requests would look into ``.netrc``."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return the request with the credential of its address, if that has one."""
        user, password = get_auth_from_url(request.url or "")
        return HTTPBasicAuth(user, password)(request) if user or password else request


class CollectorSession(requests.Session):
    """The session of an exporter, without redirects and cookies, and with bounded replies."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = AddressAuth()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))

    def send(self, request: Any, **options: Any) -> Any:
        """Send a request; raise RequestException for a redirect, which an exporter takes for success."""
        response = super().send(request, **{**options, "stream": True, "allow_redirects": False})
        with response:
            response.raw.read(MOST_REPLY)
        if 300 <= response.status_code < 400:
            raise requests.RequestException(f"redirected ({response.status_code}), which is not followed")
        return response


class CollectorWatch(logging.Handler):
    """Takes the log lines of OpenTelemetry off the process's own log, and keeps the newest of each signal."""

    LOGGERS = ("opentelemetry", "urllib3")

    def __init__(self, clean: Callable[[str], str]) -> None:
        """``clean`` takes credentials out of a text."""
        super().__init__(logging.WARNING)
        self._clean = clean
        self._newest: dict[Signal, str] = {}
        for name in self.LOGGERS:
            logger = logging.getLogger(name)
            # Without a handler of its own a library's warning would go to stderr, unmasked.
            logger.propagate = False
            logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text of a log line, with that of its exception, and without the traceback."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text.rstrip('.')}: {record.exc_info[1]}"
        # A logger has the name of its module: that of an exporter, or of the SDK's part for one signal.
        self._newest["metrics" if "metric" in record.name else "traces"] = text

    def release_loggers(self) -> None:
        """Give the log lines back to the process's own log."""
        for name in self.LOGGERS:
            logger = logging.getLogger(name)
            logger.removeHandler(self)
            logger.propagate = True

    def describe_reason(self, signal: Signal) -> str:
        """Return why the collector did not take a signal, for people; without credentials."""
        reason = self._clean(self._newest.get(signal, ""))
        return show_briefly(reason, LONGEST_REASON) or "the collector did not answer in time"


class DeliveryCount:
    """How much of one signal arrived. A thread of OpenTelemetry counts, the run's own thread reads."""

    def __init__(self) -> None:
        self.arrived = 0
        """Spans, or sets of metrics."""
        self.has_failed = False
        """Whether the collector has refused anything so far."""
        self.is_newest_lost = False
        """Whether the newest of them did not arrive, or not yet."""

    def count(self, number: int, *, arrived: bool) -> None:
        """Count an attempt to send ``number`` of them."""
        self.is_newest_lost = not arrived
        if arrived:
            self.arrived += number
        else:
            self.has_failed = True


class CountingSpanExporter(OTLPSpanExporter):
    """Sends spans by the standard variables, and counts those that arrived."""

    def __init__(self) -> None:
        super().__init__(session=CollectorSession())
        self.delivery = DeliveryCount()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch."""
        result = SpanExportResult.FAILURE
        try:
            result = super().export(spans)
        finally:
            self.delivery.count(len(spans), arrived=result is SpanExportResult.SUCCESS)
        return result


class CountingMetricExporter(OTLPMetricExporter):
    """Sends metrics by the standard variables, and counts the sets that arrived."""

    def __init__(self) -> None:
        super().__init__(session=CollectorSession())
        self.delivery = DeliveryCount()

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **options: Any
    ) -> MetricExportResult:
        """Send a set."""
        result = MetricExportResult.FAILURE
        try:
            result = super().export(metrics_data, timeout_millis, **options)
        finally:
            self.delivery.count(1, arrived=result is MetricExportResult.SUCCESS)
        return result
