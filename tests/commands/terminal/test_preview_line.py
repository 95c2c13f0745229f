"""The line of progress of a preview."""

from __future__ import annotations

from orchestrator.commands.terminal.preview import LookLine
from orchestrator.commands.terminal.work_line import WorkLine


def test_the_line_tells_how_far_the_looks_are_and_which_gateway_asks_to_wait() -> None:
    shown = WorkLine("looks at the targets")
    line = LookLine(shown)
    told = []
    for step in (
        lambda: line.on_target_seen(1200, 5000),
        lambda: line.on_pause("apim", "429\x1b", 90.0),
        lambda: line.on_target_seen(1201, 5000),
        lambda: line.on_pause("apim", "", 0.0),
    ):
        step()
        told.append(shown.note)

    asked = "; apim asked to wait 1 min 30 s: 429"
    assert told[0] == told[3].replace("1,201", "1,200") == "1,200 of 5,000"
    assert told[1].startswith(f"1,200 of 5,000{asked}")
    assert told[2].startswith(f"1,201 of 5,000{asked}")
    assert "\x1b" not in told[1]


def test_a_preview_that_has_seen_all_targets_and_goes_on_says_that_it_reads_further() -> None:
    shown = WorkLine("looks at the targets")

    LookLine(shown).on_target_seen(5000, 5000)

    assert shown.note == "5,000 of 5,000; further reads"
