"""Reads what the standard variables of OpenTelemetry ask for. Imports nothing of OpenTelemetry.

Source: the specification's pages on environment variables and on the configuration of OTLP exporters.
OpenTelemetry's own code reads the variables that say how to send: headers, certificates, time limits,
sampling. The specification sends to a port of this machine where no address is given. This program does so
only if ``otlp`` is named: nobody else has asked it to send anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

Signal = Literal["traces", "metrics"]

PROTOCOL = "http/protobuf"


class TelemetrySettings(Struct, frozen=True, kw_only=True):
    """What is to be sent, and remarks for the user about what is asked for and not done."""

    traces: bool = False
    metrics: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def is_wanted(self) -> bool:
        """Whether anything is to be sent."""
        return self.traces or self.metrics


def read_settings(environment: Mapping[str, str]) -> TelemetrySettings:
    """Return what the environment of the process asks for; nothing if it does not speak of it."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return TelemetrySettings()
    remarks: list[str] = []
    return TelemetrySettings(
        traces=_is_signal_wanted(environment, "traces", remarks),
        metrics=_is_signal_wanted(environment, "metrics", remarks),
        remarks=tuple(remarks),
    )


def _is_signal_wanted(environment: Mapping[str, str], signal: Signal, remarks: list[str]) -> bool:
    exporters = _read_exporters(environment, signal)
    if exporters - {"otlp", "none"}:
        # The text itself may be a misplaced credential, so the remark does not repeat it.
        remarks.append(f"OTEL_{signal.upper()}_EXPORTER: only otlp and none are supported")
    addresses = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    is_wanted = "otlp" in exporters if exporters else any(environment.get(name) for name in addresses)
    if not is_wanted or (name := _find_other_protocol(environment, signal)) is None:
        return is_wanted
    remarks.append(f"{name}: only {PROTOCOL} is supported, so no {signal} are sent")
    return False


def _read_exporters(environment: Mapping[str, str], signal: Signal) -> set[str]:
    given = environment.get(f"OTEL_{signal.upper()}_EXPORTER", "")
    return {name.strip() for name in given.split(",") if name.strip()}


def _find_other_protocol(environment: Mapping[str, str], signal: Signal) -> str | None:
    """Return the name of the variable that asks for a protocol that this program does not have."""
    for name in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := environment.get(name, "").strip():
            return None if protocol == PROTOCOL else name
    return None


def list_collector_secrets(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the secrets that the variables hold: values of headers, and credentials in addresses."""
    found: set[str] = set()
    for part in ("", "TRACES_", "METRICS_"):
        found.update(_list_header_values(environment.get(f"OTEL_EXPORTER_OTLP_{part}HEADERS", "")))
        found.update(_list_address_secrets(environment.get(f"OTEL_EXPORTER_OTLP_{part}ENDPOINT", "")))
    return frozenset(filter(None, found))


def _list_header_values(headers: str) -> Iterator[str]:
    for header in headers.split(","):
        value = header.partition("=")[2].strip()
        decoded = unquote(value)
        yield from (value, decoded)
        yield decoded.rpartition(" ")[2]  # the credential behind "Bearer", or behind "Basic"


def _list_address_secrets(address: str) -> Iterator[str]:
    try:
        parts = urlsplit(address)
    except ValueError:  # no address; OpenTelemetry says so when it sends
        return
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    yield from (unquote(password), unquote(user))
    yield from (value for _, value in parse_qsl(parts.query))
