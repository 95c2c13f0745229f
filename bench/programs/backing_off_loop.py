"""The loop that most people write: each target backs off for itself, exponentially and with full jitter.

    python -m bench.programs.backing_off_loop URL TARGETS CONCURRENCY

Also reported: ``requests``, and how many of them were ``refused``.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator

import aiohttp

from bench.plans import INSTANCE, PROJECT
from bench.processes import TOKEN
from bench.programs.meter import Meter

_FIRST, _CEILING = 0.5, 30.0


class BackingOffLoop:
    """Sends ROMA's call for each number, until it is answered with 204."""

    def __init__(self, url: str) -> None:
        self.requests = self.refused = 0
        self._base = f"{url}/v2/{PROJECT}/apic/instances/{INSTANCE}/livedata-apis"

    async def send_all(self, targets: int, workers: int) -> None:
        """Send for so many targets, by so many workers."""
        numbers = iter(range(targets))
        async with aiohttp.ClientSession(headers={"X-Auth-Token": TOKEN}) as session:
            await asyncio.gather(*(self._work(session, numbers) for _ in range(workers)))

    async def _work(self, session: aiohttp.ClientSession, numbers: Iterator[int]) -> None:
        for number in numbers:
            failures = 0
            while not await self._send(session, number):
                await asyncio.sleep(random.random() * min(_CEILING, _FIRST * 2**failures))
                failures += 1

    async def _send(self, session: aiohttp.ClientSession, number: int) -> bool:
        async with session.post(f"{self._base}/{number:032x}/undeploy") as reply:
            await reply.read()
        self.requests += 1
        self.refused += reply.status != 204
        return reply.status == 204


def main() -> None:
    """Send, and report what it took."""
    loop = BackingOffLoop(sys.argv[1])
    meter = Meter()
    asyncio.run(loop.send_all(int(sys.argv[2]), int(sys.argv[3])))
    meter.report(requests=loop.requests, refused=loop.refused)


if __name__ == "__main__":
    main()
