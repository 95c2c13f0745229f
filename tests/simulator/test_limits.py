"""Who is let in, and how fast."""

from __future__ import annotations

import pytest

from orchestrator.errors import UsageError
from orchestrator.simulator.limits import Bucket, Door, Expiry, Rate, parse_rate, parse_seconds


def test_a_bucket_gives_its_burst_and_then_its_rate():
    bucket = Bucket(Rate(per_second=10, burst=3))

    assert [bucket.take(100.0) for _ in range(4)] == [0, 0, 0, pytest.approx(0.1)]
    assert bucket.take(100.05) == pytest.approx(0.05)
    assert bucket.take(100.1) == 0


def test_a_bucket_never_holds_more_than_its_burst():
    bucket = Bucket(Rate(per_second=10, burst=2))
    bucket.take(0.0)

    assert [bucket.take(1000.0) == 0 for _ in range(3)] == [True, True, False]


def test_a_clock_that_goes_back_gives_nothing_and_breaks_nothing():
    bucket = Bucket(Rate(per_second=10))
    bucket.take(100.0)

    assert bucket.take(50.0) == pytest.approx(0.1)


@pytest.mark.parametrize(("text", "per_second"), [("20/s", 20), ("120/m", 2), ("3600/h", 1), ("0.5/s", 0.5)])
def test_a_rate_is_read(text, per_second):
    rate = parse_rate(text)

    assert (rate.per_second, rate.burst) == (per_second, max(1, per_second))


@pytest.mark.parametrize("text", ["", "20", "0/s", "-1/s", "20/d", "x/s"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(UsageError, match="such as 20/s"):
        parse_rate(text)


def test_a_time_is_read_or_refused():
    assert (parse_seconds("50ms"), parse_seconds("1.5s")) == (0.05, 1.5)
    with pytest.raises(UsageError):
        parse_seconds("soon")


def test_the_first_token_dies_after_so_many_requests_and_the_next_lives():
    door = Door(("old", "new"), Expiry(requests=2))

    assert [door.objection("old", 0.0) for _ in range(4)] == [None, None, "expired", "expired"]
    assert [door.objection("new", 0.0) for _ in range(4)] == [None] * 4


def test_the_first_token_dies_so_many_seconds_after_its_first_use():
    door = Door(("old",), Expiry(seconds=60))

    assert [door.objection("old", now) for now in (5.0, 64.9, 65.0)] == [None, None, "expired"]


def test_without_accepted_tokens_any_but_an_empty_one_is_let_in():
    door = Door((), None)

    assert [door.objection(token, 0.0) for token in ("any", "", None)] == [None, "missing", "missing"]
