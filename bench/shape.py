"""What shape the code is in, measured over its syntax trees: rooms, names, functions, comments, words.

    python -m bench.shape [PACKAGE ...]

Prints one column a package (default: orchestrator), so that a tree can be compared with an older one of
itself, or with the package of another project. Nothing is imported; PACKAGE is a folder.
"""

from __future__ import annotations

import ast
import io
import re
import statistics
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

# Words that end in "ed" and are no participles, and participles that do not.
_NO_PARTICIPLES = frozenset({"bed", "embed", "exceed", "feed", "need", "proceed", "seed", "speed"})
_IRREGULAR = frozenset(
    {
        "begun", "bound", "broken", "brought", "built", "chosen", "drawn", "driven", "found", "given",
        "gone", "held", "hidden", "kept", "known", "left", "lost", "made", "meant", "paid", "said", "seen",
        "sent", "shown", "spent", "spoken", "sought", "taken", "taught", "thought", "told", "undone",
        "written",
    }
)  # fmt: skip

# A sentence's subject that names no actor.
_BARE = {
    "what": re.compile(r"\bwhat\b", re.IGNORECASE),
    "nobody, somebody": re.compile(r"\b(?:nobody|somebody)\b", re.IGNORECASE),
}


class Tree(NamedTuple):
    """The modules of a package, by their dotted names below it."""

    name: str
    modules: Mapping[str, ast.Module]
    texts: Mapping[str, str]

    def nodes(self) -> Iterator[ast.AST]:
        """Yield every node of every module."""
        for module in self.modules.values():
            yield from ast.walk(module)

    def functions(self) -> list[Function]:
        """Return every function and method."""
        return [node for node in self.nodes() if isinstance(node, Function)]


def read_tree(package: Path) -> Tree:
    """Read the package in a folder."""
    texts = {
        ".".join(path.relative_to(package).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in sorted(package.rglob("*.py"))
    }
    return Tree(package.name, {name: ast.parse(text) for name, text in texts.items()}, texts)


def count_root_modules(tree: Tree) -> int:
    """Count the modules that stand in the package's root."""
    return sum("." not in name for name in tree.modules)


def _class_names(tree: Tree) -> list[str]:
    return [node.name.lstrip("_") for node in tree.nodes() if isinstance(node, ast.ClassDef)]


def share_of_one_word_classes(tree: Tree) -> float:
    """Return the share of class names that are one word."""
    names = set(_class_names(tree))
    return sum(len(re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*", name)) == 1 for name in names) / len(names)


def count_homonyms(tree: Tree) -> int:
    """Count the class names that more than one class has."""
    return sum(count > 1 for count in Counter(_class_names(tree)).values())


def share_of_participles(tree: Tree) -> float:
    """Return the share of functions whose name begins with a participle instead of a verb."""
    names = [function.name.strip("_") for function in tree.functions() if not function.name.startswith("__")]
    return sum(map(_is_participle, names)) / len(names)


def _is_participle(name: str) -> bool:
    first = name.split("_", maxsplit=1)[0]
    return first in _IRREGULAR or (first.endswith("ed") and first not in _NO_PARTICIPLES)


def _body_lines(function: Function) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body and body[-1].end_lineno else 0


def median_body(tree: Tree) -> float:
    """Return the median number of lines of a function's body, docstring apart."""
    return statistics.median(map(_body_lines, tree.functions()))


def ninth_decile_of_bodies(tree: Tree) -> float:
    """Return the 90th percentile of the lines of a function's body, docstring apart."""
    return statistics.quantiles(map(_body_lines, tree.functions()), n=10)[-1]


def longest_body(tree: Tree) -> int:
    """Return the lines of the longest body."""
    return max(map(_body_lines, tree.functions()))


def share_of_documented(tree: Tree) -> float:
    """Return the share of public functions, methods and classes that have a docstring."""
    public = [
        node
        for node in tree.nodes()
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_")
    ]
    return sum(ast.get_docstring(node) is not None for node in public) / len(public)


def share_of_many_parameters(tree: Tree) -> float:
    """Return the share of functions with more than five parameters, ``self`` apart."""
    return sum(_parameters(function) > 5 for function in tree.functions()) / len(tree.functions())


def _parameters(function: Function) -> int:
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in given)


def share_of_comments(tree: Tree) -> float:
    """Return the share of lines that are comments and nothing else."""
    comments = lines = 0
    for text in tree.texts.values():
        lines += len(text.splitlines())
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        comments += sum(
            token.type == tokenize.COMMENT and token.line.lstrip().startswith("#") for token in tokens
        )
    return comments / lines


def _docstrings(tree: Tree) -> Iterator[str]:
    for node in tree.nodes():
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.value.value


def bare_subjects(tree: Tree, word: str) -> float:
    """Return how often ``word`` stands in 10,000 words of docstrings."""
    text = " ".join(_docstrings(tree))
    return 10_000 * len(_BARE[word].findall(text)) / len(text.split())


def imports_between_rooms(tree: Tree) -> dict[str, set[str]]:
    """Return which room imports which others; a room is a package, or a module, in the root."""
    rooms = {name.split(".")[0] for name in tree.modules} - {"__init__", "__main__"}
    found: dict[str, set[str]] = {room: set() for room in rooms}
    for name, module in tree.modules.items():
        room = name.split(".")[0]
        if room in rooms:
            found[room] |= {
                other for other in _imported_rooms(tree.name, module) if other in rooms and other != room
            }
    return found


def _imported_rooms(package: str, module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{package}."):
            yield node.module.split(".")[1]


def count_rooms(tree: Tree) -> int:
    """Count the packages and modules in the root."""
    return len(imports_between_rooms(tree))


def count_arrows(tree: Tree) -> int:
    """Count the pairs of rooms of which one imports the other."""
    return sum(map(len, imports_between_rooms(tree).values()))


def _circles(arrows: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    """Return for each room those that it reaches and that reach it, itself among them."""

    def reached(start: str) -> set[str]:
        found, ahead = {start}, [start]
        while ahead:
            new = arrows[ahead.pop()] - found
            found |= new
            ahead += new
        return found

    reach = {room: reached(room) for room in arrows}
    return {room: frozenset(other for other in reach[room] if room in reach[other]) for room in arrows}


def count_circles(tree: Tree) -> int:
    """Count the groups of rooms that import one another in a circle."""
    return len({circle for circle in _circles(imports_between_rooms(tree)).values() if len(circle) > 1})


def count_floors(tree: Tree) -> int:
    """Return how many rooms stand one above the other at the most; a circle counts as one."""
    arrows = imports_between_rooms(tree)
    circle_of = _circles(arrows)
    below: dict[frozenset[str], set[frozenset[str]]] = defaultdict(set)
    for room, others in arrows.items():
        below[circle_of[room]] |= {circle_of[other] for other in others} - {circle_of[room]}

    def height(circle: frozenset[str]) -> int:
        return 1 + max((height(other) for other in below[circle]), default=0)

    return max(map(height, set(circle_of.values())))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _number(value: float) -> str:
    return f"{value:,.0f}"


ROWS: dict[str, Callable[[Tree], str]] = {
    "modules in the package's root": lambda tree: _number(count_root_modules(tree)),
    "class names of one word": lambda tree: _percent(share_of_one_word_classes(tree)),
    "class names with several meanings": lambda tree: _number(count_homonyms(tree)),
    "functions named by a participle": lambda tree: _percent(share_of_participles(tree)),
    "comment lines": lambda tree: _percent(share_of_comments(tree)),
    '"what" per 10,000 docstring words': lambda tree: _number(bare_subjects(tree, "what")),
    '"nobody", "somebody" per 10,000': lambda tree: _number(bare_subjects(tree, "nobody, somebody")),
    "lines of a body, median": lambda tree: _number(median_body(tree)),
    "lines of a body, 90th percentile": lambda tree: _number(ninth_decile_of_bodies(tree)),
    "lines of the longest body": lambda tree: _number(longest_body(tree)),
    "public docstrings": lambda tree: _percent(share_of_documented(tree)),
    "more than five parameters": lambda tree: _percent(share_of_many_parameters(tree)),
    "rooms": lambda tree: _number(count_rooms(tree)),
    "arrows between rooms": lambda tree: _number(count_arrows(tree)),
    "floors": lambda tree: _number(count_floors(tree)),
    "circles": lambda tree: _number(count_circles(tree)),
}


def main() -> None:
    """Print the table."""
    packages = [Path(given) for given in sys.argv[1:]] or [Path("orchestrator")]
    trees = [read_tree(package) for package in packages]
    print(f"{'':36}" + "".join(f"{str(package)[-24:]:>26}" for package in packages))
    for title, measure in ROWS.items():
        print(f"{title:36}" + "".join(f"{measure(tree):>26}" for tree in trees))


if __name__ == "__main__":
    main()
