"""What a measured program reports of itself."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Literal


def read_peak(process: int | Literal["self"] = "self") -> float:
    """Return the peak of a process's memory in MB."""
    # getrusage would tell the peak of the process that started this one, where that was larger.
    with Path(f"/proc/{process}/status").open(encoding="ascii") as file:
        peak = next(line for line in file if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024


class Meter:
    """Counts the seconds, by the clock and of the processor, from its making on."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._processor = time.process_time()

    def report(self, **more: float) -> None:
        """Print the measured values as one line of JSON: seconds, and the peak of the memory in MB."""
        values = {
            "seconds": time.perf_counter() - self._began,
            "processor": time.process_time() - self._processor,
            "peak": read_peak(),
            **more,
        }
        json.dump(values, sys.stdout)
        print(flush=True)
