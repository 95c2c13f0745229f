"""How long a driver waits for a worker that is not there."""

from __future__ import annotations

from orchestrator.distributed.silence import LANDING, NEVER_TAKEN, TOLD_AFTER, WorkerSilence


def make_silence(park_for: float = 600.0) -> WorkerSilence:
    return WorkerSilence(lease=10.0, park_for=park_for)


def test_work_that_waits_is_told_after_a_while_and_other_work_begins_anew() -> None:
    silence = make_silence()
    silence.observe(1, 100.0, stopped=False, may_start=True)

    assert not silence.is_worth_telling(100.0 + TOLD_AFTER - 0.1)
    assert silence.is_worth_telling(100.0 + TOLD_AFTER)

    silence.observe(2, 106.0, stopped=False, may_start=True)
    assert silence.measure(107.0) == 1.0

    silence.observe(None, 108.0, stopped=False, may_start=True)
    assert silence.measure(200.0) == 0.0


def test_a_run_waits_for_a_worker_for_as_long_as_for_a_gateway() -> None:
    silence = make_silence(park_for=60.0)
    silence.observe(1, 0.0, stopped=False, may_start=True)

    assert not silence.has_parked(59.9)
    assert silence.has_parked(60.0)


def test_before_the_window_opens_a_missing_worker_holds_nothing_up() -> None:
    silence = make_silence(park_for=60.0)
    silence.observe(1, 0.0, stopped=False, may_start=False)
    silence.observe(1, 3600.0, stopped=False, may_start=False)

    assert not silence.has_parked(3659.9)
    assert silence.has_parked(3660.0)


def test_a_stop_that_nobody_hears_ends_the_session_soon_if_nothing_was_ever_taken() -> None:
    silence = make_silence()
    silence.observe(1, 0.0, stopped=False, may_start=True)
    silence.observe(1, 50.0, stopped=True, may_start=True)

    assert not silence.is_hopeless(50.0 + NEVER_TAKEN - 0.1, was_taken=False)
    assert silence.is_hopeless(50.0 + NEVER_TAKEN, was_taken=False)


def test_what_a_lost_worker_had_in_flight_gets_a_lease_and_a_while_to_land() -> None:
    silence = make_silence()
    silence.observe(1, 0.0, stopped=True, may_start=True)

    assert not silence.is_hopeless(10.0 + LANDING - 0.1, was_taken=True)
    assert silence.is_hopeless(10.0 + LANDING, was_taken=True)


def test_a_run_that_nobody_stops_or_that_a_worker_serves_is_never_hopeless() -> None:
    silence = make_silence()
    silence.observe(1, 0.0, stopped=False, may_start=True)
    assert not silence.is_hopeless(10_000.0, was_taken=False)

    silence.observe(None, 10_000.0, stopped=True, may_start=True)
    assert not silence.is_hopeless(20_000.0, was_taken=False)
