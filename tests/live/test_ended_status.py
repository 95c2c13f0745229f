"""The status of a run that has ended: as its report says, in the shape that a live run tells."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchestrator.live.ended_status import read_ended_status
from orchestrator.model.live_status import MOST_LANES, LiveStatus, OverTime
from orchestrator.model.outcome import Outcome
from orchestrator.report.values import GatewayReport, LatencyPercentiles, Totals, WaveReport
from tests.support.made_up_runs import FakeReportSource, build_control, build_run, build_target
from tests.support.made_up_status import HOSTILE, make_status

NOW = 1_795_900_000.0


def read(source: FakeReportSource, **keys: Any) -> LiveStatus:
    return read_ended_status(source, NOW, reports="runs/r1", **keys)


def make_source(*outcomes: Outcome, **run: Any) -> FakeReportSource:
    targets = [
        build_target(
            id=f"roma-eu/{number}",
            outcome=outcome,
            reason=None if outcome.value.endswith("undeployed") else f"refused: {number % 2}",
        )
        for number, outcome in enumerate(outcomes)
    ]
    return FakeReportSource(targets, run=build_run(**run))


FAILED, DOWN, UNKNOWN, LEFT = Outcome.FAILED, Outcome.UNDEPLOYED, Outcome.UNKNOWN, Outcome.NOT_STARTED


def test_the_counts_are_those_of_the_report() -> None:
    status = read(make_source(DOWN, DOWN, FAILED, UNKNOWN, LEFT, exit_status=1))

    assert status.verdict.counts == {
        "targets": 5,
        "ended": 5,
        "undeployed": 2,
        "already_undeployed": 0,
        "failed": 1,
        "unknown": 1,
        "not_started": 1,
    }
    assert [(wave.total, wave.ended, wave.state) for wave in status.waves] == [(5, 5, "ended")]
    assert [(lane.total, lane.ended, lane.left, lane.state_words) for lane in status.lanes] == [
        (5, 5, 0, "done")
    ]
    assert sum(cause.count for cause in status.causes) == 3


def test_the_command_that_goes_on_with_a_killed_run_names_its_state_folder() -> None:
    source = make_source(DOWN, LEFT, state="killed", exit_status=None)

    status = read(source, state_option=" --state elsewhere")

    assert (
        f"`undeploy resume {source.report.run.id} --state elsewhere` goes on with it"
        in status.verdict.sentence
    )


def test_what_a_killed_run_has_not_started_is_not_done() -> None:
    status = read(make_source(DOWN, DOWN, FAILED, LEFT, LEFT, state="killed", exit_status=None))

    assert [(wave.total, wave.ended, wave.state) for wave in status.waves] == [(5, 3, "ended")]
    assert [(lane.total, lane.ended, lane.state_words) for lane in status.lanes] == [(5, 3, "stopped")]
    whole = read(make_source(LEFT, state="killed", exit_status=None))
    assert [(wave.ended, wave.state) for wave in whole.waves] == [(0, "to come")]


@pytest.mark.parametrize(
    ("outcomes", "run", "state", "tone"),
    [
        ([DOWN], {"exit_status": 0}, "complete", "good"),
        ([DOWN, FAILED], {"exit_status": 1}, "complete", "bad"),
        ([DOWN, LEFT], {"state": "stopped", "exit_status": 4}, "stopped", "over"),
        ([DOWN, LEFT], {"state": "interrupted", "exit_status": 130}, "interrupted", "over"),
    ],
)
def test_the_end_is_told(outcomes: list[Outcome], run: dict[str, Any], state: str, tone: str) -> None:
    status = read(make_source(*outcomes, **run))

    assert status.ended is not None
    assert (status.ended.state, status.ended.exit_status) == (state, run["exit_status"])
    assert (status.verdict.state, status.verdict.tone, status.ended.reports) == (state, tone, "runs/r1")


def test_a_killed_run_has_no_end_and_names_what_goes_on_with_it() -> None:
    status = read(make_source(DOWN, LEFT, state="killed", exit_status=None))

    assert (status.ended, status.verdict.state) == (None, "interrupted")
    assert "`undeploy resume" in status.verdict.sentence


def test_a_killed_rehearsal_names_no_command_that_would_be_refused() -> None:
    source = make_source(DOWN, LEFT, state="killed", exit_status=None)
    rehearsal = msgspec.structs.replace(source.report.run, rehearsal=True)
    source.report = msgspec.structs.replace(source.report, run=rehearsal)
    status = read(source)

    assert "undeploy resume" not in status.verdict.sentence


def test_more_gateways_and_waves_than_are_named_are_counted() -> None:
    source = make_source(DOWN)
    gateways = tuple(
        GatewayReport(
            name=f"g{number}", kind="roma", totals=Totals(), seconds=LatencyPercentiles(), lane="open"
        )
        for number in range(MOST_LANES + 3)
    )
    waves = tuple(WaveReport(name=f"w{number}", totals=Totals()) for number in range(MOST_LANES + 2))
    source.report = msgspec.structs.replace(source.report, gateways=gateways, waves=waves)

    status = read(source)

    assert (len(status.lanes), status.lanes_left_out) == (MOST_LANES, 3)
    assert (len(status.waves), status.waves_left_out) == (MOST_LANES, 2)


def test_hostile_texts_are_made_visible() -> None:
    source = make_source(DOWN)
    lane = msgspec.structs.replace(source.report.gateways[0], name=HOSTILE, warnings=(HOSTILE,))
    source.report = msgspec.structs.replace(
        source.report, gateways=(lane,), controls=(build_control(act=HOSTILE, by=HOSTILE),)
    )

    status = read(source)

    texts = [status.lanes[0].name, *status.warnings, status.controls[0].act, status.controls[0].by]
    assert not any(set(text) & {"\u202e", "\0"} for text in texts)


def test_what_the_run_told_over_time_stays() -> None:
    over_time = msgspec.convert(make_status("running")["over_time"], OverTime)

    assert read(make_source(DOWN), over_time=over_time).over_time == over_time


def test_it_has_the_shape_of_a_live_status() -> None:
    found = msgspec.to_builtins(read(make_source(DOWN, FAILED)))

    assert found.keys() == make_status("complete").keys()
