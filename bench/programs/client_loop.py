"""Our client alone: it sends, and reads whole replies. No plan, no lane, no journal, no report.

    python -m bench.programs.client_loop KIND PORT TARGETS CONCURRENCY CLIENT

CLIENT is `exchange`, or `session` for the client that takes its place with an aiohttp of other parts.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bench.programs.bare_loop import CALLS, HEADERS
from bench.programs.meter import Meter
from orchestrator.gateways.roma.gateway import Roma
from orchestrator.model.http import Reply, Request
from orchestrator.model.settings import Auth, CredentialReference, Limits
from orchestrator.transport import client


async def send_all(kind: str, port: int, count: int, workers: int) -> None:
    """Send so many calls, by so many workers that share one iterator."""
    method, path, status = CALLS[kind]
    numbers = iter(range(count))
    # Any gateway will do: each request has its own address.
    gateway = Roma(
        name="bench",
        url=f"http://127.0.0.1:{port}",
        auth=Auth(token=CredentialReference(env="BENCH_TOKEN")),
        limits=Limits(concurrency=workers),
        project_id="p",
        instance_id="i",
    )
    async with client.connect(gateway, Path(), {}) as send:

        async def work() -> None:
            for number in numbers:
                url = f"http://127.0.0.1:{port}{path.format(number)}"
                reply = await send(Request(method, url, HEADERS[kind]))
                assert isinstance(reply, Reply), reply
                assert reply.status == status, reply.status

        await asyncio.gather(*(work() for _ in range(workers)))


def main() -> None:
    """Send, and report what it took."""
    kind, (port, count, workers), name = sys.argv[1], map(int, sys.argv[2:5]), sys.argv[5]
    client.choose_client = lambda: name
    with asyncio.Runner() as runner:
        meter = Meter()
        runner.run(send_all(kind, port, count, workers))
        meter.report()


if __name__ == "__main__":
    main()
