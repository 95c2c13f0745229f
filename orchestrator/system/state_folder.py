"""The names in a state folder, and the option by which a command is told of one."""

from __future__ import annotations

from pathlib import Path

DEFAULT_STATE = Path(".undeploy")

RUNS = "runs"
REHEARSALS = "rehearsals"
WORKERS = "workers"
"""A folder for each worker of distributed runs, with the journals that it was sent."""


def runs_folder(state: Path, *, rehearsal: bool = False) -> Path:
    """Return the folder in which a state folder keeps its runs, or its rehearsals."""
    return state / (REHEARSALS if rehearsal else RUNS)


def format_state_option(state: Path) -> str:
    """Return `` --state DIR`` as a command that the program advises needs it; empty for the default one."""
    import shlex  # noqa: PLC0415 - a command that advises nothing need not wait for it

    return "" if state == DEFAULT_STATE else f" --state {shlex.quote(str(state))}"
