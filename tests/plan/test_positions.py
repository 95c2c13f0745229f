"""Positions count characters, as editors do, whatever their width and however many bytes they take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.plan.position_map import PositionMap
from orchestrator.plan.problems import FilePosition
from tests.support.names import NAMES
from tests.support.plans import HEAD, read_one_problem


@pytest.mark.parametrize("name", NAMES)
def test_a_column_behind_a_name_counts_its_characters(tmp_path: Path, name: str) -> None:
    entry = f"  - {{gateway: apim, project: {NAMES[name]}, proxy: .., environment: e}}"

    found = read_one_problem(tmp_path, f"{HEAD}targets:\n{entry}\n")

    line = HEAD.count("\n") + 2
    assert found.startswith(f"plan.yaml:{line}:{entry.index('..') + 1} targets[0].proxy: ")


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_named_and_its_row_told(tmp_path: Path, name: str) -> None:
    table = f"{NAMES[name]}.csv"
    (tmp_path / table).write_text(f"project,proxy,environment\n{NAMES[name]},..,e\n", encoding="utf-8-sig")
    entry = json.dumps({"gateway": "apim", "from_file": table}, ensure_ascii=False)

    found = read_one_problem(tmp_path, f"{HEAD}targets:\n  - {entry}\n")

    assert found.startswith(f"{table}:2:")
    assert '".." would vanish' in found


@pytest.mark.parametrize("name", NAMES)
def test_a_message_repeats_a_name_as_it_is_written(tmp_path: Path, name: str) -> None:
    text = NAMES[name][:20]

    found = read_one_problem(tmp_path, f"{HEAD}targets:\n  - {{gateway: roma, ld_api_id: '{text}'}}\n")

    assert f'"{text}" is not an id of ROMA' in found


FURTHER = {"next line": "\x85", "line separator": "\u2028", "paragraph separator": "\u2029"}


@pytest.mark.parametrize("name", FURTHER)
def test_what_ends_a_line_for_yaml_alone_moves_no_position(tmp_path: Path, name: str) -> None:
    end = FURTHER[name]
    entry = f"  - {{gateway: apim, {end} project: P, proxy: .., environment: e}}"
    plan = f"# one{end}# two{end}\n{HEAD}targets: # three{end}\n{entry}\n"

    found = read_one_problem(tmp_path, plan)

    line = HEAD.count("\n") + 3
    assert found.startswith(f"plan.yaml:{line}:{entry.index('..') + 1} targets[0].proxy: ")


@pytest.mark.parametrize("name", FURTHER)
def test_an_error_of_yaml_behind_such_an_end_has_its_line_and_its_hint(tmp_path: Path, name: str) -> None:
    plan = f'# one{FURTHER[name]}\n{HEAD}targets: "open\n\n'

    found = read_one_problem(tmp_path, plan)

    begun = HEAD.count("\n") + 2
    assert found.startswith(f"plan.yaml:{begun + 2}:1 cannot be read as YAML: found unexpected end of stream")
    assert f"that begins at line {begun})" in found


def test_a_pair_of_escapes_has_its_twelve_columns(tmp_path: Path) -> None:
    pair = r"\ud83d\ude00"
    entry = f'  - {{"gateway": "apim", "project": "{pair} {pair}", "proxy": "..", "environment": "{pair}"}}'

    found = read_one_problem(tmp_path, f"{HEAD}targets:\n{entry}\n")

    line = HEAD.count("\n") + 2
    assert found.startswith(f"plan.yaml:{line}:{entry.index('..')} targets[0].proxy: ")


def test_pairs_and_further_ends_in_one_line_add_up(tmp_path: Path) -> None:
    pair = r"\ud83d\ude00"
    path = tmp_path / "plan.yaml"
    path.write_text(f'\ufeffa: "{pair}\x85{pair}x" # {pair}\u2028\nb: "{pair}y"\n', encoding="utf-8")
    correct = PositionMap(path).correct
    first, second = f'a: "{pair}|{pair}x" # {pair}|', f'b: "{pair}y"'

    told = {
        (1, 1): (1, 1),
        (1, 5): (1, 5),
        (2, 11): (1, first.index("x") + 1),
        (2, 13): (1, first.index("x") + 3),
        (3, 1): (1, len(first) + 1),
        (4, 15): (2, second.index("y") + 1),
        (9, 7): (7, 7),
    }
    for (line, column), own in told.items():
        found = correct(FilePosition(0, line, column))
        assert (found.line, found.column) == own


def test_a_plan_that_has_gone_meanwhile_moves_no_position(tmp_path: Path) -> None:
    at = FilePosition(0, 3, 4)

    assert PositionMap(tmp_path / "gone.yaml").correct(at) == at
