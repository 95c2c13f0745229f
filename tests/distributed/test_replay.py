"""Recorded runs are replayed: the workflow code of today decides as the one that recorded them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from orchestrator.distributed.conversion import CONVERTER
from orchestrator.distributed.workflows import RUNNER, WORKFLOWS
from tests.distributed.recording import FOLDER

RECORDED = sorted(FOLDER.glob("*.json"))


def make_replayer() -> Replayer:
    return Replayer(workflows=WORKFLOWS, data_converter=CONVERTER, workflow_runner=RUNNER)


def read(path: Path) -> WorkflowHistory:
    recorded = json.loads(path.read_text(encoding="utf-8"))
    # The ids of its lanes follow from the workflow's own.
    return WorkflowHistory.from_json(recorded["id"], {"events": recorded["events"]})


def test_each_workflow_is_recorded() -> None:
    names = {path.name for path in RECORDED}

    assert {
        "waves.run.json",
        "orders.run.json",
        "stop-rule.lane-1.json",
        "lost-worker.lane-0.json",
        "look.json",
        "fast-lane.lane-0.json",
    } <= names


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_a_recorded_workflow_goes_the_same_way(path: Path) -> None:
    replayed = await make_replayer().replay_workflow(read(path), raise_on_replay_failure=False)

    assert replayed.replay_failure is None


async def test_a_workflow_that_decides_otherwise_is_found() -> None:
    """Were a chunk named otherwise, a run that is under way would break: the replay says so."""
    events = json.loads((FOLDER / "orders.lane-0.json").read_text(encoding="utf-8"))
    for event in events["events"]:
        if "activityTaskScheduledEventAttributes" in event:
            event["activityTaskScheduledEventAttributes"]["activityId"] = "another"
    history = WorkflowHistory.from_json(events["id"], {"events": events["events"]})

    with pytest.raises(NondeterminismError):
        await make_replayer().replay_workflow(history)
