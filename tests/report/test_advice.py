"""The advice after a run: which steps, and which commands to type."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.report.advice import advise
from orchestrator.report.values import ChainedRun, RestoreOutlook
from tests.support.made_up_runs import build_report, build_run


@pytest.mark.parametrize(
    ("run", "counts", "commands"),
    [
        ({"state": "complete", "exit_status": 0}, {"undeployed": 1}, []),
        (
            {"state": "complete", "exit_status": 1},
            {"failed": 1, "unknown": 1},
            ["undeploy remainder RUN -o rest.yaml"],
        ),
        ({"state": "interrupted", "exit_status": 130}, {"not_started": 1}, ["undeploy resume RUN"]),
        ({"state": "killed", "exit_status": None}, {"unknown": 1}, ["undeploy resume RUN"]),
        ({"state": "complete", "exit_status": 4}, {"not_started": 1}, ["undeploy resume RUN"]),
        (
            {"state": "stopped", "stopped_by": "stop_rule: failed 20%", "exit_status": 4},
            {"failed": 3, "not_started": 1},
            ["undeploy resume RUN --past-stop"],
        ),
        (
            {"state": "stopped", "stopped_by": "window: closed", "exit_status": 4},
            {"not_started": 1},
            ["undeploy resume RUN --window OPENS/CLOSES"],
        ),
        (
            {"state": "stopped", "stopped_by": "disk: full", "exit_status": 4},
            {"unknown": 1},
            ["undeploy resume RUN"],
        ),
        (
            {"state": "stopped", "stopped_by": "interrupt: alice stopped it", "exit_status": 4},
            {"not_started": 1},
            ["undeploy resume RUN"],
        ),
        (
            {"state": "stopped", "stopped_by": "parked", "exit_status": 4},
            {"not_started": 1},
            ["undeploy resume RUN"],
        ),
        ({"state": "running", "exit_status": None}, {"not_started": 1}, []),
    ],
)
def test_a_command_is_advised_only_where_it_helps(
    run: dict[str, Any], counts: dict[str, int], commands: list[str]
) -> None:
    said = [
        step.command.replace(build_run().id, "RUN")
        for step in advise(build_report(run=run, **counts))
        if step.command
    ]

    assert said == commands


@pytest.mark.parametrize(
    ("counts", "kept_out", "up_again", "is_advised"),
    [
        ({"failed": 1, "not_started": 2}, {"protected": 1}, {}, True),
        ({"not_started": 2}, {"protected": 1}, {}, False),
        ({"not_started": 2}, {"filtered": 1}, {}, True),
        ({"failed": 1, "not_started": 2}, {"protected": 1}, {"failed": 1}, False),
    ],
)
def test_no_remainder_is_advised_where_it_would_have_no_target(
    counts: dict[str, int], kept_out: dict[str, int], up_again: dict[str, int], *, is_advised: bool
) -> None:
    """One target comes after another one, which is protected or is not down."""
    report = build_report(run={"exit_status": 1}, **counts)
    report = replace(report, kept_out=kept_out, up_again=up_again, dependent=1)

    said = [step.command for step in advise(report)]

    assert any("remainder" in command for command in said) == is_advised


@pytest.mark.parametrize("state", ["killed", "interrupted"])
def test_a_stop_rule_that_fired_before_the_run_was_cut_off_is_to_be_passed(state: str) -> None:
    """A resume without the option is refused."""
    report = build_report(run={"state": state, "exit_status": None}, unknown=1)

    (step,) = advise(replace(report, stop_rule="stop_rule: failed: 2 in the run, limit 1"))

    assert step.text.startswith("A stop rule had fired before (stop_rule: failed: 2 in the run, limit 1).")
    assert step.command.endswith(" --past-stop")


def test_advice_for_a_run_without_open_ends() -> None:
    assert [step.text for step in advise(build_report(undeployed=3))] == ["Nothing is left to do."]


def test_advice_names_the_lanes_that_are_closed_or_parked_first() -> None:
    run = {"state": "stopped", "exit_status": 4}

    assert "roma-eu: closed" in advise(build_report("closed", run, not_started=1))[0].text
    assert "about roma-eu: parked" in advise(build_report("parked", run, not_started=1))[0].text


def test_a_lane_that_waited_for_a_worker_wants_one_and_not_a_look_at_its_gateway() -> None:
    report = build_report("parked", {"state": "stopped", "exit_status": 4}, not_started=1)
    engine = "temporal://h:7233/default"
    report = replace(report, engine_options=f"--on {engine} --tls", run=replace(report.run, engine=engine))
    waited = ("parked: no worker of zone dmz took its work for 10m",)
    gateways = tuple(replace(gateway, warnings=waited) for gateway in report.gateways)

    first, *rest = advise(replace(report, gateways=gateways))

    assert first.text == "Start a worker of zone dmz, where it reaches its gateways:"
    assert first.command == "undeploy worker --zone dmz --on temporal://h:7233/default --tls"
    assert not any("parked" in step.text for step in rest)


def test_a_run_that_no_worker_took_was_stopped_by_nobody() -> None:
    stopped_by = (
        "interrupt: no worker at temporal://h:7233/default takes the run's work for 10 min (park_for)"
    )
    report = build_report(
        "open", {"state": "stopped", "exit_status": 4, "stopped_by": stopped_by}, not_started=1
    )
    engine = "temporal://h:7233/default"
    report = replace(report, engine_options=f"--on {engine} --tls", run=replace(report.run, engine=engine))

    first, then = advise(report)

    assert first.command == "undeploy worker --zone ZONE --on temporal://h:7233/default --tls"
    assert then.text.startswith("Then go on where it ended")


@pytest.mark.parametrize(
    ("stopped_by", "lane", "sentence"),
    [
        ("interrupt: alice stopped it", "open", "A person stopped the run. Go on where it ended"),
        ("interrupt: alice stopped it", "parked", "A person stopped the run. Go on where it ended"),
        ("parked", "parked", "Then go on where it ended"),
        ("denied", "closed", "Then go on where it ended"),
        ("parked", "open", "Once the parked gateway answers again, go on where the run ended"),
    ],
)
def test_the_cause_of_a_stop_decides_when_the_run_can_go_on(
    stopped_by: str, lane: str, sentence: str
) -> None:
    run = {"state": "stopped", "stopped_by": stopped_by, "exit_status": 4}

    *_, last = advise(build_report(lane, run, unknown=1, not_started=1))

    assert last.text == f"{sentence}; what is unknown is looked at first:"


@pytest.mark.parametrize(
    ("stopped_by", "lane"), [("parked", "parked"), ("parked", "open"), ("denied", "closed")]
)
def test_targets_that_the_window_left_over_need_another_window_whatever_else_was_wrong(
    stopped_by: str, lane: str
) -> None:
    run = {"state": "stopped", "stopped_by": stopped_by, "exit_status": 4}
    found = replace(build_report(lane, run, unknown=1, not_started=3), cut_off=2)

    *_, last = advise(found)

    assert "in another window" in last.text
    assert last.command.endswith(" --window OPENS/CLOSES")


def test_a_chain_comes_back_as_a_chain() -> None:
    run = {"state": "complete", "exit_status": 0}
    one = replace(
        build_report("open", run, undeployed=3), restore_outlook=RestoreOutlook(undeployed=3, restorable=3)
    )
    several = replace(one, chain=(ChainedRun(run=one.run, totals=one.totals),) * 2)

    assert advise(one)[-1].command == f"undeploy restore {one.run.id}"
    assert advise(several)[-1].command == f"undeploy restore {one.run.id} --chain"


def test_workers_of_a_server_did_it_and_so_they_bring_it_back() -> None:
    made = build_report("open", {"state": "complete", "exit_status": 0}, undeployed=3)
    found = replace(
        made,
        engine_options="--on temporal://127.0.0.1:7233/default --tls",
        restore_outlook=RestoreOutlook(undeployed=3, restorable=3),
    )

    *_, last = advise(found)

    assert last.command == f"undeploy restore {found.run.id} --on temporal://127.0.0.1:7233/default --tls"


def test_a_target_that_comes_after_one_that_is_not_down_waits_for_that_one() -> None:
    found = replace(build_report(run={"exit_status": 1}, failed=1, not_started=3), dependent=2)

    assert [step.text for step in advise(found)] == [
        "Read why 1 failed; a resume does not repeat it.",
        "2 were not started, because a target that they come after is not down: see to that one first.",
        "Read why 1 was not started.",
        "Once the causes are mended, make a plan of what is left:",
    ]


def test_a_resume_leaves_out_failed_targets_and_a_person_must_look_at_unknown_ones() -> None:
    told = " ".join(step.text for step in advise(build_report(failed=2, unknown=1, run={"exit_status": 1})))

    assert "2 failed; a resume does not repeat them" in told
    assert "Look at the 1 unknown on the gateway" in told
