"""The listener that makes a trace of a run: a span for the run, and below it one for each target.

A target's span is made when its outcome is known, with the times at which its work began and ended. Until
then its attempts are kept here. An attribute has the name that OpenTelemetry's semantic conventions give it,
or else one that begins with ``undeploy.``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from orchestrator.model.events import (
    AnyEvent,
    AttemptEnded,
    Controlled,
    GatewayWarned,
    LaneChanged,
    RunContinued,
    RunEnded,
    RunStarted,
    RunStopping,
    RunWaiting,
    RunWarned,
    StepStarted,
    TargetEnded,
    WaveEnded,
    WaveStarted,
)
from orchestrator.model.outcome import TROUBLE, Outcome, Reason
from orchestrator.model.target import TargetId

MOST_OPEN_TARGETS = 10_000
"""Number of targets without an outcome whose attempts are kept; the oldest of more lose their attempts.

A run with ``look: always`` may let half of its targets wait for a list.
"""

MOST_ATTEMPTS = 128
"""Attempts kept of one target, the newest ones: as many events as a span takes by default."""

_REASONS = frozenset(reason.value for reason in Reason)

Attributes = dict[str, str | bool | int | float]

_TOLD_ON_RUN = (
    WaveStarted,
    StepStarted,
    WaveEnded,
    RunWaiting,
    RunContinued,
    RunStopping,
    Controlled,
    GatewayWarned,
    RunWarned,
)
"""The events that become events of the run's span. A change of a lane does, too, but no short pause."""


class TraceListener:
    """Listener: tells a tracer of each target that ends, and of the run."""

    def __init__(self, tracer: Tracer, started: RunStarted, parent: Context) -> None:
        self._tracer = tracer
        self._started = started
        self._span = tracer.start_span(
            f"{started.act} {started.plan}",
            parent,
            SpanKind.INTERNAL,
            _describe_start(started),
            start_time=_to_nanoseconds(started.at),
        )
        self._context = trace.set_span_in_context(self._span, parent)
        self._places = {name: _read_place(url) for name, url in started.urls.items()}
        self._attempts: dict[TargetId, deque[AttemptEnded]] = {}
        self._outcomes: Counter[Outcome] = Counter()
        self._newest = started.at
        self._is_ended = False
        self.spans = 0
        """Number of spans that were ended so far, without those that the sampler left out."""
        self._handlers: dict[type[AnyEvent], Callable[[Any], None]] = {
            AttemptEnded: self._keep_attempt,
            TargetEnded: self._end_target,
            LaneChanged: self._tell_lane,
            RunEnded: self._end_run,
            **dict.fromkeys(_TOLD_ON_RUN, self._tell_on_run),
        }

    def __call__(self, event: AnyEvent) -> None:
        """Take in the next event."""
        self._newest = event.at
        if (handle := self._handlers.get(type(event))) is not None:
            handle(event)

    def close(self) -> None:
        """End the run's span, if no event has: the program has met a bug, or is ended at once."""
        if not self._is_ended:
            self._span.set_status(StatusCode.ERROR, "the run did not come to its end")
            self._end(self._span, self._newest)
            self._is_ended = True

    def _keep_attempt(self, event: AttemptEnded) -> None:
        if (kept := self._attempts.get(event.target)) is None:
            if len(self._attempts) >= MOST_OPEN_TARGETS:
                del self._attempts[next(iter(self._attempts))]
            kept = self._attempts[event.target] = deque(maxlen=MOST_ATTEMPTS)
        kept.append(event)

    def _end_target(self, event: TargetEnded) -> None:
        self._outcomes[event.outcome] += 1
        attempts = self._attempts.pop(event.target, ())
        span = self._tracer.start_span(
            f"{self._started.act} {event.gateway}",
            self._context,
            SpanKind.INTERNAL,
            _describe_target(event, self._places.get(event.gateway, {})),
            start_time=_to_nanoseconds(event.at - event.seconds),
        )
        if span.is_recording():
            for attempt in attempts:
                span.add_event("undeploy.attempt", _describe_attempt(attempt), _to_nanoseconds(attempt.at))
            if event.outcome in TROUBLE:
                span.set_status(StatusCode.ERROR, event.reason or event.outcome)
        self._end(span, event.at)

    def _tell_lane(self, event: LaneChanged) -> None:
        # A gateway that limits its callers pauses its lane every second.
        if event.state != "paused":
            self._tell_on_run(event)

    def _tell_on_run(self, event: AnyEvent) -> None:
        fields = msgspec.to_builtins(event)
        name = f"undeploy.{fields.pop('event')}"
        at = fields.pop("at")
        attributes = {f"undeploy.{key}": value for key, value in fields.items() if _is_simple(value)}
        self._span.add_event(name, attributes, _to_nanoseconds(at))

    def _end_run(self, event: RunEnded) -> None:
        self._span.set_attributes(_describe_end(event, self._outcomes))
        if event.exit_status:
            self._span.set_status(StatusCode.ERROR, f"exit status {event.exit_status}")
        self._end(self._span, event.at)
        self._is_ended = True

    def _end(self, span: Span, at: float) -> None:
        self.spans += span.is_recording()
        span.end(_to_nanoseconds(at))


def read_parent(environment: Mapping[str, str]) -> Context:
    """Return the span that ``TRACEPARENT`` and ``TRACESTATE`` name as the parent of the run, if they do."""
    carrier = {name: environment.get(name.upper(), "") for name in ("traceparent", "tracestate")}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def _describe_start(started: RunStarted) -> Attributes:
    return {
        "undeploy.run": started.run,
        "undeploy.plan": started.plan,
        "undeploy.act": started.act,
        "undeploy.session": started.session,
        "undeploy.targets": started.targets,
        "undeploy.left": sum(started.left.values()),
    }


def _describe_end(event: RunEnded, outcomes: Mapping[Outcome, int]) -> Attributes:
    counts: Attributes = {f"undeploy.ended.{outcome}": count for outcome, count in outcomes.items()}
    return {"undeploy.state": event.state, "process.exit.code": event.exit_status, **counts}


def _describe_target(event: TargetEnded, place: Attributes) -> Attributes:
    attributes: Attributes = {
        "undeploy.target": event.target,
        "undeploy.gateway": event.gateway,
        "undeploy.wave": event.wave,
        "undeploy.outcome": event.outcome.value,
        "undeploy.attempts": event.attempts,
        **place,
    }
    if event.reason is not None:
        attributes["undeploy.reason"] = event.reason
    if event.evidence is not None:
        attributes["undeploy.evidence"] = event.evidence
    if event.outcome in TROUBLE:
        attributes["error.type"] = _name_error(event)
    return attributes


def _name_error(event: TargetEnded) -> str:
    """Return the ``Reason`` with which a reason begins; the outcome where it begins with none."""
    word, colon, _ = (event.reason or "").partition(":")
    return word if colon and word in _REASONS else event.outcome.value


def _describe_attempt(attempt: AttemptEnded) -> Attributes:
    attributes: Attributes = {
        "undeploy.attempt.number": attempt.number,
        "undeploy.attempt.act": attempt.act.value,
        "undeploy.attempt.seconds": attempt.seconds,
    }
    if attempt.status is not None:
        attributes["http.response.status_code"] = attempt.status
    if attempt.code is not None:
        attributes["undeploy.attempt.code"] = attempt.code
    if attempt.message is not None:
        attributes["undeploy.attempt.message"] = attempt.message
    if not attempt.sent:
        attributes["undeploy.attempt.sent"] = False
    return attributes


def _read_place(url: str) -> Attributes:
    parts = urlsplit(url)
    place: Attributes = {"server.address": parts.hostname or url}
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return place if port is None else {**place, "server.port": port}


def _is_simple(value: object) -> bool:
    return isinstance(value, str | bool | int | float)


def _to_nanoseconds(at: float) -> int:
    return int(at * 1e9)
