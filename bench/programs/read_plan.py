"""The reading of a plan as `check` does it, into the draft of a journal.

python -m bench.programs.read_plan PLAN
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.programs.meter import Meter
from orchestrator.journal.draft import Draft
from orchestrator.plan.reader import read_plan


def main() -> None:
    """Read the plan, and lay it out."""
    with TemporaryDirectory() as folder:
        meter = Meter()
        with closing(Draft(Path(folder) / "draft")) as draft:
            read_plan(Path(sys.argv[1]), draft)
        meter.report()


if __name__ == "__main__":
    main()
