"""The workflows of a run, as each worker serves them."""

from __future__ import annotations

import msgspec
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from orchestrator.distributed import payloads
from orchestrator.distributed.conduct import RunState
from orchestrator.distributed.journal_workflow import UndeployJournal
from orchestrator.distributed.lane_workflow import UndeployLane
from orchestrator.distributed.look_workflow import UndeployLook
from orchestrator.distributed.run_workflow import UndeployRun

WORKFLOWS = (UndeployRun, UndeployLane, UndeployJournal, UndeployLook)
"""The classes for ``Worker(workflows=...)``, on the task queue ``names.RUNS_QUEUE``."""

RUNNER = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules("msgspec", "orchestrator")
)
"""How a worker runs them. The program is not loaded anew for each workflow, since msgspec finds the types of
a struct by its module. The tests of replays find what a replay could not repeat: clocks, dice, files.
"""


def _prepare_types() -> None:
    """Have msgspec find out now what the structs of workflows look like.

    It does so for the first value of a type, in the middle of which another thread would crash the process: a
    worker decides in several threads, and at its start they all read their first value.
    """
    for kind in (RunState, *vars(payloads).values()):
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            msgspec.json.Decoder(kind)


_prepare_types()
