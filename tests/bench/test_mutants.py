"""A mutant changes one place of what runs, and says which."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bench.mutants.modules import list_modules
from bench.mutants.reasons import FOLDER, read_reasons
from bench.mutants.relevance import Record, RecordedTest
from bench.mutants.sites import make_mutants
from bench.mutants.swap import swap_function

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
    record = Record((quick, slow), 0.3, at_import=frozenset())
    chosen = {mutant.name: record.choose(mutant) for mutant in make_mutants(source)}

    assert chosen == {
        "module: LIMIT = 5 -> LIMIT = 6": (quick.id, slow.id),
        "f: a=1 -> a=2": (quick.id, slow.id),
        "f: return a -> return None": (quick.id, slow.id),
        "C: x: int = 0 -> x: int = 1": (quick.id, slow.id),
        "C.g: return 2 -> return None": (slow.id,),
        "C.g: return 2 -> return 3": (slow.id,),
    }


class _Gauge:
    def __init__(self, most: int) -> None:
        self.most = most

    @property
    def is_full(self) -> bool:
        return self.most <= 3


def _measure(most: int) -> bool:
    return _Gauge(most).is_full


@pytest.fixture
def here() -> Iterator[ModuleType]:
    """This module, as it was before a mutant's code took a place in it."""
    before = [(function, function.__code__) for function in (_measure, _Gauge.__init__, _Gauge.is_full.fget)]
    yield sys.modules[__name__]
    for function, code in before:
        function.__code__ = code


def test_a_mutant_takes_the_place_of_its_function_in_an_imported_module(here: ModuleType) -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    mutants = {mutant.name: mutant for mutant in make_mutants(source)}
    assert (_measure(3), _measure(4)) == (True, False)

    assert swap_function(here, mutants["_Gauge.is_full: return self.most <= 3 -> return self.most < 3"])
    assert (_measure(3), _measure(4)) == (False, False)
    assert swap_function(here, mutants["_measure: return _Gauge(most).is_full -> return None"])
    assert _measure(2) is None


def test_what_the_import_makes_of_a_module_needs_a_new_import(here: ModuleType) -> None:
    mutants = make_mutants("LIMIT = 5\n\ndef _measure(most=1):\n    pass\n")

    assert [swap_function(here, mutant) for mutant in mutants] == [False, False]


def test_a_reason_that_says_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('["rules/pace.py"]\n"f: a -> b" = " "\n', encoding="utf-8")

    with pytest.raises(ValueError, match="no reason for f: a -> b"):
        read_reasons(tmp_path)


@pytest.mark.source
def test_each_reason_is_for_a_module_that_decides_and_stands_in_its_package() -> None:
    paths = {module.path for module in list_modules()}

    files = [*FOLDER.glob("*.toml")]
    assert files
    for file in files:
        for path in tomllib.loads(file.read_text(encoding="utf-8")):
            assert path in paths
            assert path.startswith(f"{file.stem}/")
