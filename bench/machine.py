"""The machine that measured: its processors, its programs, its load."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from msgspec import Struct

from bench.processes import ROOT
from bench.servers import find_nginx

_PACKAGES = ("aiohttp", "anyio", "msgspec", "pyyaml", "uvloop")
_VERSION = re.compile(r"\d+(?:\.\d+)+")


class Machine(Struct, frozen=True):
    """A machine at the moment when it began to measure."""

    when: str
    commit: str
    cores: int
    processor: str
    system: str
    load: float
    """The processes that waited for a processor in the minute before; other people's work, that is."""
    versions: dict[str, str]


def describe_machine() -> Machine:
    """Return this machine as it is now; a program that is not installed has the version "absent"."""
    return Machine(
        when=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=read_commit(),
        cores=os.cpu_count() or 1,
        processor=_name_processor(),
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        load=round(os.getloadavg()[0], 2),
        versions=_list_versions(),
    )


def _list_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    for name, path in (("nginx", find_nginx()), ("curl", "curl")):
        found[name] = _ask_version(path, "-v" if name == "nginx" else "--version")
    return found


def _ask_version(program: str | None, option: str) -> str:
    try:
        done = subprocess.run(
            [program or "", option], capture_output=True, text=True, check=False, timeout=10
        )
    except OSError:
        return "absent"
    number = _VERSION.search(done.stdout + done.stderr)
    return number[0] if number else "unknown"


def read_commit() -> str:
    """Return the commit of the tree, marked where the program or the benchmark differs from it."""
    commit = _ask_git("describe", "--always")
    # Not the page and the figures: they are written in the middle of a session.
    written = (":!bench/results.json", ":!bench/trust/figures")
    changed = _ask_git("status", "--porcelain", "--", "orchestrator", "bench", *written)
    return f"{commit} with changes" if changed else commit or "unknown"


def _ask_git(*words: str) -> str:
    try:
        # A machine that computes for hours beside it takes long.
        done = subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
        )
    except OSError:
        return ""
    return done.stdout.strip()


def _name_processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine() or sys.platform
