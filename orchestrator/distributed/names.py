"""The names by which the parts of a distributed run find one another.

Other programs read some of these names: Temporal's own web page shows them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from orchestrator.distributed.bounds import PAGES_TOGETHER
from orchestrator.model.plan import RunId

RUNS_QUEUE = "undeploy"
"""The task queue of the workflows, which every worker serves: they send nothing to any gateway."""

RUN_WORKFLOW = "UndeployRun"
LANE_WORKFLOW = "UndeployLane"
JOURNAL_WORKFLOW = "UndeployJournal"
LOOK_WORKFLOW = "UndeployLook"

SEARCH_ATTRIBUTES = ("UndeployPlan", "UndeployRun", "UndeployGateway")
"""Keywords by which Temporal's own page finds a run and its lanes, where the server has them registered."""

CHUNK_ACTIVITY = "run_chunk"
"""The activity that takes a ``ChunkOrder`` and returns a ``ChunkEnd``."""

MEMO_NEWS = "news"
"""The memo key of a run's workflow with ``RunNews``."""

MEMO_ORDERS = "orders"
"""The memo key of a run's workflow with the ``Orders`` that hold now: a later driver reads them."""

LOOK_ACTIVITY = "look"
"""The activity that takes a ``LookOrder`` and returns a ``LookTold``."""

ANSWER = "answer"
"""The signal, with a ``LookPage``, by which a worker gives a look's workflow a part of what it has seen."""

TAKEN = "taken"
"""The signal, with the number of its dispatch, by which a chunk tells its lane that a worker has begun it."""


def name_chunk_activity(dispatch: int) -> str:
    """Return the id of the activity of one dispatch of a lane's chunk; history and describe() show it."""
    return f"chunk-{dispatch}"


def read_chunk_activity(activity: str) -> int:
    """Return the dispatch that an id of ``name_chunk_activity`` names. Raises ValueError for any other id."""
    return int(activity.removeprefix("chunk-"))


def name_zone_queue(zone: str) -> str:
    """Return the task queue that the workers of a zone serve."""
    return f"undeploy-zone-{zone}"


def name_run_workflow(run: RunId, session: int) -> str:
    """Return the id of the workflow of one session of a run."""
    scheduled = _find_scheduled_workflow(run) if session == 1 else None
    return scheduled or f"undeploy/{run}/{session}"


def name_look_workflow(unique: str) -> str:
    """Return the id of the workflow that has each zone's worker look for one preview or doctor."""
    return f"undeploy/look/{unique}"


def name_journal_workflow(run_workflow: str, number: int) -> str:
    """Return the id of a workflow that keeps pages of the journal with which the session began."""
    return f"{run_workflow}/journal/{number}"


def list_journal_workflows(run_workflow: str, pages: int) -> list[str]:
    """Return the ids of the workflows that keep so many pages."""
    return [name_journal_workflow(run_workflow, number) for number in range(-(-pages // PAGES_TOGETHER))]


def name_lane_workflow(run_workflow: str, place: str, gateway: str, part: int) -> str:
    """Return the id of the workflow of one part of a lane.

    ``place`` names the step of a wave: ``2.0``, or ``2.0.1`` where targets wait for those of other gateways.
    """
    return f"{run_workflow}/lane/{place}/{gateway}/{part}"


_SCHEDULED = "undeploy/scheduled/"
_SCHEDULED_WORKFLOW = re.compile(r"undeploy/scheduled/([^/]+)-(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
# The id of any other run has the milliseconds, too: so nobody takes one for the other.
_SCHEDULED_RUN = re.compile(r"(\d{8}-\d{6})-([^/]+)")
_STAMP = "%Y%m%d-%H%M%S"
_SUFFIX = "%Y-%m-%dT%H:%M:%SZ"


def name_schedule(schedule: str) -> str:
    """Return the id of the Temporal Schedule of that name."""
    return f"undeploy-{schedule}"


def name_scheduled_workflow(schedule: str, at: datetime | None = None) -> str:
    """Return the id of the run's workflow that a schedule starts at the aware time ``at``.

    Without a time it is the beginning of all of them: Temporal appends the time itself.
    """
    begin = f"{_SCHEDULED}{schedule}"
    return begin if at is None else f"{begin}-{at.astimezone(UTC).strftime(_SUFFIX)}"


def name_scheduled_journal(schedule: str, unique: str) -> str:
    """Return the name after which the workflows are named that keep the journal of a schedule.

    A run of an earlier schedule of that name may be open yet, and has its own pages.
    """
    return f"{_SCHEDULED}{schedule}/{unique}"


def is_of_schedule(workflow: str) -> bool:
    """Return whether a workflow is one of a schedule: a run that it started, or one that keeps its pages."""
    return workflow.startswith(_SCHEDULED)


def read_scheduled_workflow(workflow: str) -> tuple[str, datetime] | None:
    """Return the schedule that started a workflow, and for what time; None if none did."""
    found = _SCHEDULED_WORKFLOW.fullmatch(workflow)
    if found is None:
        return None
    return found[1], datetime.fromisoformat(found[2])


def name_scheduled_run(schedule: str, at: datetime) -> RunId:
    """Return the id of the run that a schedule starts at ``at``; it sorts by time as all others do."""
    return RunId(f"{at.astimezone(UTC).strftime(_STAMP)}-{schedule}")


def read_scheduled_run(run: str) -> tuple[str, datetime] | None:
    """Return the schedule of a run, and the time of the start; None for a run that no schedule starts."""
    found = _SCHEDULED_RUN.fullmatch(run)
    if found is None:
        return None
    try:
        return found[2], datetime.fromisoformat(f"{found[1].replace('-', 'T')}+00:00")
    except ValueError:
        return None


def _find_scheduled_workflow(run: str) -> str | None:
    """Return the id of the workflow with which a schedule began a run; None for any other run."""
    found = read_scheduled_run(run)
    return None if found is None else name_scheduled_workflow(*found)
