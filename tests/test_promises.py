"""Every promise has tests that prove it, and every long test says why it is long."""

from __future__ import annotations

import ast
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
PROMISES = TESTS.parent / "docs" / "promises.md"


def read_promise_numbers() -> list[int]:
    """Return the numbers of the list in docs/promises.md, in its order."""
    return [
        int(number) for number in re.findall(r"^(\d+)\. ", PROMISES.read_text(encoding="utf-8"), re.MULTILINE)
    ]


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def walk_near(root: ast.AST, lines: list[int]) -> Iterator[ast.AST]:
    """Yield the nodes that stand on one of the lines: a walk over all of the tests takes seconds."""
    for node in ast.iter_child_nodes(root):
        decorators = getattr(node, "decorator_list", ())
        first = min([each.lineno for each in decorators], default=getattr(node, "lineno", 0))
        last = getattr(node, "end_lineno", lines[-1])
        if bisect_left(lines, first) < bisect_right(lines, last):
            yield node
            yield from walk_near(node, lines)


@cache
def list_marks(path: Path) -> list[tuple[str, ast.expr]]:
    """Return each use of a mark in a file, as ``pytest.mark.long``, with its arguments where it has some."""
    text = path.read_text(encoding="utf-8")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if "pytest.mark." in line]
    found = walk_near(parse(path), lines) if lines else ()
    nodes = [node for node in found if isinstance(node, (ast.Call, ast.Attribute))]
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    return [
        (f"pytest.mark.{mark.attr}", node)
        for node in nodes
        if isinstance(mark := node.func if isinstance(node, ast.Call) else node, ast.Attribute)
        and isinstance(mark.value, ast.Attribute)
        and mark.value.attr == "mark"
        and id(node) not in called
    ]


def find_marks(name: str) -> Iterator[tuple[Path, ast.expr]]:
    """Yield each use of ``pytest.mark.<name>`` in the tests, with its arguments where it has some."""
    for path in sorted(TESTS.rglob("*.py")):
        yield from ((path, node) for mark, node in list_marks(path) if mark == f"pytest.mark.{name}")


def first_argument(mark: ast.expr) -> object:
    """Return what a mark was given; None for a mark without arguments."""
    if isinstance(mark, ast.Call) and mark.args and isinstance(mark.args[0], ast.Constant):
        return mark.args[0].value
    return None


def test_the_promises_are_numbered_in_order() -> None:
    numbers = read_promise_numbers()

    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers


def test_every_promise_has_tests_and_every_mark_names_a_promise() -> None:
    marked = {first_argument(mark) for _, mark in find_marks("promise")}

    assert marked == set(read_promise_numbers())


def test_every_mark_stands_on_a_test() -> None:
    """On anything else it marks nothing, and the mark that was meant is missing from a test."""
    marked = re.compile(r"^@pytest\.mark\.(?:.*\n)+?(?:async )?(?:def|class) (?P<name>\w+)", re.MULTILINE)
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(TESTS.rglob("*.py"))}
    found = [(path.name, each["name"]) for path, text in texts.items() for each in marked.finditer(text)]

    assert len(found) > 1000
    assert [each for each in found if not each[1].startswith(("test_", "Test"))] == []


def test_every_promise_has_a_test_that_is_not_long() -> None:
    """So that ``make test`` sees a promise break before ``make check`` does."""
    quick: set[object] = set()
    for path in sorted(TESTS.rglob("test_*.py")):
        module = parse(path)
        if any(
            "pytest.mark.long" in ast.unparse(node) for node in module.body if isinstance(node, ast.Assign)
        ):
            continue
        for node in module.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                marks = [ast.unparse(mark) for mark in node.decorator_list]
                if not any(mark.startswith("pytest.mark.long") for mark in marks):
                    quick.update(
                        first_argument(mark)
                        for mark in node.decorator_list
                        if ast.unparse(mark).startswith("pytest.mark.promise(")
                    )

    assert quick >= set(read_promise_numbers())


def test_every_long_test_says_why_it_is_long() -> None:
    silent = [
        f"{path.relative_to(TESTS)}:{mark.lineno}"
        for path, mark in find_marks("long")
        if not isinstance(first_argument(mark), str)
    ]

    assert silent == []
