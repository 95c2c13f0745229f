"""How looks are held back: by their own 429s, and where none of them can be sent."""

from __future__ import annotations

import pytest

from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.rules.look_limits import LookLimits
from orchestrator.rules.retry import RetryPolicy
from orchestrator.rules.shared_pace import SharedPace

PARK_FOR = 600.0
DEFAULT = RetryPolicy()
UP, UNCLEAR, UNSENT = (Reading(verdict=verdict) for verdict in (Verdict.UP, Verdict.UNCLEAR, Verdict.UNSENT))


def busy(wait: float | None = None) -> Reading:
    return Reading(verdict=Verdict.BUSY, wait=wait)


class Looks:
    """The looks of a lane, each answered at once."""

    def __init__(self, policy: RetryPolicy = DEFAULT) -> None:
        self.pace = SharedPace()
        self.limits = LookLimits(policy, PARK_FOR, self.pace)

    def send(self, now: float, reading: Reading, *, crowded: bool = False) -> None:
        self.pace.reserve(Act.LOOK, now)
        self.pace.note_departure(Act.LOOK, now)
        self.limits.observe(reading, now, now, crowded=crowded)

    def have_answered(self, number: int) -> None:
        """Have so many looks answered within a second."""
        for each in range(number):
            self.send(each / number, UP)


def test_nothing_holds_looks_back_at_first() -> None:
    looks = Looks()

    assert looks.limits.paused_until == 0.0
    assert looks.limits.refusal is None
    assert not looks.limits.are_unsendable(1e9)


def test_a_pause_is_not_shortened() -> None:
    looks = Looks()
    looks.limits.pause_until(30.0)
    looks.limits.pause_until(20.0)

    assert looks.limits.paused_until == 30.0


def test_a_429_without_a_wait_pauses_looks_for_the_first_backoff_however_many_come() -> None:
    looks = Looks(RetryPolicy(first=3.0))

    for now in (10.0, 20.0, 30.0):
        looks.send(now, busy())
        assert looks.limits.paused_until == now + 3.0


@pytest.mark.promise(6)
def test_a_429_slows_the_looks_and_voids_their_slots() -> None:
    looks = Looks()
    looks.have_answered(20)
    looks.send(1.0, busy(12.0))

    assert looks.pace.find_rate(Act.LOOK) is not None
    assert looks.pace.find_rate(Act.UNDEPLOY) is None
    assert looks.pace.reserve(Act.LOOK, 1.0) >= 13.0


@pytest.mark.promise(6)
def test_nothing_but_429s_for_park_for_ends_the_looks() -> None:
    looks = Looks()
    for now in (100.0, 550.0, 699.0):
        looks.send(now, busy(1.0))
        assert looks.limits.refusal is None
    looks.send(700.0, busy(1.0))

    assert looks.limits.refusal == "parked: nothing but refusals to be looked at more"


@pytest.mark.parametrize("between", [UP, UNCLEAR])
def test_any_other_reply_begins_the_time_of_the_429s_anew(between: Reading) -> None:
    looks = Looks()
    looks.send(0.0, busy(1.0))
    looks.send(300.0, between)
    looks.send(600.0, busy(1.0))

    assert looks.limits.refusal is None


@pytest.mark.parametrize("crowded", [True, False])
def test_a_fault_slows_the_looks_only_where_a_proxy_takes_no_more(crowded: bool) -> None:
    looks = Looks()
    looks.have_answered(20)
    looks.send(1.0, UNCLEAR, crowded=crowded)

    assert (looks.pace.find_rate(Act.LOOK) is not None) is crowded
    assert looks.limits.paused_until == 0.0


def test_looks_that_cannot_be_sent_for_park_for_are_unsendable_if_there_were_several() -> None:
    for number in (4, 5):
        looks = Looks()
        for each in range(number):
            looks.send(100.0 + each, UNSENT)

        assert not looks.limits.are_unsendable(550.0)
        assert not looks.limits.are_unsendable(699.0)
        assert looks.limits.are_unsendable(700.0) is (number == 5)


@pytest.mark.parametrize("answer", [UP, UNCLEAR, busy(1.0), None])
def test_an_answer_shows_that_the_gateway_can_be_reached(answer: Reading | None) -> None:
    """``None``: that of an undeploy."""
    looks = Looks()
    for _ in range(5):
        looks.send(0.0, UNSENT)
    if answer is None:
        looks.limits.observe_undeploy()
    else:
        looks.send(300.0, answer)
    assert not looks.limits.are_unsendable(1e9)

    for _ in range(4):
        looks.send(400.0, UNSENT)
    assert not looks.limits.are_unsendable(1e9)
    looks.send(999.0, UNSENT)
    assert not looks.limits.are_unsendable(999.0)
    assert looks.limits.are_unsendable(1000.0)
