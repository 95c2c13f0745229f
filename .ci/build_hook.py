"""Hatchling runs this when it builds: it stamps the commit into the package, which leaves its repository.

A wheel that is built from the sdist keeps the sdist's stamp, so that both ways give the same wheel.
UNDEPLOY_COMMIT names the commit where the repository is not at hand, as in the build of a container.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STAMP = "orchestrator/commit.txt"


class CommitStamp(BuildHookInterface):
    """Writes the commit into ``STAMP`` of the wheel and of the sdist."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the stamp: that of the sdist, or a new one. A package that runs in place needs none."""
        if version == "editable":
            return
        kept = Path(self.root, STAMP)
        if kept.exists():  # hatchling would find it by itself, at another place among the files of the wheel
            build_data["force_include"][str(kept)] = STAMP
            return
        commit = os.environ.get("UNDEPLOY_COMMIT") or read_commit(self.root)
        if not commit:
            return
        self._folder = tempfile.TemporaryDirectory()  # it lasts as long as this hook
        stamp = Path(self._folder.name, "commit.txt")
        stamp.write_text(f"{commit}\n", encoding="utf-8")
        build_data["force_include"][str(stamp)] = STAMP


def read_commit(root: str) -> str:
    """Return the commit that is checked out in ``root``, ``-dirty`` if files differ; empty if none is."""
    if not Path(root, ".git").exists():
        return ""
    command = ["git", "-C", root, "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
