"""Read a lock: the pins with their hashes, and which packages each one is for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
RUNTIME_LOCK = ROOT / "requirements.lock"
EXTRAS_LOCK = ROOT / "requirements-extras.lock"
DEVELOPMENT_LOCK = ROOT / "requirements-dev.lock"
PROJECT = "undeploy-orchestrator"

PIN = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>[^\s;]+)(?P<marker> ; [^\\\n]+)? \\\n"
    r"(?P<hashes>(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
    r"(?P<comments>(?:    #.*\n)+)",
    re.MULTILINE,
)


class Pin(NamedTuple):
    """One package of a lock; ``hashes`` are SHA-256 in hexadecimal, ``wanted_by`` names packages."""

    name: str
    version: str
    hashes: tuple[str, ...]
    wanted_by: tuple[str, ...]


def read_lock(path: Path) -> Mapping[str, Pin]:
    """Return the pins of a lock by name. ValueError if a line of it is no part of a pin."""
    text = path.read_text(encoding="utf-8")
    if rest := PIN.sub("", text).strip():
        raise ValueError(f"{path.name} has more than pins: {rest.splitlines()[0]}")
    return {found["name"]: _make_pin(found) for found in PIN.finditer(text)}


def _make_pin(found: re.Match[str]) -> Pin:
    comments = [line.strip("# ").removeprefix("via").strip() for line in found["comments"].splitlines()]
    wanted_by = tuple(words.split()[0] for words in comments if words and not words.startswith("-c "))
    return Pin(
        found["name"], found["version"], tuple(re.findall(r"[0-9a-f]{64}", found["hashes"])), wanted_by
    )
