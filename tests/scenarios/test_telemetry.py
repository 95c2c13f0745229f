"""Traces and metrics of the program as a process, sent to a collector that takes them, or that misbehaves."""

import signal
import time
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultStorm, InjectedFault
from orchestrator.simulator.process import RunningSimulators
from orchestrator.telemetry.sending import LAST_SENDING
from tests.support.collector import Collector, Manner, read_attributes, running_collector
from tests.support.stage import Stage, make_fixture, until

pytestmark = pytest.mark.long("runs are processes of their own")

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
API_KEY = "k3y-of-the-collector"
SECRET = "t0ken-of-the-gateway-1234567890"
NANO = 10**9
STORM = FaultStorm(seed=4, share=0.3, kinds=("500", "500-after", "reset", "reset-after", "look:500"))
ACCEPT = ("--accept", "new-front-end-id")
QUICK = "retry: {first: 10ms, ceiling: 50ms}"
SHORT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.5"}
"""Seconds that the exporters have, their repeats included."""


def asks(collector: Collector, **more: str) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={API_KEY}",
        **more,
    }


def targets_of(collector: Collector) -> dict[str, Any]:
    """Return the span of each target, by its id."""
    spans = {read_attributes(span.attributes).get("undeploy.target"): span for span in collector.spans}
    assert len(spans) == len(collector.spans)
    return {target: span for target, span in spans.items() if target is not None}


def describe(span: Any) -> dict[str, Any]:
    """Return a span in the words of report.json."""
    told = read_attributes(span.attributes)
    attempts = [read_attributes(event.attributes) for event in span.events]
    return {
        "id": told["undeploy.target"],
        "gateway": told["undeploy.gateway"],
        "wave": told["undeploy.wave"],
        "outcome": told["undeploy.outcome"],
        "reason": told.get("undeploy.reason"),
        "evidence": told.get("undeploy.evidence"),
        "attempts": [
            {
                "number": attempt["undeploy.attempt.number"],
                "act": attempt["undeploy.attempt.act"],
                "status": attempt.get("http.response.status_code"),
                "code": attempt.get("undeploy.attempt.code"),
                "message": attempt.get("undeploy.attempt.message"),
            }
            for attempt in attempts
        ],
    }


def shorten(target: dict[str, Any]) -> dict[str, Any]:
    """Return a target of report.json without what the attempts' times say."""
    keys = ("id", "gateway", "wave", "outcome", "reason", "evidence")
    attempts = ("number", "act", "status", "code", "message")
    return {
        **{key: target[key] for key in keys},
        "attempts": [{key: attempt[key] for key in attempts} for attempt in target["attempts"]],
    }


class ToldRun(NamedTuple):
    """A run that has ended, and all that a collector took from it."""

    report: dict[str, Any]
    collector: Collector


@pytest.fixture(scope="module")
def told_run(platform: RunningSimulators, tmp_path_factory: pytest.TempPathFactory) -> ToldRun:
    """Run a plan of two waves through faults, below the span of a pipeline."""
    platform.refill(make_fixture(30, 12))
    stage = Stage(tmp_path_factory.mktemp("told"), platform, 30, 12)
    stage.expect({stage.ids[0]: ("403",)}, STORM)
    plan = stage.write_plan(waves=True, roma=QUICK, apim=QUICK)
    with running_collector() as collector:
        ended = stage.undeploy("run", plan, "--yes", env=asks(collector, TRACEPARENT=PARENT))
    assert ended.status == 1, ended.err
    assert "telemetry" not in ended.err
    return ToldRun(stage.report(), collector)


def test_the_spans_are_the_report(told_run: ToldRun) -> None:
    report, spans = told_run.report, targets_of(told_run.collector)

    assert [describe(spans[target["id"]]) for target in report["targets"]] == list(
        map(shorten, report["targets"])
    )
    for target in report["targets"]:
        span = spans[target["id"]]
        assert (span.end_time_unix_nano - span.start_time_unix_nano) / NANO == pytest.approx(
            target["seconds"], abs=0.002
        )
    [run] = [span for span in told_run.collector.spans if span.name == "undeploy scene"]
    assert {span.parent_span_id for span in spans.values()} == {run.span_id}
    assert {span.trace_id for span in told_run.collector.spans} == {bytes.fromhex(PARENT[3:35])}
    assert run.parent_span_id == bytes.fromhex(PARENT[36:52])
    assert read_attributes(run.attributes)["process.exit.code"] == report["run"]["exit_status"]


def test_the_spans_of_all_sessions_and_of_a_restore_are_their_reports(staged: Callable[..., Stage]) -> None:
    stage = staged(60, 0, latency=0.05)
    plan = stage.write_plan(top="snapshot: best", roma=QUICK)
    with running_collector() as collector:
        with stage.started("run", plan, "--yes", env=asks(collector)) as process:
            until(lambda: stage.has_run and stage.requests() > 20)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
        resumed = stage.undeploy("resume", "latest", env=asks(collector))
        undeploys, of_the_run = stage.report(), list(collector.spans)
        collector.traces.clear()
        restored = stage.undeploy("restore", "latest", "--yes", *ACCEPT, env=asks(collector))
        deploys, of_the_restore = stage.report(), list(collector.spans)

    assert (process.returncode, resumed.status, restored.status) == (130, 0, 0), restored.err
    for report, spans in ((undeploys, of_the_run), (deploys, of_the_restore)):
        told = Told(spans)
        assert told.sessions == list(range(1, len(report["run"]["sessions"]) + 1))
        for target in map(shorten, report["targets"]):
            assert told.attempts[target["id"]] == target["attempts"]
            assert told.outcomes[target["id"]] == target["outcome"]


class Told:
    """What the spans of several sessions tell of each target."""

    def __init__(self, spans: list[Any]) -> None:
        self.sessions = sorted(
            session
            for span in spans
            if (session := read_attributes(span.attributes).get("undeploy.session")) is not None
        )
        self.attempts: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.outcomes: dict[str, str] = {}
        for span in sorted(spans, key=lambda span: span.end_time_unix_nano):
            if "undeploy.target" in read_attributes(span.attributes):
                told = describe(span)
                self.attempts[told["id"]] += told["attempts"]
                self.outcomes[told["id"]] = told["outcome"]


def read_points(metric: Any, data: str) -> dict[frozenset[tuple[str, Any]], Any]:
    return {
        frozenset(read_attributes(point.attributes).items()): point
        for point in getattr(metric, data).data_points
    }


def test_the_metrics_are_the_reports_totals(told_run: ToldRun) -> None:
    report, metrics = told_run.report, told_run.collector.newest_metrics
    attempts = [
        (target["gateway"], attempt) for target in report["targets"] for attempt in target["attempts"]
    ]

    by_outcome = {
        labels: point.as_int for labels, point in read_points(metrics["undeploy.targets"], "gauge").items()
    }
    assert sum(by_outcome.values()) == 42
    for outcome in ("undeployed", "already_undeployed", "failed", "unknown", "not_started"):
        assert by_outcome[frozenset({("undeploy.outcome", outcome)})] == report["totals"][outcome]
    requests = read_points(metrics["undeploy.requests"], "sum")
    assert sum(point.as_int for point in requests.values()) == len(attempts)
    for status in {attempt["status"] for _, attempt in attempts}:
        key = ("error.type", "no_reply") if status is None else ("http.response.status_code", status)
        told = sum(point.as_int for labels, point in requests.items() if key in labels)
        assert told == sum(attempt["status"] == status for _, attempt in attempts)
    seconds = read_points(metrics["undeploy.request.duration"], "histogram")
    assert sum(point.count for point in seconds.values()) == len(attempts)
    assert sum(point.sum for point in seconds.values()) == pytest.approx(
        sum(attempt["seconds"] for _, attempt in attempts), abs=0.001 * len(attempts)
    )


@pytest.mark.promise(9)
@pytest.mark.promise(10)
@pytest.mark.parametrize(
    ("manner", "more"),
    [
        ("refuses", {}),
        ("redirects", {}),
        ("floods", {}),
        ("hangs", {}),
        ("resets", SHORT),
        ("limits", SHORT),
    ],
)
def test_a_collector_that_misbehaves_changes_nothing_of_the_run(
    staged: Callable[..., Stage], manner: Manner, more: dict[str, str]
) -> None:
    stage = staged(10, 4)
    with running_collector(manner) as collector:
        began = time.monotonic()
        ended = stage.undeploy("run", stage.write_plan(), "--yes", env=asks(collector, **more))
        took = time.monotonic() - began
    told = [line for line in ended.err.splitlines() if line.startswith("telemetry:")]

    assert ended.status == 0, ended.err
    stage.assert_truth()
    assert collector.asked >= 1
    assert collector.elsewhere == []
    # A flood of bytes is a reply with status 200, whose rest nobody reads.
    assert len(told) == (0 if manner == "floods" else 2), ended.err
    assert took < LAST_SENDING + 12
    assert API_KEY not in ended.err + ended.out
    assert "Traceback" not in ended.err


def test_a_collector_that_is_not_there_costs_no_more(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0)
    with running_collector() as collector:
        env = asks(collector, OTEL_METRICS_EXPORTER="none", **SHORT)
    ended = stage.undeploy("run", stage.write_plan(), "--yes", env=env)
    [line] = [line for line in ended.err.splitlines() if line.startswith("telemetry:")]

    assert ended.status == 0
    assert line.startswith("telemetry: 4 of 4 spans did not arrive: ")


@pytest.mark.promise(8)
def test_a_signal_ends_the_wait_for_the_collector_and_not_the_runs_status(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(3, 0)
    with (
        running_collector("hangs") as collector,
        stage.started("run", stage.write_plan(), "--yes", env=asks(collector)) as process,
    ):
        out = process.stdout
        assert out is not None
        until(lambda: out.readline().startswith("reports: "))
        until(lambda: collector.asked > 0)
        told = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        took = time.monotonic() - told

    assert process.returncode == 0
    assert took < LAST_SENDING - 0.5


@pytest.mark.promise(8)
def test_two_signals_end_a_run_whose_collector_hangs_within_five_seconds(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(4, 0, latency=30.0)
    with (
        running_collector("hangs") as collector,
        stage.started("run", stage.write_plan(), "--yes", env=asks(collector)) as process,
    ):
        until(lambda: stage.has_run and stage.requests())
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        second = time.monotonic()
        process.communicate(timeout=20)
        took = time.monotonic() - second

    assert process.returncode == 130
    assert took < 5


@pytest.mark.promise(9)
def test_the_collector_gets_the_credential_that_is_meant_for_it(staged: Callable[..., Stage]) -> None:
    stage = staged(1, 0)
    (stage.folder / ".netrc").write_text("machine 127.0.0.1 login other password of-another-program\n")
    (stage.folder / ".netrc").chmod(0o600)
    with running_collector() as collector:
        env = asks(collector, HOME=str(stage.folder))
        more = {
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20one",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": collector.url.replace("//", "//me:two@") + "/v1/metrics",
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "x-team=night",
        }
        stage.undeploy("run", stage.write_plan(), "--yes", env=env | more)

    assert (len(collector.traces), len(collector.metrics)) == (1, 1)
    assert {headers["authorization"] for headers in collector.headers} == {
        "Bearer one",
        f"Basic {b64encode(b'me:two').decode()}",
    }


@pytest.mark.promise(9)
def test_no_secret_of_a_gateway_goes_to_the_collector(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 2, tokens=())
    stage.env["ROMA_TOKEN"] = SECRET
    said = InjectedFault(kind=FaultKind.STATUS, status=403, message=f"no: {SECRET}")
    stage.expect({stage.ids[0]: (said,), stage.ids[1]: ("500", said)})
    with running_collector() as collector:
        ended = stage.undeploy("run", stage.write_plan(roma=QUICK), "--yes", env=asks(collector))
    sent = b"".join(each.SerializeToString() for each in [*collector.traces, *collector.metrics])

    assert ended.status == 1, ended.err
    assert len(targets_of(collector)) == 8
    assert "•••".encode() in sent
    assert SECRET.encode() not in sent
    assert all(headers["api-key"] == API_KEY for headers in collector.headers)
