"""A mutant changes one place of what runs, and says which."""

import ast
import tomllib
from pathlib import Path

import pytest

from bench.mutants.modules import list_modules
from bench.mutants.reasons import FOLDER, read_reasons
from bench.mutants.relevance import Record, RecordedTest
from bench.mutants.sites import make_mutants

SOURCE = '''
"""A module."""
from __future__ import annotations
LIMIT = 5

def admit(count: int, ended: bool = False) -> bool:
    """Say 1 or 2."""
    if ended and count < LIMIT:
        note(count)
        return True
    return not ended
'''


@pytest.mark.parametrize(
    "name",
    [
        "module: LIMIT = 5 -> LIMIT = 6",
        "admit: ended and count < LIMIT -> ended or count < LIMIT",
        "admit: ended and count < LIMIT -> ended and count <= LIMIT",
        "admit: ended and count < LIMIT -> not (ended and count < LIMIT)",
        "admit: note(count) -> pass",
        "admit: return True -> return False",
        "admit: return not ended -> return None",
        "admit: return not ended -> return not not ended",
        "admit: count: int, ended: bool=False -> count: int, ended: bool=True",
    ],
)
def test_a_place_that_decides_is_changed(name: str) -> None:
    assert name in [mutant.name for mutant in make_mutants(SOURCE)]


def test_each_mutant_is_another_module_and_has_a_name_of_its_own() -> None:
    mutants = make_mutants(SOURCE)
    same = ast.unparse(ast.parse(SOURCE))

    assert len({mutant.source for mutant in mutants}) == len(mutants)
    assert len({mutant.name for mutant in mutants}) == len(mutants)
    assert all(mutant.source != same for mutant in mutants)


def test_what_only_types_and_documents_is_left_alone() -> None:
    told = make_mutants(
        'from typing import TypeAlias\n\ndef run(count: "1 + 2") -> None:\n    """Say 1."""\n'
    )

    assert told == []


@pytest.mark.source
def test_each_module_that_decides_is_there_with_its_tests() -> None:
    for module in list_modules():
        assert module.file.is_file(), module.path
        assert module.tests, module.path


def test_a_change_is_made_once() -> None:
    made = [mutant.name for mutant in make_mutants("def f(a):\n    if a is None:\n        return False\n")]

    assert made == ["f: a is None -> a is not None", "f: return False -> return True"]


def test_a_mutant_is_judged_by_the_tests_that_run_its_function_the_fastest_first() -> None:
    source = (
        "LIMIT = 5\ndef f(a=1):\n    return a\nclass C:\n    x: int = 0\n    def g(self):\n        return 2\n"
    )
    quick = RecordedTest("t.py::quick", 0.1, frozenset({"f"}))
    slow = RecordedTest("t.py::slow", 0.2, frozenset({"f", "C.g"}))
    record = Record((quick, slow), at_import=frozenset(), seconds=0.3)
    chosen = {mutant.name: record.choose(mutant) for mutant in make_mutants(source)}

    assert chosen == {
        "module: LIMIT = 5 -> LIMIT = 6": (quick.id, slow.id),
        "f: a=1 -> a=2": (quick.id, slow.id),
        "f: return a -> return None": (quick.id, slow.id),
        "C: x: int = 0 -> x: int = 1": (quick.id, slow.id),
        "C.g: return 2 -> return None": (slow.id,),
        "C.g: return 2 -> return 3": (slow.id,),
    }


def test_a_reason_that_says_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('["rules/pace.py"]\n"f: a -> b" = " "\n', encoding="utf-8")

    with pytest.raises(ValueError, match="no reason for f: a -> b"):
        read_reasons(tmp_path)


@pytest.mark.source
def test_each_reason_is_for_a_module_that_decides_and_stands_in_its_package() -> None:
    paths = {module.path for module in list_modules()}

    for file in FOLDER.glob("*.toml"):
        for path in tomllib.loads(file.read_text(encoding="utf-8")):
            assert path in paths
            assert path.startswith(f"{file.stem}/")
