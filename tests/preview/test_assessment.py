"""Which runs a preview is reckoned for: one that reads each target once more, or one that does not."""

from __future__ import annotations

from typing import Literal

import pytest
from msgspec.structs import replace

from orchestrator.preview.assessment import assess_preview
from orchestrator.preview.forecast import forecast_run
from tests.preview.test_states import PLAN, make_preview, make_seen

PREVIEW = make_preview(*(make_seen(number) for number in range(1, 5)))


@pytest.mark.parametrize(
    ("approval", "guarded", "reads_again"),
    [
        ("none", False, False),
        ("none", True, True),
        ("digest", False, False),
        ("digest", True, True),
        ("file", False, True),
        ("signed", False, True),
        ("file", True, True),
    ],
)
def test_a_plan_that_wants_an_approval_file_has_each_target_read_once_more(
    approval: Literal["none", "digest", "file", "signed"], guarded: bool, reads_again: bool
) -> None:
    plan = replace(PLAN, approval=approval, snapshot="off")
    found = assess_preview(plan, PREVIEW, guarded=guarded)

    assert found.forecast == forecast_run(plan, PREVIEW, guarded=reads_again)
    assert forecast_run(plan, PREVIEW, guarded=True) != forecast_run(plan, PREVIEW, guarded=False)
    assert (found.plan, found.preview) == (plan, PREVIEW)
