"""How fast a lane sends: that it keeps to a pace, finds one, and does not spend retries for ever."""

from __future__ import annotations

import heapq
import math
from itertools import count, pairwise
from typing import Any

import pytest
from gateway_at_rate import Drive, drive
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lane_state import LaneState
from orchestrator.model import Limits
from orchestrator.pace import (
    CUT,
    FAST,
    IDLE,
    LATE,
    MOST_OF_TAKEN,
    NEAR,
    OVER,
    RAREST,
    SLOW,
    UNDER,
    Allowance,
    Pacer,
)
from orchestrator.retry import Policy
from orchestrator.simulator.limits import Rate

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
                pacer.leaves(now)
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
            pacer.answered(now)
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
    pacer.leaves(0.0)
    before = pacer.epoch
    match change:
        case "hold":
            pacer.hold(0.5)
        case "limit":
            pacer.limit(2.0, 0.1)
        case "cut":
            pacer.answered(0.1)
            pacer.refused(0.0, 0.2, wait=1.0)

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
def test_no_cut_goes_below_what_was_taken_nor_falls_on_who_is_not_to_blame(
    cap: float | None,
    learned: float | None,
    hint: float | None,
    rounds: list[tuple[list[float], float]],
) -> None:
    pacer, now, cut_at = Pacer(cap, learned), 0.0, 0.0
    since: float | None = 0.0
    cuts = 0
    pacer.reserve(now)
    for gaps, ago in rounds:
        for gap in gaps:
            now += gap
            since = now if since is None else since
            pacer.reserve(now)
            pacer.answered(now)
            assert cap is None or pacer.rate is None or pacer.rate <= cap
        began, before, epoch = max(0.0, now - ago), pacer.rate, pacer.epoch
        was_cut = pacer.refused(began, now, wait=1.0, hint=hint)

        assert was_cut == (bool(gaps) and not (cuts and began < cut_at))
        if not was_cut:
            assert (pacer.rate, pacer.epoch) == (before, epoch)
            if not gaps:
                since = None if learned is None and not cuts else since  # it takes only after the pause
                continue
            break  # what was taken goes on counting from the cut before
        assert since is not None
        taken = len(gaps) / max(now - since, 0.001)
        stated = math.inf if hint is None else hint * UNDER
        floor = min(taken, taken * 0.5 if before is None else before, stated)
        assert pacer.rate is not None
        assert pacer.rate >= floor * (1 - CLOSE)
        assert before is None or pacer.rate <= before * (1 + CLOSE)
        asked = 1.0 / RAREST  # by a gateway that wants a second's pause
        stated = 0.0 if hint is None else hint * UNDER
        most = max(taken * MOST_OF_TAKEN, min(taken, before or taken), asked, stated)
        assert pacer.rate <= most * (1 + CLOSE)
        if before is not None:
            assert pacer.rate <= max(min(taken, before), before * CUT, asked, stated) * (1 + CLOSE)
        assert hint is None or pacer.rate <= hint * (1 + CLOSE)
        since = cut_at = now
        cuts += 1


def test_what_the_gateway_says_of_its_own_rate_wins() -> None:
    pacer = Pacer()
    for tenth in range(100):
        pacer.reserve(tenth / 10)
        pacer.answered(tenth / 10)

    assert pacer.refused(9.9, 10.0, wait=1.0, hint=3.0) is True
    assert pacer.rate == 3.0 * UNDER


def test_time_without_anything_to_send_is_no_slowness_of_the_gateway() -> None:
    """A canary, five minutes of rest, then a wave: 1 in 300 s is not what this gateway bears."""
    pacer = Pacer()
    pacer.reserve(0.0)
    pacer.answered(0.1)
    for hundredth in range(100):
        pacer.reserve(300.0 + hundredth / 100)
        pacer.answered(300.0 + hundredth / 100)
    pacer.refused(300.9, 301.0, wait=1.0)

    assert pacer.rate == pytest.approx(101 / 1.1 / 2, rel=0.01)


def test_a_pause_before_anything_was_taken_does_not_make_the_first_pace_small() -> None:
    """The limit was used up by somebody else: ten minutes' rest, and then it takes as many as ever."""
    pacer = Pacer()
    pacer.reserve(0.0)
    assert pacer.refused(0.0, 0.1, wait=1.0) is False
    pacer.hold(600.0)
    for hundredth in range(100):
        pacer.reserve(600.0 + hundredth / 100)
        pacer.answered(600.0 + hundredth / 100)
    pacer.refused(600.9, 601.0, wait=1.0)

    assert pacer.rate == pytest.approx(50.0)


def test_a_pause_counts_for_what_was_taken_on_average() -> None:
    """A gateway that takes ten and then wants a minute's rest takes ten a minute."""
    pacer = Pacer(learned=100.0)
    for tenth in range(10):
        pacer.reserve(tenth / 10)
        pacer.answered(tenth / 10)
    pacer.hold(60.0)
    pacer.reserve(60.0)
    pacer.refused(60.0, 60.0, wait=1.0)

    assert pacer.rate == pytest.approx(MOST_OF_TAKEN * 10 / 60)


@given(
    cap=st.none() | st.floats(1, 300),
    learned=st.floats(0.5, 200),
    gaps=st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_growth_is_additive_and_bounded_per_second(
    cap: float | None, learned: float, gaps: list[float]
) -> None:
    """However many answers come: near what was refused by little, above what was borne by more."""
    pacer, now = Pacer(cap, learned), 10.0
    pacer.answered(now)
    found = pacer.rate
    assert found is not None
    refused = learned
    for gap in gaps:
        now += gap
        pacer.answered(now)
        rate = pacer.rate
        assert rate is not None
        if found > OVER * refused:
            refused = found
        share = SLOW if found >= NEAR * refused else FAST
        assert found - CLOSE <= rate <= found + share * refused * min(gap, max(1.0, 2.0 / found)) + CLOSE
        assert cap is None or rate <= cap
        found = rate


def test_the_pace_that_an_earlier_session_found_is_where_it_begins() -> None:
    pacer = Pacer(learned=4.0)

    assert pacer.rate == 4.0
    assert [pacer.reserve(0.0) for _ in range(3)] == [0.0, 0.25, 0.5]
    assert Pacer(2.0, learned=4.0).rate == 2.0


# --- a lane and a gateway that takes so many a second ---------------------------------------------------


def lane(cap: float | None = None, learned: float | None = None) -> LaneState:
    return LaneState(Policy(), 600.0, limits=Limits(rate=cap), learned=learned)


def steady(per_second: float, burst: float, targets: int, **options: Any) -> Drive:
    rate = Rate(per_second=per_second, burst=burst)
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
def test_a_limit_that_changes_in_mid_run_is_found_again() -> None:
    """100 a second, 20 for forty seconds, 100 again: 92 s at best for 6,000."""
    wide, narrow = Rate(per_second=100.0, burst=100.0), Rate(per_second=20.0, burst=20.0)
    again = Rate(per_second=100.0, burst=99.0)
    went = drive(
        lane(),
        lambda now: wide if now < 20.0 else narrow if now < 60.0 else again,
        targets=6000,
    )

    assert went.seconds <= 180.0
    assert went.refused <= 0.005 * 6000


@pytest.mark.parametrize(
    ("rate", "burst", "targets"), [(100.0, 100.0, 6000), (100.0, 1.0, 6000), (10.0, 1.0, 600)]
)
def test_a_plan_that_names_the_limit_is_refused_nothing(rate: float, burst: float, targets: int) -> None:
    bucket = Rate(per_second=rate, burst=burst)
    went = drive(lane(rate), lambda _: bucket, targets=targets)

    assert went.refused == 0
    assert went.seconds <= 1.01 * targets / rate


def test_a_pace_that_was_learned_costs_a_resume_next_to_nothing() -> None:
    bucket = Rate(per_second=100.0, burst=100.0)
    went = drive(lane(learned=98.0), lambda _: bucket, targets=6000)

    assert went.refused <= 6
    assert went.seconds <= 1.01 * 60.0


def test_a_rest_in_mid_run_does_not_make_the_pace_small() -> None:
    """Each worker takes one target, all rest for five minutes, then the wave goes on."""
    bucket = Rate(per_second=100.0, burst=100.0)
    went = drive(
        lane(), lambda _: bucket, targets=6000, busy_until=lambda now: now if now < 0.05 else max(now, 300.0)
    )

    assert went.seconds <= 300.0 + 1.03 * 60.0


# --- retries --------------------------------------------------------------------------------------------


@pytest.mark.promise(7)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["take", "take", "take", "success"]), st.floats(0, 3)), max_size=300
    )
)
def test_in_any_time_retries_are_bounded_by_time_and_success(steps: list[tuple[str, float]]) -> None:
    allowance, now = Allowance(), 0.0
    log: list[tuple[float, int]] = []  # when, and 1 for a retry, 0 for a success
    for what, passed in steps:
        now += passed if passed > 2.0 else 0.0
        if what == "success":
            allowance.succeeded()
            log.append((now, 0))
        elif not allowance.take(now):
            log.append((now, 1))

    for first, (began, _) in enumerate(log):
        retries = successes = 0
        for ended, retry in log[first:]:
            retries, successes = retries + retry, successes + 1 - retry
            given_back = Allowance.BY_SUCCESS * successes + Allowance.BY_SECOND * (ended - began)
            assert retries <= Allowance.SIZE + given_back + len(log) * CLOSE


@pytest.mark.promise(7)
@given(begins=st.floats(0, 1e5), gaps=st.lists(st.floats(0, 1), min_size=100, max_size=150))
def test_who_has_waited_for_a_retry_gets_it(begins: float, gaps: list[float]) -> None:
    """Sums of floats lack a little: nobody may be sent away for less time than a clock can tell."""
    allowance, now = Allowance(), begins
    for gap in gaps:
        now += gap / 10
        for _ in range(3):
            wait = allowance.take(now)
            now += wait
            if not wait:
                break
        else:
            raise AssertionError("it was sent away three times in a row")
