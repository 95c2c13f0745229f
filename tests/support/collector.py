"""A collector of OpenTelemetry on loopback: decodes what arrives by OTLP over HTTP, or misbehaves."""

from __future__ import annotations

import gzip
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Literal

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

Manner = Literal["takes", "refuses", "limits", "hangs", "resets", "redirects", "floods"]


def read_value(value: AnyValue) -> Any:
    return getattr(value, value.WhichOneof("value") or "string_value")


def read_attributes(attributes: Any) -> dict[str, Any]:
    pairs: list[KeyValue] = list(attributes)
    found = {pair.key: read_value(pair.value) for pair in pairs}
    assert len(found) == len(pairs), "an attribute stands twice"
    return found


class Collector:
    """Keeps the requests that it took, decoded, with their headers."""

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.headers: list[Mapping[str, str]] = []
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.asked = 0
        """Number of requests that came, taken or not."""
        self.clients: set[Any] = set()
        """The address of each connection."""
        self.elsewhere: list[str] = []
        """Paths that are none of OTLP's."""
        self.url = ""
        self.is_over = Event()
        self._lock = Lock()

    def count(self, client: Any) -> None:
        with self._lock:
            self.asked += 1
            self.clients.add(client)

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        """Decode a request; an error here is one of the sender's."""
        assert headers["content-type"] == "application/x-protobuf"
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        with self._lock:
            self.headers.append(headers)
            match path:
                case "/v1/traces":
                    self.traces.append(ExportTraceServiceRequest.FromString(body))
                case "/v1/metrics":
                    self.metrics.append(ExportMetricsServiceRequest.FromString(body))
                case _:
                    self.elsewhere.append(path)

    @property
    def resources(self) -> list[dict[str, Any]]:
        """The resource of each request."""
        traces = [spans.resource for each in self.traces for spans in each.resource_spans]
        metrics = [found.resource for each in self.metrics for found in each.resource_metrics]
        return [read_attributes(resource.attributes) for resource in [*traces, *metrics]]

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for each in self.traces
            for resource in each.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def newest_metrics(self) -> dict[str, Any]:
        """The metrics of the newest request, by name."""
        return {
            metric.name: metric
            for resource in self.metrics[-1].resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    collector: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.collector.count(self.client_address)
        with suppress(OSError):
            getattr(self, f"_{self.collector.manner}")(body)

    def do_GET(self) -> None:
        """A redirect that is followed leads here."""
        self.collector.elsewhere.append(self.path)
        self._answer(200)

    def _takes(self, body: bytes) -> None:
        self.collector.take(self.path, {name.lower(): text for name, text in self.headers.items()}, body)
        self._answer(200)

    def _refuses(self, _: bytes) -> None:
        self._answer(500, f"no, {self.headers.get('api-key', '')}")

    def _limits(self, _: bytes) -> None:
        self._answer(429)

    def _hangs(self, _: bytes) -> None:
        self.collector.is_over.wait(60)
        self.close_connection = True

    def _resets(self, _: bytes) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _redirects(self, _: bytes) -> None:
        self.send_response(302)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _floods(self, _: bytes) -> None:
        self.send_response(200)
        self.end_headers()
        began = time.monotonic()
        while time.monotonic() - began < 60 and not self.collector.is_over.is_set():
            self.wfile.write(bytes(1 << 16))

    def _answer(self, status: int, reason: str | None = None) -> None:
        self.send_response(status, reason)
        self.send_header("Content-Length", "0")
        self.send_header("Set-Cookie", "chosen=by-the-collector; Path=/")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of its base
        pass


@contextmanager
def running_collector(manner: Manner = "takes") -> Iterator[Collector]:
    collector = Collector(manner)
    handler = type("Handler", (_Handler,), {"collector": collector})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.is_over.set()
        server.shutdown()
        server.server_close()
        thread.join()
