"""How the pace is measured from the targets that end."""

import pytest

from orchestrator.display.pace import PaceMeter
from tests.support.story import START


def test_the_first_second_is_too_short_for_a_rate() -> None:
    pace = PaceMeter(START)
    pace.count(START + 0.2)

    assert pace.measure_rate(START + 0.9) is None


@pytest.mark.parametrize("per_second", [1, 5, 50])
def test_a_steady_pace_is_its_own_rate(per_second: int) -> None:
    pace = PaceMeter(START)
    for n in range(60 * per_second):
        pace.count(START + n / per_second)

    assert pace.measure_rate(START + 60) == pytest.approx(per_second, rel=0.06)


def test_the_rate_falls_while_nothing_ends() -> None:
    pace = PaceMeter(START)
    for _ in range(100):
        pace.count(START + 1)
    rates = [pace.measure_rate(START + seconds) for seconds in (2, 10, 19, 40, 4000)]

    assert rates == [50, 10, pytest.approx(5.26, abs=0.01), 0, 0]


def test_a_clock_that_jumps_back_loses_nothing() -> None:
    pace = PaceMeter(START)
    pace.count(START + 5)
    pace.count(START + 1)

    assert sum(pace.count_by_second(START + 5)) == 2


def test_a_clock_that_is_set_back_does_not_count_an_hour_as_one_second() -> None:
    pace = PaceMeter(START)
    for n in range(600):
        pace.count(START + n / 10)
    for n in range(600):
        pace.count(START - 3600 + n / 10)

    assert pace.measure_rate(START - 3600 + 60) == pytest.approx(10, rel=0.06)


def test_what_ends_before_the_meter_begins_does_not_set_it_back() -> None:
    pace = PaceMeter(START + 60)  # after a pause of a minute, in which what was in flight ends
    pace.count(START + 1)

    assert pace.measure_rate(START + 50) is None
    assert pace.measure_rate(START + 70) == 0.1
