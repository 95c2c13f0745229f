"""What counts as in use, and what a run says of it."""

from __future__ import annotations

import pytest

from orchestrator.model.outcome import Outcome, Reason
from orchestrator.model.plan import CallBound
from orchestrator.model.usage import Usage
from orchestrator.rules.exit_status import choose_exit_status
from orchestrator.rules.in_use import describe_doubt, end_in_use, is_in_use
from orchestrator.rules.stop_rules import is_fruitless

UNREAD = "APIG.1005"


@pytest.mark.parametrize(
    ("usage", "over", "doubt"),
    [
        (Usage(hours=72, calls=0), 0, None),
        (Usage(hours=72, calls=100), 100, None),
        (
            Usage(hours=72, calls=1204, callers=("web-shop", "billing")),
            0,
            "1,204 calls in 72 h by web-shop, billing",
        ),
        (Usage(hours=24, calls=1, is_open=True), 0, "1 call in 24 h by anybody"),
        (Usage(hours=72, calls=2), 1, "2 calls in 72 h; who may call now: nobody"),
        (
            Usage(hours=72, calls=2, callers_unread=UNREAD),
            0,
            "2 calls in 72 h; who may call now: not told: APIG.1005",
        ),
        (Usage(hours=72, why="HTTP 502"), 1_000, "cannot be told: HTTP 502"),
        (Usage(hours=72), 0, "cannot be told: no reason was given"),
        # Who may call does not matter.
        (Usage(hours=72, calls=0, callers=("web-shop",), is_open=True), 0, None),
    ],
)
def test_only_calls_count(usage: Usage, over: int, doubt: str | None) -> None:
    bound = CallBound(calls=over)

    assert describe_doubt(usage, bound) == doubt
    assert is_in_use(usage, bound) is (doubt is not None and usage.calls is not None)


def test_a_wave_whose_targets_are_all_in_use_is_not_fruitless() -> None:
    left = {(Outcome.NOT_STARTED, Reason.IN_USE.value): 3}

    assert not is_fruitless(left)
    assert not is_fruitless(left | {(Outcome.NOT_STARTED, Reason.PROTECTED.value): 1})
    assert is_fruitless(left | {(Outcome.FAILED, Reason.REFUSED.value): 1})


def test_a_target_that_is_left_for_its_use_says_so_first() -> None:
    assert end_in_use("2 calls in 72 h") == "in_use: 2 calls in 72 h"


def test_targets_in_use_end_a_run_with_1() -> None:
    counts = {(Outcome.UNDEPLOYED, ""): 5, (Outcome.NOT_STARTED, Reason.IN_USE.value): 1}

    assert choose_exit_status(counts, interrupted=False) == 1
