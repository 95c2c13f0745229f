"""The runs in a state folder: which there are, and which of them a person's word means."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import RunError
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.ownership import check_run, check_state
from orchestrator.model.plan import RunId
from orchestrator.system.state_folder import runs_folder
from orchestrator.text.names import to_nfc

MOST_LISTED = 20
"""So many runs are named if a text means several."""


def list_runs(state: Path, *, rehearsals: bool = False) -> list[RunFolder]:
    """Return the runs in a state folder, newest first.

    Raises RunError if another user may write there, or if the folder cannot be read.
    """
    check_state(state)
    folder = runs_folder(state, rehearsal=rehearsals)
    try:
        paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RunError(f"{folder}: the runs kept here cannot be read: {error.strerror}") from error
    found = (RunFolder(path) for path in paths if _may_be_run(path))
    return sorted(found, key=lambda run: run.id, reverse=True)


def _may_be_run(path: Path) -> bool:
    """Return whether a run is kept in the folder ``path``. One that cannot be looked into counts.

    Otherwise a list would hide it; whoever opens it is told the cause.
    """
    try:
        return (path / "journal.sqlite").is_file()
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG  # no folder has such a name


def find_run(state: Path, ref: str) -> RunFolder:
    """Return the run that ``ref`` means. Raises RunError if it means none or several.

    A text with a ``/`` is a folder. Else it is an id, the beginning of a single id, ``latest``, or the name
    of a plan: the last two mean the newest undeploy that is no rehearsal.
    """
    found = Path(ref) if "/" in ref else _find_kept(state, ref)
    if found is None or not _may_be_run(found):
        raise RunError(f"there is no run {ref!r} in {state}; `undeploy runs` lists what there is")
    check_run(found)
    # The folder's own name is the run's id, by which a restore names what it brings back: `./` has none, and
    # a link may have another one.
    itself = found.resolve()
    return RunFolder(found if found.name == itself.name else itself)


def _find_kept(state: Path, ref: str) -> Path | None:
    """Return the folder of the run that ``ref`` means in a state folder; None if it means none."""
    runs = list_runs(state)
    begun = [run for run in (*runs, *list_runs(state, rehearsals=True)) if ref and run.id.startswith(ref)]
    exact = next((run for run in begun if run.id == ref), None)
    if exact is not None:
        return exact.path
    if len(begun) > 1:
        raise RunError(list_ambiguous(ref, [run.id for run in begun]))
    if begun:
        return begun[0].path
    if ref == "latest":
        return _find_latest(state, runs).path
    named = (run for run in runs if run.act == "undeploy" and to_nfc(run.plan_name) == to_nfc(ref))
    newest = next(named, None)
    return Path(ref) if newest is None else newest.path


def _find_latest(state: Path, runs: Sequence[RunFolder]) -> RunFolder:
    newest = next((run for run in runs if run.act == "undeploy"), None)
    if newest is None:
        raise RunError(f"there is no run in {runs_folder(state)}; {_advise_on_none(state)}")
    return newest


def _advise_on_none(state: Path) -> str:
    rehearsals = list_runs(state, rehearsals=True)
    if rehearsals:
        return f"a rehearsal is named by its id, as {rehearsals[0].id}"
    return "--state names another state folder"


def list_ambiguous(ref: str, runs: Sequence[RunId]) -> str:
    """Return in lines which ``runs`` begin with ``ref``, which is to mean one of them."""
    listed = [f"    {run}" for run in runs[:MOST_LISTED]]
    if len(runs) > MOST_LISTED:
        listed.append(f"    … and {len(runs) - MOST_LISTED:,} more")
    head = f"{ref} is the beginning of {len(runs):,} runs; give more of the one that is meant:"
    return "\n".join([head, *listed])
