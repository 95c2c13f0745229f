"""Takes many APIs offline on Huawei ROMA Connect and Apinizer at once: concurrent, resumable, reported.

    import anyio, orchestrator

    with orchestrator.load_plan(Path("plan.yaml")) as plan:
        result = anyio.run(orchestrator.run, plan)
    print(result.report.totals)

The names below are the public ones; each is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orchestrator.version import __version__ as __version__

if TYPE_CHECKING:
    from orchestrator.api import RunOptions, RunResult, prepare_restore, restore, resume, run
    from orchestrator.errors import ExitStatus, OrchestratorError, PlanError
    from orchestrator.journal.folder import RunFolder
    from orchestrator.journal.run_lookup import find_run, list_runs
    from orchestrator.model.plan import Window
    from orchestrator.report.values import Report
    from orchestrator.report.writing import write_report
    from orchestrator.runs.load import LoadedPlan, load_plan
    from orchestrator.runs.restore import Choice, Restoration
    from orchestrator.streaming import stream

_HOMES = {
    "Choice": "runs.restore",
    "ExitStatus": "errors",
    "LoadedPlan": "api",
    "OrchestratorError": "errors",
    "PlanError": "errors",
    "Report": "report.values",
    "Restoration": "runs.restore",
    "RunFolder": "journal.folder",
    "RunOptions": "api",
    "RunResult": "api",
    "Window": "model.plan",
    "find_run": "journal.run_lookup",
    "list_runs": "journal.run_lookup",
    "load_plan": "api",
    "prepare_restore": "api",
    "restore": "api",
    "resume": "api",
    "run": "api",
    "stream": "streaming",
    "write_report": "report.writing",
}

__all__ = [
    "Choice",
    "ExitStatus",
    "LoadedPlan",
    "OrchestratorError",
    "PlanError",
    "Report",
    "Restoration",
    "RunFolder",
    "RunOptions",
    "RunResult",
    "Window",
    "find_run",
    "list_runs",
    "load_plan",
    "prepare_restore",
    "restore",
    "resume",
    "run",
    "stream",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
