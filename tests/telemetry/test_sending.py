"""Whether anything is sent, in the process of the test."""

import logging
import sys
from collections.abc import Iterator

import msgspec
import pytest

from orchestrator.telemetry.sending import NOT_INSTALLED, open_telemetry
from tests.support import story
from tests.support.collector import running_collector


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ours = [name for name in sys.modules if name.startswith("orchestrator.telemetry.")]
    with monkeypatch.context() as hidden:
        for name in ours:
            hidden.delitem(sys.modules, name)
        for name in [name for name in sys.modules if name.split(".")[0] == "opentelemetry"]:
            hidden.setitem(sys.modules, name, None)
        hidden.setitem(sys.modules, "opentelemetry", None)
        yield


def test_without_a_variable_nothing_is_loaded_and_nothing_told(told: list[str]) -> None:
    with open_telemetry(told.append) as listener:
        assert listener is None

    assert told == []


@pytest.mark.usefixtures("not_installed")
def test_without_the_extra_one_line_names_it(told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    with open_telemetry(told.append) as listener:
        assert listener is None

    assert told == [NOT_INSTALLED]
    assert "[otel]" in NOT_INSTALLED


def test_a_rehearsal_sends_nothing(told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with open_telemetry(told.append) as listener:
            assert listener is not None
            for event in [msgspec.structs.replace(story.started(), rehearsal=True), *story.short_run()[1:]]:
                listener(event)

        assert (collector.asked, told) == (0, [])


def test_a_run_that_never_started_sends_nothing(told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with open_telemetry(told.append) as listener:
            assert listener is not None
            listener(story.stopping())
            listener(story.finish())

        assert (collector.asked, told) == (0, [])


def test_a_text_that_does_not_fit_a_variable_is_told(
    told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    with open_telemetry(told.append) as listener:
        assert listener is not None
        for event in story.short_run():
            listener(event)

    [line] = told
    assert line.startswith("telemetry: nothing is sent, and the run goes on: ")


def test_the_process_gets_its_log_back(told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("opentelemetry")
    before = (logger.propagate, list(logger.handlers))
    with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with open_telemetry(told.append) as listener:
            assert listener is not None
            for event in story.short_run():
                listener(event)

    assert (logger.propagate, list(logger.handlers)) == before
    assert told == []


def test_the_environment_names_the_service_and_its_attributes(
    told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "night")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,undeploy.plan=ours")
        with open_telemetry(told.append) as listener:
            assert listener is not None
            for event in story.short_run():
                listener(event)

    assert len(collector.resources) == 2
    for resource in collector.resources:
        assert resource["service.name"] == "night"
        assert resource["deployment.environment.name"] == "test"
        assert (resource["undeploy.plan"], resource["undeploy.run"]) == ("ours", "r1")
