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

    assert 5 <= refusals <= 10
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
        while refusals == 0 or pace.is_shared:
            now = send_mixed(pace, now, Act.LOOK)
            refusals += 1
        needed.append(refusals)
        now = send_mixed(pace, now, Act.UNDEPLOY)

    assert needed[0] < needed[1] < needed[2]


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
