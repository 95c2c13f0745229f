"""The last table of a run: nothing of it is cut off, however narrow the terminal is."""

from io import StringIO

import pytest
from rich.console import Console

from orchestrator.commands.terminal.run_display import print_table
from orchestrator.display.summary import UNDEPLOY_HEADINGS

CALM = ("12", "12", "0", "0", "0", "0", "14", "2")
BUSY = ("1,401", "700", "200", "101", "100", "300", "2,450", "148")


def draw_table(width: int, *rows: tuple[str, ...]) -> str:
    out = StringIO()
    print_table(UNDEPLOY_HEADINGS, [("roma-eu", *row) for row in rows], Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize(
    ("width", "row", "missing"),
    [
        (100, CALM, set()),
        (80, CALM, {"already", "failed", "unknown", "not started"}),
        (100, BUSY, set()),
        (80, BUSY, {"requests", "retries"}),
    ],
)
def test_a_narrow_terminal_has_fewer_columns_and_whole_ones(
    width: int, row: tuple[str, ...], missing: set[str]
) -> None:
    shown = draw_table(width, row)

    assert "…" not in shown
    assert {heading for heading in UNDEPLOY_HEADINGS if heading not in shown} == missing
    assert all(
        cell in shown
        for heading, cell in zip(UNDEPLOY_HEADINGS[1:], row, strict=True)
        if heading not in missing
    )


def test_a_count_of_one_gateway_keeps_its_column() -> None:
    shown = draw_table(80, CALM, (*CALM[:3], "1", *CALM[4:]))

    assert "failed" in shown
    assert "unknown" not in shown
