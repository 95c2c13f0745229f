"""Whether reads and writes share a pace: found out from refusals, and put right where the guess was wrong."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model.reading import Act
from orchestrator.rules.shared_pace import SharedPace

CLOSE = 1e-6


def send(pace: SharedPace, act: Act, now: float, *, refused: bool = False) -> float:
    """Send one request as soon as it may leave, and take in its answer; return when that came."""
    now += pace.seconds_until_slots(act, now)
    now = pace.reserve(act, now)
    pace.note_departure(act, now)
    if refused:
        pace.observe_refusal(act, now, now + 0.01, wait=1.0)
    else:
        pace.observe_answer(act, now, now + 0.01)
    return now + 0.01


def send_mixed(pace: SharedPace, now: float, refused: Act, number: int = 20) -> float:
    """Send looks and undeploys in turn, then one that is refused; return when its pause is over."""
    for _ in range(number):
        now = send(pace, Act.LOOK, now)
        now = send(pace, Act.UNDEPLOY, now)
    return send(pace, refused, now, refused=True) + 1.0


def test_undeploys_and_looks_keep_to_their_own_until_one_is_refused_among_the_other() -> None:
    pace, now = SharedPace(), 0.0
    for _ in range(20):
        now = send(pace, Act.LOOK, now)
    now = send(pace, Act.LOOK, now, refused=True) + 1.0

    assert not pace.is_shared
    assert pace.find_rate(Act.UNDEPLOY) is None
    assert pace.find_rate(Act.LOOK) is not None

    send_mixed(pace, now, Act.UNDEPLOY)
    assert pace.is_shared
    assert pace.find_rate(Act.UNDEPLOY) == pace.find_rate(Act.LOOK) is not None


def test_a_few_looks_among_many_undeploys_do_not_slow_them() -> None:
    pace, now = SharedPace(), 0.0
    for number in range(100):
        now = send(pace, Act.UNDEPLOY, now)
        if number % 20 == 0:
            now = send(pace, Act.LOOK, now)
    send(pace, Act.LOOK, now, refused=True)

    assert not pace.is_shared
    assert pace.find_rate(Act.UNDEPLOY) is None


def test_a_cap_bounds_each_sort_and_a_shared_pace_may_be_faster() -> None:
    pace = SharedPace(cap=5.0)
    send_mixed(pace, 0.0, Act.LOOK)

    assert pace.is_shared
    assert pace.find_rate(Act.LOOK) == pace.find_rate(Act.UNDEPLOY) == 5.0
    assert (pace.find_learned(Act.LOOK) or 0.0) > 5.0
    pace.limit(1.0, 0.0, 0.0)
    assert pace.find_rate(Act.LOOK) == 1.0
    pace.limit(None, 0.0, 0.0)
    assert pace.find_rate(Act.LOOK) == pace.find_learned(Act.LOOK)


def test_while_a_pace_is_shared_each_sort_waits_for_its_own_cap_before_it_takes_a_slot() -> None:
    pace = SharedPace(cap=5.0)
    pace.note_departure(Act.LOOK, 0.0)
    assert pace.seconds_until_slots(Act.LOOK, 0.0) == 0.0
    assert pace.seconds_until_allowed(Act.LOOK, 0.0) == pytest.approx(0.2)
    now = send_mixed(pace, 1.0, Act.LOOK)
    pace.note_departure(Act.UNDEPLOY, now)

    assert pace.seconds_until_slots(Act.UNDEPLOY, now) == pytest.approx(0.2)
    assert pace.seconds_until_slots(Act.LOOK, now) == 0.0


def test_another_cap_is_in_force_for_each_sort_from_its_own_time_on() -> None:
    pace = SharedPace()
    pace.limit(2.0, 0.0, 5.0)

    assert [pace.reserve(Act.UNDEPLOY, 0.0) for _ in range(2)] == [0.0, 0.5]
    assert [pace.reserve(Act.LOOK, 0.0) for _ in range(2)] == [5.0, 5.5]


def test_another_process_is_told_of_each_sort_when_its_next_request_may_leave() -> None:
    pace = SharedPace(cap=0.5)
    pace.note_departure(Act.UNDEPLOY, 10.0)
    assert (pace.find_next(Act.UNDEPLOY), pace.find_next(Act.LOOK)) == (12.0, None)
    pace.note_departure(Act.LOOK, 11.0)

    assert (pace.find_next(Act.UNDEPLOY), pace.find_next(Act.LOOK)) == (12.0, 13.0)
    assert SharedPace().find_next(Act.UNDEPLOY) is None


@pytest.mark.promise(6)
@pytest.mark.parametrize(("sent", "other"), [(Act.UNDEPLOY, Act.LOOK), (Act.LOOK, Act.UNDEPLOY)])
def test_the_requests_of_another_process_hold_back_those_of_their_own_sort_alone(
    sent: Act, other: Act
) -> None:
    pace = SharedPace(cap=0.5)
    pace.go_on(sent, 12.0)

    assert pace.seconds_until_allowed(sent, 10.5) == 1.5
    assert [pace.reserve(sent, 10.5) for _ in range(2)] == [12.0, 14.0]
    assert pace.seconds_until_allowed(other, 10.5) == 0.0
    assert [pace.reserve(other, 10.5) for _ in range(2)] == [10.5, 12.5]


def test_a_request_without_a_slot_delays_its_own_sort_or_both_where_they_share_a_pace() -> None:
    apart = SharedPace(cap=1.0)
    apart.note_unpaced_departure(Act.LOOK, 0.0)
    assert (apart.reserve(Act.LOOK, 0.0), apart.reserve(Act.UNDEPLOY, 0.0)) == (1.0, 0.0)

    shared = SharedPace()
    now = send_mixed(shared, 0.0, Act.LOOK)
    epoch, rate = shared.find_epoch(Act.UNDEPLOY), shared.find_rate(Act.UNDEPLOY) or 0.0
    shared.note_unpaced_departure(Act.LOOK, now)
    assert shared.find_epoch(Act.UNDEPLOY) != epoch
    assert shared.reserve(Act.UNDEPLOY, now) == pytest.approx(now + 1.0 / rate)


def test_a_request_that_left_counts_in_a_shared_pace() -> None:
    shared = SharedPace()
    now = send_mixed(shared, 0.0, Act.LOOK)
    rate = shared.find_rate(Act.UNDEPLOY) or 0.0
    shared.note_departure(Act.LOOK, now)
    shared.hold(Act.UNDEPLOY, now)

    assert shared.reserve(Act.UNDEPLOY, now) == pytest.approx(now + 1.0 / rate)


def test_slots_from_before_a_pace_was_shared_are_void() -> None:
    pace = SharedPace()
    epochs = [pace.find_epoch(act) for act in (Act.LOOK, Act.UNDEPLOY)]
    send_mixed(pace, 0.0, Act.LOOK)

    assert pace.find_epoch(Act.LOOK) == pace.find_epoch(Act.UNDEPLOY)
    assert pace.find_epoch(Act.LOOK)[0] not in [changes for changes, _ in epochs]


@pytest.mark.parametrize("rest", [0.0, 300.0])
def test_a_shared_pace_begins_with_what_both_had_sent_and_without_their_rests(rest: float) -> None:
    """Twenty of each and the refused one left in about 0.4 s; a first refusal leaves a third of that."""
    pace, now = SharedPace(), 0.0
    for number in range(20):
        now = send(pace, Act.LOOK, now)
        now = send(pace, Act.UNDEPLOY, now) + (rest if number == 9 else 0.0)
    send(pace, Act.LOOK, now, refused=True)

    assert pace.find_rate(Act.UNDEPLOY) == pytest.approx(0.35 * 41 / 0.41, rel=0.05)


def test_a_pace_that_was_found_for_one_sort_is_widened_to_both() -> None:
    """One request in two is a look: so both together begin at twice the pace of the looks."""
    pace, now = SharedPace(), 0.0
    for _ in range(20):
        now = send(pace, Act.LOOK, now)
    now = send(pace, Act.LOOK, now, refused=True) + 1.0
    alone = pace.find_rate(Act.LOOK) or 0.0
    send_mixed(pace, now, Act.LOOK, number=30)

    assert pace.is_shared
    assert 1.3 * alone <= (pace.find_rate(Act.LOOK) or 0.0) <= 3.0 * alone


@pytest.mark.parametrize(("looks", "is_shared"), [(0, False), (1, False), (2, True)])
def test_a_tenth_of_each_sort_makes_a_mixture(looks: int, is_shared: bool) -> None:
    """Of twenty requests, the refused one included."""
    pace, now = SharedPace(), 0.0
    for number in range(19):
        now = send(pace, Act.LOOK if number < looks else Act.UNDEPLOY, now)
    send(pace, Act.UNDEPLOY, now, refused=True)

    assert pace.is_shared is is_shared


def test_what_is_refused_before_anything_was_taken_shows_no_mixture() -> None:
    pace = SharedPace()
    for act in (Act.LOOK, Act.UNDEPLOY):
        pace.reserve(act, 0.0)
        pace.note_departure(act, 0.0)
    pace.observe_refusal(Act.LOOK, 0.0, 0.1, wait=1.0)

    assert not pace.is_shared


def test_replies_to_requests_whose_departure_was_not_counted_show_no_mixture() -> None:
    pace = SharedPace()
    pace.observe_answer(Act.LOOK, 0.0, 0.1)
    pace.observe_refusal(Act.UNDEPLOY, 0.0, 0.1, wait=1.0)

    assert not pace.is_shared


def test_what_left_in_the_moment_of_a_refusal_belongs_to_the_time_after_it() -> None:
    pace, now = SharedPace(), 0.0
    for _ in range(20):
        now = send(pace, Act.LOOK, now)
    at = send(pace, Act.LOOK, now, refused=True)
    for act in Act.LOOK, Act.UNDEPLOY:
        pace.note_departure(act, at)
    pace.observe_answer(Act.LOOK, at, at + 0.01)
    pace.observe_refusal(Act.UNDEPLOY, at, at + 0.01, wait=1.0)

    assert pace.is_shared


def test_a_few_undeploys_among_many_looks_do_not_slow_them_either() -> None:
    pace, now = SharedPace(), 0.0
    for number in range(18):
        now = send(pace, Act.UNDEPLOY if number == 0 else Act.LOOK, now)
    send(pace, Act.LOOK, now, refused=True)

    assert not pace.is_shared


def test_once_they_part_the_limited_sort_keeps_the_pace_and_the_cap_of_the_plan() -> None:
    pace, now = SharedPace(cap=50.0), 0.0
    shared, epoch = 0.0, 0
    for _ in range(12):
        now = send_mixed(pace, now, Act.LOOK)
        if not pace.is_shared:
            break
        shared, epoch = pace.find_learned(Act.LOOK) or 0.0, pace.find_epoch(Act.LOOK)[0]

    assert not pace.is_shared
    assert pace.find_epoch(Act.LOOK)[0] != epoch
    assert (pace.find_rate(Act.LOOK) or 0.0) <= 50.0
    assert 0.5 * shared <= (pace.find_learned(Act.LOOK) or 0.0) <= 2.0 * shared
    assert pace.find_rate(Act.UNDEPLOY) == 50.0
    pace.note_departure(Act.LOOK, now)
    assert pace.seconds_until_allowed(Act.LOOK, now) == pytest.approx(1.0 / 50.0)


def test_once_they_part_the_other_sort_counts_its_requests_afresh() -> None:
    """The hundred that left in a second, and the pause before: nothing of what left while they shared."""
    pace = SharedPace()
    now = send_mixed(pace, 0.0, Act.LOOK)
    while pace.is_shared:
        now = send_mixed(pace, now, Act.LOOK)
    for _ in range(100):
        now = send(pace, Act.UNDEPLOY, now)
    send(pace, Act.UNDEPLOY, now, refused=True)

    assert not pace.is_shared
    assert pace.find_rate(Act.UNDEPLOY) == pytest.approx(0.35 * 101 / 2.01)


def test_slots_of_a_shared_pace_are_one_row_for_both() -> None:
    pace = SharedPace()
    now = send_mixed(pace, 0.0, Act.LOOK)
    rate = pace.find_rate(Act.LOOK)
    slots = [pace.reserve(act, now) for act in (Act.LOOK, Act.UNDEPLOY) * 5]

    assert rate is not None
    assert all(after - before >= 1.0 / rate - CLOSE for before, after in pairwise(slots))


def test_while_looks_pause_a_shared_pace_goes_on_for_undeploys() -> None:
    pace = SharedPace()
    now = send_mixed(pace, 0.0, Act.LOOK) - 1.0
    pace.hold(Act.LOOK, now + 1.0)
    rate = pace.find_rate(Act.UNDEPLOY)

    assert rate is not None
    assert pace.reserve(Act.UNDEPLOY, now) <= now + 1.0 / rate + CLOSE
    pace.hold(Act.UNDEPLOY, now + 1.0)
    assert pace.reserve(Act.UNDEPLOY, now) >= now + 1.0


@pytest.mark.parametrize("limited", [Act.LOOK, Act.UNDEPLOY])
def test_a_wrong_guess_heals_once_all_refusals_fall_on_one_of_the_two(limited: Act) -> None:
    pace, now, refusals = SharedPace(), 0.0, 0
    while refusals == 0 or (pace.is_shared and refusals < 30):
        now = send_mixed(pace, now, limited)
        refusals += 1
    other = Act.UNDEPLOY if limited is Act.LOOK else Act.LOOK

    assert refusals == 9  # one in two each time: 512 to 1, where 300 to 1 is enough
    assert pace.find_rate(limited) is not None
    assert pace.find_rate(other) is None

    # Further refusals of the same sort are its own; one of the other sort shows that both are limited.
    now = send_mixed(pace, now, limited)
    assert not pace.is_shared
    send_mixed(pace, now, other)
    assert pace.is_shared


def test_each_wrong_parting_makes_the_next_one_need_more() -> None:
    pace, now, needed = SharedPace(), 0.0, list[int]()
    for _ in range(3):
        refusals = 0
        while refusals == 0 or (pace.is_shared and refusals < 30):
            now = send_mixed(pace, now, Act.LOOK)
            refusals += 1
        needed.append(refusals)
        now = send_mixed(pace, now, Act.UNDEPLOY)

    assert needed == [9, 18, 28]  # 300 to 1, the square of that, and at most 100,000,000 to 1


def test_refusals_that_fall_on_either_in_turn_do_not_part_them() -> None:
    pace, now = SharedPace(), 0.0
    for number in range(30):
        now = send_mixed(pace, now, Act.UNDEPLOY if number % 2 else Act.LOOK)

        assert pace.is_shared


def test_each_refusal_of_one_sort_alone_slows_that_sort() -> None:
    pace, now, paces = SharedPace(), 0.0, list[float]()
    for _ in range(3):
        for _ in range(20):
            now = send(pace, Act.LOOK, now)
        now = send(pace, Act.LOOK, now, refused=True) + 1.0
        paces.append(pace.find_rate(Act.LOOK) or 0.0)

    assert paces[0] > paces[1] > paces[2]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
@pytest.mark.long("plays many chances")
def test_refusals_that_fall_on_either_by_chance_rarely_part_them(seed: int) -> None:
    dice, pace, now, apart = random.Random(seed), SharedPace(), 0.0, 0
    for _ in range(200):
        now = send_mixed(pace, now, Act.LOOK if dice.random() < 0.5 else Act.UNDEPLOY)
        apart += not pace.is_shared

    assert apart <= 40


def test_a_request_that_was_admitted_before_a_refusal_and_left_after_it_counts_for_no_other_one() -> None:
    """The journal holds a request up between its admission and its departure."""
    pace, now = SharedPace(), 0.0
    for _ in range(20):
        now = send(pace, Act.UNDEPLOY, now)
    now = send(pace, Act.UNDEPLOY, now, refused=True)
    epoch = pace.find_epoch(Act.UNDEPLOY)
    pace.observe_answer(Act.UNDEPLOY, now - 0.01, now + 0.01)
    pace.observe_refusal(Act.UNDEPLOY, now + 0.01, now + 0.02, wait=1.0)

    assert pace.find_epoch(Act.UNDEPLOY) == epoch
