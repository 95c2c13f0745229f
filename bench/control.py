"""How near a run comes to what its gateways allow: figures P3 to P6 and P14 to P16, beside a bare loop.

    python -m bench.control [--targets 6000] [--pairs 3] [--check]

Each simulator is a process of its own. P3 and P4 run at the same time as the bare loop (fixed concurrency,
exponential backoff with full jitter per target), each against a gateway of its own with a token bucket of
100/s and a burst of 100, so that all of them meet the same noise. ``--check`` fails where a floor is missed.

    P3  a bucket that the plan does not know: time over the ideal; goal 1.03, 1 % refused, floor 1.12, 5 %;
        with ROMA, whose refusals name its rate, and with Apinizer, whose refusals do not
    P4  the same with its rate in the plan: goal 1.01, none refused; floor 1.05
    P5  a healthy gateway beside a dead one: its time over its time alone; goal 1.02, floor 1.10
    P6  requests to a dead gateway with 1,000 targets, snapshots included: goal under 60, floor 200
    P14 a default run (``snapshot: best``) against one bucket for reads and writes: time over that of the
        requests that its gateway accepted; goal 1.05, floor 1.25
    P15 1,000 targets, 15 of them refused at random with ``Retry-After: 1`` by a gateway without a limit: time
        over the pauses asked for and the time without them; goal 1.1, floor 1.5
    P16 a cold start against a limit that the plan does not know, for ten seconds' worth of targets: seconds
        over the ideal; goal 1 s, floor 2 s
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import aiohttp
import click

R, BURST, LATENCY, CONCURRENCY = 100, 100, 0.02, 8
PROJECT, INSTANCE = "0123456789abcdef0123456789abcdef", "f0fa1789-3b76-433b-a787-9892951c620e"
TOKEN = "rehearsal-token"
BACKOFF_FIRST, BACKOFF_CEILING = 0.5, 30.0


Faults: TypeAlias = Mapping[int, Sequence[str]]


class Figure(NamedTuple):
    """One line of the result: what was measured, and whether it keeps its floor."""

    name: str
    text: str
    keeps: bool


class Run(NamedTuple):
    """What a run left: seconds from its first request to its last reply, and what its journal counts."""

    seconds: float
    requests: int
    refused: int
    status: int
    healthy: float
    """Seconds until the last target of the gateway ``roma`` had ended."""
    paused: float = 0.0
    """Seconds of pauses that the 429s asked for, where each asks for one second."""


class Kind(NamedTuple):
    """How a kind of gateway is seeded, named in a plan, and given its targets."""

    seed: dict[str, Any]
    keys: str
    target: str
    """The form of a target's keys, with its number."""


KINDS = {
    "roma": Kind(
        {"kind": "roma", "project_id": PROJECT, "instance_id": INSTANCE},
        f"kind: roma, project_id: '{PROJECT}', instance_id: {INSTANCE}",
        "ld_api_id: '{0:032x}'",
    ),
    "apinizer": Kind({"kind": "apinizer"}, "kind: apinizer", "project: P, proxy: api-{0}, environment: prod"),
}


@contextmanager
def simulator(
    folder: Path, name: str, targets: int, kind: str = "roma", faults: Faults | None = None, **fields: Any
) -> Iterator[str]:
    """Serve one gateway called ``roma`` in a process of its own for the block; yields its address.

    ``faults`` are the faults of single targets, by their number.
    """
    seed = folder / f"{name}.json"
    ids: list[Any] = [f"{number:032x}" for number in range(targets)]
    if kind == "apinizer":
        ids = [("P", f"api-{number}", "prod") for number in range(targets)]
    entry = {"name": "roma", "targets": ids, "latency": LATENCY, **KINDS[kind].seed, **fields}
    seed.write_text(json.dumps({"gateways": [entry]}))
    command = [sys.executable, "-m", "orchestrator", "simulator", "--seed-file", str(seed)]
    if faults:
        script = folder / f"{name}.faults.json"
        named = {f"roma/{number:032x}": list(each) for number, each in faults.items()}
        script.write_text(json.dumps({"script": named}))
        command += ["--faults", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.terminate()


def run(
    folder: Path,
    name: str,
    gateways: dict[str, tuple[str, str]],
    targets: int,
    kind: str = "roma",
    snapshot: str = "off",
) -> Run:
    """Undeploy so many targets of each gateway (its address and further keys, by name)."""
    plan, events = folder / f"{name}.yaml", folder / f"{name}.events"
    with plan.open("w") as out:
        out.write(f"version: 1\nname: {name}\nsnapshot: {snapshot}\ngateways:\n")
        for key, (url, more) in gateways.items():
            auth = "auth: {token: {env: BENCH_TOKEN}}"
            out.write(f"  {key}: {{url: '{url}', {KINDS[kind].keys}, {auth}, {more}}}\n")
        out.write("targets:\n")
        for key in gateways:
            form = f"  - {{{{gateway: {key}, {KINDS[kind].target}}}}}\n"
            out.writelines(form.format(number) for number in range(targets))
    state = folder / f"{name}.state"
    command = [sys.executable, "-m", "orchestrator", "run", str(plan), "--yes", "--quiet"]
    done = subprocess.run(
        [*command, "--state", str(state), "--events", str(events)],
        env={"PATH": "", "BENCH_TOKEN": TOKEN, "NO_PROXY": "*"}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode in (2, 3):
        sys.exit(done.stderr)
    return _measured([json.loads(line) for line in events.open()], done.returncode)


def _measured(events: list[dict[str, Any]], status: int) -> Run:
    sent = [event for event in events if event["event"] == "attempt_started"]
    replies = [event for event in events if event["event"] == "attempt_ended"]
    began = sent[0]["at"]
    ended = [
        event["at"] for event in events if event["event"] == "target_ended" and event["gateway"] == "roma"
    ]
    return Run(
        replies[-1]["at"] - began,
        len(replies),
        sum(event["status"] == 429 for event in replies),
        status,
        ended[-1] - began if ended else 0.0,
        _covered([event["at"] for event in replies if event["status"] == 429]),
    )


def _covered(begins: Iterable[float], lasting: float = 1.0) -> float:
    """Return how many seconds lie in pauses of so many seconds that begin at these instants."""
    covered, until = 0.0, 0.0
    for begin in sorted(begins):
        covered += begin + lasting - max(begin, until) if until < begin + lasting else 0.0
        until = max(until, begin + lasting)
    return covered


def bare(url: str, targets: int) -> Run:
    """Do the same with a loop that knows nothing of a lane: each target backs off for itself."""
    base = f"{url}/v2/{PROJECT}/apic/instances/{INSTANCE}/livedata-apis"
    numbers, counts = iter(range(targets)), [0, 0]

    async def work(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            for failures in range(1000):
                async with session.post(
                    f"{base}/{number:032x}/undeploy", headers={"X-Auth-Token": TOKEN}
                ) as reply:
                    await reply.read()
                counts[0] += 1
                if reply.status == 204:
                    break
                counts[1] += 1
                await asyncio.sleep(random.random() * min(BACKOFF_CEILING, BACKOFF_FIRST * 2**failures))

    async def main() -> float:
        async with aiohttp.ClientSession() as session:
            began = time.monotonic()
            await asyncio.gather(*(work(session) for _ in range(CONCURRENCY)))
            return time.monotonic() - began

    return Run(asyncio.run(main()), counts[0], counts[1], 0, 0.0)


def paced(folder: Path, targets: int) -> Iterator[Figure]:
    """Measure P3 and P4, and the bare loop beside them."""
    rate = {"per_second": R, "burst": BURST}
    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        urls = [
            stack.enter_context(simulator(folder, name, targets, rate=rate)) for name in ("p3", "p4", "bare")
        ]
        silent = stack.enter_context(simulator(folder, "p3-silent", targets, "apinizer", rate=rate))
        limits = f"limits: {{concurrency: {CONCURRENCY}"
        asked = [
            pool.submit(run, folder, "p3", {"roma": (urls[0], f"{limits}}}")}, targets),
            pool.submit(run, folder, "p4", {"roma": (urls[1], f"{limits}, rate: {R}/s}}")}, targets),
            pool.submit(bare, urls[2], targets),
            pool.submit(run, folder, "p3-silent", {"roma": (silent, f"{limits}}}")}, targets, "apinizer"),
        ]
        p3, p4, loop, p3_silent = (each.result() for each in asked)
    ideal = targets / R

    def told(run: Run) -> tuple[float, float, str]:
        over, refused = run.seconds / ideal, run.refused / targets
        return over, refused, f"{over:.3f} of the ideal time, {refused:.2%} refused"

    for name, each in (("P3", p3), ("P3 unsaid", p3_silent)):
        over, refused, text = told(each)
        yield Figure(name, f"{text}; goal 1.03, 1 %", over <= 1.12 and refused <= 0.05)
    over, refused, text = told(p4)
    yield Figure("P4", f"{text}; goal 1.01, none", over <= 1.05 and not refused)
    yield Figure("bare loop", told(loop)[2], keeps=True)


def beside_a_dead_one(folder: Path, pairs: int) -> Iterator[Figure]:
    """Measure P5: alone and beside a dead gateway in turn, which refuses connections or answers 500."""
    healthy = f"limits: {{concurrency: {CONCURRENCY}}}"
    for kind in ("refusing", "answering 500"):
        ratios = []
        for pair in range(pairs):
            with ExitStack() as stack:
                name = f"p5-{kind[0]}{pair}"
                fields = {"targets": 1500}
                alone, beside = (
                    stack.enter_context(simulator(folder, f"{name}-{side}", **fields)) for side in ("a", "b")
                )
                dead = stack.enter_context(dead_gateway(kind))
                one = run(folder, f"{name}-alone", {"roma": (alone, healthy)}, 1500)
                two = run(
                    folder, f"{name}-beside",
                    {"roma": (beside, healthy), "dead": (dead, "park_for: 4s, timeout: 5s")}, 1500,
                )  # fmt: skip
                ratios.append(two.healthy / one.healthy)
        ratio = statistics.median(ratios)
        yield Figure("P5", f"{ratio:.3f} of its time alone beside a gateway {kind}; goal 1.02", ratio <= 1.10)


@contextmanager
def dead_gateway(kind: str) -> Iterator[str]:
    """Yield the address of a gateway that refuses connections, or answers nothing but 500."""
    if kind == "refusing":
        yield "http://127.0.0.1:9"
        return
    with subprocess.Popen(
        [sys.executable, "-m", "bench.server", "500"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


class Books(NamedTuple):
    """What the simulator saw of a run: the seconds from the first arrival to the last, and its requests."""

    seconds: float
    accepted: int
    refused: int

    @property
    def share_refused(self) -> float:
        return self.refused / (self.accepted + self.refused)


def read_books(url: str) -> Books:
    """Read the books of the one gateway at ``url``."""
    seen: list[dict[str, Any]] = []
    while page := _read_control(url, f"/_requests?after={len(seen)}&limit=2000"):
        seen += page
    refused = sum(request["status"] == 429 for request in seen)
    return Books(seen[-1]["at"] - seen[0]["at"], len(seen) - refused, refused)


def _read_control(url: str, path: str) -> Any:
    origin = "/".join(url.split("/")[:3])
    with urllib.request.urlopen(origin + path, timeout=30) as reply:
        return json.load(reply)


def run_and_read_books(
    folder: Path, name: str, kind: str, targets: int, snapshot: str, rate: dict[str, float]
) -> Books:
    """Undeploy so many targets of one gateway with this token bucket, for reads and writes."""
    with simulator(folder, name, targets, kind, rate=rate) as url:
        run(folder, name, {"roma": (url, f"limits: {{concurrency: {CONCURRENCY}}}")}, targets, kind, snapshot)
        return read_books(url)


def one_bucket(folder: Path, targets: int) -> Iterator[Figure]:
    """Measure P14, with a slack of a second and with next to none."""
    cases = [
        (f"P14 {kind}{tail}", kind, burst)
        for kind in KINDS
        for burst, tail in ((BURST, ""), (BURST // 10, " tight"))
    ]

    def measure(case: tuple[str, str, int]) -> Books:
        name, kind, burst = case
        rate = {"per_second": R, "burst": burst}
        return run_and_read_books(folder, name.replace(" ", "-"), kind, targets, "best", rate)

    with ThreadPoolExecutor(len(cases)) as pool:
        for (name, _, _), books in zip(cases, pool.map(measure, cases), strict=True):
            over = books.seconds * R / books.accepted
            yield Figure(
                name,
                f"{over:.3f} of the ideal time of {books.accepted / targets:.2f} requests a target,"
                f" {books.share_refused:.2%} refused; goal 1.05",
                over <= 1.25,
            )


COLD_SECONDS = 10


def cold(folder: Path) -> Iterator[Figure]:
    """Measure P16: slow and fast limits, with much slack and little, named in the refusal or not."""
    cases = [
        (kind, rate, burst) for rate in (2, 20, 200) for burst in (rate, max(1, rate // 10)) for kind in KINDS
    ]

    def measure(case: tuple[str, int, int]) -> Books:
        kind, rate, burst = case
        bucket = {"per_second": rate, "burst": burst}
        return run_and_read_books(
            folder, f"p16-{kind}-{rate}-{burst}", kind, COLD_SECONDS * rate, "off", bucket
        )

    with ThreadPoolExecutor(4) as pool:
        for (kind, rate, burst), books in zip(cases, pool.map(measure, cases), strict=True):
            extra = books.seconds - books.accepted / rate
            said = "named" if kind == "roma" else "unsaid"
            text = (
                f"{extra:+.2f} s over the ideal at {rate}/s, burst {burst}, {said}, {books.share_refused:.2%}"
            )
            yield Figure("P16", f"{text} refused; goal 1 s", extra <= 2.0)


def spared(folder: Path) -> Iterator[Figure]:
    """Measure P6 with 1,000 targets. ``park_for`` is cut to 14 s, and what ten minutes would add is told: the
    probes that follow the one at 5 s, at 15, 35, 75 and then every 60 s."""
    for kind in ("refusing", "answering 500"):
        with dead_gateway(kind) as url:
            keys = "park_for: 14s, timeout: 5s"
            ended = run(folder, f"p6-{kind[0]}", {"roma": (url, keys)}, 1000, snapshot="best")
        later = 11
        text = (
            f"{ended.requests} requests to a gateway {kind} in 14 s, {ended.requests + later} in ten minutes"
        )
        yield Figure("P6", f"{text}; goal 60", ended.requests + later < 200 and ended.status == 4)


def scattered(folder: Path) -> Iterator[Figure]:
    """Measure P15: the same run without a fault, and with fifteen targets that are told to wait a second."""
    struck = random.Random(15).sample(range(1000), 15)
    healthy = f"limits: {{concurrency: {CONCURRENCY}}}"
    with ExitStack() as stack:
        calm = stack.enter_context(simulator(folder, "p15-calm", 1000))
        faults = dict.fromkeys(struck, ("429@1",))
        uneasy = stack.enter_context(simulator(folder, "p15", 1000, faults=faults))
        alone = run(folder, "p15-calm", {"roma": (calm, healthy)}, 1000)
        told = run(folder, "p15", {"roma": (uneasy, healthy)}, 1000)
    over = told.seconds / (told.paused + alone.seconds)
    asked = (
        f"{told.refused} refused at random, {told.paused:.1f} s of pauses and {alone.seconds:.1f} s of work"
    )
    yield Figure("P15", f"{over:.3f} of that: {asked}; goal 1.1", over <= 1.5 and told.refused == 15)


@click.command()
@click.option("--targets", default=6000, show_default=True)
@click.option("--pairs", default=3, show_default=True)
@click.option("--check", is_flag=True, help="Exit with 1 where a floor is missed.")
def main(targets: int, pairs: int, check: bool) -> None:
    """Print the figures."""
    missed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = (
            paced(folder, targets),
            one_bucket(folder, targets // 2),
            beside_a_dead_one(folder, pairs),
            spared(folder),
            scattered(folder),
            cold(folder),
        )
        for figures in parts:
            for figure in figures:
                missed |= not figure.keeps
                print(
                    f"{figure.name:<10} {figure.text}{'' if figure.keeps else '   FLOOR MISSED'}", flush=True
                )
    sys.exit(1 if check and missed else 0)


if __name__ == "__main__":
    main()
