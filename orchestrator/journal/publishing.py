"""The folder of a new run: its name, and the move of a finished draft to it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import JournalError
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.ownership import check_state
from orchestrator.system.state_folder import runs_folder
from orchestrator.system.writing import sync_path


def name_folder(state: Path, *, name: str, suffix: str, at: float, rehearsal: bool = False) -> Path:
    """Return the path of a new run's folder, whose name sorts by time. The folder is not made."""
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%d-%H%M%S%f")[:18]
    return runs_folder(state, rehearsal=rehearsal) / f"{stamp}-{name}-{suffix}"


def publish_draft(draft: Path, folder: Path) -> RunFolder:
    """Move a finished draft to its place among the runs; durable when it returns.

    Raises RunError where the state folder is not ours, JournalError where that cannot be done; then nothing
    of it is left there.
    """
    import shutil  # noqa: PLC0415 - slow to import, and a list of runs needs none

    check_state(folder.parent.parent)
    # Hidden from `list_runs` by its dot: a run's folder appears whole, by the rename, or not at all.
    made = waiting = folder.with_name(f".{folder.name}")
    try:
        make_private(folder.parent)
        shutil.move(draft, waiting)
        for path in waiting.iterdir():
            path.chmod(0o600)
            sync_path(path)
        waiting.chmod(0o700)
        sync_path(waiting)
        made = waiting.rename(folder)
        # A rename is durable only once the folder that holds the name is.
        sync_path(folder.parent)
    except OSError as error:
        shutil.rmtree(made, ignore_errors=True)
        why = _explain_move(error)
        place = folder if folder.parent.is_dir() else folder.parent
        raise JournalError(f"{place}: runs cannot be kept here: {why}") from error
    return RunFolder(folder)


def _explain_move(error: OSError) -> object:
    """Return why a folder could not be moved: ``shutil`` tells of many files in one error."""
    if error.args and isinstance(error.args[0], list):
        causes = [each[-1] for each in error.args[0] if isinstance(each, tuple) and each]
        text = str(causes[0]) if causes else str(error)
        return text.partition("] ")[2].partition(": ")[0] or text
    return error.strerror or error


def make_private(folder: Path) -> None:
    """Make a folder and the missing folders above it, for this user alone, whatever the umask says."""
    if not folder.is_dir():
        make_private(folder.parent)
        with suppress(FileExistsError):  # another run was faster
            folder.mkdir(0o700)  # at once, so that nobody else gets in before the next line
            folder.chmod(0o700)  # the umask may have taken our own rights away
