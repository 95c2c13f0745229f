"""Widths are those of the terminal's cells, and no letter is cut in two."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from orchestrator.text.cells import cut_to_width, fill_left, fill_right, measure_width
from orchestrator.text.columns import align_columns
from tests.support.names import ACCENTS_APART, CHINESE, NAMES, RARE_CHINESE, TURKISH


@pytest.mark.parametrize("name", NAMES)
def test_a_width_is_the_one_that_the_live_picture_counts_with(name: str) -> None:
    assert measure_width(NAMES[name]) == cell_len(NAMES[name])


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("", 0),
        ("plain", 5),
        ("支付", 4),
        ("e\u0301", 1),
        (RARE_CHINESE, 8),
        ("\u1112\u1161\u11ab", 2),
        ("\U000323af", 2),
        ("\u0378", 1),
    ],
    ids=str,
)
def test_wide_characters_take_two_cells_and_accents_none(text: str, width: int) -> None:
    assert measure_width(text) == width


def test_columns_stand_below_each_other_whatever_the_script() -> None:
    rows = [(name, f"{place}", "end") for place, name in enumerate(NAMES.values())]

    lines = list(align_columns(rows))

    assert len({measure_width(line) for line in lines}) == 1
    assert [line.split("  ")[0] for line in lines] == list(NAMES.values())


def test_what_is_filled_up_is_as_wide_as_asked_for() -> None:
    assert fill_right("支付", 6) == "支付  "
    assert fill_left(ACCENTS_APART, 18) == f"  {ACCENTS_APART}"
    assert fill_right(CHINESE, 3) == CHINESE


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_leaves_whole_letters(name: str) -> None:
    text = NAMES[name]
    for width in range(measure_width(text) + 2):
        cut = cut_to_width(text, width)
        rest = text.removeprefix(cut)
        assert measure_width(cut) in (width - 1, width) or not rest
        assert text == cut + rest
        assert not rest or measure_width(rest[0]) > 0


def test_a_short_text_is_not_cut() -> None:
    assert cut_to_width(TURKISH, 80) == TURKISH
