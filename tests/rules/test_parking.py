"""When a lane counts as ill, and when which target probes a parked lane."""

from __future__ import annotations

import math

import pytest

from orchestrator.model.reading import Reading, Verdict
from orchestrator.model.target import TargetId
from orchestrator.rules.parking import FaultCounter, ProbeSchedule

A, B, C = TargetId("gw/a"), TargetId("gw/b"), TargetId("gw/c")
DOUBT, UNSENT = Reading(verdict=Verdict.DOUBT), Reading(verdict=Verdict.UNSENT)


# --- faults ---------------------------------------------------------------------------------------------


def count(faulty: int, *, answered: bool = False) -> FaultCounter:
    """Return a counter of one fault of each of so many targets."""
    counter = FaultCounter()
    if answered:
        counter.clear()
    for number in range(faulty):
        counter.add(TargetId(f"gw/{number}"), DOUBT)
    return counter


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    ("faulty", "answered", "left", "is_ill"),
    [
        (4, True, 100, False),
        (5, True, 100, True),
        (4, False, 100, False),
        (5, False, 100, True),
        # A lane of few targets has no five to show, as long as it has answered nothing.
        (1, False, 2, False),
        (2, False, 2, True),
        (2, False, 3, False),
        (3, False, 3, True),
        (3, True, 3, False),
        # One target alone may be a bad one.
        (1, False, 1, False),
        (1, False, 0, False),
    ],
)
def test_five_targets_or_all_of_a_silent_lane_show_that_a_gateway_is_ill(
    faulty: int, answered: bool, left: int, is_ill: bool
) -> None:
    assert count(faulty, answered=answered).is_ill(left, 8) is is_ill


@pytest.mark.parametrize(
    ("unsent", "targets", "left", "within_reach", "is_ill"),
    [
        (4, 1, 100, 1, False),
        (5, 1, 100, 1, True),
        (5, 1, 1, 8, True),
        (5, 1, 100, 2, False),
        (5, 2, 100, 2, True),
        (1, 1, 100, 1, False),
    ],
)
def test_five_requests_in_a_row_that_could_not_be_sent_show_it_once_all_under_way_have_met_that(
    unsent: int, targets: int, left: int, within_reach: int, is_ill: bool
) -> None:
    counter = FaultCounter()
    counter.clear()
    for number in range(unsent):
        counter.add(TargetId(f"gw/{number % targets}"), UNSENT)

    assert counter.is_ill(left, within_reach) is is_ill
    assert counter.unsent == unsent


def test_a_fault_that_was_sent_begins_the_row_of_the_unsent_anew() -> None:
    counter = FaultCounter()
    for fault in [UNSENT] * 4 + [DOUBT] + [UNSENT] * 4:
        counter.add(A, fault)

    assert not counter.is_ill(100, 1)
    counter.add(A, UNSENT)
    assert counter.is_ill(100, 1)


def test_an_answer_forgets_all_faults() -> None:
    counter = FaultCounter()
    for target in (A, B, C, A):
        counter.add(target, UNSENT)
    assert (counter.faulty, counter.unsent, counter.has_answered) == ((A, B, C), 4, False)

    counter.clear()
    assert (counter.faulty, counter.unsent, counter.has_answered) == ((), 0, True)


def test_another_process_goes_on_counting_where_one_stood() -> None:
    counter = FaultCounter.begun((B, A), unsent=3, has_answered=True)
    counter.add(C, UNSENT)

    assert (counter.faulty, counter.unsent, counter.has_answered) == ((A, B, C), 4, True)


# --- probes ---------------------------------------------------------------------------------------------

PARK_FOR, PATIENCE = 600.0, 90.0


def parked_at(now: float) -> ProbeSchedule:
    probes = ProbeSchedule(PARK_FOR, PATIENCE)
    probes.begin(now)
    return probes


def start_of(
    probes: ProbeSchedule,
    target: TargetId,
    now: float,
    *,
    paused: float = 0.0,
    settling: bool = False,
    last: bool = False,
) -> float:
    return probes.find_start(target, now, max(now, paused), settling=settling, last=last)


def test_the_waits_between_probes_double_up_to_a_minute() -> None:
    probes, now, waits = parked_at(100.0), 100.0, list[float]()
    for _ in range(6):
        waits.append(probes.next_at - now)
        now = probes.next_at
        probes.choose(A, now)
        probes.fail(A, now)

    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_a_lane_that_is_parked_again_is_probed_as_soon_as_the_first_time() -> None:
    probes = parked_at(100.0)
    probes.fail(A, 105.0)
    probes.begin(200.0)

    assert (probes.parked_since, probes.ends, probes.next_at) == (200.0, 800.0, 205.0)
    probes.fail(A, 205.0)
    assert probes.next_at == 215.0


def test_the_time_to_the_end_goes_on_where_another_process_began_it() -> None:
    probes = ProbeSchedule(PARK_FOR, PATIENCE)
    probes.begin(100.0, 40.0)

    assert (probes.parked_since, probes.ends, probes.next_at) == (40.0, 640.0, 105.0)


def test_a_probe_that_fails_leaves_the_next_one_to_another_target() -> None:
    probes = parked_at(100.0)
    probes.choose(A, 105.0)
    assert not probes.release(B)
    probes.fail(A, 106.0)

    assert probes.prober is None
    assert not probes.release(A)
    assert start_of(probes, B, 107.0) == 116.0


def test_a_look_that_fails_before_the_probe_puts_it_off_and_keeps_its_turn() -> None:
    probes = parked_at(100.0)
    probes.choose(A, 105.0)
    probes.put_off(108.0)

    assert (probes.prober, probes.next_at) == (A, 113.0)


def test_the_target_that_goes_alone_waits_for_nothing_but_a_pause() -> None:
    probes = parked_at(100.0)
    probes.choose(A, 105.0)

    assert start_of(probes, A, 106.0) == 106.0
    assert start_of(probes, A, 106.0, paused=130.0) == 130.0


def test_the_others_wait_until_the_target_that_goes_alone_was_not_heard_of_for_too_long() -> None:
    probes = parked_at(100.0)
    probes.choose(A, 105.0)

    assert (start_of(probes, B, 110.0), probes.patience_left(110.0)) == (195.0, 85.0)
    assert start_of(probes, B, 110.0, paused=300.0) == 300.0
    assert start_of(probes, B, 194.5) == 195.0
    assert (start_of(probes, B, 196.0), start_of(probes, B, 196.0, paused=300.0)) == (196.0, 300.0)
    probes.put_off(193.0)
    assert start_of(probes, B, 195.0) == 198.0


def test_a_target_may_go_alone_if_none_does_or_that_one_was_not_heard_of_for_too_long() -> None:
    probes = ProbeSchedule(PARK_FOR, PATIENCE)
    assert probes.is_free_for(B, 0.0)
    probes.choose(A, 105.0)

    assert probes.is_free_for(A, 106.0)
    assert [probes.is_free_for(B, at) for at in (106.0, 194.5, 195.0)] == [False, False, True]
    probes.clear()
    assert probes.is_free_for(B, 106.0)


def test_who_comes_after_one_that_has_left_waits_for_the_next_probe_alone() -> None:
    probes = parked_at(100.0)
    probes.choose(A, 101.0)
    assert probes.release(A)

    assert start_of(probes, B, 102.0) == 105.0
    assert start_of(probes, B, 102.0, paused=140.0) == 140.0


def test_a_look_leaves_a_due_probe_to_undeploys_for_a_second_and_the_last_one_is_kept() -> None:
    probes = parked_at(100.0)

    assert start_of(probes, A, 102.0) == 105.0
    assert start_of(probes, A, 102.0, settling=True) == 106.0
    assert start_of(probes, A, 102.0, paused=140.0, settling=True) == 140.0
    assert start_of(probes, A, 102.0, settling=True, last=True) == math.inf


def test_the_answer_of_a_probe_that_left_late_is_waited_for() -> None:
    probes = parked_at(100.0)
    probes.choose(A, 500.0)
    assert probes.last_probe_ends == 700.0
    probes.choose(A, 700.0)
    assert probes.last_probe_ends == 790.0

    probes.release(A)
    assert probes.last_probe_ends == 700.0


def test_a_target_that_goes_alone_only_because_the_next_probe_would_be_too_late_is_not_waited_for() -> None:
    probes = parked_at(100.0)
    probes.choose(A, 699.0)
    probes.put_off(699.0)
    probes.choose(A, 701.0)

    assert probes.last_probe_ends == 700.0
