"""What a measured program reports of itself."""

from __future__ import annotations

import json
import sys
import time
from resource import RUSAGE_SELF, getrusage


class Meter:
    """Counts the seconds, by the clock and of the processor, from its making on."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self._processor = time.process_time()

    def report(self, **more: float) -> None:
        """Print the measured values as one line of JSON: seconds, and the peak of the memory in MB."""
        values = {
            "seconds": time.perf_counter() - self.began,
            "processor": time.process_time() - self._processor,
            "peak": getrusage(RUSAGE_SELF).ru_maxrss / 1024,
            **more,
        }
        json.dump(values, sys.stdout)
        print(flush=True)
