"""The places of a module where a mutant changes one thing, and the module with that change."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import zip_longest

from msgspec import Struct
from msgspec.structs import replace

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
_LONG = 70
_DEAD = ("annotation", "returns", "decorator_list", "bases", "type_comment")
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


class Mutant(Struct, frozen=True):
    """A module with one change. ``name`` is where and what: ``decide: a < b -> a <= b``."""

    name: str
    source: str
    function: str | None
    """The function whose run the change concerns; None for what is run when the module is imported."""


def make_mutants(source: str) -> list[Mutant]:
    """Return each mutant of a module, in the order of its text; two changes of one name are numbered."""
    tree = ast.parse(source)
    made, seen = [], dict[str, int]()
    for change in list(_list_changes(tree)):
        name = change.apply()
        seen[name] = seen.get(name, 0) + 1
        label = name if seen[name] == 1 else f"{name} ({seen[name]})"
        made.append(Mutant(label, ast.unparse(ast.fix_missing_locations(tree)), change.function))
        change.swap()
    return made


class _Change:
    """One change that is not made yet: ``node`` gets ``after`` in one of its fields, or in a list's place.

    ``shown`` is what the name shows before and after: the statement, or the condition, that changes.
    """

    def __init__(
        self, site: _Site, node: ast.AST, field: str, after: object, index: int | None = None
    ) -> None:
        self._site = site
        self._node = node
        self._field = field
        self._after = after
        self._index = index

    @property
    def function(self) -> str | None:
        """The function that changes; None outside of functions."""
        return self._site.place if self._site.is_function else None

    def apply(self) -> str:
        """Make the change, and return its name; ``swap`` takes it back."""
        before = " ".join(ast.unparse(self._find_shown()).split())
        self.swap()
        after = " ".join(ast.unparse(self._find_shown()).split())
        return f"{self._site.place}: {_cut(before, after)} -> {_cut(after, before)}"

    def swap(self) -> None:
        """Make the change, or take it back."""
        present = getattr(self._node, self._field)
        if self._index is None:
            setattr(self._node, self._field, self._after)
            self._after = present
        else:
            present[self._index], self._after = self._after, present[self._index]

    def _find_shown(self) -> ast.AST:
        if self._index is not None:
            found: ast.AST = getattr(self._node, self._field)[self._index]
            return found
        if isinstance(self._node, ast.If | ast.While):
            return self._node.test
        return self._site.shown or self._node


class _Site(Struct, frozen=True):
    """Where a node is: its function, and the statement or the condition around it."""

    place: str
    shown: ast.AST | None = None
    is_function: bool = False

    def enter(self, node: ast.AST) -> _Site:
        """Return the site of a node below this one."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            place = node.name if self.place == "module" else f"{self.place}.{node.name}"
            return _Site(place, is_function=not isinstance(node, ast.ClassDef))
        if isinstance(node, ast.arguments):  # defaults belong to the import, not to the run
            return replace(self, shown=node, is_function=False)
        if isinstance(node, ast.stmt):
            return replace(self, shown=None if hasattr(node, "body") else node)
        return self if self.shown is not None else replace(self, shown=node)


def _cut(text: str, other: str) -> str:
    """Return the text, or where it is long what is around its first difference from the other one."""
    if len(text) <= _LONG:
        return text
    same = next(place for place, pair in enumerate(zip_longest(text, other)) if pair[0] != pair[1])
    begin = max(0, min(same - _LONG // 2, len(text) - _LONG))
    return f"{'...' * (begin > 0)}{text[begin : begin + _LONG]}{'...' * (begin + _LONG < len(text))}"


def _list_changes(tree: ast.Module) -> Iterator[_Change]:
    yield from _change_body(tree, _Site("module"))


def _change_body(node: ast.AST, site: _Site) -> Iterator[_Change]:
    """Yield the changes below a node."""
    for child in _list_live_children(node):
        inner = site.enter(child)
        yield from _change_node(child, inner)
        yield from _change_body(child, inner)


def _list_live_children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the children that run: no annotation, no docstring, no import, no decorator."""
    for name, value in ast.iter_fields(node):
        if name in _DEAD or (name == "keywords" and isinstance(node, ast.ClassDef)):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST) and not _is_dead(each):
                yield each


def _is_dead(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Raise | ast.Assert):
        return True
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    is_strict = (
        isinstance(node, ast.keyword) and node.arg == "strict"
    )  # of zip: lengths that are equal anyway
    is_type = isinstance(node, ast.Assign) and _is_type_name(node)
    return is_text or is_strict or is_type or _is_for_types(node)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_type_name(node: ast.Assign) -> bool:
    """Return whether an assignment only names a type: ``Step = SendStep | TargetEnd``."""
    target, value = node.targets[0], node.value
    named = isinstance(target, ast.Name) and target.id.lstrip("_")[:1].isupper() and not target.id.isupper()
    return named and isinstance(value, ast.BinOp | ast.Subscript | ast.Name | ast.Call)


def _change_node(node: ast.AST, site: _Site) -> Iterator[_Change]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in _COMPARISONS:
            yield _Change(site, node, "ops", [_COMPARISONS[type(op)]()])
        case ast.BoolOp(op=op):
            yield _Change(site, node, "op", ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _ARITHMETIC:
            yield _Change(site, node, "op", _ARITHMETIC[type(op)]())
        case ast.UnaryOp(op=ast.Not()):
            yield _Change(site, node, "operand", ast.UnaryOp(ast.Not(), node.operand))
        case ast.Constant(value=bool() | int() | float() as value):
            yield _Change(site, node, "value", not value if isinstance(value, bool) else value + 1)
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            yield _Change(site, node, "func", ast.Name(_CALLS[name], ast.Load()))
        case ast.Return(value=ast.expr() as value) if not _is_none_or_bool(value):
            yield _Change(site, node, "value", ast.Constant(None))
        case ast.If() | ast.While() | ast.IfExp() if not _is_negated_by_change(node.test):
            yield _Change(site, node, "test", ast.UnaryOp(ast.Not(), node.test))
    yield from _drop_statements(node, site)


def _is_none_or_bool(value: ast.expr) -> bool:
    """Return whether None in the place of this value changes nothing that its own change does not."""
    return isinstance(value, ast.Constant) and (value.value is None or isinstance(value.value, bool))


def _is_negated_by_change(test: ast.expr) -> bool:
    """Return whether a condition has a change of its own that says its contrary."""
    match test:
        case ast.Compare(ops=[ast.Eq() | ast.NotEq() | ast.Is() | ast.IsNot() | ast.In() | ast.NotIn()]):
            return True
        case ast.UnaryOp(op=ast.Not()):
            return True
    return False


def _drop_statements(node: ast.AST, site: _Site) -> Iterator[_Change]:
    """Yield a change for each statement below ``node`` that may be left out, and each loop's way on."""
    for field in ("body", "orelse", "finalbody"):
        body = getattr(node, field, None)
        if not isinstance(body, list):
            continue
        for index, statement in enumerate(body):
            if isinstance(statement, ast.Continue):
                yield _Change(site, node, field, ast.Break(), index)
            elif isinstance(statement, ast.Break):
                yield _Change(site, node, field, ast.Continue(), index)
            elif _may_be_dropped(statement):
                yield _Change(site, node, field, ast.Pass(), index)


def _may_be_dropped(statement: ast.stmt) -> bool:
    call = isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant)
    return call or isinstance(statement, ast.AugAssign | ast.Delete)
