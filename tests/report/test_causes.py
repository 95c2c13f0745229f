"""Grouping what is not down by cause."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.model.outcome import Outcome
from orchestrator.report.causes import EXAMPLES, CauseCounter, find_cause, group_by_cause, group_causes
from orchestrator.report.values import AttemptReport
from tests.support.made_up_runs import (
    FakeReportSource,
    build_attempt,
    build_run,
    build_target,
    make_up_run,
)


@pytest.mark.parametrize(
    ("outcome", "reason", "attempts", "expected"),
    [
        (Outcome.FAILED, "refused: x", (build_attempt(1, 403, "APIG.1005", "No"),), ("APIG.1005", "No")),
        (
            Outcome.FAILED,
            "refused: x",
            (build_attempt(1, 403, "APIG.1005", None),),
            ("APIG.1005", "refused: x"),
        ),
        (Outcome.FAILED, "spent: x", (build_attempt(1, 500, "A", "b"), build_attempt(2, None)), ("A", "b")),
        (Outcome.FAILED, "refused: x", (build_attempt(1, 409, None, "Conflict"),), ("HTTP 409", "Conflict")),
        (Outcome.FAILED, "partial: pod-1", (build_attempt(1, 200, "c", "m"),), ("partial", "partial: pod-1")),
        (Outcome.UNKNOWN, "spent: x", (build_attempt(1, None),), ("spent", "spent: x")),
        (Outcome.FAILED, "spent: x", (build_attempt(1, 200, None, None),), ("spent", "spent: x")),
        (Outcome.FAILED, "spent: x", (build_attempt(1, 500, None, None),), ("HTTP 500", "spent: x")),
        (Outcome.UNKNOWN, None, (build_attempt(1, None),), ("no reply", None)),
        (
            Outcome.NOT_STARTED,
            "denied: y",
            (build_attempt(1, 401, "APIG.1002", "m"),),
            ("denied", "denied: y"),
        ),
        (Outcome.NOT_STARTED, None, (), ("no reason given", None)),
    ],
)
def test_the_cause_is_the_vendors_code_or_our_own_word(
    outcome: Outcome,
    reason: str | None,
    attempts: tuple[AttemptReport, ...],
    expected: tuple[str, str | None],
) -> None:
    assert find_cause(build_target("roma-eu/a", outcome, reason, attempts=attempts)) == expected


def test_groups_stand_by_outcome_then_by_size() -> None:
    def many(count: int, outcome: Outcome, word: str) -> list[tuple[Outcome, str]]:
        return [(outcome, f"{word}: text")] * count

    kinds = [
        *many(1, Outcome.NOT_STARTED, "window"),
        *many(1, Outcome.FAILED, "absent"),
        *many(2, Outcome.UNKNOWN, "spent"),
        *many(3, Outcome.FAILED, "refused"),
    ]
    targets = [build_target(f"roma-eu/{n}", outcome, reason) for n, (outcome, reason) in enumerate(kinds)]

    assert [(group.outcome.value, group.label, group.count) for group in group_by_cause(targets)] == [
        ("failed", "refused", 3),
        ("failed", "absent", 1),
        ("unknown", "spent", 2),
        ("not_started", "window", 1),
    ]


def test_examples_are_the_first_and_the_rest_is_counted() -> None:
    targets = [build_target(f"roma-eu/{n}", Outcome.FAILED, "refused: x") for n in range(12)]

    group = group_by_cause(targets)[0]

    assert group.examples == tuple(f"roma-eu/{n}" for n in range(EXAMPLES))
    assert group.more == 12 - EXAMPLES


def test_a_thousand_different_codes_are_all_counted_in_bounded_memory() -> None:
    targets = [
        build_target(
            f"roma-eu/{n}", Outcome.FAILED, "refused: x", attempts=(build_attempt(1, 400, f"X.{n}", "m"),)
        )
        for n in range(1_000)
    ]

    groups = group_by_cause(targets)

    assert len(groups) == 201
    assert sum(group.count for group in groups) == 1_000
    assert [group.label for group in groups if not group.is_searchable] == ["other causes"]


@pytest.mark.parametrize(
    ("label", "left"),
    [("A", [("B", 3), ("A", 1)]), (None, [("A", 3), ("B", 1)]), ("none such", [("A", 3), ("B", 3)])],
)
def test_targets_are_taken_away_from_the_group_with_the_label_or_from_the_newest(
    label: str | None, left: list[tuple[str, int]]
) -> None:
    counter = CauseCounter()
    for number, name in enumerate("AAABBB"):
        counter.count_target(Outcome.FAILED, name, "no", "roma-eu", f"roma-eu/{number}")
    counter.count_target(Outcome.UNKNOWN, "A", "no", "roma-eu", "roma-eu/6")

    counter.take_away(Outcome.FAILED, label, 2)

    failed, unknown = counter.list_groups()[:2], counter.list_groups()[2:]
    assert [(group.label, group.count) for group in failed] == left
    assert all(len(group.examples) == group.count for group in failed)
    assert [group.count for group in unknown] == [1]


def test_a_group_without_a_target_is_gone() -> None:
    counter = CauseCounter()
    counter.count_target(Outcome.FAILED, "A", "no", "roma-eu", "roma-eu/1")

    counter.take_away(Outcome.FAILED, None, 5)

    assert counter.list_groups() == []


def test_every_target_that_is_not_down_is_in_one_group() -> None:
    source = make_up_run(2_000)

    counts = source.report.totals

    assert sum(group.count for group in group_by_cause(source.trouble())) == (
        counts.failed + counts.unknown + counts.not_started
    )


def test_examples_keep_the_names_that_people_know_them_by() -> None:
    unnamed = build_target("roma-eu/b", Outcome.FAILED, "refused: x")
    named = replace(unnamed, id="roma-eu/a", name="orders\u202e" + "x" * 100)
    (group,) = group_by_cause([named, unnamed])
    counter = CauseCounter()
    counter.count_group(group)
    counter.count_group(replace(group, count=1, examples=("c",), names=()))
    (merged,) = counter.list_groups()
    (_, name), *others = merged.list_examples()

    assert name is not None
    assert name.startswith("orders\\u202ex")
    assert len(name) == 60
    assert others == [("roma-eu/b", None), ("c", None)]


@pytest.mark.parametrize(("state", "labels"), [
    ("running", ["refused", "window"]), ("killed", ["refused", "no reply", "no reason given", "window"]),
])  # fmt: skip
def test_the_open_targets_of_a_run_that_goes_on_have_no_cause_yet(state: Any, labels: list[str]) -> None:
    kinds = [
        (Outcome.UNDEPLOYED, None),
        (Outcome.FAILED, "refused: x"),
        (Outcome.NOT_STARTED, "window: x"),
        (Outcome.NOT_STARTED, None),
        (Outcome.UNKNOWN, None),
    ]
    targets = [build_target(f"roma-eu/{n}", outcome, reason) for n, (outcome, reason) in enumerate(kinds)]

    groups = group_causes(FakeReportSource(targets, build_run(state=state)))

    assert [group.label for group in groups] == labels
