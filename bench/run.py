"""What a whole run costs beside a bare aiohttp loop that does nothing but send.

    python -m bench.run [TARGETS] [PAIRS]

Both sides talk to the same server on loopback with the same number of connections, one after the other, each
in a process of its own; imports are not counted. Ours reads the plan, keeps the journal with full durability,
undeploys, and writes all five reports. Printed: the median ratio of the pairs (1.00 would be free of cost),
and the processor's microseconds a target on either side. Goals: whole run 0.90 (floor 0.65), execution alone
0.95 (floor 0.75).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONCURRENCY = 100
HEAD = """\
version: 1
name: bench
snapshot: off
gateways:
  roma:
    kind: roma
    url: http://127.0.0.1:{port}
    project_id: 0123456789abcdef0123456789abcdef
    instance_id: f0fa1789-3b76-433b-a787-9892951c620e
    api_version: v2
    auth: {{token: {{env: BENCH_TOKEN}}}}
    limits: {{concurrency: {concurrency}}}
targets:
"""
BARE = """
import asyncio, json, sys, time, resource
import aiohttp
from yarl import URL

async def main(port, count, workers):
    base = f"http://127.0.0.1:{port}/v2/0123456789abcdef0123456789abcdef/apic/instances/f0fa1789/livedata-apis/"
    headers = {"X-Auth-Token": "token", "Content-Type": "application/json"}
    numbers = iter(range(count))
    connector = aiohttp.TCPConnector(limit=workers)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        async def work():
            for number in numbers:
                url = URL(f"{base}{number:032x}/undeploy", encoded=True)
                async with session.post(url, headers=headers, allow_redirects=False) as reply:
                    await reply.read()
                    assert reply.status == 204
        await asyncio.gather(*(work() for _ in range(workers)))

port, count, workers = map(int, sys.argv[1:])
wall, cpu = time.perf_counter(), time.process_time()
asyncio.run(main(port, count, workers))
print(json.dumps({"whole": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))
"""
OURS = """
import json, sys, time, os, resource
from pathlib import Path
import anyio
from orchestrator.api import RunOptions, load_plan, run
from orchestrator import report
import orchestrator.report.formats.html, orchestrator.report.formats.json, orchestrator.report.formats.csv
import orchestrator.report.formats.junit, orchestrator.report.formats.markdown
from orchestrator.model.events import RunStarted, RunEnded

os.environ["BENCH_TOKEN"] = "token"
marks = {}
def listen(event):
    if isinstance(event, RunStarted): marks["start"] = time.perf_counter()
    if isinstance(event, RunEnded): marks["end"] = time.perf_counter()
plan, state = Path(sys.argv[1]), Path(sys.argv[2])
wall, cpu = time.perf_counter(), time.process_time()
with load_plan(plan) as loaded:
    result = anyio.run(lambda: run(loaded, RunOptions(state=state), listeners=[listen]))
whole = time.perf_counter() - wall
assert result.exit_status == 0, result
print(json.dumps({"whole": whole, "cpu": time.process_time() - cpu, "execute": marks["end"] - marks["start"],
    "plan": marks["start"] - wall, "reports": wall + whole - marks["end"],
    "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


@contextmanager
def server() -> Iterator[int]:
    """Serve in another process for the block; yields its port."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        yield int(process.stdout.readline())
        process.stdin.close()


def measure(code: str, *arguments: object) -> dict[str, float]:
    """Run code in a fresh process; return what it measured."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main(count: int, pairs: int) -> None:
    """Measure the pairs in turn, and print what came out."""
    with server() as port, tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.yaml"
        with plan.open("w", encoding="utf-8") as file:
            file.write(HEAD.format(port=port, concurrency=CONCURRENCY))
            file.writelines(f"  - gateway: roma\n    ld_api_id: {number:032x}\n" for number in range(count))
        rows = []
        for pair in range(pairs):
            bare = measure(BARE, port, count, CONCURRENCY)
            ours = measure(OURS, plan, Path(folder) / f"state-{pair}")
            rows.append((bare, ours))
            print(
                f"pair {pair + 1}: "
                + "  ".join(f"{key} {value:.2f}" for key, value in ours.items())
                + f"  | bare whole {bare['whole']:.2f} cpu {bare['cpu']:.2f}",
                flush=True,
            )
    for name in ("whole", "execute"):
        ratio = statistics.median(bare["whole"] / ours[name] for bare, ours in rows)
        print(f"{name}: {ratio:.2f} of the bare loop's pace")
    for name, side in (("bare loop", 0), ("whole run", 1)):
        used = statistics.median(row[side]["cpu"] for row in rows)
        print(f"{name}: {used / count * 1e6:.0f} us of processor time a target")


if __name__ == "__main__":
    main(*(int(word) for word in [*sys.argv[1:], "20000", "5"][:2]))
