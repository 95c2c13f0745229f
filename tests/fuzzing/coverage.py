"""Inputs chosen by the lines that they reach, if atheris is installed: ``pip install atheris``.

libFuzzer ends its process, so ``python -m tests.fuzzing.coverage AIM SECONDS FOLDER`` is one of its own. The
program that starts it finds the count of inputs in FOLDER, and the findings under ``found``.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

SECONDS_TO_START = 60.0


def is_available() -> bool:
    """Return whether atheris is installed."""
    return importlib.util.find_spec("atheris") is not None


def fuzz_by_coverage(aim: str, seconds: float, folder: Path) -> int:
    """Fuzz an aim for some seconds in a process of its own; return how many inputs it has tried.

    Raises RuntimeError if atheris does not begin, unless the machine was too busy for it.
    """
    command = [sys.executable, "-m", "tests.fuzzing.coverage", aim, str(int(seconds)), str(folder)]
    status: int | None = None
    # A process that is stuck is ended; what it has counted and found until then stays.
    with (folder / "log").open("wb") as log, suppress(subprocess.TimeoutExpired):
        longest = seconds * 2 + SECONDS_TO_START
        status = subprocess.run(command, stdout=log, stderr=log, timeout=longest, check=False).returncode
    try:
        return int((folder / "count").read_text())
    except (OSError, ValueError):
        if status is None:
            return 0
        last = (folder / "log").read_text(errors="replace").splitlines()[-5:]
        raise RuntimeError(f"atheris has not begun: {' '.join(last)}") from None


def _main(aim: str, seconds: str, folder: Path) -> None:
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["orchestrator"]):
        from tests.fuzzing.aims import AIMS
        from tests.fuzzing.findings import keep, try_input
    seeds, corpus = AIMS[aim].list_seeds(), folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    counted = os.open(folder / "count", os.O_CREAT | os.O_WRONLY, 0o600)
    known: set[str] = set()
    tried = 0

    def test_one_input(data: bytes) -> None:
        nonlocal tried
        tried += 1
        os.pwrite(counted, b"%d" % tried, 0)
        finding = try_input(aim, data)
        if finding is not None and finding.place not in known:
            known.add(finding.place)
            keep(finding, folder / "found")

    def change(data: bytes, most: int, seed: int) -> bytes:
        dice = Random(seed)
        if dice.random() < 0.5:
            return AIMS[aim].mutate(dice, data, seeds)[:most]
        changed: bytes = atheris.Mutate(data, most)
        return changed

    options = [f"-max_total_time={seconds}", "-max_len=100000", "-rss_limit_mb=2048", "-timeout=60"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], test_one_input, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
