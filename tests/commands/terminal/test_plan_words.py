"""A plan in words."""

import pytest

from orchestrator.commands.terminal.plan_words import (
    describe_pace,
    describe_paces,
    describe_stop_rules,
    format_rate,
)
from orchestrator.model.plan import StepSize, StopWhen, Threshold, Wave


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (20.0, "20/s"),
        (0.5, "30/m"),
        (100 / 60, "100/m"),
        (5 / 3600, "5/h"),
        (1.5, "90/m"),
        (0.5 / 3600, "0.5/h"),
        (100_000.0, "100000/s"),
    ],
)
def test_a_rate_is_told_in_whole_numbers(rate: float, expected: str) -> None:
    assert format_rate(rate) == expected


WAVE = Wave(name="a", pause_after=60.0, proceed="ask", sizes=(StepSize(count=5), StepSize(share=1.0)))


@pytest.mark.parametrize(
    ("wave", "targets", "expected"),
    [
        (Wave(name="a"), 9, ""),
        (Wave(name="a", sizes=(StepSize(share=1.0),)), 9, ""),
        (WAVE, 2005, "steps of 5, 2,000 targets; pauses 1 min after each; asks before it goes on"),
        (WAVE, 5, "pauses 1 min after it; asks before it goes on"),
        (WAVE, 0, "pauses 1 min after it; asks before it goes on"),
    ],
)
def test_a_wave_is_told_where_it_does_not_just_go(wave: Wave, targets: int, expected: str) -> None:
    assert describe_pace(wave, targets) == expected


NOTHING_FOLLOWS = "no pause and no question after it, since nothing follows"


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (
            (9, 5),
            {0: "steps of 5, 4 targets; pauses 1 min after each; asks before it goes on", 1: NOTHING_FOLLOWS},
        ),
        ((9, 6), {1: "steps of 5, 1 targets; pauses 1 min after each; asks before it goes on"}),
        ((5, 0), {0: NOTHING_FOLLOWS}),
    ],
)
def test_no_pause_is_told_after_the_last_wave(counts: tuple[int, ...], expected: dict[int, str]) -> None:
    told = dict(describe_paces([WAVE, WAVE], counts))

    assert {index: told[index] for index in expected} == expected


def test_a_rule_that_no_share_can_break_says_so() -> None:
    lines = list(describe_stop_rules(StopWhen(failed=Threshold(share=1.0)), 8))

    assert (
        lines[0]
        == "stops when more than 100% of the ended targets (never: a rule fires above its share) failed"
    )
    assert "never" not in "".join(lines[1:])


def test_counts_alone_say_nothing_of_shares() -> None:
    one = Threshold(count=1)
    rules = StopWhen(failed=one, unknown=one, surprising=Threshold(count=0))
    lines = list(describe_stop_rules(rules, 8))

    assert lines[0] == "stops when more than 1 target of the run (1 of 8 targets, 12%) failed"
    assert "more than 0 targets of the run are surprising" in lines[2]
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("targets", "told"),
    [(52, "(20 of 52 targets, 38%)"), (20, "(never: it has 20)"), (7, "(never: it has 7)")],
)
def test_a_count_is_told_with_its_share_of_the_plan(targets: int, told: str) -> None:
    lines = describe_stop_rules(StopWhen(failed=Threshold(count=20)), targets)

    assert next(lines) == f"stops when more than 20 targets of the run {told} failed"
