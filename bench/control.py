"""How near a run comes to what its gateways allow: P3 to P6 and P14 to P16, beside a bare loop."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.figures import BenchmarkError, Figure, Sizes
from bench.plans import KINDS, PlanGateway, PlanText
from bench.processes import measure
from bench.simulated import (
    GatewayBooks,
    SimulatedRun,
    read_books,
    run_plan,
    serve_ill_gateway,
    serve_simulator,
)

R, BURST, CONCURRENCY = 100, 100, 8
LIMITS = f"limits: {{concurrency: {CONCURRENCY}}}"
AT_ONCE = 4
"""Runs that are measured at the same time, and so meet the same noise."""


class PacedRound(NamedTuple):
    """Runs at the same time, each at a gateway of its own with a token bucket of R."""

    unknown: SimulatedRun
    """ROMA's refusals name its rate, which the plan does not."""
    unsaid: SimulatedRun
    """Apinizer's refusals do not."""
    known: SimulatedRun
    """The plan names the rate."""
    bare: dict[str, float]
    """A loop with fixed concurrency, in which each target backs off exponentially for itself."""


def measure_pace(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P3 and P4, and the bare loop beside them."""
    rounds = []
    for number in range(sizes.pairs):
        (place := folder / f"round-{number}").mkdir()
        rounds.append(_run_round(place, sizes.targets))
    ideal = sizes.targets / R
    for variant, runs in (
        ("ROMA, whose refusals name its rate", [each.unknown for each in rounds]),
        ("Apinizer, whose refusals do not", [each.unsaid for each in rounds]),
    ):
        yield Figure("P3", variant, tuple(run.seconds / ideal for run in runs))
        yield Figure("P3 refused", variant, tuple(run.refused / run.requests for run in runs))
    yield Figure("P4", "ROMA", tuple(each.known.seconds / ideal for each in rounds))
    yield Figure("P4 refused", "ROMA", tuple(float(each.known.refused) for each in rounds))
    bare = [each.bare for each in rounds]
    yield Figure("bare loop", "", tuple(told["seconds"] / ideal for told in bare))
    yield Figure("bare loop refused", "", tuple(told["refused"] / told["requests"] for told in bare))


def _run_round(folder: Path, targets: int) -> PacedRound:
    rate = {"per_second": R, "burst": BURST}
    known_limits = f"limits: {{concurrency: {CONCURRENCY}, rate: {R}/s}}"
    with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as pool:

        def serve(name: str, kind: str = "roma") -> str:
            return stack.enter_context(serve_simulator(folder, name, targets, kind, rate=rate))

        plans = {
            name: PlanText([PlanGateway(serve(name, kind), keys, kind)], targets)
            for name, keys, kind in (
                ("unknown", LIMITS, "roma"),
                ("unsaid", LIMITS, "apinizer"),
                ("known", known_limits, "roma"),
            )
        }
        bare = pool.submit(measure, "backing_off_loop", serve("bare"), targets, CONCURRENCY)
        runs = {name: pool.submit(run_plan, folder, name, text) for name, text in plans.items()}
        return PacedRound(**{name: each.result() for name, each in runs.items()}, bare=bare.result())


ILLNESSES = ("refusing", "answering 500")


def measure_beside_an_ill_one(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P5: alone and beside an ill gateway in turn."""
    for illness in ILLNESSES:
        ratios = []
        for pair in range(sizes.pairs):
            (place := folder / f"{illness[0]}{pair}").mkdir()
            ratios.append(_compare_beside(place, illness, sizes.targets))
        yield Figure("P5", f"beside a gateway {illness}", tuple(ratios))


def _compare_beside(folder: Path, illness: str, targets: int) -> float:
    with serve_simulator(folder, "alone", targets) as url:
        alone = run_plan(folder, "alone", PlanText([PlanGateway(url, LIMITS)], targets))
    with serve_simulator(folder, "beside", targets) as url, serve_ill_gateway(illness) as ill:
        gateways = [PlanGateway(url, LIMITS), PlanGateway(ill, "park_for: 4s, timeout: 5s", name="ill")]
        beside = run_plan(folder, "beside", PlanText(gateways, targets))
    return beside.own_seconds / alone.own_seconds


PROBES_LATER = 11
"""The probes that ten minutes add to 14 s: after the one at 5 s those at 15, 35, 75 and then every 60 s."""


def count_requests_to_an_ill_one(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P6. ``park_for`` is cut to 14 s, and the probes of ten minutes are added."""
    for illness in ILLNESSES:
        counts = []
        for pair in range(sizes.pairs):
            with serve_ill_gateway(illness) as url:
                gateway = PlanGateway(url, "park_for: 14s, timeout: 5s")
                text = PlanText([gateway], sizes.targets, "snapshot: best")
                ended = run_plan(folder, f"{illness[0]}{pair}", text)
            if ended.status != 4:
                raise BenchmarkError(f"a run at a gateway {illness} ended with {ended.status} in place of 4")
            counts.append(float(ended.requests + PROBES_LATER))
        yield Figure("P6", f"a gateway {illness}", tuple(counts))


STRUCK = 15


def measure_scattered_refusals(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P15: the same run without a fault, and with fifteen targets that are told to wait a second."""
    ratios = []
    for pair in range(sizes.pairs):
        (place := folder / str(pair)).mkdir()
        ratios.append(_scatter_refusals(place, sizes.targets, random.Random(pair)))
    yield Figure("P15", "ROMA", tuple(ratios))


def _scatter_refusals(folder: Path, targets: int, dice: random.Random) -> float:
    faults = dict.fromkeys(dice.sample(range(targets), STRUCK), ("429@1",))
    with serve_simulator(folder, "calm", targets) as url:
        calm = run_plan(folder, "calm", PlanText([PlanGateway(url, LIMITS)], targets))
    with serve_simulator(folder, "uneasy", targets, faults=faults) as url:
        uneasy = run_plan(folder, "uneasy", PlanText([PlanGateway(url, LIMITS)], targets))
    if uneasy.refused != STRUCK:
        raise BenchmarkError(f"{uneasy.refused} requests were refused, and not {STRUCK}")
    return uneasy.seconds / (uneasy.paused + calm.seconds)


class TokenBucket(NamedTuple):
    """A gateway with one token bucket for reads and writes, and a run of so many targets against it."""

    kind: str
    rate: int
    burst: int
    targets: int
    snapshot: str

    def run(self, folder: Path, name: str) -> GatewayBooks:
        """Undeploy, and return what the gateway saw."""
        rate = {"per_second": self.rate, "burst": self.burst}
        with serve_simulator(folder, name, self.targets, self.kind, rate=rate) as url:
            gateway = PlanGateway(url, LIMITS, self.kind)
            run_plan(folder, name, PlanText([gateway], self.targets, f"snapshot: {self.snapshot}"))
            return read_books(url)


def _run_buckets(folder: Path, buckets: Sequence[TokenBucket], pairs: int) -> Iterator[list[GatewayBooks]]:
    """Yield the books of each bucket's runs."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [
            [pool.submit(bucket.run, folder, f"{place}-{pair}") for pair in range(pairs)]
            for place, bucket in enumerate(buckets)
        ]
        for runs in asked:
            yield [each.result() for each in runs]


def _name_by_slack(figure: str, bucket: TokenBucket) -> str:
    """Return the name of a figure: the goals are for buckets that hold the requests of a second, as in P3."""
    return figure if bucket.burst == bucket.rate else f"{figure} tight"


def measure_one_bucket(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P14 with a slack of a second, as P3 has it; told beside it: with next to none."""
    buckets = [
        TokenBucket(kind, R, burst, sizes.targets, "best")
        for kind in ("roma", "apinizer")
        for burst in (BURST, BURST // 10)
    ]
    for bucket, found in zip(buckets, _run_buckets(folder, buckets, sizes.pairs), strict=True):
        variant = f"{KINDS[bucket.kind].title}, burst {bucket.burst}"
        yield Figure(
            _name_by_slack("P14", bucket), variant, tuple(each.seconds * R / each.accepted for each in found)
        )
        yield Figure("P14 refused", variant, tuple(each.share_refused for each in found))
        yield Figure("P14 requests", variant, tuple(each.accepted / bucket.targets for each in found))


FASTEST = 200


def measure_cold_start(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P16: slow and fast limits, named in the refusal or not; told beside it: with little slack.

    ``sizes`` has the targets at the fastest limit; every run has work for the same number of seconds.
    """
    buckets = [
        TokenBucket(kind, rate, burst, max(1, sizes.targets * rate // FASTEST), "off")
        for rate in (2, 20, FASTEST)
        for burst in (rate, max(1, rate // 10))
        for kind in ("roma", "apinizer")
    ]
    for bucket, found in zip(buckets, _run_buckets(folder, buckets, sizes.pairs), strict=True):
        variant = f"{KINDS[bucket.kind].title}, {bucket.rate}/s, burst {bucket.burst}"
        yield Figure(
            _name_by_slack("P16", bucket),
            variant,
            tuple(each.seconds - each.accepted / bucket.rate for each in found),
        )
