"""The trace of a run, from made-up events."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from orchestrator.model.events import AnyEvent, AttemptEnded, RunEnded
from orchestrator.model.outcome import Outcome
from orchestrator.telemetry import spans
from orchestrator.telemetry.spans import TraceListener, read_parent
from tests.support import story

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NANO = 10**9


def trace_of(events: Iterable[AnyEvent], parent: Context | None = None) -> tuple[ReadableSpan, ...]:
    """Return the spans in the order of their ends; the run's is the last one."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    listener = TraceListener(provider.get_tracer("test"), story.started(), parent or Context())
    for event in events:
        listener(event)
    listener.close()
    found: tuple[ReadableSpan, ...] = exporter.get_finished_spans()
    assert listener.spans == len(found)
    return found


def attributes_of(span: Any) -> Mapping[str, Any]:
    assert span.attributes is not None
    return span.attributes  # type: ignore[no-any-return]


def test_each_target_is_a_span_below_that_of_the_run() -> None:
    *targets, run = trace_of(story.short_run()[1:])

    assert run.name == "undeploy retirement"
    assert run.parent is None
    assert {span.parent.span_id for span in targets if span.parent} == {run.get_span_context().span_id}
    told = {attributes_of(span)["undeploy.target"] for span in targets}
    assert told == {e.target for e in story.short_run() if hasattr(e, "outcome")}


def test_a_span_begins_and_ends_with_the_work_on_its_target() -> None:
    ended = msgspec.structs.replace(story.ended("roma-eu/1", at=story.START + 60), seconds=2.5)
    target, _ = trace_of([ended])

    assert target.end_time == int((story.START + 60) * NANO)
    assert target.start_time == int((story.START + 57.5) * NANO)


def test_an_attempt_is_an_event_of_its_target() -> None:
    attempt = msgspec.structs.replace(
        story.answered("roma-eu/1", status=500), code="APIG.9999", message="System error", number=2
    )
    lost = msgspec.structs.replace(attempt, status=None, code=None, message=None, number=3)
    kept_back = msgspec.structs.replace(lost, number=4, sent=False)
    target, _ = trace_of([attempt, lost, kept_back, story.ended("roma-eu/1")])
    first, second, _ = target.events

    assert (first.name, dict(first.attributes or {})) == (
        "undeploy.attempt",
        {
            "undeploy.attempt.number": 2,
            "undeploy.attempt.act": "undeploy",
            "undeploy.attempt.seconds": attempt.seconds,
            "http.response.status_code": 500,
            "undeploy.attempt.code": "APIG.9999",
            "undeploy.attempt.message": "System error",
        },
    )
    assert "http.response.status_code" not in dict(second.attributes or {})
    assert [dict(one.attributes or {}).get("undeploy.attempt.sent") for one in target.events] == [
        None,
        None,
        False,
    ]


@pytest.mark.parametrize(
    ("outcome", "reason", "error"),
    [
        (Outcome.FAILED, "refused: APIG.1234 no", "refused"),
        (Outcome.FAILED, "no colon at all", "failed"),
        (Outcome.FAILED, "http://x is odd: yes", "failed"),
        (Outcome.UNKNOWN, None, "unknown"),
    ],
)
def test_a_failed_target_is_an_error_with_the_first_word_of_its_reason(
    outcome: Outcome, reason: str | None, error: str
) -> None:
    target, _ = trace_of([story.ended("roma-eu/1", outcome, reason=reason)])

    assert attributes_of(target)["error.type"] == error
    assert (target.status.status_code, target.status.description) == (StatusCode.ERROR, reason or outcome)


@pytest.mark.parametrize("outcome", [Outcome.UNDEPLOYED, Outcome.ALREADY_UNDEPLOYED, Outcome.NOT_STARTED])
def test_a_target_that_did_not_fail_is_no_error(outcome: Outcome) -> None:
    target, _ = trace_of([story.ended("roma-eu/1", outcome)])

    assert "error.type" not in attributes_of(target)
    assert target.status.status_code is StatusCode.UNSET


def test_the_span_of_the_run_has_its_counts_and_its_exit_status() -> None:
    end = RunEnded(at=story.START + 9, state="stopped", exit_status=4)
    outcomes = [Outcome.UNDEPLOYED, Outcome.UNDEPLOYED, Outcome.FAILED]
    *_, run = trace_of([*(story.ended(f"apim/{n}", each) for n, each in enumerate(outcomes)), end])

    found = attributes_of(run)
    assert (found["undeploy.state"], found["process.exit.code"]) == ("stopped", 4)
    assert (found["undeploy.ended.undeployed"], found["undeploy.ended.failed"]) == (2, 1)
    assert run.status.status_code is StatusCode.ERROR
    assert run.end_time == int((story.START + 9) * NANO)


def test_a_run_that_is_cut_off_has_a_span_all_the_same() -> None:
    *_, run = trace_of([story.wave_started(at=story.START + 3)])

    assert run.status.description == "the run did not come to its end"
    assert run.end_time == int((story.START + 3) * NANO)


def test_the_span_of_the_run_tells_of_waves_lanes_and_people_but_of_no_short_pause() -> None:
    events = [
        story.wave_started(),
        story.paused(),
        story.parked("roma-eu"),
        story.controlled("skip apim/**"),
        story.wave_ended(),
    ]
    *_, run = trace_of(events)

    assert [event.name.removeprefix("undeploy.") for event in run.events] == [
        "wave_started",
        "lane_changed",
        "controlled",
        "wave_ended",
    ]
    assert dict(run.events[2].attributes or {})["undeploy.act"] == "skip apim/**"


def test_a_traceparent_is_the_parent_of_the_run() -> None:
    *_, run = trace_of([], read_parent({"TRACEPARENT": PARENT}))

    assert run.parent is not None
    assert f"{run.parent.trace_id:032x}-{run.parent.span_id:016x}" == PARENT[3:-3]
    assert run.get_span_context().trace_id == run.parent.trace_id


def test_a_traceparent_that_is_not_sampled_leaves_no_span() -> None:
    assert trace_of(story.short_run()[1:], read_parent({"TRACEPARENT": f"{PARENT[:-1]}0"})) == ()


@pytest.mark.parametrize(
    "broken", ["", "00-zz", PARENT.replace("0af7", "\u202e"), "00-" + "0" * 32 + PARENT[35:]]
)
def test_a_broken_traceparent_is_none(broken: str) -> None:
    *_, run = trace_of([], read_parent({"TRACEPARENT": broken}))

    assert run.parent is None


def attempts(count: int, target: str = "roma-eu/1") -> list[AttemptEnded]:
    return [msgspec.structs.replace(story.answered(target), number=number + 1) for number in range(count)]


@pytest.mark.promise(10)
def test_the_attempts_that_are_kept_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "MOST_OPEN_TARGETS", 2)
    many = [attempt for number in range(3) for attempt in attempts(2, f"roma-eu/{number}")]
    found = trace_of([*many, *(story.ended(f"roma-eu/{number}") for number in range(3))])

    assert [len(span.events) for span in found[:3]] == [0, 2, 2]


def test_of_very_many_attempts_the_newest_are_told() -> None:
    target, _ = trace_of([*attempts(spans.MOST_ATTEMPTS + 5), story.ended("roma-eu/1")])
    numbers = [dict(event.attributes or {})["undeploy.attempt.number"] for event in target.events]

    assert numbers == list(range(6, spans.MOST_ATTEMPTS + 6))


def test_the_place_of_a_gateway_is_told() -> None:
    started = msgspec.structs.replace(story.started(), urls={"roma-eu": "https://roma.example.com"})
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    listener = TraceListener(provider.get_tracer("test"), started, Context())
    listener(story.ended("roma-eu/1"))
    [target] = exporter.get_finished_spans()

    found = attributes_of(target)
    assert (found["server.address"], found["server.port"]) == ("roma.example.com", 443)
