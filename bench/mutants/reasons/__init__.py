"""Why mutants that no test notices do not matter: a file for each package of the program.

A table for each module holds its mutants by the names that the command prints, without line numbers, so that
a reason stands as long as its statement does.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

Reasons: TypeAlias = Mapping[str, Mapping[str, str]]
"""By the path of a module below ``orchestrator``, then by the name of a mutant."""

FOLDER = Path(__file__).parent


def read_reasons(folder: Path = FOLDER) -> Reasons:
    """Return the reasons of all packages. Raises ValueError if a file is no TOML, or a reason is empty."""
    reasons: dict[str, Mapping[str, str]] = {}
    for file in sorted(folder.glob("*.toml")):
        reasons |= tomllib.loads(file.read_text(encoding="utf-8"))
    for path, of_module in reasons.items():
        for name, reason in of_module.items():
            if not reason.strip():
                raise ValueError(f"{path}: no reason for {name}")
    return reasons
