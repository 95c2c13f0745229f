"""The simulators as a child process: ``python -m orchestrator.simulator``, started by ``process``.

Reads one line of JSON (a ServeOrder) from stdin and prints one ``name URL`` a line. Serves until a signal
comes, or until its stdin ends, which happens when its parent ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping

import msgspec

from orchestrator.errors import OrchestratorError
from orchestrator.simulator.platforms import SimulatedPlatforms
from orchestrator.simulator.process import ServeOrder
from orchestrator.simulator.server import serve_until_ended


def _print_urls(urls: Mapping[str, str]) -> None:
    sys.stdout.write("".join(f"{name} {url}\n" for name, url in urls.items()))
    sys.stdout.flush()


def main() -> None:
    """Carry out the order in the first line of stdin."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=ServeOrder)
    try:
        platforms = SimulatedPlatforms(order.fixture, order.faults, now=time.time())
        # The descriptor of the pipe itself: nothing follows the order, so only its end makes it readable.
        orphan = os.dup(sys.stdin.fileno())
        asyncio.run(serve_until_ended(platforms, _print_urls, port=order.port, orphan=orphan))
    except OrchestratorError as error:
        sys.exit(str(error))  # for people: the last line of a traceback would name our class


if __name__ == "__main__":
    main()
