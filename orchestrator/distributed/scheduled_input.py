"""What a run that a schedule started takes from its workflow: its id, and its window."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from orchestrator.distributed.names import name_scheduled_run, read_scheduled_workflow
from orchestrator.distributed.payloads import RunInput
from orchestrator.model.plan import Window


def settle_scheduled(given: RunInput, workflow: str, started: datetime) -> RunInput:
    """Return the input of a run's workflow with what only its start could tell.

    ``workflow`` is the workflow's id, ``started`` when it began. The input of a run that a driver started is
    returned as it is. A schedule gives each of its runs the same input, in which the id of the run is the
    schedule's name.
    """
    if not given.scheduled:
        return given
    # By the time for which it was scheduled: a start that comes late must not end late.
    schedule, at = read_scheduled_workflow(workflow) or (str(given.run), started)
    window = given.window
    if given.open_for is not None:
        window = Window(None, at + timedelta(seconds=given.open_for))
    return replace(given, run=name_scheduled_run(schedule, at), window=window)
