"""When targets wait for the reads of their use, and when they are not asked about."""

from __future__ import annotations

from orchestrator.rules.usage_outage import UsageOutage

MOST_FAULTY, RESTS_FOR = 5, 300.0


def begin(outage: UsageOutage, now: float) -> None:
    began = [outage.take_in(now, "HTTP 502") for _ in range(MOST_FAULTY)]
    assert began == [False] * (MOST_FAULTY - 1) + [True]


def test_faults_with_an_answer_between_are_no_outage() -> None:
    outage = UsageOutage(600.0)
    for _ in range(3):
        for _ in range(MOST_FAULTY - 1):
            assert not outage.take_in(0.0, "HTTP 502")
        assert not outage.take_in(0.0, None)

    assert not outage.is_waiting(0.0)
    assert outage.explain(0.0) is None


def test_targets_wait_and_then_are_not_asked_about_for_a_while() -> None:
    outage = UsageOutage(600.0)
    begin(outage, 10.0)

    assert [outage.is_waiting(at) for at in (9.0, 10.0, 609.0, 610.0)] == [False, True, True, False]
    assert [outage.explain(at) is None for at in (10.0, 609.0, 610.0)] == [True, True, False]
    assert "HTTP 502" in (outage.explain(611.0) or "")
    assert outage.explain(609.0 + RESTS_FOR) is not None
    assert outage.explain(610.0 + RESTS_FOR) is None


def test_an_outage_that_goes_on_is_waited_for_once() -> None:
    outage = UsageOutage(600.0)
    begin(outage, 0.0)
    assert outage.explain(600.0 + RESTS_FOR) is None
    begin(outage, 1000.0)

    assert not outage.is_waiting(1000.0)
    assert outage.explain(1000.0) is not None


def test_an_answer_ends_an_outage_and_the_next_one_is_waited_for_again() -> None:
    outage = UsageOutage(600.0)
    begin(outage, 0.0)
    outage.take_in(30.0, None)
    assert not outage.is_waiting(31.0)
    begin(outage, 40.0)

    assert outage.is_waiting(41.0)


def test_the_waits_grow_up_to_a_bound_and_end_with_the_patience() -> None:
    outage = UsageOutage(300.0)
    begin(outage, 0.0)

    assert [outage.next_wait(0.0) for _ in range(6)] == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert outage.next_wait(290.0) == 10.0
    assert outage.next_wait(300.0) == outage.next_wait(301.0) == 0.0


def test_an_outage_begins_once() -> None:
    outage = UsageOutage(300.0)
    begin(outage, 0.0)

    assert not outage.take_in(0.0, "HTTP 503")
    assert not outage.take_in(1.0, "HTTP 503")
    assert "HTTP 502" in (outage.explain(300.0) or "")
