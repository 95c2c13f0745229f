"""Refuses a state folder to which another user may write.

The program believes a state folder: its plans name commands that the program runs, and its journals say which
targets are down. So the folder belongs to this user alone, or it is refused.

The program checks the state folder, the folders of its runs and workers, and of a run the folder and the
files that it reads. A user who may rename entries of a folder further up can take the state folder away. But
a folder in its place belongs to that user, and so is refused.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import RunError
from orchestrator.system.state_folder import REHEARSALS, RUNS, WORKERS
from orchestrator.system.users import find_user_name

TRUST_VARIABLE = "UNDEPLOY_TRUST_STATE"
"""The environment variable that names a state folder to be trusted, whoever owns it."""

FILES = ("journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "plan.yaml", "lock", "control")
"""The files of a run that the program reads, and the socket of a live run."""

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def check_state(state: Path) -> None:
    """Raise RunError if a state folder is a file, or if another user owns it or may write to it.

    So it does for a name that no report could tell. A missing folder is fine.
    """
    _refuse_strange_name(state)
    try:
        is_file = state.exists() and not state.is_dir()
    except OSError as error:
        raise RunError(f"{state}: runs cannot be kept or found here: {error.strerror}") from error
    if is_file:
        raise RunError(f"{state}: this is a file, and runs are kept in a folder (--state)")
    _check([state, *_list_run_folders(state)], state)


def check_run(folder: Path) -> None:
    """Raise RunError if another user owns, or may write to, a run's folder, its state folder or its files."""
    _refuse_strange_name(folder)
    home = _find_state_folder(folder)
    above = [] if home is None else [home, *_list_run_folders(home)]
    _check([*above, folder, *(folder / name for name in FILES)], home or folder)


def _refuse_strange_name(folder: Path) -> None:
    """Raise RunError for a folder whose name is not UTF-8: events, the live page and JSON all tell it."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise RunError(
            f"{folder}: the name of this folder is not UTF-8, and a program that follows a run could not be"
            " told it; rename the folder, or keep runs elsewhere (--state)"
        ) from None


def _list_run_folders(state: Path) -> Iterator[Path]:
    # A worker keeps the journals that it was sent, and their plans, in a folder of its own there.
    yield from (state / name for name in (RUNS, REHEARSALS, WORKERS))


def _find_state_folder(folder: Path) -> Path | None:
    """Return the state folder that a run's folder lies in; None if it lies outside of any."""
    around = Path(os.path.realpath(folder)).parent
    return around.parent if around.name in (RUNS, REHEARSALS) else None


def _check(places: list[Path], state: Path) -> None:
    if _is_trusted(state):
        return
    for place in places:
        try:
            found = place.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise RunError(f"{place}: whose it is cannot be told: {error.strerror}") from error
        if why := _find_flaw(found):
            raise RunError(
                f"{place} {why}. What stands there is done with your rights: its plans name programs to run."
                f" If that is meant: {TRUST_VARIABLE}={os.path.realpath(state)}"
            )


def _find_flaw(found: os.stat_result) -> str | None:
    if found.st_uid != os.geteuid():
        return f"belongs to {_name_user(found.st_uid)}, and you are {_name_user(os.geteuid())}"
    # A socket's mode does not decide: its folder of mode 0700 keeps other users from it.
    if found.st_mode & _WRITABLE_BY_OTHERS and not stat.S_ISSOCK(found.st_mode):
        return f"may be written to by others (mode {stat.S_IMODE(found.st_mode):04o}); `chmod go-w` ends that"
    return None


def _is_trusted(state: Path) -> bool:
    meant = os.environ.get(TRUST_VARIABLE)
    if not meant:
        return False
    if not Path(meant).is_absolute():
        raise RunError(f"{TRUST_VARIABLE}={meant}: name the state folder by its whole path, from / on")
    return os.path.realpath(meant) == os.path.realpath(state)


def _name_user(user: int) -> str:
    return find_user_name(user) or f"user {user}"
