"""Positions count characters, as editors do, whatever their width and however many bytes they take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
