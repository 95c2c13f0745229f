"""The connection to a collector, and what people hear of it."""

import logging
from collections.abc import Iterator

import pytest
import requests

from orchestrator.lanes.masking import Mask
from orchestrator.telemetry import collector
from orchestrator.telemetry.collector import LONGEST_REASON, CollectorSession, CollectorWatch
from orchestrator.telemetry.providers import TelemetryProviders
from orchestrator.telemetry.settings import TelemetrySettings
from tests.support import story
from tests.support.collector import running_collector
from tests.support.stage import until

SECRET = "k3y-of-the-collector"


@pytest.fixture
def watch() -> Iterator[CollectorWatch]:
    watching = CollectorWatch(Mask([SECRET]).clean_text)
    yield watching
    watching.release_loggers()


def test_a_redirect_is_an_error_and_not_followed() -> None:
    with (
        running_collector("redirects") as running,
        CollectorSession() as session,
        pytest.raises(requests.RequestException, match=r"redirected \(302\)"),
    ):
        session.post(f"{running.url}/v1/traces", data=b"", timeout=10)

    assert (running.asked, running.elsewhere) == (1, [])


@pytest.mark.promise(10)
def test_of_a_reply_without_end_a_bounded_part_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "MOST_REPLY", 1000)
    with running_collector("floods") as running, CollectorSession() as session:
        reply = session.post(f"{running.url}/v1/traces", data=b"", timeout=10)

    assert reply.status_code == 200


def test_a_cookie_is_not_kept() -> None:
    kind = {"Content-Type": "application/x-protobuf"}
    with running_collector() as running, CollectorSession() as session:
        replies = [session.post(f"{running.url}/v1/traces", b"", headers=kind, timeout=10) for _ in range(2)]

    assert all("Set-Cookie" in reply.headers for reply in replies)
    assert ["cookie" in headers for headers in running.headers] == [False, False]


def test_connections_are_used_again() -> None:
    with running_collector("refuses") as running, CollectorSession() as session:
        for _ in range(3):
            session.post(f"{running.url}/v1/traces", data=b"", timeout=10)

    assert (running.asked, len(running.clients)) == (3, 1)


@pytest.mark.promise(9)
def test_a_log_line_of_the_library_is_a_reason_without_credentials_or_escapes(watch: CollectorWatch) -> None:
    logging.getLogger("opentelemetry.sdk.trace").warning("no: %s \x1b[2J", SECRET)

    assert watch.describe_reason("traces") == "no: ••• \\u001b[2J"
    assert watch.describe_reason("metrics") == "the collector did not answer in time"


def test_a_reason_has_the_text_of_its_exception_and_a_bound(watch: CollectorWatch) -> None:
    logger = logging.getLogger("opentelemetry.exporter.otlp.proto.http.metric_exporter")
    try:
        {}["x" * 1000]
    except KeyError:
        logger.exception("Exception while exporting.")
    reason = watch.describe_reason("metrics")

    assert reason.startswith("Exception while exporting: 'xxx")
    assert len(reason) == LONGEST_REASON


def test_the_library_writes_nothing_to_stderr(
    watch: CollectorWatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in watch.LOGGERS:
        logging.getLogger(f"{name}.anything").error(SECRET)

    assert capfd.readouterr() == ("", "")


def test_people_hear_once_that_nothing_arrives_and_at_the_end_how_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.delenv("TRACEPARENT", raising=False)
    with running_collector("redirects") as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        providers = TelemetryProviders(TelemetrySettings(traces=True), story.started(), Mask(), told.append)
        for number in range(3):
            providers.observe(story.ended(f"roma-eu/{number}"))
            until(lambda number=number: running.asked > number)  # type: ignore[misc]
        until(lambda: providers.observe(story.wave_ended()) is None and bool(told))
        providers.observe(story.finish())
        for end in providers.list_ends():
            end()
        providers.tell_losses()
        providers.release()

    first, last = told
    assert first.startswith("telemetry: traces do not arrive, and the run goes on: ")
    assert last.startswith("telemetry: 4 of 4 spans did not arrive: ")
    assert all("redirected (302)" in line for line in told)
