"""The resume of a run that has ended, by the public API.

    python -m bench.programs.resume_run STATE

STATE is a state folder that holds one run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from bench.programs.meter import Meter
from orchestrator.api import RunOptions, resume
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.run_lookup import list_runs
from orchestrator.runs.result import RunResult


async def resume_folder(folder: RunFolder, state: Path) -> RunResult:
    """Resume the run in a folder."""
    return await resume(folder, RunOptions(state=state))


def main() -> None:
    """Resume, and report what it took."""
    state = Path(sys.argv[1])
    (folder,) = list_runs(state)
    meter = Meter()
    result = anyio.run(resume_folder, folder, state)
    assert result.exit_status == 0, result
    meter.report()


if __name__ == "__main__":
    main()
