"""How fast a lane sends: that it keeps to a pace, finds one, and does not spend retries for ever."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from itertools import count, groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.rules.pacing import (
    CUT,
    FAST,
    FIRST_CUT,
    IDLE,
    LATE,
    MORE,
    MOST_OF_TAKEN,
    NEAR,
    OVER,
    RAREST,
    SLOW,
    UNDER,
    Pacer,
    RetryBudget,
    bound_stated_rate,
)

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


# --- worked examples ------------------------------------------------------------------------------------


def answered(pacer: Pacer, number: int, begins: float, seconds: float) -> float:
    """Have so many requests leave evenly and be answered as the next one leaves; return when that ended.

    No request waits for a slot, so the pace does not grow.
    """
    gap = seconds / number
    for each in range(number):
        at = pacer.reserve(begins + each * gap)
        pacer.note_departure(at)
        pacer.observe_answer(at, begins + (each + 1) * gap)
    return begins + seconds


def cut_from(learned: float, number: int, seconds: float, *, wait: float = 1.0) -> float | None:
    """Return the pace after a refusal that came after so many answers in so many seconds."""
    pacer = Pacer(learned=learned)
    now = answered(pacer, number, 0.0, seconds)
    assert pacer.observe_refusal(now, now, wait=wait)
    return pacer.found


@pytest.mark.parametrize(
    ("number", "left"),
    [
        (90, 90.0),  # it took nearly all: no cut goes below what it took
        (50, 70.0),  # most of the pace is left
        (10, 20.0),  # at most twice of what it took
    ],
)
def test_a_cut_leaves_most_of_the_pace_and_at_most_twice_what_was_taken(number: int, left: float) -> None:
    assert cut_from(100.0, number, 1.0) == pytest.approx(left)


@pytest.mark.parametrize(
    ("learned", "wait", "left"),
    [
        (0.05, 10.0, 1 / 40),  # one request in four of the pauses that it asks for
        (0.05, 0.0, 0.05),
        (1.0, 0.5, 0.25),  # a pause of less than a second counts as one
        (1.0, 1.0, 0.25),
    ],
)
def test_a_gateway_that_takes_requests_again_soon_need_not_see_them_much_more_rarely(
    learned: float, wait: float, left: float
) -> None:
    assert cut_from(learned, 1, 100.0, wait=wait) == pytest.approx(left)


def test_what_was_taken_before_the_last_refusal_counts_too() -> None:
    pacer = Pacer(learned=100.0)
    now = answered(pacer, 50, 0.0, 1.0)
    pacer.observe_refusal(now, now, wait=1.0)
    assert pacer.found == pytest.approx(70.0)
    now = answered(pacer, 40, now, 4.0)
    pacer.observe_refusal(now, now, wait=1.0)

    assert pacer.found == pytest.approx(49.0)


def test_the_first_refusal_leaves_a_third_of_all_that_had_left() -> None:
    """Many may have left at once, and the first to come back may be refused."""
    pacer = Pacer()
    for _ in range(100):
        pacer.note_departure(pacer.reserve(0.0))
    for _ in range(10):
        pacer.observe_answer(0.0, 0.5)
    assert pacer.observe_refusal(0.0, 0.5, wait=1.0)

    assert pacer.found == pytest.approx(0.35 * 200.0)


def test_a_first_refusal_in_the_same_moment_counts_a_millisecond() -> None:
    pacer = Pacer()
    pacer.note_departure(pacer.reserve(5.0))
    pacer.observe_answer(5.0, 5.0)
    pacer.observe_refusal(5.0, 5.0, wait=1.0)

    assert pacer.found == pytest.approx(350.0)


def test_requests_that_were_refused_before_any_was_taken_count_for_nothing() -> None:
    pacer = Pacer()
    pacer.note_departure(pacer.reserve(0.0))
    assert not pacer.observe_refusal(0.0, 0.1, wait=1.0)
    pacer.hold(600.0)
    now = answered(pacer, 100, 600.0, 1.0)
    pacer.observe_refusal(now, now, wait=1.0)

    assert pacer.found == pytest.approx(35.0)


def test_the_pause_after_a_refusal_that_proved_nothing_counts_where_a_pace_is_known() -> None:
    pacer = Pacer(learned=100.0)
    pacer.note_departure(pacer.reserve(0.0))
    assert not pacer.observe_refusal(0.0, 0.0, wait=10.0)
    pacer.hold(10.0)
    now = answered(pacer, 10, 10.0, 1.0)
    pacer.observe_refusal(now, now, wait=1.0)

    assert pacer.found == pytest.approx(2 * 10 / 11)


@pytest.mark.parametrize(("rest", "left"), [(1.0, 0.35 * 5.0), (1.5, 0.35 * 10.0)])
def test_only_more_than_a_second_with_nothing_to_send_is_left_out(rest: float, left: float) -> None:
    pacer = Pacer()
    for _ in range(10):
        pacer.reserve(100.0)
        pacer.observe_answer(100.0, 100.5)
    now = 100.5 + rest
    pacer.reserve(now)
    pacer.observe_refusal(now, now + 0.5, wait=1.0)

    assert pacer.found == pytest.approx(left)


def test_a_pacer_goes_on_in_the_middle_of_an_interval() -> None:
    for found, left in ((50.0, 10.0), (None, 0.35 * 10.0)):
        pacer = Pacer.begun(found, 0.0, sent=20, taken=10, left_at=1.0)
        pacer.reserve(1.5)
        assert pacer.observe_refusal(1.0, 2.0, wait=1.0)
        assert pacer.found == pytest.approx(left)


def test_a_request_that_left_as_a_refusal_came_belongs_to_the_time_after_it() -> None:
    pacer = Pacer(learned=100.0)
    now = answered(pacer, 50, 0.0, 1.0)
    pacer.observe_refusal(now, now, wait=1.0)
    pacer.observe_answer(now, now + 1.0)

    assert pacer.observe_refusal(now, now + 1.0, wait=1.0)


def asked(pacer: Pacer, *moments: float) -> float | None:
    """Have requests answered at these times while others wait for slots; return the pace after them."""
    for now in moments:
        pacer.reserve(now)
        pacer.reserve(now)
        pacer.observe_answer(now, now)
    return pacer.found


def test_near_the_pace_that_was_refused_it_grows_by_half_a_percent_a_second() -> None:
    assert asked(Pacer(learned=100.0), 0.0) == 100.0
    assert asked(Pacer(learned=100.0), 0.0, 0.5) == pytest.approx(100.25)
    assert asked(Pacer(learned=100.0), 0.0, 30.0) == pytest.approx(
        100.5
    )  # without requests nothing is proven
    assert asked(Pacer(learned=0.1), 0.0, 30.0) == pytest.approx(0.11)  # two requests at a slow pace


def test_above_the_pace_that_was_refused_it_grows_by_three_percent_a_second() -> None:
    pacer = Pacer(learned=100.0)

    assert asked(pacer, *map(float, range(11))) == 105.0
    assert asked(pacer, 11.0) == 105.5
    assert asked(pacer, 12.0) == pytest.approx(105.5 * 1.03)
    assert asked(pacer, 12.5) == pytest.approx(105.5 * 1.03 * 1.015)


def test_below_the_pace_that_was_refused_it_grows_by_a_tenth_of_that_a_second() -> None:
    pacer = Pacer(learned=100.0)
    now = answered(pacer, 10, 0.0, 1.0)
    pacer.observe_refusal(now, now, wait=1.0)

    assert asked(pacer, 2.0) == pytest.approx(30.0)
    assert asked(pacer, 2.5) == pytest.approx(35.0)
    assert asked(pacer, *(3.5 + each for each in range(6))) == 90.0  # not over the edge in one leap
    assert asked(pacer, 9.5) == pytest.approx(90.5)


def test_a_pace_that_no_request_waits_for_does_not_grow() -> None:
    pacer = Pacer(learned=100.0)
    assert pacer.reserve(1.0) == 1.0
    pacer.observe_answer(1.0, 1.01)

    assert pacer.found == 100.0


def test_a_pace_grows_up_to_the_cap_and_a_faster_one_stays_known() -> None:
    assert asked(Pacer(10.02, learned=10.0), 0.0, 1.0) == 10.02
    assert asked(Pacer(10.0, learned=50.0), 0.0, 1.0) == 50.0


def test_near_a_rate_that_the_gateway_states_the_pace_hardly_grows() -> None:
    pacer = Pacer(learned=100.0)
    now = answered(pacer, 50, 0.0, 1.0)
    pacer.observe_refusal(now, now, wait=1.0, hint=10.0)
    assert pacer.found == pytest.approx(9.7)
    assert asked(pacer, 2.0) == pytest.approx(9.7 + 10.0 * 0.005 / 8)

    # A refusal without a rate: growth is as usual again.
    now = answered(pacer, 8, 3.0, 1.0)
    pacer.observe_refusal(now, now, wait=1.0)
    found = pacer.found or 0.0
    assert (asked(pacer, 5.0) or 0.0) - found > 0.01


@pytest.mark.parametrize(
    ("stated", "kept"), [(None, None), (0.5, 0.5), (1e-9, 1 / (RAREST * 600.0)), (0.0, 1 / (RAREST * 600.0))]
)
def test_a_stated_rate_is_kept_but_never_rarer_than_one_request_in_four_of_the_longest_pauses(
    stated: float | None, kept: float | None
) -> None:
    assert bound_stated_rate(stated, 600.0) == kept


def test_a_stated_rate_that_is_no_lower_than_the_refused_pace_changes_nothing() -> None:
    pacer = Pacer(learned=100.0)
    now = answered(pacer, 50, 0.0, 1.0)
    pacer.observe_refusal(now, now, wait=1.0, hint=100.0)

    assert pacer.found == pytest.approx(70.0)


@pytest.mark.parametrize(("until", "slot"), [(0.05, 0.1), (0.5, 0.5)])
def test_the_first_slot_after_a_pause_keeps_the_distance_to_what_has_left(until: float, slot: float) -> None:
    pacer = Pacer(10.0)
    pacer.note_departure(pacer.reserve(0.0))
    pacer.hold(until)

    assert [pacer.reserve(0.0) for _ in range(2)] == pytest.approx([slot, slot + 0.1])


def test_a_request_without_a_slot_voids_the_slots_and_new_ones_come_after_it() -> None:
    pacer = Pacer(10.0)
    assert [pacer.reserve(0.0) for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])
    epoch = pacer.epoch
    pacer.note_unpaced_departure(0.05)

    assert pacer.epoch != epoch
    assert pacer.reserve(0.05) == pytest.approx(0.15)


def test_the_cap_bounds_a_request_that_needs_no_slot() -> None:
    pacer = Pacer(0.1, learned=0.01)
    assert pacer.seconds_until_allowed(0.0) == 0.0
    pacer.note_departure(5.0)

    assert [pacer.seconds_until_allowed(at) for at in (5.0, 7.0, 15.0, 20.0)] == [10.0, 8.0, 0.0, 0.0]
    assert Pacer(learned=0.01).seconds_until_allowed(0.0) == 0.0


# --- from one process to another ------------------------------------------------------------------------


def test_the_next_request_may_leave_a_rate_after_the_newest_one() -> None:
    capped, learned = Pacer(0.5), Pacer(2.0, learned=0.25)
    for pacer in (capped, learned):
        pacer.note_departure(3.0)
        pacer.note_departure(10.0)

    assert (capped.next_at, learned.next_at) == (12.0, 14.0)


def test_nothing_is_held_back_where_nothing_has_left_or_nothing_bounds_the_pace() -> None:
    unbounded = Pacer()
    unbounded.note_departure(10.0)

    assert Pacer(0.5).next_at is None
    assert unbounded.next_at is None
    assert Pacer().next_at is None


@pytest.mark.promise(6)
def test_requests_of_another_process_are_followed_at_the_same_distance() -> None:
    before, after = Pacer(0.5), Pacer(0.5)
    before.note_departure(10.0)
    assert before.next_at is not None
    after.go_on(before.next_at)

    assert after.next_at == before.next_at
    assert [after.seconds_until_allowed(at) for at in (10.5, 12.0)] == [1.5, 0.0]
    assert [after.reserve(10.5) for _ in range(3)] == [12.0, 14.0, 16.0]


def test_a_pacer_that_has_handed_out_slots_voids_them_as_it_goes_on_for_another_process() -> None:
    pacer = Pacer(0.5)
    assert pacer.reserve(10.5) == 10.5
    epoch = pacer.epoch
    pacer.go_on(12.0)

    assert pacer.epoch != epoch
    assert pacer.reserve(10.5) == 12.0


def test_where_no_rate_holds_any_more_the_requests_of_another_process_hold_nothing_back() -> None:
    pacer = Pacer()
    pacer.go_on(12.0)

    assert [pacer.reserve(10.5) for _ in range(2)] == [10.5, 10.5]
    assert pacer.seconds_until_allowed(10.5) == 0.0
    pacer.limit(0.5, 10.5)
    assert [pacer.reserve(10.5) for _ in range(2)] == [10.5, 12.5]


# --- refusals that are not the pace's work --------------------------------------------------------------


def refused_after(pacer: Pacer, taken: int, now: float, *, wait: float = 1.0) -> float:
    """Send as many as the pacer lets at its pace, then one that is refused; return a second later."""
    for _ in range(taken):
        now = pacer.reserve(now)
        pacer.note_departure(now)
        pacer.observe_answer(now, now)
    now = pacer.reserve(now)
    pacer.observe_refusal(now, now, wait=wait)
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


def test_the_pace_that_a_refusal_acquitted_is_remembered_for_those_to_come() -> None:
    """It took 15, and the last one, which is slower, 10. In between a faster one was refused after 5."""
    _, _, second, back, spared, cut, slow, again = paces_after([50, 40, 15, 50, 5, 10, 10])

    assert slow < cut < second < back <= spared
    assert again >= back


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


def acquitted() -> tuple[Pacer, float]:
    """Return a pacer whose pace was just found not to be to blame, and when the refused request left.

    It was refused a tenth of a second later.
    """
    pacer, now = Pacer(learned=100.0), 0.0
    for taken in (50, 40, 3):
        now = refused_after(pacer, taken, now) if taken > 3 else answered(pacer, taken, now, 0.3)
    assert pacer.observe_refusal(now, now + 0.1, wait=1.0)
    assert (pacer.found or 0.0) >= 99.0
    return pacer, now


@pytest.mark.parametrize(
    ("beside", "is_to_blame"),
    [("R", False), ("RR", True), ("ARR", True), ("AARR", False), ("AARRR", True), ("ooo", False)],
)
def test_the_pace_is_to_blame_if_more_of_those_under_way_are_refused_than_taken(
    beside: str, is_to_blame: bool
) -> None:
    """``A``: one was answered, ``R``: one was refused, ``o``: one was refused that had left before."""
    pacer, began = acquitted()
    for what in beside:
        if what == "A":
            pacer.observe_answer(began, began + 0.2)
        else:
            assert not pacer.observe_refusal(began - (what == "o") * 0.01, began + 0.2, wait=1.0)

    assert ((pacer.found or 0.0) < 75.0) is is_to_blame


def test_a_pace_that_was_found_to_blame_is_spared_nothing() -> None:
    pacer, began = acquitted()
    for _ in range(2):
        pacer.observe_refusal(began, began + 0.2, wait=1.0)
    before = pacer.found or 0.0
    now = answered(pacer, 30, began + 1.1, 1.0)
    pacer.observe_refusal(now, now, wait=1.0)

    assert (pacer.found or 0.0) < before


def test_a_pace_that_was_found_to_blame_is_spared_one_refusal_once_it_is_acquitted_again() -> None:
    pacer, began = acquitted()
    for _ in range(2):
        pacer.observe_refusal(began, began + 0.2, wait=1.0)
    now, paces = began + 1.2, list[float]()
    pacer.hold(now)
    for taken in (50, 40, 3, 50, 50):
        now = refused_after(pacer, taken, now)
        paces.append(pacer.found or 0.0)

    _, cut, back, spared, cut_again = paces
    assert cut < back <= spared
    assert cut_again < spared


def test_the_same_pace_may_be_refused_sooner_by_chance() -> None:
    """A limit that was used up when the interval began is no sign of another cause."""
    pacer = Pacer(learned=100.0)
    now = answered(pacer, 95, 0.0, 1.0)
    pacer.observe_refusal(now, now, wait=1.0)
    assert pacer.found == pytest.approx(95.0)
    now = answered(pacer, 3, now + 1.0, 1.0)
    pacer.observe_refusal(now, now, wait=1.0)

    assert (pacer.found or 0.0) < 95.0


def test_few_requests_at_a_good_average_prove_nothing_of_the_pace() -> None:
    pacer = Pacer(learned=100.0)
    now = answered(pacer, 50, 0.0, 1.0)
    pacer.observe_refusal(now, now, wait=0.0)
    now = answered(pacer, 3, now, 0.06)
    pacer.observe_refusal(now, now, wait=0.0)

    assert (pacer.found or 0.0) < 70.0


def test_a_lane_that_does_not_pause_is_spared_one_refusal_at_a_time() -> None:
    pauses, no_pauses = [1.0, 0.0]
    for wait, cut_at in ((pauses, 3), (no_pauses, 2)):
        pacer, now = Pacer(learned=100.0), 0.0
        for taken in (50, 40, 3, 50, 50, 3):  # acquitted twice
            now = refused_after(pacer, taken, now, wait=wait)
        paces = [pacer.found or 0.0]
        for _ in range(3):
            now = refused_after(pacer, 50, now, wait=wait)
            paces.append(pacer.found or 0.0)
        kept = [after >= before - CLOSE for before, after in pairwise(paces)]
        assert kept.index(False) == cut_at - 1


def test_no_more_than_so_many_refusals_in_a_row_are_spared() -> None:
    paces = paces_after(3 if number % 20 == 0 else 50 for number in range(2000))
    kept = [after >= before - CLOSE for before, after in pairwise(paces)]
    longest = max(len(list(row)) for spared, row in groupby(kept) if spared)

    assert longest == 16 + 1, "the one that acquitted the pace, and those that were spared"


# --- retries --------------------------------------------------------------------------------------------


@pytest.mark.promise(7)
def test_fifty_retries_may_go_at_once_then_one_a_second_or_one_for_two_successes() -> None:
    budget = RetryBudget()
    assert [budget.take(0.0) for _ in range(51)] == [0.0] * 50 + [1.0]
    assert budget.take(0.25) == 0.75
    budget.refund()
    assert budget.take(0.25) == 0.25
    budget.refund()
    assert (budget.take(0.25), budget.take(0.25)) == (0.0, pytest.approx(0.75))
    assert [budget.take(1.0) for _ in range(2)] == [0.0, 1.0]


def test_a_budget_is_never_more_than_full() -> None:
    budget = RetryBudget()
    budget.refund()
    budget.take(0.0)
    budget.refund()
    budget.refund()
    budget.refund()

    assert [budget.take(1e6) for _ in range(51)] == [0.0] * 50 + [1.0]


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
