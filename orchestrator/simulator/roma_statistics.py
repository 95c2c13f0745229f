"""The statistics of calls of a simulated ROMA Connect: of one front-end API, or of the whole instance.

After the API reference, "Monitoring Statistics". How the vendor shows hours without calls is not documented,
so the fixture decides.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from time import strptime
from typing import NamedTuple, TypeAlias

from orchestrator.model.reading import Act
from orchestrator.simulator import bound_replies
from orchestrator.simulator.bound_calls import LiveFront
from orchestrator.simulator.exchange import CallResult, PlatformCall, answer_always, json_answer
from orchestrator.simulator.pages import parse_query
from orchestrator.simulator.roma_fixture import RomaFixture
from orchestrator.simulator.roma_replies import invalid, no_such_front, no_such_route

_CYCLES: Mapping[str, tuple[int, int]] = {
    "minute": (60, 90 * 60),
    "hour": (3600, 72 * 3600),
    "day": (86_400, 72 * 3600),
}
"""The seconds of one sample, and the longest time of all, by the cycle."""
_UNITS = {"h": 3600, "m": 60}

Calls: TypeAlias = Sequence[tuple[float, int]]
"""The Unix times of calls, with how many there were."""


class _Span(NamedTuple):
    """The samples that are asked for: the Unix times of the first one's begin and of the last one's end."""

    begins: float
    ends: float
    seconds: int


class CallStatistics:
    """Answers the reads of statistics. ``list_called`` yields each live front-end API that was called."""

    def __init__(
        self,
        fixture: RomaFixture,
        find_front: Callable[[str], LiveFront | None],
        list_called: Callable[[], Iterable[tuple[str, Calls]]],
        find_calls: Callable[[LiveFront], Calls],
    ) -> None:
        self._fixture = fixture
        self._find_front = find_front
        self._list_called = list_called
        self._find_calls = find_calls

    def route(self, method: str, rest: Sequence[str], query: str) -> PlatformCall | None:
        """Return the call of a read of statistics; None for any other request."""
        asked = parse_query(query)
        match method, rest:
            case "GET", ["statistics", "api"]:
                mode = asked.get("mode")
            case "GET", ["statistics", "api", "latest"]:
                mode, asked = "API", {"cycle": "minute", **asked}
            case _:
                return None
        if self._fixture.statistics == "absent":
            return PlatformCall(act=Act.LOOK, perform=answer_always(no_such_route()))
        needs_owner = mode == "INSTANCE" and self._fixture.statistics != "owner"
        if self._fixture.statistics == "forbidden" or needs_owner:
            return PlatformCall(act=Act.LOOK, perform=answer_always(bound_replies.no_permission()))
        if mode == "INSTANCE":
            return PlatformCall(act=Act.LOOK, perform=lambda now, _: self._tell_instance(asked, now))
        if mode != "API":
            return PlatformCall(act=Act.LOOK, perform=answer_always(invalid("mode")))
        return self._route_front(asked)

    def _route_front(self, asked: Mapping[str, str]) -> PlatformCall:
        api_id = asked.get("api_id", "")
        front = self._find_front(api_id)
        if front is None:
            refusal = no_such_front(api_id) if api_id else invalid("api_id")
            return PlatformCall(act=Act.LOOK, perform=answer_always(refusal))
        return PlatformCall(
            act=Act.LOOK, row=front.row, perform=lambda now, _: self._tell_front(front, asked, now)
        )

    def _tell_front(self, front: LiveFront, asked: Mapping[str, str], now: float) -> CallResult:
        span = _read_span(asked, now)
        if isinstance(span, str):
            return CallResult(invalid(span))
        calls = self._find_calls(front)
        return _send(span, self._make_samples(span, calls, {"api_id": front.id}))

    def _tell_instance(self, asked: Mapping[str, str], now: float) -> CallResult:
        span = _read_span(asked, now)
        if isinstance(span, str):
            return CallResult(invalid(span))
        called = [(front, calls) for front, calls in self._list_called() if any(_add_up(span, calls))]
        if self._fixture.sums_instance or not called:
            together = [each for _, calls in called for each in calls]
            return _send(span, self._make_samples(span, together, {}))
        return _send(
            span,
            (
                sample
                for front, calls in called
                for sample in self._make_samples(span, calls, {"api_id": front})
            ),
        )

    def _make_samples(
        self, span: _Span, calls: Calls, of: Mapping[str, object]
    ) -> Iterator[dict[str, object]]:
        for index, count in enumerate(_add_up(span, calls)):
            if count or self._fixture.tells_quiet_hours:
                at = int(span.begins + index * span.seconds)
                failed = count // 10
                yield {
                    **of,
                    "current_minute": at,
                    "req_time": _format_local(at),
                    "req_count": count,
                    "req_count2xx": count - failed,
                    "req_count4xx": failed,
                    "req_count5xx": 0,
                    "req_count_error": failed,
                    "max_latency": 40 if count else 0,
                    "avg_latency": 12 if count else 0,
                }


def _add_up(span: _Span, calls: Calls) -> list[int]:
    """Return the number of calls of each sample of a span, oldest first."""
    counts = [0] * round((span.ends - span.begins) / span.seconds)
    for at, count in calls:
        if span.begins <= at < span.ends:
            counts[int((at - span.begins) // span.seconds)] += count
    return counts


def _read_span(asked: Mapping[str, str], now: float) -> _Span | str:
    """Return the span of a query, or the name of the key that cannot be obeyed."""
    if (cycle := _CYCLES.get(asked.get("cycle", ""))) is None:
        return "cycle"
    seconds, longest = cycle
    if (duration := asked.get("duration")) is not None:
        found = re.fullmatch(r"([1-9]\d{0,5})([hm])", duration)
        length = int(found[1]) * _UNITS[found[2]] if found else 0
        return _cut_span(now - length, now, seconds) if 0 < length <= longest else "duration"
    begins, ends = (_parse_local(asked.get(key, "")) for key in ("start_time", "end_time"))
    if begins is None or ends is None:
        return "start_time" if begins is None else "end_time"
    return _cut_span(begins, ends, seconds) if 0 < ends - begins <= longest else "end_time"


def _cut_span(begins: float, ends: float, seconds: int) -> _Span:
    """Return whole samples that reach back at least as far as was asked."""
    count = max(1, -int(-(ends - begins) // seconds))
    return _Span(ends - count * seconds, ends, seconds)


def _send(span: _Span, samples: Iterable[dict[str, object]]) -> CallResult:
    times = {"start_time": _format_local(span.begins), "end_time": _format_local(span.ends)}
    return CallResult(json_answer(200, {"code": "200", **times, "list": list(samples)}))


def _format_local(seconds: float) -> str:
    """Write a Unix time in the form of the vendor's queries."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _parse_local(text: str) -> float | None:
    try:
        return float(timegm(strptime(text, "%Y-%m-%d %H:%M:%S")))
    except ValueError:
        return None
