"""The bare loop: aiohttp as a careful programmer uses it, that does nothing but send.

    python -m bench.programs.bare_loop KIND PORT TARGETS CONCURRENCY LOOP

No plan, no journal, no repeats, no reading of a reply's meaning, no report. LOOP is asyncio or uvloop.
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp
from yarl import URL

from bench.plans import INSTANCE, PROJECT
from bench.programs.loops import choose_loop
from bench.programs.meter import Meter

HEADERS = {
    "roma": {"X-Auth-Token": "token", "Content-Type": "application/json"},
    "apinizer": {"Authorization": "Bearer token", "Accept": "application/json"},
}
CALLS = {
    "roma": ("POST", f"/v2/{PROJECT}/apic/instances/{INSTANCE}/livedata-apis/{{0:032x}}/undeploy", 204),
    "apinizer": ("DELETE", "/apiops/projects/P/apiProxies/api-{0}/environments/prod/", 200),
}


async def send_all(kind: str, port: int, count: int, workers: int) -> None:
    """Send so many calls, by so many workers that share one iterator."""
    method, path, status = CALLS[kind]
    numbers = iter(range(count))
    connector = aiohttp.TCPConnector(limit=workers)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=HEADERS[kind]
    ) as session:

        async def work() -> None:
            for number in numbers:
                url = URL(f"http://127.0.0.1:{port}{path.format(number)}", encoded=True)
                async with session.request(method, url, allow_redirects=False) as reply:
                    await reply.read()
                    assert reply.status == status, reply.status

        await asyncio.gather(*(work() for _ in range(workers)))


def main() -> None:
    """Send, and report what it took."""
    kind, (port, count, workers), loop = sys.argv[1], map(int, sys.argv[2:5]), sys.argv[5]
    with asyncio.Runner(loop_factory=choose_loop(loop)) as runner:
        meter = Meter()
        runner.run(send_all(kind, port, count, workers))
        meter.report()


if __name__ == "__main__":
    main()
