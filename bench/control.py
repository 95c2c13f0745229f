"""How near a run comes to what its gateways allow: P3 to P6 and P14 to P16, beside a bare loop.

Each simulator is a process of its own. P3 and P4 run at the same time as the bare loop (fixed concurrency,
exponential backoff with full jitter per target), each against a gateway of its own with a token bucket of
100/s and a burst of 100, so that all of them meet the same noise.
"""

from __future__ import annotations

import json
import random
import sys
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from bench.figures import BenchmarkError, Figure, Sizes
from bench.plans import INSTANCE, PROJECT
from bench.processes import measure, run_program, serve_program

R, BURST, LATENCY, CONCURRENCY = 100, 100, 0.02, 8
Faults: TypeAlias = Mapping[int, Sequence[str]]


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
    with serve_program(command) as line:
        yield line.split()[1]


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
    run_program([*command, "--state", str(state), "--events", str(events)], statuses=(0, 1, 4))
    with events.open(encoding="utf-8") as lines:
        return _measured([json.loads(line) for line in lines])


def _measured(events: list[dict[str, Any]]) -> Run:
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
        events[-1]["exit_status"],
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


def run_backing_off(url: str, targets: int) -> Run:
    """Do the same with a loop that knows nothing of a lane: each target backs off for itself."""
    told = measure("backing_off_loop", url, targets, CONCURRENCY)
    return Run(told["seconds"], int(told["requests"]), int(told["refused"]), 0, 0.0)


def measure_pace(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P3 and P4, and the bare loop beside them, all at the same time in each round."""
    rounds = [_run_paced(folder / f"round-{number}", sizes.targets) for number in range(sizes.pairs)]
    ideal = sizes.targets / R
    for name, variant, runs in (
        ("P3", "ROMA, whose refusals name its rate", [each.unknown for each in rounds]),
        ("P3", "Apinizer, whose refusals do not", [each.unsaid for each in rounds]),
        ("P4", "ROMA", [each.known for each in rounds]),
        ("bare loop", "", [each.bare for each in rounds]),
    ):
        yield Figure(name, variant, tuple(run.seconds / ideal for run in runs))
        if name == "P4":
            yield Figure("P4 refused", variant, tuple(float(run.refused) for run in runs))
        else:
            yield Figure(f"{name} refused", variant, tuple(run.refused / run.requests for run in runs))


class PacedRound(NamedTuple):
    """Four runs at the same time, each at a bucket of its own."""

    unknown: Run
    unsaid: Run
    known: Run
    bare: Run


def _run_paced(folder: Path, targets: int) -> PacedRound:
    folder.mkdir()
    rate = {"per_second": R, "burst": BURST}
    limits = f"limits: {{concurrency: {CONCURRENCY}"
    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        unknown, known, plain = (
            stack.enter_context(simulator(folder, name, targets, rate=rate)) for name in ("p3", "p4", "bare")
        )
        unsaid = stack.enter_context(simulator(folder, "p3-unsaid", targets, "apinizer", rate=rate))
        asked = (
            pool.submit(run, folder, "p3", {"roma": (unknown, f"{limits}}}")}, targets),
            pool.submit(run, folder, "p3-unsaid", {"roma": (unsaid, f"{limits}}}")}, targets, "apinizer"),
            pool.submit(run, folder, "p4", {"roma": (known, f"{limits}, rate: {R}/s}}")}, targets),
            pool.submit(run_backing_off, plain, targets),
        )  # fmt: skip
        return PacedRound(*[each.result() for each in asked])


def measure_beside_an_ill_one(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P5: alone and beside an ill gateway in turn."""
    for kind in ("refusing", "answering 500"):
        ratios = tuple(
            _compare_beside(folder, f"p5-{kind[0]}{pair}", kind, sizes.targets) for pair in range(sizes.pairs)
        )
        yield Figure("P5", f"beside a gateway {kind}", ratios)


def _compare_beside(folder: Path, name: str, kind: str, targets: int) -> float:
    healthy = f"limits: {{concurrency: {CONCURRENCY}}}"
    with ExitStack() as stack:
        alone, beside = (
            stack.enter_context(simulator(folder, f"{name}-{side}", targets)) for side in ("a", "b")
        )
        ill = stack.enter_context(ill_gateway(kind))
        one = run(folder, f"{name}-alone", {"roma": (alone, healthy)}, targets)
        both = {"roma": (beside, healthy), "dead": (ill, "park_for: 4s, timeout: 5s")}
        two = run(folder, f"{name}-beside", both, targets)
    return two.healthy / one.healthy


@contextmanager
def ill_gateway(kind: str) -> Iterator[str]:
    """Yield the address of a gateway that refuses connections, or answers nothing but 500."""
    if kind == "refusing":
        yield "http://127.0.0.1:9"
        return
    with serve_program([sys.executable, "-m", "bench.server", "--status", "500"]) as port:
        yield f"http://127.0.0.1:{port}"


PROBES_LATER = 11
"""The probes that ten minutes add to 14 s: after the one at 5 s those at 15, 35, 75 and then every 60 s."""


def count_requests_to_an_ill_one(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P6. ``park_for`` is cut to 14 s, and the probes of ten minutes are added."""
    for kind in ("refusing", "answering 500"):
        counts = []
        for pair in range(sizes.pairs):
            with ill_gateway(kind) as url:
                keys = "park_for: 14s, timeout: 5s"
                name = f"p6-{kind[0]}{pair}"
                ended = run(folder, name, {"roma": (url, keys)}, sizes.targets, snapshot="best")
            if ended.status != 4:
                raise BenchmarkError(
                    f"a run against a gateway {kind} ended with {ended.status}, and not with 4"
                )
            counts.append(float(ended.requests + PROBES_LATER))
        yield Figure("P6", f"a gateway {kind}", tuple(counts))


STRUCK = 15


def measure_scattered_refusals(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P15: the same run without a fault, and with fifteen targets that are told to wait a second."""
    yield Figure(
        "P15", "ROMA", tuple(_scatter(folder / f"p15-{pair}", sizes.targets) for pair in range(sizes.pairs))
    )


def _scatter(folder: Path, targets: int) -> float:
    folder.mkdir()
    struck = random.Random(15).sample(range(targets), STRUCK)
    healthy = f"limits: {{concurrency: {CONCURRENCY}}}"
    with ExitStack() as stack:
        calm = stack.enter_context(simulator(folder, "calm", targets))
        faults = dict.fromkeys(struck, ("429@1",))
        uneasy = stack.enter_context(simulator(folder, "uneasy", targets, faults=faults))
        alone = run(folder, "calm", {"roma": (calm, healthy)}, targets)
        told = run(folder, "uneasy", {"roma": (uneasy, healthy)}, targets)
    if told.refused != STRUCK:
        raise BenchmarkError(f"{told.refused} requests were refused, and not {STRUCK}")
    return told.seconds / (told.paused + alone.seconds)


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


class Bucket(NamedTuple):
    """A run of so many targets against a token bucket for reads and writes together."""

    kind: str
    rate: int
    burst: int
    targets: int
    snapshot: str

    def run(self, folder: Path, name: str) -> Books:
        """Undeploy, and return what the gateway saw."""
        rate = {"per_second": self.rate, "burst": self.burst}
        limits = f"limits: {{concurrency: {CONCURRENCY}}}"
        with simulator(folder, name, self.targets, self.kind, rate=rate) as url:
            run(folder, name, {"roma": (url, limits)}, self.targets, self.kind, self.snapshot)
            return read_books(url)


def _run_buckets(folder: Path, buckets: Sequence[Bucket], pairs: int) -> list[list[Books]]:
    """Return the books of each bucket's runs; four run at a time, and meet the same noise."""
    with ThreadPoolExecutor(4) as pool:
        asked = [
            [pool.submit(bucket.run, folder, f"bucket-{place}-{pair}") for pair in range(pairs)]
            for place, bucket in enumerate(buckets)
        ]
        return [[each.result() for each in runs] for runs in asked]


def measure_one_bucket(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P14: default runs, with a slack of a second and with next to none."""
    buckets = [
        Bucket(kind, R, burst, sizes.targets, "best") for kind in KINDS for burst in (BURST, BURST // 10)
    ]
    for bucket, found in zip(buckets, _run_buckets(folder, buckets, sizes.pairs), strict=True):
        variant = f"{bucket.kind}, burst {bucket.burst}"
        yield Figure("P14", variant, tuple(each.seconds * R / each.accepted for each in found))
        yield Figure("P14 refused", variant, tuple(each.share_refused for each in found))
        yield Figure("P14 requests", variant, tuple(each.accepted / bucket.targets for each in found))


def measure_cold_start(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P16: slow and fast limits, with much slack and little, named in the refusal or not.

    ``sizes`` has the targets at the fastest limit; every run has work for the same number of seconds.
    """
    seconds = sizes.targets / 200
    buckets = [
        Bucket(kind, rate, burst, max(1, round(seconds * rate)), "off")
        for rate in (2, 20, 200)
        for burst in (rate, max(1, rate // 10))
        for kind in KINDS
    ]
    for bucket, found in zip(buckets, _run_buckets(folder, buckets, sizes.pairs), strict=True):
        variant = f"{bucket.kind}, {bucket.rate}/s, burst {bucket.burst}"
        yield Figure("P16", variant, tuple(each.seconds - each.accepted / bucket.rate for each in found))
