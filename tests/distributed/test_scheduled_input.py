"""Runs that a schedule started: the ids lead to the workflows and back, the window follows the start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from msgspec.structs import replace

from orchestrator.distributed.names import (
    name_run_workflow,
    name_scheduled_run,
    name_scheduled_workflow,
    read_scheduled_workflow,
)
from orchestrator.distributed.payloads import JournalPages, RunInput
from orchestrator.distributed.scheduled_input import settle_scheduled
from orchestrator.model.plan import RunId, StopWhen, Window

AT = datetime(2026, 11, 29, 5, 0, tzinfo=UTC)
STARTED = AT + timedelta(seconds=7)
WORKFLOW = "undeploy/scheduled/orders-25b7-2026-11-29T05:00:00Z"
GIVEN = RunInput(
    run=RunId("orders-25b7"),
    session=1,
    plan="orders",
    act="undeploy",
    journal=JournalPages(workflow=name_scheduled_workflow("orders-25b7"), pages=1, size=1, digest=""),
    steps=(),
    gateways={},
    stop_when=StopWhen(),
    window=Window(None, AT + timedelta(days=1)),
    scheduled=True,
)


def test_the_id_of_a_scheduled_run_leads_to_its_workflow_and_back() -> None:
    in_istanbul = AT.astimezone(timezone(timedelta(hours=3)))
    assert name_scheduled_workflow("orders-25b7", in_istanbul) == WORKFLOW
    assert read_scheduled_workflow(WORKFLOW) == ("orders-25b7", AT)
    assert name_scheduled_run("orders-25b7", in_istanbul) == "20261129-050000-orders-25b7"
    assert name_run_workflow(RunId("20261129-050000-orders-25b7"), 1) == WORKFLOW
    # A resume of it is a session like any other.
    assert name_run_workflow(RunId("20261129-050000-orders-25b7"), 2).endswith("-orders-25b7/2")


def test_no_other_id_is_taken_for_that_of_a_scheduled_run() -> None:
    for run in ("20261129-050000123-orders-25b7", "orders-25b7", "20261129-050000-", "20261399-050000-x"):
        assert name_run_workflow(RunId(run), 1) == f"undeploy/{run}/1", run
    for workflow in (
        name_run_workflow(RunId("a"), 1),
        name_scheduled_workflow("a"),
        f"{WORKFLOW}/lane/0.0/a/0",
    ):
        assert read_scheduled_workflow(workflow) is None, workflow


def test_a_scheduled_run_has_the_id_and_the_window_of_its_start() -> None:
    settled = settle_scheduled(GIVEN, WORKFLOW, STARTED)
    assert settled == replace(GIVEN, run=RunId("20261129-050000-orders-25b7"))
    recurring = replace(GIVEN, open_for=3600.0, window=None, recurs=True)
    # The window ends by the time of the schedule, however late the server started the workflow.
    assert settle_scheduled(recurring, WORKFLOW, STARTED).window == Window(None, AT + timedelta(hours=1))


def test_what_was_started_by_hand_under_another_id_goes_by_its_start() -> None:
    settled = settle_scheduled(replace(GIVEN, open_for=60.0), "mine", STARTED)
    assert settled.run == "20261129-050007-orders-25b7"
    assert settled.window == Window(None, STARTED + timedelta(minutes=1))


def test_a_run_that_a_driver_started_is_left_as_it_is() -> None:
    given = replace(GIVEN, scheduled=False)
    assert settle_scheduled(given, WORKFLOW, STARTED) is given
