"""Who is let in, and how fast."""

from __future__ import annotations

import pytest

from orchestrator.errors import UsageError
from orchestrator.simulator.exchange import AccessDenial, DenialReason
from orchestrator.simulator.faults import FaultScope
from orchestrator.simulator.limits import (
    Lockout,
    RateLimit,
    TokenBucket,
    TokenExpiry,
    TokenIssuer,
    parse_rate,
    parse_seconds,
)


def why(door: TokenIssuer, token: str | None, now: float = 0.0) -> str | None:
    objection = door.find_denial(token, now)
    return objection.why.value if objection else None


def test_a_bucket_gives_its_burst_and_then_its_rate():
    bucket = TokenBucket(RateLimit(per_second=10, burst=3))

    assert [bucket.take(100.0) for _ in range(4)] == [0, 0, 0, pytest.approx(0.1)]
    assert bucket.take(100.05) == pytest.approx(0.05)
    assert bucket.take(100.1) == 0


def test_a_bucket_never_holds_more_than_its_burst():
    bucket = TokenBucket(RateLimit(per_second=10, burst=2))
    bucket.take(0.0)

    assert [bucket.take(1000.0) == 0 for _ in range(3)] == [True, True, False]


def test_a_clock_that_goes_back_gives_nothing_and_breaks_nothing():
    bucket = TokenBucket(RateLimit(per_second=10))
    bucket.take(100.0)

    assert bucket.take(50.0) == pytest.approx(0.1)


@pytest.mark.parametrize(("text", "per_second"), [("20/s", 20), ("120/m", 2), ("3600/h", 1), ("0.5/s", 0.5)])
def test_a_rate_is_read(text, per_second):
    rate = parse_rate(text)

    assert (rate.per_second, rate.burst) == (per_second, max(1, per_second))


@pytest.mark.parametrize("text", ["", "20", "0/s", "-1/s", "20/d", "x/s"])
def test_a_text_that_is_no_rate_is_refused(text):
    with pytest.raises(UsageError, match="such as 20/s"):
        parse_rate(text)


def test_a_time_is_read_or_refused():
    assert (parse_seconds("50ms"), parse_seconds("1.5s")) == (0.05, 1.5)
    with pytest.raises(UsageError):
        parse_seconds("soon")


def test_the_first_token_dies_after_so_many_requests_and_the_next_lives():
    door = TokenIssuer(("old", "new"), TokenExpiry(requests=2))

    assert [why(door, "old") for _ in range(4)] == [None, None, "expired", "expired"]
    assert [why(door, "new") for _ in range(4)] == [None] * 4


def test_the_first_token_dies_so_many_seconds_after_its_first_use():
    door = TokenIssuer(("old",), TokenExpiry(seconds=60))

    assert [why(door, "old", now) for now in (5.0, 64.9, 65.0)] == [None, None, "expired"]


def test_without_accepted_tokens_any_but_an_empty_one_is_let_in():
    door = TokenIssuer((), None)

    assert [why(door, token) for token in ("any", "", None)] == [None, "missing", "missing"]


@pytest.mark.parametrize("tokens", [("other",), ()])
def test_a_granted_token_lives_its_time_and_a_new_one_does_not_end_it(tokens):
    door = TokenIssuer(tokens, None, life=60)

    first, second = door.grant(100.0), door.grant(130.0)

    assert (first.until, second.until) == (160.0, 190.0)
    assert [why(door, first.token, now) for now in (100.0, 159.9, 160.0)] == [None, None, "expired"]
    assert door.find_denial(first.token, 170.0) == AccessDenial(DenialReason.EXPIRED, until=160.0)
    assert why(door, second.token, 170.0) is None


def test_two_doors_give_different_tokens_and_know_only_their_own():
    doors = [TokenIssuer(("other",), None, name=name) for name in ("a", "b")]

    tokens = [door.grant(0.0).token for door in doors]

    assert [why(door, token) for door in doors for token in tokens] == [None, "wrong", "wrong", None]


def test_failures_in_a_row_lock_for_a_while_and_a_success_forgives():
    lockout = Lockout(2, 60)
    for well in (False, True, False):
        lockout.record_attempt("me", 0.0, correct=well)
    assert not lockout.is_locked("me", 0.0)

    lockout.record_attempt("me", 0.0, correct=False)

    assert [lockout.is_locked("me", now) for now in (0.0, 59.9, 60.0)] == [True, True, False]
    assert (lockout.is_locked("you", 0.0), lockout.lock_count) == (False, 1)
    lockout.record_attempt("me", 60.0, correct=False)
    assert not lockout.is_locked("me", 60.0)


def test_a_rate_on_any_request_does_not_count_logins():
    assert [RateLimit(per_second=1, on=on).counts("login") for on in (FaultScope.ANY, FaultScope.LOGIN)] == [
        False,
        True,
    ]
    assert [RateLimit(per_second=1, on=on).counts("look") for on in (FaultScope.ANY, FaultScope.LOGIN)] == [
        True,
        False,
    ]
