"""Bars do not lie: no failure is rounded away, nothing unfinished looks finished, and no colour is needed."""

from itertools import combinations

import pytest
from rich.color import Color

from orchestrator.display.bars import LEAST_CELLS, draw_bar, share_cells
from orchestrator.display.palette import ALREADY, DOWN, FAILED, NOT_STARTED, TO_COME, UNKNOWN, CellLook
from orchestrator.model.outcome import Outcome
from orchestrator.text.charset import fit_charset

LOOKS = (DOWN, ALREADY, FAILED, UNKNOWN, NOT_STARTED, TO_COME)
SEEN = {
    # What an eye without one kind of cones sees of linear red, green and blue (Viénot, Brettel, Mollon 1999).
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1)),
    "deuteranopia": ((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1)),
}


@pytest.mark.parametrize(
    ("counts", "cells", "expected"),
    [
        ([1, 1, 1], 10, [4, 3, 3]),
        ([1, 999_999], 10, [1, 9]),
        ([1, 1, 999_998], 10, [1, 1, 8]),
        ([0, 0], 10, [0, 0]),
        ([5, 0, 5], 10, [5, 0, 5]),
        ([1, 1, 1, 1], 2, [1, 1, 0, 0]),
    ],
)
def test_cells_are_shared_by_the_largest_remainder(
    counts: list[int], cells: int, expected: list[int]
) -> None:
    assert share_cells(counts, cells) == expected


@pytest.mark.parametrize("cells", [8, 13, 20, 97])
@pytest.mark.parametrize("failed", [1, 3, 50])
def test_a_bar_has_its_width_a_cell_for_each_failure_and_is_full_only_at_the_end(
    cells: int, failed: int
) -> None:
    outcomes = {Outcome.UNDEPLOYED: 99_999 - failed, Outcome.FAILED: failed, Outcome.UNKNOWN: 1}
    going, over = (draw_bar(outcomes, total, cells) for total in (100_001, 100_000))

    assert going.cell_len == over.cell_len == cells
    assert all(FAILED.character in bar.plain and UNKNOWN.character in bar.plain for bar in (going, over))
    assert TO_COME.character in going.plain
    assert TO_COME.character not in over.plain


def test_too_few_cells_draw_no_bar() -> None:
    assert draw_bar({Outcome.FAILED: 1}, 2, LEAST_CELLS - 1).plain == ""


def test_each_outcome_has_a_character_of_its_own_in_ascii_too() -> None:
    assert len({look.character for look in LOOKS}) == len(LOOKS)
    assert len({fit_charset(look.character, "ascii") for look in LOOKS}) == len(LOOKS)


@pytest.mark.parametrize("eyes", SEEN)
def test_failed_and_unknown_differ_from_the_good_ones_in_light_for_any_eye(eyes: str) -> None:
    """The contrast of what fills a cell; in grey it is that of all cones, whose luminance is the grey."""
    light = {look.character: measure_luminance(fill(look), eyes) for look in LOOKS}

    for alarming, calm in (
        (FAILED, DOWN), (FAILED, ALREADY), (UNKNOWN, DOWN), (UNKNOWN, ALREADY), (FAILED, UNKNOWN)
    ):  # fmt: skip
        assert contrast(light[alarming.character], light[calm.character]) >= 1.5, (alarming, calm)


@pytest.mark.parametrize("look", [FAILED, UNKNOWN])
def test_the_characters_of_failed_and_unknown_are_readable_on_their_own_background(look: CellLook) -> None:
    front, back = (measure_luminance(color, "all cones") for color in split(look.bar_style))

    assert contrast(front, back) >= 4.5


def test_no_two_colours_are_the_same() -> None:
    assert all(fill(one) != fill(other) for one, other in combinations(LOOKS, 2))


def split(style: str) -> list[Color]:
    return [Color.parse(word) for word in style.split() if word.startswith("color")]


def fill(look: CellLook) -> Color:
    """Return the colour that most of the cell has: its background, or the block in it."""
    return split(look.bar_style)[-1]


def measure_luminance(color: Color, eyes: str) -> float:
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (part / 255 for part in color.get_truecolor())
    ]
    seen = [sum(weight * part for weight, part in zip(row, linear, strict=True)) for row in SEEN[eyes]]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), seen, strict=True))


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
