"""Write the events of `--events` into docs/events.md, from the types themselves.

    python -m docs.events          write them
    python -m docs.events --check  only tell whether they are as the code is

Types come from the fields of model/events.py, sentences from its docstrings: that of the event, and the one
below each field.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from msgspec import Struct
from msgspec import inspect as types

from docs.made_part import MadePart
from orchestrator.model import events

PAGE = Path(__file__).parent / "events.md"


COMMON = {
    "run": "The id of the run.",
    "plan": "The plan's name.",
    "target": "The target's id.",
    "gateway": "The gateway's name in the plan.",
    "wave": "The wave's name.",
    "act": "The purpose of the request.",
    "outcome": "As in report.json.",
    "reason": "Why, for people.",
    "text": "For people.",
}
"""What a field holds whose docstring would say the same in each event."""


def list_events() -> list[type[Struct]]:
    """Return the first line of a stream, and the events, in their order."""
    return [events.StreamBegun, *get_args(events.AnyEvent)]


def list_parts() -> list[type[Struct]]:
    """Return the structs that stand in fields of events, in the order in which they come up."""
    found: dict[type[Struct], None] = {}
    for event in list_events():
        for inner in _list_structs(types.type_info(event)):
            found[inner] = None
    return [struct for struct in found if struct not in list_events()]


def _list_structs(info: types.Type) -> Iterator[type[Struct]]:
    if isinstance(info, types.StructType):
        yield info.cls
        inner: tuple[types.Type, ...] = tuple(field.type for field in info.fields)
    else:
        inner = _list_inner(info)
    for each in inner:
        yield from _list_structs(each)


def _list_inner(info: types.Type) -> tuple[types.Type, ...]:
    match info:
        case types.UnionType(types=inner):
            return inner
        case types.DictType(key_type=key, value_type=value):
            return key, value
        case types.VarTupleType(item_type=item) | types.ListType(item_type=item):
            return (item,)
        case _:
            return ()


def describe_type(info: types.Type) -> str:
    """Return a type of a field in words of JSON: ``integer or null``, ``list of `part_left` ``."""
    match info:
        case types.UnionType(types=inner):
            # null comes last, wherever the annotation has it.
            ordered = sorted(inner, key=lambda each: isinstance(each, types.NoneType))
            return " or ".join(describe_type(each) for each in ordered)
        case types.DictType(value_type=value):
            return f"object of {_make_plural(describe_type(value))} by name"
        case types.VarTupleType(item_type=item) | types.ListType(item_type=item):
            return f"list of {_make_plural(describe_type(item))}"
        case types.LiteralType(values=values):
            return " · ".join(f"`{value}`" for value in values)
        case types.EnumType(cls=enum):
            return " · ".join(f"`{member.value}`" for member in enum)
        case types.StructType(cls=struct):
            return f"`{name_struct(struct)}`"
        case _:
            return _SIMPLE[type(info)]


_SIMPLE: dict[type[types.Type], str] = {
    types.StrType: "text",
    types.IntType: "integer",
    types.FloatType: "number",
    types.BoolType: "true or false",
    types.NoneType: "null",
}


def _make_plural(words: str) -> str:
    return words if words.endswith(("`", "false", "null")) else f"{words}s"


def name_struct(struct: type[Struct]) -> str:
    """Return the name of an event as its lines have it, or that of a part in the same form."""
    tag = struct.__struct_config__.tag
    return str(tag) if tag else re.sub(r"(?<!^)(?=[A-Z])", "_", struct.__name__).lower()


def read_field_texts(struct: type[Struct]) -> dict[str, str]:
    """Return the docstring below each field of a struct, and below those that it inherits."""
    found: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if base in (Struct, object) or not issubclass(base, Struct):
            continue
        [tree] = ast.parse(inspect.getsource(base)).body
        assert isinstance(tree, ast.ClassDef)
        for line, following in zip(tree.body, [*tree.body[1:], None], strict=True):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                found[line.target.id] = _read_text(following)
    return found


def _read_text(line: ast.stmt | None) -> str:
    """Return a docstring as one line; empty if ``line`` is none."""
    match line:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return " ".join(text.split())
        case _:
            return ""


def write_section(struct: type[Struct]) -> Iterator[str]:
    """Yield the lines about one event, or about one part of events."""
    yield f"### {name_struct(struct)}"
    yield ""
    yield from _write_markdown(inspect.getdoc(struct) or "").splitlines()
    yield ""
    texts = read_field_texts(struct)
    info = types.type_info(struct)
    assert isinstance(info, types.StructType)
    yield "| field | type | holds |"
    yield "|---|---|---|"
    for field in info.fields:
        text = _write_markdown(texts[field.name] or COMMON.get(field.name, ""))
        yield f"| `{field.encode_name}` | {describe_type(field.type)} | {text} |".replace("|  |", "| |")
    yield ""


def _write_markdown(text: str) -> str:
    """Return a docstring as Markdown about JSON; a bare stroke would end a table's cell."""
    text = text.replace("``", "`").replace("|", "\\|").replace("a `Reason`", "one of the words of `reason`")
    return re.sub(r"\bNone\b", "`null`", text)


def write_events() -> str:
    """Return what the page says of the first line, the events, and their parts."""
    lines: list[str] = []
    for event in list_events():
        lines += write_section(event)
    lines += ["## Parts of events", ""]
    for part in list_parts():
        lines += write_section(part)
    return "\n".join(lines)


PART = MadePart(PAGE, "docs.events", write_events)

if __name__ == "__main__":
    PART.run()
