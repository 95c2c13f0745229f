"""The commit that this program was built from: stamped into the package, or the one that is checked out."""

from __future__ import annotations

import re

STAMP = "commit.txt"
"""The name of the file in the package that the build writes; a checkout has none."""

DIGITS = 12
_HASH = re.compile(r"[0-9a-f]{40,64}")
_PLACE = "/orchestrator/system/source_commit.py"


def describe_commit(root: str = __file__.removesuffix(_PLACE)) -> str | None:
    """Return the commit of the package in the folder ``root`` in words, or None if nothing tells it.

    Paths are plain texts here, since pathlib takes longer to load than all else that tells the version.
    """
    stamp = _read_text(f"{root}/orchestrator/{STAMP}").strip()
    if stamp:
        return f"commit {stamp}"
    if not _read_text(f"{root}/pyproject.toml"):  # a repository around it would be somebody else's
        return None
    checked_out = _read_checked_out(root)
    return f"commit {checked_out[:DIGITS]}, in its source tree" if checked_out else None


def _read_checked_out(root: str) -> str | None:
    """Return the hash of the commit that is checked out in ``root``. Git itself takes longer to start."""
    folder = f"{root}/.git"
    pointer = _read_text(folder).strip()
    if pointer:  # the second work tree of a repository has a file there, which names its folder
        named = pointer.removeprefix("gitdir: ")
        folder = named if named.startswith("/") else f"{root}/{named}"
    head = _read_text(f"{folder}/HEAD").strip()
    if head.startswith("ref: "):
        head = _read_reference(folder, head.removeprefix("ref: "))
    return head if _HASH.fullmatch(head) else None


def _read_reference(folder: str, name: str) -> str:
    """Return the hash of a branch, from its own file or from the packed ones; empty if neither has it."""
    shared = _read_text(f"{folder}/commondir").strip() or "."
    shared = shared if shared.startswith("/") else f"{folder}/{shared}"
    own = _read_text(f"{shared}/{name}").strip()
    if own:
        return own
    for line in _read_text(f"{shared}/packed-refs").splitlines():
        commit, _, packed = line.partition(" ")
        if packed == name:
            return commit
    return ""


def _read_text(path: str) -> str:
    """Return the text of a file; empty if there is none to read."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - see describe_commit
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""
