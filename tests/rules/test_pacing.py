"""How fast a lane sends: that it keeps to a pace, finds one, and does not spend retries for ever."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable
from itertools import count, groupby, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.settings import Limits
from orchestrator.rules.admission import LaneState
from orchestrator.rules.pacing import (
    CUT,
    FAST,
    FIRST_CUT,
    IDLE,
    LATE,
    MORE,
    MOST_OF_TAKEN,
    MOST_SPARED,
    NEAR,
    OVER,
    RAREST,
    SLOW,
    UNDER,
    Pacer,
    RetryBudget,
)
from orchestrator.rules.retry import RetryPolicy
from orchestrator.simulator.limits import RateLimit, TokenBucket
from tests.support.gateway_at_rate import Drive, Scattered, Windows, drive

CLOSE = 1e-6
RATES = st.sampled_from([1 / 3600, 1 / 60, 0.5, 1.0, 20.0, 1000.0])


def leaving(pacer: Pacer, asks: list[tuple[float, float]], changes: list[tuple[float, str]]) -> list[float]:
    """When requests leave that are asked for at these times, each late by so much, through all changes."""
    order, left = count(), list[float]()
    events = [(at, next(order), "ask", late, 0.0, 0) for at, late in asks]
    events += [(at, next(order), what, 0.0, 0.0, 0) for at, what in changes]
    heapq.heapify(events)
    while events:
        now, _, what, late, slot, epoch = heapq.heappop(events)
        match what:
            case "hold":
                pacer.hold(now + 1.0)
            case "limit":
                pacer.limit(pacer.cap, now)
            case "leave" if epoch == pacer.epoch and now <= slot + LATE:
                pacer.note_departure(now)
                left.append(now)
            case _:
                slot = pacer.reserve(now)
                heapq.heappush(events, (slot + late, next(order), "leave", late, slot, pacer.epoch))
    return left


@pytest.mark.promise(6)
@given(
    rate=RATES,
    asks=st.lists(st.tuples(st.floats(0, 200), st.floats(0, LATE / 2)), min_size=1, max_size=40),
    changes=st.lists(st.tuples(st.floats(0, 200), st.sampled_from(["hold", "limit"])), max_size=6),
)
def test_in_any_time_no_more_leave_than_the_rate_allows(
    rate: float, asks: list[tuple[float, float]], changes: list[tuple[float, str]]
) -> None:
    """Whenever it is asked, however late they go, and however often it is held or told its limit again."""
    left = leaving(Pacer(rate), asks, changes)

    assert len(left) == len(asks)
    for first, began in enumerate(left):
        for number, ended in enumerate(left[first:], 1):
            assert number <= rate * (ended - began + LATE) + 1 + CLOSE


@given(
    learned=st.floats(0.1, 500),
    steps=st.lists(st.tuples(st.floats(0, 3), st.booleans()), min_size=1, max_size=60),
)
def test_slots_are_a_rate_apart_also_while_it_grows(learned: float, steps: list[tuple[float, bool]]) -> None:
    pacer, now, slots = Pacer(learned=learned), 0.0, list[float]()
    rates = list[float]()
    for passed, answered in steps:
        now += passed
        if answered:
            pacer.observe_answer(now, now)
        rates.append(pacer.rate or math.inf)
        slots.append(pacer.reserve(now))

    for (before, after), rate in zip(pairwise(slots), rates, strict=False):
        assert after - before >= 1.0 / rate - CLOSE


@pytest.mark.parametrize(("rate", "apart"), [(5 / 60, 12.0), (2 / 3600, 1800.0), (20.0, 0.05)])
def test_there_is_no_burst_at_the_start(rate: float, apart: float) -> None:
    """Not for rates by the minute and by the hour either, nor after a long time without requests."""
    pacer = Pacer(rate)

    assert [pacer.reserve(7.0) for _ in range(4)] == pytest.approx([7.0 + apart * n for n in range(4)])
    late = 1e6
    assert [pacer.reserve(late) for _ in range(3)] == pytest.approx([late + apart * n for n in range(3)])


def test_without_a_cap_nothing_is_paced_before_the_first_refusal() -> None:
    pacer = Pacer()

    assert [pacer.reserve(3.0) for _ in range(100)] == [3.0] * 100
    assert pacer.rate is None


@pytest.mark.parametrize("change", ["hold", "limit", "cut"])
def test_a_slot_from_before_a_change_is_void(change: str) -> None:
    pacer = Pacer(10.0)
    for _ in range(20):
        pacer.reserve(0.0)
    pacer.note_departure(0.0)
    before = pacer.epoch
    match change:
        case "hold":
            pacer.hold(0.5)
        case "limit":
            pacer.limit(2.0, 0.1)
        case "cut":
            pacer.observe_answer(0.1, 0.1)
            pacer.observe_refusal(0.0, 0.2, wait=1.0)

    assert pacer.epoch != before
    assert 0.1 < pacer.reserve(0.2) <= 0.5


# --- what a refusal teaches -----------------------------------------------------------------------------


@given(
    cap=st.none() | st.floats(0.5, 200),
    learned=st.none() | st.floats(0.5, 200),
    hint=st.none() | st.floats(0.1, 500),
    rounds=st.lists(
        st.tuples(st.lists(st.floats(0.001, 0.9 * IDLE), max_size=20), st.floats(0, 2)),
        min_size=1,
        max_size=5,
    ),
)
def test_no_cut_goes_below_the_taken_average_nor_falls_on_an_innocent_pace(
    cap: float | None,
    learned: float | None,
    hint: float | None,
    rounds: list[tuple[list[float], float]],
) -> None:
    pacer, now, cut_at = Pacer(cap, learned), 0.0, 0.0
    since: float | None = 0.0
    cuts, average, paces = 0, 0.0, list[float]()
    pacer.reserve(now)
    for gaps, ago in rounds:
        for gap in gaps:
            now += gap
            since = now if since is None else since
            pacer.reserve(now)
            pacer.observe_answer(now, now)
            assert cap is None or pacer.rate is None or pacer.rate <= cap
        began, before, epoch = max(0.0, now - ago), pacer.rate, pacer.epoch
        was_heeded = pacer.observe_refusal(began, now, wait=1.0, hint=hint)

        assert was_heeded == (bool(gaps) and not (cuts and began < cut_at))
        if not was_heeded:
            assert pacer.epoch == epoch
            assert before is pacer.rate is None or (pacer.rate or 0.0) <= (before or 0.0)
            if not gaps:
                since = None if learned is None and not cuts else since  # it takes only after the pause
                continue
            break  # what was taken goes on counting from the cut before
        assert since is not None
        assert pacer.rate is not None
        taken = len(gaps) / max(now - since, 0.001)
        stated = math.inf if hint is None else hint * UNDER
        floor = min(taken, taken * FIRST_CUT if before is None else before, stated)
        assert pacer.rate >= floor * (1 - CLOSE)
        paces.append(taken if before is None else before)
        if hint is not None and hint < paces[-1]:
            assert pacer.rate == pytest.approx(hint * UNDER)
        elif pacer.rate > paces[-1] * (1 - CLOSE):  # spared, given back, or nothing was there to be cut
            assert pacer.rate <= max(paces) * (1 + CLOSE)
        else:
            asked = 1.0 / RAREST  # by a gateway that wants a second's pause
            most = max(max(taken, average) * MOST_OF_TAKEN, min(taken, paces[-1]), asked)
            assert pacer.rate <= most * (1 + CLOSE)
            assert pacer.rate <= max(min(taken, paces[-1]), paces[-1] * CUT, asked) * (1 + CLOSE)
        average, since, cut_at = taken, now, now
        cuts += 1


def test_what_the_gateway_says_of_its_own_rate_wins() -> None:
    pacer = Pacer()
    for tenth in range(100):
        pacer.reserve(tenth / 10)
        pacer.observe_answer(tenth / 10, tenth / 10)

    assert pacer.observe_refusal(9.9, 10.0, wait=1.0, hint=3.0) is True
    assert pacer.rate == 3.0 * UNDER


def test_time_without_anything_to_send_is_no_slowness_of_the_gateway() -> None:
    """A canary, five minutes of rest, then a wave: 1 in 300 s is not what this gateway bears."""
    pacer = Pacer()
    pacer.reserve(0.0)
    pacer.observe_answer(0.1, 0.1)
    for hundredth in range(100):
        pacer.reserve(300.0 + hundredth / 100)
        pacer.observe_answer(300.0 + hundredth / 100, 300.0 + hundredth / 100)
    pacer.observe_refusal(300.9, 301.0, wait=1.0)

    assert pacer.rate == pytest.approx(101 / 1.1 * FIRST_CUT, rel=0.01)


def test_a_pause_before_anything_was_taken_does_not_make_the_first_pace_small() -> None:
    """The limit was used up by somebody else: ten minutes' rest, and then it takes as many as ever."""
    pacer = Pacer()
    pacer.reserve(0.0)
    assert pacer.observe_refusal(0.0, 0.1, wait=1.0) is False
    pacer.hold(600.0)
    for hundredth in range(100):
        pacer.reserve(600.0 + hundredth / 100)
        pacer.observe_answer(600.0 + hundredth / 100, 600.0 + hundredth / 100)
    pacer.observe_refusal(600.9, 601.0, wait=1.0)

    assert pacer.rate == pytest.approx(100.0 * FIRST_CUT)


def test_a_pause_counts_for_what_was_taken_on_average() -> None:
    """A gateway that takes ten and then wants a minute's rest takes ten a minute."""
    pacer = Pacer(learned=100.0)
    for tenth in range(10):
        pacer.reserve(tenth / 10)
        pacer.observe_answer(tenth / 10, tenth / 10)
    pacer.hold(60.0)
    pacer.reserve(60.0)
    pacer.observe_refusal(60.0, 60.0, wait=1.0)

    assert pacer.rate == pytest.approx(MOST_OF_TAKEN * 10 / 60)


@given(
    cap=st.none() | st.floats(1, 300),
    learned=st.floats(0.5, 200),
    gaps=st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_growth_is_bounded_per_second(cap: float | None, learned: float, gaps: list[float]) -> None:
    """However many answers come: near what was refused by little, below and above that by more."""
    pacer, now = Pacer(cap, learned), 10.0
    pacer.observe_answer(now, now)
    found = pacer.rate
    assert found is not None
    for gap in gaps:
        now += gap
        pacer.observe_answer(now, now)
        rate = pacer.rate
        assert rate is not None
        share = (
            FAST if found < NEAR * learned else SLOW if found <= OVER * learned else MORE * found / learned
        )
        assert found - CLOSE <= rate <= found + share * learned * min(gap, max(1.0, 2.0 / found)) + CLOSE
        assert found >= NEAR * learned or rate <= NEAR * learned + CLOSE
        assert cap is None or rate <= cap
        found = rate


def test_the_pace_that_an_earlier_session_found_is_where_it_begins() -> None:
    pacer = Pacer(learned=4.0)

    assert pacer.rate == 4.0
    assert [pacer.reserve(0.0) for _ in range(3)] == [0.0, 0.25, 0.5]
    assert Pacer(2.0, learned=4.0).rate == 2.0


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


def refused_after(pacer: Pacer, taken: int, now: float) -> float:
    """Send as many as the pacer lets at its pace, then one that is refused; return when its pause is over."""
    for _ in range(taken):
        now = pacer.reserve(now)
        pacer.note_departure(now)
        pacer.observe_answer(now, now)
    now = pacer.reserve(now)
    pacer.observe_refusal(now, now, wait=1.0)
    pacer.hold(now + 1.0)
    return now + 1.0


def paces_after(stretches: Iterable[int]) -> list[float]:
    """Return the pace after each refusal, where so many were taken before it; it begins at 100 a second."""
    pacer, now, paces = Pacer(learned=100.0), 0.0, [100.0]
    for taken in stretches:
        now = refused_after(pacer, taken, now)
        paces.append(pacer.rate or 0.0)
    return paces


def test_a_limit_that_bears_more_the_slower_they_come_is_cut_down_to() -> None:
    _, *paces = paces_after([40, 50, 70])

    assert all(after < before for before, after in pairwise(paces))


def test_a_slower_pace_that_is_refused_sooner_was_not_to_blame() -> None:
    """The cuts are taken back, and the next refusal is spared one; when that happens again, the next two."""
    _, _, second, back, spared, cut, again, *more = paces_after([50, 40, 3, 50, 50, 3, 50, 50, 50])

    assert second < 75.0
    assert back >= 99.0
    assert spared >= back
    assert cut < 90.0
    assert min(again, *more[:2]) >= 99.0
    assert more[2] < 90.0


def test_neighbours_that_are_refused_together_are_the_paces_work_however_often_it_was_acquitted() -> None:
    pacer, now = Pacer(learned=100.0), 0.0
    for taken in (50, 40):
        now = refused_after(pacer, taken, now)
    for _ in range(3):
        now = pacer.reserve(now)
        pacer.note_departure(now)
        pacer.observe_answer(now, now)
    assert pacer.observe_refusal(now, now + 0.1, wait=1.0) is True
    acquitted = pacer.rate or 0.0
    assert pacer.observe_refusal(now + 0.02, now + 0.12, wait=1.0) is False
    alone = pacer.rate or 0.0
    assert pacer.observe_refusal(now + 0.04, now + 0.14, wait=1.0) is False

    assert alone == acquitted >= 99.0
    assert (pacer.rate or 0.0) <= CUT * 100.0


def test_no_more_than_so_many_refusals_in_a_row_are_spared() -> None:
    paces = paces_after(3 if number % 20 == 0 else 50 for number in range(2000))
    kept = [after >= before - CLOSE for before, after in pairwise(paces)]
    longest = max(len(list(row)) for spared, row in groupby(kept) if spared)

    assert MOST_SPARED <= longest <= MOST_SPARED + 1


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


# --- retries --------------------------------------------------------------------------------------------


@pytest.mark.promise(7)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["take", "take", "take", "success"]), st.floats(0, 3)), max_size=300
    )
)
def test_in_any_time_retries_are_bounded_by_time_and_success(steps: list[tuple[str, float]]) -> None:
    budget, now = RetryBudget(), 0.0
    log: list[tuple[float, int]] = []  # when, and 1 for a retry, 0 for a success
    for what, passed in steps:
        now += passed if passed > 2.0 else 0.0
        if what == "success":
            budget.refund()
            log.append((now, 0))
        elif not budget.take(now):
            log.append((now, 1))

    for first, (began, _) in enumerate(log):
        retries = successes = 0
        for ended, retry in log[first:]:
            retries, successes = retries + retry, successes + 1 - retry
            given_back = RetryBudget.BY_SUCCESS * successes + RetryBudget.BY_SECOND * (ended - began)
            assert retries <= RetryBudget.SIZE + given_back + len(log) * CLOSE


@pytest.mark.promise(7)
@given(begins=st.floats(0, 1e5), gaps=st.lists(st.floats(0, 1), min_size=100, max_size=150))
def test_who_has_waited_for_a_retry_gets_it(begins: float, gaps: list[float]) -> None:
    """Sums of floats lack a little: nobody may be sent away for less time than a clock can tell."""
    budget, now = RetryBudget(), begins
    for gap in gaps:
        now += gap / 10
        for _ in range(3):
            wait = budget.take(now)
            now += wait
            if not wait:
                break
        else:
            raise AssertionError("it was sent away three times in a row")
