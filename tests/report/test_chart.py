"""Where the bars stand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from orchestrator.model import Outcome
from orchestrator.report.chart import WIDTH, bar, ranges, time_line
from orchestrator.report.values import GatewayReport, Percentiles, Timeline, Totals

from .runs import made_up


def test_the_outcomes_fill_the_bar_without_gap_or_overlap() -> None:
    parts = bar(Totals(targets=60, undeployed=57, failed=2, unknown=1))

    assert [part.outcome for part in parts] == ["undeployed", "failed", "unknown"]
    assert parts[0].at == 0
    for part, following in pairwise(parts):
        assert following.at == pytest.approx(part.at + part.size, abs=0.02)
    assert parts[-1].at + parts[-1].size == pytest.approx(WIDTH, abs=0.05)


def test_one_failure_of_a_million_is_still_seen() -> None:
    assert bar(Totals(targets=1_000_000, undeployed=999_999, failed=1))[1].size >= 5


def test_a_run_without_targets_has_no_bar() -> None:
    assert bar(Totals()) == ()


@pytest.mark.parametrize(
    ("highest", "top"), [(1, 2), (6, 6), (7, 8), (9, 10), (11, 12), (95, 100), (101, 120), (950, 1_000)]
)
def test_the_scale_ends_at_a_round_and_even_number(highest: int, top: int) -> None:
    chart = time_line(Timeline(width=1.0, ended=({"undeployed": highest},), requests=(0,)))

    assert chart is not None
    assert chart.top == top
    assert chart.slots[0].parts[0].size == pytest.approx(100 * highest / top, abs=0.01)


def test_parts_of_a_slot_stand_on_each_other_from_the_ground_up() -> None:
    chart = time_line(Timeline(width=2.0, ended=({"failed": 1, "undeployed": 3},), requests=(4,)))

    assert chart is not None
    assert [(part.outcome, part.at, part.size) for part in chart.slots[0].parts] == [
        ("undeployed", 25.0, 75.0),
        ("failed", 0.0, 25.0),
    ]
    assert chart.slots[0].told == "0 s to 2 s, 4 requests, 3 undeployed, 1 failed"
    assert chart.line == "M0 100V0.0H1V100"
    assert chart.ticks == ("0 s", "500 ms", "1 s", "1.5 s", "2 s")


def test_where_nothing_happened_there_is_no_time_line() -> None:
    assert time_line(Timeline(width=1.0, ended=({},), requests=(0,))) is None
    assert time_line(Timeline(width=1.0, ended=(), requests=())) is None


def test_every_outcome_can_be_drawn() -> None:
    chart = time_line(Timeline(width=1.0, ended=({outcome.value: 1 for outcome in Outcome},), requests=(5,)))

    assert chart is not None
    assert list(chart.outcomes) == [outcome.value for outcome in Outcome]


def test_latencies_share_one_scale_and_a_silent_gateway_has_none() -> None:
    def gateway(seconds: Percentiles) -> GatewayReport:
        return GatewayReport(name="g", kind="roma", totals=Totals(), seconds=seconds, lane="open")

    fast, slow, silent = ranges(
        (
            gateway(Percentiles(p50=0.1, p95=0.2, p99=0.5)),
            gateway(Percentiles(p50=1.0, p95=1.5, p99=2.0)),
            gateway(Percentiles()),
        )
    )

    assert fast is not None
    assert slow is not None
    assert (fast.p50, fast.p95, fast.p99) == (5.0, 10.0, 25.0)
    assert (slow.p50, slow.p99) == (50.0, 100.0)
    assert silent is None


def test_a_made_up_run_shows_each_target_that_had_a_request_once() -> None:
    account = made_up(300)
    timeline = account.timeline(60)

    assert sum(sum(bucket.values()) for bucket in timeline.ended) == sum(
        bool(t.attempts) for t in account.targets()
    )
