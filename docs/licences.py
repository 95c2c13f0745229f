"""The licence of an installed package as an SPDX expression, and which licences a dependency may have."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

NOTES = Path(__file__).parent / "dependencies.toml"

ALLOWED = frozenset(
    {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"}
)
"""None of them reaches beyond the files of the package itself."""

# Older metadata has words of its own for the same.
SPELLINGS = {
    "Apache 2.0": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


def read_licence(name: str) -> str:
    """Return the SPDX expression of an installed package. ValueError if its metadata tells none."""
    noted: str | None = _read_notes().get(name)
    if noted:
        return noted
    metadata = distribution(name).metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    said = metadata.get("License") or ""
    words = SPELLINGS.get(said, said)
    if words and is_known(words):
        return words
    classifiers = metadata.get_all("Classifier") or []
    found = sorted({SPELLINGS[line] for line in classifiers if line in SPELLINGS})
    if not found:
        raise ValueError(f"no licence of {name} is known: read its licence file, and note it in {NOTES.name}")
    return " OR ".join(found)


def is_known(expression: str) -> bool:
    """Return whether words are one of the allowed licences, or an expression of them alone."""
    return all(part in ALLOWED for part in expression.replace(" OR ", " AND ").split(" AND "))


def is_allowed(expression: str) -> bool:
    """Return whether the terms of an SPDX expression are allowed: all those of AND, one of those of OR.

    Of a nested expression it may refuse more than it must, and never less.
    """
    return all(
        any(choice.strip("() ") in ALLOWED for choice in part.split(" OR "))
        for part in expression.split(" AND ")
    )


@cache
def _read_notes() -> dict[str, str]:
    notes: dict[str, dict[str, str]] = tomllib.loads(NOTES.read_text(encoding="utf-8"))
    return notes["licence"]
