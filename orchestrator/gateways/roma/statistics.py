"""ROMA Connect's replies to statistics: the calls of one front-end API, or of a whole instance, by the hour.

After the API reference, "Monitoring Statistics". A number of calls is told only where the samples cover all
the hours: a list that ends early would make a busy API look unused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.gateways.envelope import as_count, describe_reply, find_text, parse_object
from orchestrator.gateways.naming import OF_ANOTHER, names_another
from orchestrator.gateways.roma.binding_replies import read_refused_bindings
from orchestrator.gateways.text import show_text
from orchestrator.model.http import Reply
from orchestrator.model.reading import Reading, Verdict
from orchestrator.text.counting import count_noun


class CallCount(Struct):
    """The calls of one thing, and the hours that its samples are about."""

    calls: int = 0
    hours: set[Any] = field(default_factory=set)

    def find_gap(self, hours: int) -> str | None:
        """Return why this is not the number of calls in the last ``hours``; None if it is."""
        held = len(self.hours)
        if held < hours:
            seen = f", with {count_noun(self.calls, 'call')}" if self.calls else ""
            return f"the statistics hold {held} of {count_noun(hours, 'hour')}{seen}"
        # The hour that has just begun may be one more.
        if held > hours + 1:
            return f"the statistics hold {held:,} samples where {count_noun(hours, 'hour')} were asked for"
        return None


class InstanceStatistics(Struct, frozen=True):
    """The calls of a whole instance."""

    total: CallCount
    by_front: Mapping[str, CallCount]
    """By the id of a front-end API; empty where the samples do not name one."""


def read_front_statistics(front: str, hours: int, reply: Reply) -> Reading:
    """Read the statistics of one front-end API."""
    samples = _read_samples(reply)
    if isinstance(samples, Reading):
        # A refusal is about this one API: a user may lack the grant for its application alone.
        is_own = samples.verdict is Verdict.NOT_OFFERED and reply.status != 404
        return replace(samples, verdict=Verdict.UNCLEAR) if is_own else samples
    if any(names_another(sample.get("api_id"), front) for sample in samples):
        return Reading(verdict=Verdict.UNCLEAR, message=OF_ANOTHER)
    count = _add_up(samples)
    if count is None:
        return Reading(verdict=Verdict.UNCLEAR, message=_UNREADABLE)
    if gap := count.find_gap(hours):
        return Reading(verdict=Verdict.UNCLEAR, message=gap)
    return Reading(verdict=Verdict.TOLD, kept={"calls": count.calls})


def read_instance_statistics(reply: Reply) -> InstanceStatistics | Reading:
    """Read the statistics of the whole instance; a refusal is NOT_OFFERED: its owner alone may read them."""
    samples = _read_samples(reply)
    if isinstance(samples, Reading):
        return samples
    total = _add_up(samples)
    if total is None:
        return Reading(verdict=Verdict.UNCLEAR, message=_UNREADABLE)
    # Samples without a time may be one of each API, and then they cover no hours of the instance.
    total.hours = {_find_hour(sample) for sample in samples} - {None}
    return InstanceStatistics(total, _count_by_front(samples))


_UNREADABLE = "a sample of the statistics has no number of calls"


def _read_samples(reply: Reply) -> list[dict[str, Any]] | Reading:
    if reply.status != 200:
        return read_refused_bindings(reply)
    fields = parse_object(reply) or {}
    listed = fields.get("list")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        code, text = find_text(fields, "error_code", "code"), find_text(fields, "error_msg", "msg")
        told = show_text(text) if text else describe_reply(reply)
        return Reading(verdict=Verdict.UNCLEAR, code=code and show_text(code), message=told)
    return listed


def _add_up(samples: Iterable[Mapping[str, Any]]) -> CallCount | None:
    """Return the calls of all samples; None where one of them has no number of calls."""
    count = CallCount()
    for number, sample in enumerate(samples):
        calls = as_count(sample.get("req_count"))
        if calls is None:
            return None
        count.calls += calls
        # Two samples of one hour are about one hour.
        count.hours.add(_find_hour(sample) or number)
    return count


def _find_hour(sample: Mapping[str, Any]) -> str | None:
    told = sample.get("current_minute") or sample.get("req_time")
    return None if isinstance(told, bool) or not isinstance(told, int | str) else str(told)


def _count_by_front(samples: Iterable[Mapping[str, Any]]) -> dict[str, CallCount]:
    """Return the calls of each front-end API; empty where some sample names none."""
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for sample in samples:
        front = find_text(sample, "api_id")
        if front is None:
            return {}
        parts.setdefault(front, []).append(sample)
    counts = {front: _add_up(part) for front, part in parts.items()}
    return {front: count for front, count in counts.items() if count is not None}
