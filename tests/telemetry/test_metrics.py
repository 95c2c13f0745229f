"""The text for Prometheus, read back by Prometheus's own parser."""

import re
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.display.status import read_status
from orchestrator.model.events import AnyEvent, RunStarted
from orchestrator.model.live_status import MOST_LANES, SECONDS_BOUNDS, LiveStatus, RuleHeadroom
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act
from orchestrator.runs.control_socket import LONGEST_ANSWER
from orchestrator.telemetry.gauges import GAUGES
from orchestrator.telemetry.metrics import CONTENT_TYPE, name_for_prometheus, render_metrics
from tests.support import story

NOW = story.START + 60
Sample = tuple[str, frozenset[tuple[str, str]]]


def status_of(*events: AnyEvent) -> LiveStatus:
    return read_status(story.fold(*events), NOW)


def read_back(status: LiveStatus) -> dict[Sample, float]:
    """Return the value of each sample, by its name and its labels but those of the run."""
    found = {}
    for family in text_string_to_metric_families(render_metrics(status).decode()):
        for sample in family.samples:
            if family.name == "undeploy_run_info":
                continue
            assert sample.labels.pop("run") == status.run.id
            assert sample.labels.pop("plan") == status.run.plan
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return found


def name(metric: str, **labels: str) -> Sample:
    return metric, frozenset(labels.items())


def test_the_counts_are_those_of_the_status() -> None:
    status = status_of(*story.short_run())
    found = read_back(status)

    for outcome in ("undeployed", "already_undeployed", "failed", "unknown", "not_started"):
        assert found[name("undeploy_targets", outcome=outcome)] == status.verdict.counts[outcome]
    for lane in status.lanes:
        told = {
            labels: value
            for (metric, labels), value in found.items()
            if metric == "undeploy_lane_targets" and ("gateway", lane.name) in labels
        }
        assert sum(told.values()) == lane.total


def test_requests_are_counted_and_timed_as_opentelemetry_has_them() -> None:
    answers = [
        story.answered("roma-eu/1", status=status) for status in (204, 204, 500, None, *range(900, 999))
    ]
    found = read_back(status_of(story.started(), *answers))
    who = {"gateway": "roma-eu", "act": "undeploy"}
    counted = {
        dict(labels)["status"]: value
        for (metric, labels), value in found.items()
        if metric == "undeploy_requests_total"
    }
    within = {
        float(dict(labels)["le"]): value
        for (metric, labels), value in found.items()
        if metric == "undeploy_request_duration_seconds_bucket"
    }

    assert counted == {"204": 2, "500": 1, "no_reply": 1, "unknown_status": 99}
    seconds = answers[0].seconds
    assert within == {bound: 103 * (seconds <= bound) for bound in (*SECONDS_BOUNDS, float("inf"))}
    assert found[name("undeploy_request_duration_seconds_count", **who)] == 103
    assert found[name("undeploy_request_duration_seconds_sum", **who)] == pytest.approx(103 * seconds)


@pytest.mark.promise(10)
@pytest.mark.long("plays many lanes")
def test_the_requests_of_many_lanes_that_answer_with_every_status_fit_the_control_socket() -> None:
    names = [f"gateway-{number}" for number in range(MOST_LANES)]
    answers = [
        msgspec.structs.replace(story.answered(f"{each}/1", status=status), gateway=each, act=act)
        for each in names
        for act in Act
        for status in range(100, 600)
    ]
    status = status_of(story.started(dict.fromkeys(names, 1)), *answers)

    assert len(status.requests) == MOST_LANES * len(Act)
    assert len(msgspec.json.encode(status)) < LONGEST_ANSWER / 2


def test_targets_without_an_outcome_are_open() -> None:
    found = read_back(status_of(story.started({"roma-eu": 5}), story.wave_started()))

    assert found[name("undeploy_targets", outcome="open")] == 5
    assert found[name("undeploy_lane_targets", gateway="roma-eu", outcome="open")] == 5


def test_a_lane_is_in_one_state() -> None:
    lane = story.parked("roma-eu")
    found = read_back(status_of(story.started(), story.wave_started(), lane))
    states = {
        state: found[name("undeploy_lane_state", gateway="roma-eu", state=state)]
        for state in ("open", "paused", "parked", "closed")
    }

    assert states == {"open": 0, "paused": 0, "parked": 1, "closed": 0}


def test_the_end_has_its_exit_status_and_nothing_before_it() -> None:
    whole = story.short_run()
    exit_status = name("undeploy_run_exit_status")

    assert exit_status not in read_back(status_of(*whole[:-1]))
    assert exit_status in read_back(status_of(*whole))


def test_a_window_tells_when_it_closes() -> None:
    closes = name("undeploy_run_closes_timestamp_seconds")

    assert closes not in read_back(status_of(story.started()))
    assert read_back(status_of(story.started(closes=NOW + 5)))[closes] == NOW + 5


def test_a_stop_rule_tells_how_many_more_stop_the_run() -> None:
    rule = RuleHeadroom(rule="failed", count=3, of=40, limit="20%", more=7, text="")
    spent = RuleHeadroom(rule="unknown", count=0, of=40, limit="20%", more=None, text="")
    status = msgspec.structs.replace(status_of(story.started()), headroom=(rule, spent))
    found = {key: value for key, value in read_back(status).items() if key[0].startswith("undeploy_stop")}

    assert found == {name("undeploy_stop_rule_headroom", rule="failed"): 7}


@pytest.mark.parametrize("hostile", ['a"b', "a\nundeploy_targets 7", "a\\", "ü\u202e", "{x='1'}"])
def test_a_hostile_name_stays_a_label(hostile: str) -> None:
    started = msgspec.structs.replace(story.started({hostile: 3}), plan=hostile)
    found = read_back(status_of(started))

    gateways = {dict(labels)["gateway"] for metric, labels in found if "gateway" in dict(labels)}
    assert len(gateways) == 1
    assert found[name("undeploy_targets", outcome="open")] == 3


def many_lanes() -> RunStarted:
    return story.started({f"gateway-{number}": 1 for number in range(3 * MOST_LANES)})


@pytest.mark.promise(10)
def test_the_text_is_bounded() -> None:
    text = render_metrics(status_of(many_lanes()))

    gateways = set(re.findall(rb'gateway="([^"]*)"', text))
    assert len(gateways) == MOST_LANES
    assert len(text) < 400_000


def test_what_the_run_is_stands_in_one_metric() -> None:
    families = text_string_to_metric_families(render_metrics(status_of(*story.short_run())).decode())
    [info] = [family for family in families if family.name == "undeploy_run_info"]
    facts = {"run": "r1", "plan": "retirement", "act": "undeploy", "rehearsal": "false"}

    assert [(sample.labels, sample.value) for sample in info.samples] == [(facts, 1)]


def test_a_run_that_has_told_nothing_yet_has_no_metric() -> None:
    assert render_metrics(status_of()) == b""


def test_every_metric_has_one_name_and_a_text() -> None:
    names = [name_for_prometheus(gauge) for gauge in GAUGES]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"undeploy_[a-z_]+", each) for each in names)
    assert all(gauge.text for gauge in GAUGES)
    assert CONTENT_TYPE.startswith("text/plain")


def test_two_texts_share_nothing() -> None:
    first, second = status_of(story.started({"roma-eu": 1})), status_of(story.started({"apim": 1}))
    before = render_metrics(first)
    render_metrics(second)

    assert render_metrics(first) == before
    assert b"apim" not in before


def outcomes(*found: Outcome) -> list[Any]:
    return [story.ended(f"roma-eu/{number}", outcome) for number, outcome in enumerate(found)]


def test_a_restore_has_outcomes_of_its_own() -> None:
    started = msgspec.structs.replace(story.started({"roma-eu": 2}), act="restore")
    found = read_back(status_of(started, *outcomes(Outcome.RESTORED, Outcome.FAILED)))

    assert found[name("undeploy_targets", outcome="restored")] == 1
    assert not [key for key in found if ("outcome", "undeployed") in key[1]]
