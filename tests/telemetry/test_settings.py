"""What the standard variables ask for."""

import pytest

from orchestrator.telemetry.settings import TelemetrySettings, list_collector_secrets, read_settings

AT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
BOTH = TelemetrySettings(traces=True, metrics=True)
NOTHING = TelemetrySettings()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, NOTHING),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, NOTHING),
        ({"OTEL_SERVICE_NAME": "night"}, NOTHING),
        (AT, BOTH),
        (AT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, BOTH),
        (AT | {"OTEL_SDK_DISABLED": "True "}, NOTHING),
        (AT | {"OTEL_SDK_DISABLED": "false"}, BOTH),
        (AT | {"OTEL_TRACES_EXPORTER": "none"}, TelemetrySettings(metrics=True)),
        (AT | {"OTEL_METRICS_EXPORTER": "none"}, TelemetrySettings(traces=True)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a/v1/traces"}, TelemetrySettings(traces=True)),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://a/v1/metrics"}, TelemetrySettings(metrics=True)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, TelemetrySettings(traces=True)),
        ({"OTEL_TRACES_EXPORTER": " otlp ", "OTEL_METRICS_EXPORTER": "otlp"}, BOTH),
    ],
)
def test_what_is_asked_for_is_sent(environment: dict[str, str], expected: TelemetrySettings) -> None:
    assert read_settings(environment) == expected


def test_another_exporter_is_told_and_not_repeated() -> None:
    found = read_settings(AT | {"OTEL_TRACES_EXPORTER": "otlp,s3cret-console"})

    assert (found.traces, found.metrics) == (True, True)
    assert found.remarks == ("OTEL_TRACES_EXPORTER: only otlp and none are supported",)


def test_another_exporter_alone_sends_nothing_of_that_signal() -> None:
    found = read_settings(AT | {"OTEL_METRICS_EXPORTER": "prometheus"})

    assert (found.traces, found.metrics) == (True, False)
    assert found.remarks == ("OTEL_METRICS_EXPORTER: only otlp and none are supported",)


def test_another_protocol_is_told_and_nothing_is_sent_by_it() -> None:
    found = read_settings(AT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})

    assert not found.is_wanted
    assert found.remarks == (
        "OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is supported, so no traces are sent",
        "OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is supported, so no metrics are sent",
    )


def test_the_protocol_of_one_signal_comes_before_that_of_both() -> None:
    protocols = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
    }
    found = read_settings(AT | protocols)

    assert (found.traces, found.metrics) == (True, False)


def test_a_protocol_that_nobody_sends_by_is_no_remark() -> None:
    assert read_settings({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) == NOTHING


@pytest.mark.promise(9)
def test_the_secrets_of_the_variables_are_known() -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=abc%20def,authorization=Bearer%20t0ken",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-key = other ",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://me:pa%2Fss@collector:4318/?key=query-key",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://[bad",
    }

    assert list_collector_secrets(environment) >= {
        "abc def",
        "abc%20def",
        "t0ken",
        "other",
        "me",
        "pa/ss",
        "query-key",
    }
