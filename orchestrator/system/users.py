"""The name of the person at this terminal, and the names of user ids."""

from __future__ import annotations

import getpass
import pwd


def find_login_name() -> str | None:
    """Return the name of the person at this terminal: from the environment, else from the system.

    Approvals and discovered plans name that person. A lock and the control socket use ``find_user_name``
    instead: they name the user of a process, and an environment may say anything.
    """
    try:
        return _make_text(getpass.getuser())
    except (KeyError, OSError):
        return None


def find_user_name(user: int) -> str | None:
    """Return the system's name for a user id; None where it has none, as in many containers."""
    try:
        return _make_text(pwd.getpwuid(user).pw_name)
    except KeyError:
        return None


def _make_text(name: str) -> str:
    """Return a name that any file can hold: bytes in it that are not UTF-8 are written out."""
    return name.encode("utf-8", "backslashreplace").decode()
