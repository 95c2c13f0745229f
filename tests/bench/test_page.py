"""docs/benchmarks.md is written by the command, and names every goal and every floor."""

import re

import pytest
from msgspec.structs import replace

from bench.figures import Figure, Sizes, Standing, Unit, Yardstick
from bench.goals import YARDSTICKS
from bench.machine import describe_machine
from bench.page import PAGE, judge, write_page
from bench.parts import PARTS
from bench.readme import BEGIN, README, write_cost, write_into
from bench.results import RecordedFigure, Results, load_results

SIZES = Sizes(100, 3)


def record(name: str, *values: float, variant: str = "", absent: str = "") -> RecordedFigure:
    return RecordedFigure(Figure(name, variant, values, absent), describe_machine().when, SIZES)


def table_rows(page: str, heading: str) -> list[list[str]]:
    section = page.split(f"## {heading}\n")[1].split("\n## ", maxsplit=1)[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


@pytest.mark.source
def test_the_page_is_as_the_command_writes_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == write_page(load_results())


@pytest.mark.source
def test_the_readme_has_the_figures_of_the_page() -> None:
    readme = README.read_text(encoding="utf-8")

    assert BEGIN in readme
    assert readme == write_into(readme, load_results())


def test_the_readme_tells_the_worst_of_a_figure_and_what_was_not_measured() -> None:
    results = Results().replace_part(
        "requests", describe_machine(), [record("P13 ROMA", 1.01), record("P13 ROMA", 1.2)]
    )

    told = " ".join(write_cost(results).split())

    # The figure leaves out the reads of bindings, so the sentence has to say so.
    assert "sends 1.20 requests a target to ROMA, besides reading what is bound" in told
    assert "and (not measured yet) to Apinizer" in told


@pytest.mark.source
def test_the_page_names_every_goal_with_its_floor() -> None:
    rows = table_rows(PAGE.read_text(encoding="utf-8"), "Goals and floors")

    assert {f"P{number}" for number in range(1, 17)} <= {row[0].split()[0] for row in rows}
    for row in rows:
        stick = YARDSTICKS[row[0]]
        assert row[6:8] == [stick.show_bound(stick.goal), stick.show_bound(stick.floor)]
        assert row[8].strip("*") in {standing.value for standing in Standing}


def test_the_page_tells_median_spread_and_standing() -> None:
    machine = describe_machine()
    results = Results().replace_part("run", machine, [record("P1", 0.8, 0.9, 0.5), record("P2", 0.5)])
    (row,) = (row for row in table_rows(write_page(results), "Goals and floors") if row[0] == "P1")

    assert row[3:] == ["100 x 3", "0.80", "0.50 to 0.90", "0.85", "0.70", "goal missed", "1"]
    assert "Below their floors: P2." in write_page(results)


def test_a_part_that_is_measured_again_replaces_its_own_figures_alone() -> None:
    first, second = describe_machine(), replace(describe_machine(), when="2026-11-29 01:00 UTC")
    results = Results().replace_part("run", first, [record("P1", 0.5), record("P2", 0.5)])
    results = results.replace_part("parked", first, [record("P6", 40.0)])

    again = results.replace_part("run", second, [replace(record("P1", 0.9), session=second.when)])

    assert [(each.figure.name, each.session) for each in again.figures] == [
        ("P1", second.when),
        ("P6", first.when),
    ]
    assert list(again.sessions) == [first.when, second.when]


def test_a_tool_that_is_absent_is_named_as_absent() -> None:
    results = Results().replace_part(
        "curl", describe_machine(), [record("P10", variant="curl", absent="not installed here")]
    )
    (row,) = (row for row in table_rows(write_page(results), "Goals and floors") if row[0] == "P10")

    assert "not installed here" in row
    assert "P9 check, P10 (curl), P11" in write_page(results).split("Not measured here: ")[1]


@pytest.mark.parametrize(
    ("better", "value", "standing"),
    [
        ("less", 1.0, Standing.GOAL_REACHED),
        ("less", 1.004, Standing.GOAL_REACHED),
        ("less", 1.006, Standing.FLOOR_KEPT),
        ("less", 1.1, Standing.FLOOR_KEPT),
        ("less", 1.3, Standing.BELOW_FLOOR),
        ("more", 1.0, Standing.BELOW_FLOOR),
        ("more", 1.1, Standing.FLOOR_KEPT),
        ("more", 1.3, Standing.GOAL_REACHED),
    ],
)
def test_a_figure_is_judged_by_its_goal_and_its_floor(better: str, value: float, standing: Standing) -> None:
    bounds = (1.0, 1.2) if better == "less" else (1.2, 1.1)

    assert Yardstick("P0", "run", "", Unit.RATIO, *bounds, better).judge(value) is standing  # type: ignore[arg-type]


def test_the_goals_are_those_that_were_agreed() -> None:
    """The table of goals and floors, written out once more: a slip of a finger in one of the two is found."""
    agreed = {
        "P1": (0.85, 0.70), "P2": (1.10, 0.90), "P2 uvloop": (0.95, 0.80), "P3": (1.03, 1.12),
        "P3 refused": (0.01, 0.05), "P4": (1.01, 1.05), "P4 refused": (0, 0), "P5": (1.02, 1.10),
        "P6": (60, 200), "P7": (100, 200), "P7 looks": (100, 200),
        "P8": (1.8, 2.5), "P9": (2.2, 3.0), "P9 runs": (3.5, 5),
        "P9 check": (6, 9),
        "P10": (1.0, None), "P11": (1.5, 2.5), "P11 written": (0, None), "P12": (1.1, 1.2),
        "P12 looks": (1.1, 1.2),
        "P13 ROMA": (1.02, 1.10), "P13 Apinizer": (2.0, 2.1), "P13 report": (1.05, 1.15), "P14": (1.05, 1.25),
        "P15": (1.1, 1.5), "P16": (1.0, 2.0),
        "P17": (0.95, 0.90), "P17 page": (0.02, 0.05),
        "P18": (0.5, 0.35),
    }  # fmt: skip
    told = {
        name: (stick.goal, stick.floor)
        for name, stick in YARDSTICKS.items()
        if stick.goal is not None or stick.floor is not None
    }

    assert told == agreed


def test_the_page_tells_how_to_measure_each_part() -> None:
    commands = re.findall(r"`make bench PARTS=(\w+)`", write_page(Results()))

    assert commands == list(PARTS)
    assert judge(Figure("P1", "", (0.9,))) is Standing.GOAL_REACHED
