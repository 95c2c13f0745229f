"""The charts of the pages as numbers: where each bar, line and mark stands. ``svg`` draws them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import ceil

from msgspec import Struct
from msgspec.structs import asdict

from orchestrator.model.outcome import Outcome
from orchestrator.report.page.axis import TimeAxis, build_axis
from orchestrator.report.values import GatewayReport, LatencyPercentiles, PaceTimeline, RunTimeline, Totals
from orchestrator.report.words import OUTCOME_WORDS
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import format_per_second, format_span

WIDTH = 100.0
"""Units along a bar of outcomes: percent."""
_MIN_SIZE = 1.2
"""The narrowest part of a bar, in percent: a phone, too, shows one target of ten thousand."""


class BarPart(Struct, frozen=True):
    """A part of a bar, which begins ``at`` and has that ``size``, in percent of the bar."""

    outcome: str
    at: float
    size: float


class TimeSlot(Struct, frozen=True):
    """One bucket of the timeline, whose parts stand on each other from 100 (bottom) up to 0."""

    tooltip: str
    parts: tuple[BarPart, ...]


class TimeChart(Struct, frozen=True, kw_only=True):
    """The targets that ended, and the requests that were sent, both counted by bucket on one scale.

    What was not started is in no bucket: a stop ends it all at once, and would press the rest flat.
    ``line`` is the path of the requests, empty if nothing counts them; ``top`` is the count at the top of
    the scale.
    """

    slots: tuple[TimeSlot, ...]
    line: str
    top: int
    width: float
    """Seconds of one bucket."""
    axis: TimeAxis
    outcomes: tuple[str, ...]
    """The outcomes that occur, in their usual order."""


class PaceSlot(Struct, frozen=True):
    """One bucket of a pace chart; ``refused`` is the height of its bar of refusals, 0 without one."""

    tooltip: str
    refused: float


class PaceChart(Struct, frozen=True, kw_only=True):
    """The pace of the run at one gateway, and below it the requests in flight, each with its own scale.

    Paths run over buckets, and from 100 (bottom) up to 0. ``bound`` and ``sent`` end at ``top`` undeploys a
    second, ``in_flight``, an area, at ``most`` requests.
    """

    gateway: str
    slots: tuple[PaceSlot, ...]
    bound: str
    sent: str
    in_flight: str
    top: int
    most: int
    width: float
    axis: TimeAxis

    @property
    def has_refusals(self) -> bool:
        """Return whether the gateway refused a request at all."""
        return any(slot.refused for slot in self.slots)


class LatencyRange(Struct, frozen=True):
    """The latency percentiles of one gateway, on a scale of 0 to 100 that all gateways share."""

    p50: float
    p95: float
    p99: float


def draw_bar(totals: Totals) -> tuple[BarPart, ...]:
    """Lay the outcomes side by side over ``WIDTH``; empty without a target."""
    counts = {outcome.value: count for outcome, count in _count_by_outcome(asdict(totals)) if count}
    if not counts:
        return ()
    spare = WIDTH - _MIN_SIZE * len(counts)
    total = sum(counts.values())
    parts, at = [], 0.0
    for outcome, count in counts.items():
        size = round(_MIN_SIZE + spare * count / total, 3)
        parts.append(BarPart(outcome, round(at, 3), size))
        at += size
    return tuple(parts)


def draw_timeline(timeline: RunTimeline, axis: TimeAxis | None = None) -> TimeChart | None:
    """Return the chart; None if no request was sent and no target that was begun ended."""
    buckets = [dict(_count_worked_on(bucket)) for bucket in timeline.ended]
    highest = max((*(sum(bucket.values()) for bucket in buckets), *(timeline.requests or ())), default=0)
    if not highest:
        return None
    top = choose_top(highest)
    seen = {outcome for bucket in buckets for outcome in bucket}
    return TimeChart(
        slots=tuple(_build_slots(timeline, top)),
        line="" if timeline.requests is None else _draw_outline(timeline.requests, top),
        top=top,
        width=timeline.width,
        axis=axis or build_axis(timeline.spans, timeline.marks),
        outcomes=tuple(outcome.value for outcome in Outcome if outcome in seen),
    )


def _build_slots(timeline: RunTimeline, top: int) -> Iterator[TimeSlot]:
    requests: Iterable[int | None] = timeline.requests or (None,) * len(timeline.ended)
    for index, (bucket, sent) in enumerate(zip(timeline.ended, requests, strict=True)):
        parts, at = [], 100.0
        texts = [
            _describe_bucket(index, timeline.width),
            *([] if sent is None else [count_noun(sent, "request")]),
        ]
        for outcome, count in _count_worked_on(bucket):
            size = round(100 * count / top, 3)
            at -= size
            parts.append(BarPart(outcome.value, round(at, 3), size))
            texts.append(f"{count:,} {OUTCOME_WORDS[outcome]}")
        yield TimeSlot(", ".join(texts), tuple(parts))


def _count_worked_on(bucket: Mapping[str, int]) -> Iterator[tuple[Outcome, int]]:
    return (
        (outcome, count)
        for outcome, count in _count_by_outcome(bucket)
        if count and outcome is not Outcome.NOT_STARTED
    )


def _describe_bucket(index: int, width: float) -> str:
    return f"{format_span(index * width)} to {format_span((index + 1) * width)}"


def draw_pace(pacing: PaceTimeline, axis: TimeAxis | None = None) -> PaceChart:
    """Return the chart. A bound far above the pace is drawn at the top of the scale."""
    fastest = max(pacing.sent, default=0.0)
    bounds = [bound for bound in pacing.bound if bound is not None]
    # A bound that no request came near would press the curve of the requests flat.
    highest = min(max(bounds, default=0.0), 2 * fastest) if fastest else max(bounds, default=0.0)
    top, most = choose_top(ceil(max(highest, fastest, 1))), choose_top(ceil(max(*pacing.in_flight, 1)))
    busiest = max(*pacing.refused, 1)
    slots = tuple(
        PaceSlot(tooltip, round(4 + 12 * refused / busiest, 2) if refused else 0.0)
        for tooltip, refused in zip(_build_pace_tooltips(pacing), pacing.refused, strict=True)
    )
    return PaceChart(
        gateway=pacing.gateway,
        slots=slots,
        bound=_draw_steps(pacing.bound, top),
        sent="M"
        + "L".join(f"{index + 0.5:g} {_find_height(rate, top)}" for index, rate in enumerate(pacing.sent)),
        in_flight=_draw_outline(pacing.in_flight, most),
        top=top,
        most=most,
        width=pacing.width,
        axis=axis or TimeAxis(),
    )


def _build_pace_tooltips(pacing: PaceTimeline) -> Iterator[str]:
    buckets = zip(pacing.sent, pacing.bound, pacing.in_flight, pacing.refused, strict=True)
    for index, (sent, bound, in_flight, refused) in enumerate(buckets):
        texts = [
            _describe_bucket(index, pacing.width),
            f"{format_per_second(sent)} sent",
            "no bound" if bound is None else f"at most {format_per_second(bound)}",
            f"{in_flight:.1f} in flight",
        ]
        yield ", ".join(texts if not refused else [*texts, f"{refused:,} refused"])


def _draw_steps(values: Iterable[float | None], top: float) -> str:
    """Return a path that stays at its height through each bucket, with a gap for each None."""
    path, drawn = "", False
    for index, value in enumerate(values):
        if value is not None:
            height = _find_height(value, top)
            path += f"{'V' if drawn else f'M{index} '}{height}H{index + 1}"
        drawn = value is not None
    return path


def _find_height(value: float, top: float) -> float:
    return round(100 - 100 * min(value / top, 1.0), 2)


def _count_by_outcome(counts: Mapping[str, int]) -> Iterator[tuple[Outcome, int]]:
    return ((outcome, counts.get(outcome, 0)) for outcome in Outcome)


def _draw_outline(values: Iterable[float], top: int) -> str:
    """Return a path up and down the values, which begins and ends at the ground."""
    heights = [round(100 - 100 * value / top, 2) for value in values]
    return "M0 100" + "".join(f"V{height}H{index}" for index, height in enumerate(heights, 1)) + "V100"


def choose_top(highest: int) -> int:
    """Return the smallest round number that is not below ``highest``.

    The number is even, because the scale shows half of it, too.
    """
    # Two digits are enough for a scale; the others are zeros.
    scale: int = 10 ** max(0, len(str(highest)) - 2)
    rounds = (2, 4, 6, 8, 10, 12, 16, 20, 30, 40, 50, 60, 80, 100)
    return next(number * scale for number in rounds if number * scale >= highest)


def place_latencies(gateways: tuple[GatewayReport, ...]) -> list[LatencyRange | None]:
    """Return where the percentiles of each gateway stand; None for a gateway that answered no undeploy."""
    longest = max((gateway.seconds.p99 or 0.0 for gateway in gateways), default=0.0)
    return [_place_latency(gateway.seconds, longest) for gateway in gateways]


def _place_latency(seconds: LatencyPercentiles, longest: float) -> LatencyRange | None:
    if seconds.p50 is None or seconds.p95 is None or seconds.p99 is None or not longest:
        return None
    p50, p95, p99 = (round(100 * value / longest, 1) for value in (seconds.p50, seconds.p95, seconds.p99))
    return LatencyRange(p50, p95, p99)
