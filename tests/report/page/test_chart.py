"""Where the bars stand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from orchestrator.model.outcome import Outcome
from orchestrator.report.page.chart import WIDTH, draw_bar, draw_pace, draw_timeline, place_latencies
from orchestrator.report.values import GatewayReport, LatencyPercentiles, RunTimeline, Totals
from tests.support.made_up_runs import build_pacing, make_up_run


def test_the_outcomes_fill_the_bar_without_gap_or_overlap() -> None:
    parts = draw_bar(Totals(targets=60, undeployed=57, failed=2, unknown=1))

    assert [part.outcome for part in parts] == ["undeployed", "failed", "unknown"]
    assert parts[0].at == 0
    for part, following in pairwise(parts):
        assert following.at == pytest.approx(part.at + part.size, abs=0.02)
    assert parts[-1].at + parts[-1].size == pytest.approx(WIDTH, abs=0.01)


def test_one_failure_of_a_million_is_still_seen() -> None:
    assert draw_bar(Totals(targets=1_000_000, undeployed=999_999, failed=1))[1].size >= 1


def test_a_run_without_targets_has_no_bar() -> None:
    assert draw_bar(Totals()) == ()


@pytest.mark.parametrize(
    ("highest", "top"), [(1, 2), (6, 6), (7, 8), (9, 10), (11, 12), (95, 100), (101, 120), (950, 1_000)]
)
def test_the_scale_ends_at_a_round_and_even_number(highest: int, top: int) -> None:
    chart = draw_timeline(RunTimeline(width=1.0, ended=({"undeployed": highest},), requests=(0,)))

    assert chart is not None
    assert chart.top == top
    assert chart.slots[0].parts[0].size == pytest.approx(100 * highest / top, abs=0.01)


def test_parts_of_a_slot_stand_on_each_other_from_the_ground_up() -> None:
    chart = draw_timeline(RunTimeline(width=2.0, ended=({"failed": 1, "undeployed": 3},), requests=(4,)))

    assert chart is not None
    assert [(part.outcome, part.at, part.size) for part in chart.slots[0].parts] == [
        ("undeployed", 25.0, 75.0),
        ("failed", 0.0, 25.0),
    ]
    assert chart.slots[0].tooltip == "0 s to 2 s, 4 requests, 3 undeployed, 1 failed"
    assert chart.line == "M0 100V0.0H1V100"


def test_a_run_without_requests_has_no_timeline() -> None:
    assert draw_timeline(RunTimeline(width=1.0, ended=({},), requests=(0,))) is None
    assert draw_timeline(RunTimeline(width=1.0, ended=(), requests=())) is None


def test_every_outcome_of_work_can_be_drawn() -> None:
    chart = draw_timeline(
        RunTimeline(width=1.0, ended=({outcome.value: 1 for outcome in Outcome},), requests=(5,))
    )

    assert chart is not None
    assert list(chart.outcomes) == [
        outcome.value for outcome in Outcome if outcome is not Outcome.NOT_STARTED
    ]


def test_what_a_stop_left_behind_does_not_press_the_course_of_the_work_flat() -> None:
    work, stop = {"undeployed": 4}, {"failed": 1, "not_started": 9_000}
    chart = draw_timeline(RunTimeline(width=1.0, ended=(work, stop), requests=(4, 1)))

    assert chart is not None
    assert chart.top == 4
    assert chart.slots[1].tooltip == "1 s to 2 s, 1 request, 1 failed"
    assert draw_timeline(RunTimeline(width=1.0, ended=({"not_started": 9},), requests=(0,))) is None


def test_latencies_share_one_scale_and_a_silent_gateway_has_none() -> None:
    def gateway(seconds: LatencyPercentiles) -> GatewayReport:
        return GatewayReport(name="g", kind="roma", totals=Totals(), seconds=seconds, lane="open")

    fast, slow, silent = place_latencies(
        (
            gateway(LatencyPercentiles(p50=0.1, p95=0.2, p99=0.5)),
            gateway(LatencyPercentiles(p50=1.0, p95=1.5, p99=2.0)),
            gateway(LatencyPercentiles()),
        )
    )

    assert fast is not None
    assert slow is not None
    assert (fast.p50, fast.p95, fast.p99) == (5.0, 10.0, 25.0)
    assert (slow.p50, slow.p99) == (50.0, 100.0)
    assert silent is None


def test_a_made_up_run_shows_each_target_that_had_a_request_once() -> None:
    source = make_up_run(300)
    timeline = source.timeline(60)

    assert sum(sum(bucket.values()) for bucket in timeline.ended) == sum(
        bool(t.attempts) for t in source.targets()
    )


class TestPace:
    def test_the_bound_is_a_step_line_that_begins_where_there_is_one(self) -> None:
        chart = draw_pace(build_pacing(bound=(None, 50.0, 100.0, None), sent=(160.0, 50.0, 100.0, 120.0)))

        assert chart.top == 160
        assert chart.bound == "M1 68.75H2V37.5H3"

    def test_the_line_of_requests_goes_through_the_middle_of_each_bucket(self) -> None:
        assert (
            draw_pace(build_pacing(sent=(0.0, 160.0, 80.0, 40.0))).sent
            == "M0.5 100.0L1.5 0.0L2.5 50.0L3.5 75.0"
        )

    def test_requests_in_flight_have_a_scale_of_their_own(self) -> None:
        chart = draw_pace(build_pacing(in_flight=(3.0, 12.0, 0.0, 6.0)))

        assert chart.most == 12
        assert chart.in_flight == "M0 100V75.0H1V0.0H2V100.0H3V50.0H4V100"

    def test_a_bound_far_above_the_pace_does_not_flatten_the_pace(self) -> None:
        chart = draw_pace(build_pacing(bound=(1e6, 1e6, 5.0, 5.0), sent=(4.0, 4.0, 4.0, 4.0)))

        assert (chart.top, chart.bound) == (8, "M0 0.0H1V0.0H2V37.5H3V37.5H4")

    def test_one_refusal_of_a_thousand_is_still_seen(self) -> None:
        slots = draw_pace(build_pacing(refused=(0, 1, 1000, 0))).slots

        assert [slot.refused for slot in slots] == [0, 4.01, 16, 0]

    def test_each_bucket_has_its_numbers_as_a_tooltip(self) -> None:
        told = [slot.tooltip for slot in draw_pace(build_pacing()).slots]

        assert told[0] == "0 s to 2 s, 120/s sent, no bound, 10.0 in flight"
        assert told[2] == "4 s to 6 s, 40/s sent, at most 50/s, 4.0 in flight, 12 refused"

    def test_a_gateway_without_requests_has_a_chart(self) -> None:
        nothing = (0.0,) * 4

        chart = draw_pace(build_pacing(sent=nothing, in_flight=nothing, refused=(0,) * 4, bound=(None,) * 4))

        assert (chart.top, chart.most, chart.bound) == (2, 2, "")
