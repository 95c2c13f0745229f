"""The simulators as a child process: ``python -m orchestrator.simulator``, started by ``process``.

Reads one line of JSON (Errand) from stdin, prints one ``name URL`` a line, and serves until it is told to end
or until its stdin ends, which happens when its parent does.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping

import msgspec

from orchestrator.simulator.platforms import Platforms
from orchestrator.simulator.process import Errand
from orchestrator.simulator.server import serve_until_told


def _ready(urls: Mapping[str, str]) -> None:
    sys.stdout.write("".join(f"{name} {url}\n" for name, url in urls.items()))
    sys.stdout.flush()


def main() -> None:
    """Do the errand that stands in the first line of stdin."""
    errand = msgspec.json.decode(sys.stdin.buffer.readline(), type=Errand)
    platforms = Platforms(errand.seed, errand.faults, now=time.time())
    # The descriptor of the pipe itself: nothing follows the errand, so what becomes readable is its end.
    asyncio.run(serve_until_told(platforms, _ready, port=errand.port, orphan=os.dup(sys.stdin.fileno())))


if __name__ == "__main__":
    main()
