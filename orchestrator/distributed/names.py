"""The names by which the parts of a distributed run find one another, and the bounds that they keep.

Other programs read some of these names: Temporal's own web page shows them.
"""

from __future__ import annotations

from orchestrator.model.plan import RunId

RUNS_QUEUE = "undeploy"
"""The task queue of the workflows, which every worker serves: they send nothing to any gateway."""

CHUNK_TARGETS = 200
"""Targets of one chunk at most."""

PART_TARGETS = 10_000
"""Targets of one lane workflow at most: its history keeps all results, far below Temporal's bounds."""

OPEN_TARGETS = 100_000
"""Targets whose results no driver has taken over yet. Beyond them a run waits for its driver."""

PAGE_BYTES = 1_000_000
"""Bytes of one page of a journal on its way to the workers: Temporal takes 2 MB at most."""

PAGES_TOGETHER = 20
"""Pages that one journal workflow keeps at most: Temporal bounds a history to 50 MB."""

CHUNK_BYTES = 1_500_000
"""Compressed bytes of results after which a chunk ends early, and the rest becomes another one."""

LEASE = 10.0
"""Seconds without a sign of life after which a chunk goes to another worker."""

LEASE_MARGIN = 2.0
"""Seconds before the end of its lease from which a worker sends nothing any more."""


def name_zone_queue(zone: str) -> str:
    """Return the task queue that the workers of a zone serve."""
    return f"undeploy-zone-{zone}"


def name_run_workflow(run: RunId, session: int) -> str:
    """Return the id of the workflow of one session of a run."""
    return f"undeploy/{run}/{session}"


def name_journal_workflow(run_workflow: str, number: int) -> str:
    """Return the id of a workflow that keeps pages of the journal with which the session began."""
    return f"{run_workflow}/journal/{number}"


def name_lane_workflow(run_workflow: str, place: str, gateway: str, part: int) -> str:
    """Return the id of the workflow of one part of a lane.

    ``place`` names the step of a wave: ``2.0``, or ``2.0.1`` where targets wait for those of other gateways.
    """
    return f"{run_workflow}/lane/{place}/{gateway}/{part}"
