"""A lane and a gateway with limits, played from end to end: that it finds a pace, and keeps to it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model.reading import Act
from orchestrator.model.settings import Limits
from orchestrator.rules.admission import LaneState
from orchestrator.rules.pacing import LATE
from orchestrator.rules.retry import RetryPolicy
from orchestrator.simulator.limits import RateLimit, TokenBucket
from tests.support.gateway_at_rate import Drive, Scattered, Windows, drive

CLOSE = 1e-6
NO_LIMIT = RateLimit(per_second=1e6, burst=1e6)


# --- a lane and a gateway that takes so many a second ---------------------------------------------------


def lane(cap: float | None = None, learned: float | None = None) -> LaneState:
    return LaneState(RetryPolicy(), 600.0, limits=Limits(rate=cap), learned=learned)


def steady(per_second: float, burst: float, targets: int, **options: Any) -> Drive:
    rate = RateLimit(per_second=per_second, burst=burst)
    return drive(lane(), lambda _: rate, targets=targets, **options)


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    ("per_second", "burst", "targets", "latency", "over", "share"),
    [
        (100.0, 100.0, 6000, 0.020, 1.03, 0.01),  # the shape that is promised
        (100.0, 100.0, 6000, 0.050, 1.03, 0.01),
        (10.0, 10.0, 6000, 0.020, 1.03, 0.01),
        (10.0, 10.0, 600, 0.020, 1.05, 0.04),
        (100.0, 10.0, 6000, 0.020, 1.20, 0.005),  # a gateway without slack is learned more slowly
    ],
)
def test_an_unknown_limit_is_found_and_kept(
    per_second: float, burst: float, targets: int, latency: float, over: float, share: float
) -> None:
    went = steady(per_second, burst, targets, latency=latency)

    assert went.seconds <= over * targets / per_second
    assert went.refused <= share * targets


@pytest.mark.promise(6)
@pytest.mark.parametrize(("per_second", "burst"), [(20.0, 2.0), (50.0, 5.0), (200.0, 20.0), (100.0, 100.0)])
def test_a_rate_that_the_gateway_states_is_kept_to_at_once(per_second: float, burst: float) -> None:
    """The pace stays below what was stated for long, so that no second refusal costs a pause."""
    went = steady(per_second, burst, int(60 * per_second), named=per_second, jitter=0.002)

    assert went.seconds <= 60.0 + 3.0
    assert went.refused <= 9


@pytest.mark.promise(6)
def test_a_limit_that_changes_in_mid_run_is_found_again() -> None:
    """100 a second, 20 for forty seconds, 100 again: 92 s at best for 6,000."""
    wide, narrow = RateLimit(per_second=100.0, burst=100.0), RateLimit(per_second=20.0, burst=20.0)
    again = RateLimit(per_second=100.0, burst=99.0)
    went = drive(
        lane(),
        lambda now: wide if now < 20.0 else narrow if now < 60.0 else again,
        targets=6000,
    )

    assert went.seconds <= 145.0
    assert went.refused <= 0.01 * 6000


@pytest.mark.parametrize(
    ("rate", "burst", "targets"), [(100.0, 100.0, 6000), (100.0, 1.0, 6000), (10.0, 1.0, 600)]
)
def test_a_plan_that_names_the_limit_is_refused_nothing(rate: float, burst: float, targets: int) -> None:
    bucket = RateLimit(per_second=rate, burst=burst)
    went = drive(lane(rate), lambda _: bucket, targets=targets)

    assert went.refused == 0
    assert went.seconds <= 1.01 * targets / rate


def test_a_pace_that_was_learned_costs_a_resume_next_to_nothing() -> None:
    bucket = RateLimit(per_second=100.0, burst=100.0)
    went = drive(lane(learned=98.0), lambda _: bucket, targets=6000)

    assert went.refused <= 6
    assert went.seconds <= 1.01 * 60.0


def test_a_rest_in_mid_run_does_not_make_the_pace_small() -> None:
    """Each worker takes one target, all rest for five minutes, then the wave goes on."""
    bucket = RateLimit(per_second=100.0, burst=100.0)
    went = drive(
        lane(), lambda _: bucket, targets=6000, busy_until=lambda now: now if now < 0.05 else max(now, 300.0)
    )

    assert went.seconds <= 300.0 + 1.03 * 60.0


# --- refusals that are not the pace's work --------------------------------------------------------------


class Missing:
    """Every so-and-so many-th number at random, by a seed: an endless set of them."""

    def __init__(self, share: float, seed: int) -> None:
        self._share, self._seed = share, seed

    def __contains__(self, number: object) -> bool:
        return random.Random(f"{self._seed} {number}").random() < self._share


def over(went: Drive, targets: int, *, concurrency: int = 8, latency: float = 0.020) -> float:
    """Return the time over what the pauses and the work without them take."""
    return went.seconds / (went.paused + targets * latency / concurrency)


@pytest.mark.promise(6)
@pytest.mark.parametrize("concurrency", [1, 8, 20])
@pytest.mark.parametrize("seed", range(12))
def test_fifteen_of_a_thousand_refused_at_random_cost_little_more_than_their_pauses(
    seed: int, concurrency: int
) -> None:
    struck = frozenset(random.Random(seed).sample(range(1000), 15))
    door = Scattered(struck)
    went = drive(lane(), lambda _: door, targets=1000, concurrency=concurrency)

    assert went.refused == 15
    assert over(went, 1000, concurrency=concurrency) <= 1.5


@pytest.mark.promise(6)
@pytest.mark.parametrize(("share", "latency"), [(0.005, 0.05), (0.015, 0.2), (0.05, 0.02), (0.1, 0.02)])
def test_a_share_that_is_refused_whatever_the_pace_does_not_drive_it_down(
    share: float, latency: float
) -> None:
    times = []
    for seed in range(6):
        door = Scattered(Missing(share, seed))
        went = drive(lane(), lambda _, door=door: door, targets=1000, latency=latency)  # type: ignore[misc]
        times.append(over(went, 1000, latency=latency))

    assert sorted(times)[3] <= 1.3
    assert max(times) <= 1.6


@pytest.mark.promise(6)
@pytest.mark.parametrize("share", [0.005, 0.015, 0.05])
def test_a_limit_is_kept_also_where_others_are_refused_at_random(share: float) -> None:
    door = Scattered(Missing(share, 1), TokenBucket(RateLimit(per_second=100.0, burst=100.0)))
    went = drive(lane(), lambda _: door, targets=3000)

    assert went.seconds <= 1.1 * (30.0 + 3000 * share)
    assert went.refused <= 3000 * (share + 0.05)


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    ("limit", "seconds", "latency", "bound", "share"),
    [
        (10, 1.0, 0.02, 1.35, 0.12),
        (10, 1.0, 0.2, 1.35, 0.12),
        (100, 1.0, 0.02, 1.2, 0.01),
        (100, 10.0, 0.2, 1.1, 0.06),
        (600, 60.0, 0.02, 1.05, 0.02),
    ],
)
def test_a_limit_that_is_counted_in_windows_is_used_well(
    limit: int, seconds: float, latency: float, bound: float, share: float
) -> None:
    windows = Windows(limit, seconds)
    targets = int(max(60.0, 4 * seconds) * limit / seconds)
    went = drive(lane(), lambda _: windows, targets=targets, latency=latency)

    assert went.seconds <= bound * targets * seconds / limit
    assert went.refused <= share * targets


# --- a bare 503 -----------------------------------------------------------------------------------------


@pytest.mark.promise(6)
@pytest.mark.parametrize(("burst", "bound"), [(100.0, 1.05), (10.0, 1.1), (1.0, 1.2)])
def test_a_proxy_that_limits_by_a_bare_503_is_found_as_one_that_says_429(burst: float, bound: float) -> None:
    bucket = TokenBucket(RateLimit(per_second=100.0, burst=burst))
    went = drive(lane(), lambda _: bucket, targets=6000, bare=True)

    assert went.seconds <= bound * 60.0
    assert went.refused <= 0.03 * 6000


@pytest.mark.parametrize("share", [0.005, 0.02, 0.1])
def test_bare_503s_at_random_do_not_drive_the_pace_down(share: float) -> None:
    door = Scattered(Missing(share, 1))
    went = drive(lane(), lambda _: door, targets=3000, bare=True)

    assert went.seconds <= 45.0  # at 400/s it is 8 s; the retry budget takes longer


# --- one pace for reads and writes -----------------------------------------------------------------------


def from_one_bucket(rate: RateLimit, targets: int, looks: int, **options: Any) -> Drive:
    """Take down so many targets, each after so many looks, where reads and writes use up one bucket."""
    return drive(lane(), lambda _: rate, targets=targets, looks=looks, jitter=0.002, **options)


@pytest.mark.promise(6)
@pytest.mark.parametrize("looks", [1, 3])
@pytest.mark.parametrize("named", [None, 100.0])
@pytest.mark.parametrize(("latency", "concurrency"), [(0.02, 8), (0.2, 50)])
def test_one_bucket_for_reads_and_writes_is_used_in_full(
    looks: int, named: float | None, latency: float, concurrency: int
) -> None:
    targets = 6000 // (looks + 1)
    rate = RateLimit(per_second=100.0, burst=100.0)
    went = from_one_bucket(rate, targets, looks, named=named, latency=latency, concurrency=concurrency)

    assert went.seconds <= 1.05 * 60.0
    assert went.refused <= 0.05 * 6000


@pytest.mark.promise(6)
@pytest.mark.parametrize(("per_second", "looks"), [(20.0, 1), (20.0, 3), (50.0, 1), (200.0, 3)])
def test_one_bucket_with_little_slack_is_not_refused_to_both_in_turn(per_second: float, looks: int) -> None:
    """Two paces that pay no heed to one another took up to ten times as long here."""
    rate = RateLimit(per_second=per_second, burst=per_second / 10)
    went = from_one_bucket(rate, int(60 * per_second) // (looks + 1), looks)

    assert went.seconds <= 1.3 * 60.0
    assert went.refused <= 0.05 * 60 * per_second


@pytest.mark.promise(6)
@pytest.mark.parametrize("looks", [1, 3])
@pytest.mark.parametrize("limited", [Act.LOOK, Act.UNDEPLOY])
def test_a_limit_for_one_of_the_two_holds_the_other_back_no_more_than_it_must(
    looks: int, limited: Act
) -> None:
    rate = RateLimit(per_second=20.0, burst=20.0)
    doors, look_doors = (NO_LIMIT, rate) if limited is Act.LOOK else (rate, NO_LIMIT)
    targets = 1200 // looks if limited is Act.LOOK else 1200
    went = drive(lane(), lambda _: doors, look_doors=lambda _: look_doors, targets=targets, looks=looks)

    assert went.seconds <= 1.05 * 60.0


@pytest.mark.promise(6)
@settings(max_examples=40, deadline=None)
@given(
    cap=st.floats(5, 60),
    per_second=st.floats(5, 100),
    burst=st.floats(1, 100),
    looks=st.integers(1, 3),
    concurrency=st.integers(1, 12),
)
def test_a_plans_rate_bounds_reads_and_writes_each_whether_or_not_they_share_a_pace(
    cap: float, per_second: float, burst: float, looks: int, concurrency: int
) -> None:
    rate = RateLimit(per_second=per_second, burst=burst)
    went = drive(lane(cap), lambda _: rate, targets=100, looks=looks, concurrency=concurrency)

    for left in (went.left, went.looked):
        for first, began in enumerate(left):
            for number, ended in enumerate(left[first:], 1):
                assert number <= cap * (ended - began + LATE) + 1 + CLOSE
