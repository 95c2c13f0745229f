"""The program with a slow disk or a clock that jumps, which no rights of a user can make on a real machine.

``CHAOS_COMMIT`` is the longest time of a commit in seconds. ``CHAOS_CLOCK`` is ``SECONDS@AFTER``: so many
seconds after its start the process reads the time of day so many seconds later (or earlier, if negative).
The jump concerns ``time.time``, from which all times in a run are taken.
"""

from __future__ import annotations

import os
import random
import sys
import time
from unittest.mock import patch


def jump_clock(text: str) -> None:
    """Let ``time.time`` jump as ``SECONDS@AFTER`` says."""
    seconds, _, after = text.partition("@")
    read, jumps_at = time.time, time.monotonic() + float(after)

    def read_jumping() -> float:
        return read() + (float(seconds) if time.monotonic() >= jumps_at else 0.0)

    time.time = read_jumping


def _slow_down(longest: float) -> None:
    from orchestrator.journal.database import Database

    commit = Database.commit

    def commit_slowly(database: Database) -> None:
        time.sleep(random.uniform(0.0, longest))
        commit(database)

    patch.object(Database, "commit", commit_slowly).start()


def main() -> None:
    """Run a command of the program under the faults that the environment names."""
    # The clock first: a module may keep the function when it is imported.
    if clock := os.environ.get("CHAOS_CLOCK"):
        jump_clock(clock)
    if longest := os.environ.get("CHAOS_COMMIT"):
        _slow_down(float(longest))
    from orchestrator.cli import main as start

    sys.argv[0] = "undeploy"
    start()


if __name__ == "__main__":
    main()
