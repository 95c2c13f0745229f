"""The workflows of a run, as each worker serves them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import msgspec
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from orchestrator.distributed import look_payloads, payloads, run_news
from orchestrator.distributed.journal_workflow import UndeployJournal
from orchestrator.distributed.lane_workflow import UndeployLane
from orchestrator.distributed.look_workflow import UndeployLook
from orchestrator.distributed.run_state import RunState
from orchestrator.distributed.run_workflow import UndeployRun
from orchestrator.journal.read_types import prepare_types

WORKFLOWS = (UndeployRun, UndeployLane, UndeployJournal, UndeployLook)
"""The classes for ``Worker(workflows=...)``, on the task queue ``names.RUNS_QUEUE``."""

RUNNER = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules("msgspec", "orchestrator")
)
"""How a worker runs them. The program is not loaded anew for each workflow, since msgspec finds the types of
a struct by its module. The tests of replays find what a replay could not repeat: clocks, dice, files.
"""


def _list_structs() -> Iterator[type[msgspec.Struct]]:
    """Yield the types of what workflows are given and keep."""
    yield RunState
    for kind in chain.from_iterable(vars(module).values() for module in (payloads, run_news, look_payloads)):
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield kind


# A worker decides in several threads, and at its start they all read their first value.
prepare_types(_list_structs())
