"""Read mappings into values by the types of the values' own fields.

So a new key needs a field and nothing else: the field's type says how the plan writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache, partial
from typing import Any

import msgspec
from msgspec import UNSET, Struct, inspect

from orchestrator.errors import UnfitError
from orchestrator.model.plan import CallBound, StepSize, Threshold
from orchestrator.model.settings import Auth, CredentialReference
from orchestrator.model.text_form import TextForm
from orchestrator.plan import scalars
from orchestrator.plan.keys import is_secret
from orchestrator.plan.nodes import ListNode, MappingNode, Node, ScalarNode
from orchestrator.plan.problems import (
    Problems,
    find_misspelt,
    prefer_straight_quotes,
    suggest_key,
    suggest_nearest,
)
from orchestrator.plan.sizes import check_sizes
from orchestrator.text.characters import quote_text

_REFERENCES = {
    "env": "{env: NAME}",
    "file": "{file: path}",
    "command": "{command: [program, argument]}",
    "keyring": "{keyring: service/user}",
}
_REFERENCE_HINT = (
    f"write a reference: {', '.join(list(_REFERENCES.values())[:-1])} or {_REFERENCES['keyring']}"
)


_ASKED: dict[type[Struct], str] = {
    Auth: f"write auth: {{token: {_REFERENCES['env']}}}, or another way in",
    CredentialReference: _REFERENCE_HINT,
}
"""What to write in place of a credential itself, where that is no mapping of just any keys."""

_WRITTEN_AS_ONE_TEXT: dict[type[Struct], Callable[[ScalarNode], Any]] = {
    Threshold: scalars.read_threshold,
    StepSize: scalars.read_size,
    CallBound: scalars.read_call_bound,
}
"""Values with fields that a plan writes as one text."""


class KeyField(Struct, frozen=True):
    """A key of a value: its type without None, and whether a plan must give it."""

    type: inspect.Type
    required: bool
    description: str = ""
    """The meaning of the key, for editors."""
    examples: tuple[Any, ...] = ()
    """Values as a plan writes them, for editors."""

    @property
    def form(self) -> str:
        """How a plan writes the value, such as ``path``; empty if the type says it."""
        extra = self.type.extra if isinstance(self.type, inspect.Metadata) else None
        form = (extra or {}).get("form")
        return form if isinstance(form, str) else ""


@cache
def list_keys(cls: type[Struct]) -> Mapping[str, KeyField]:
    """Return the keys of ``cls`` in order. A plan may leave out a field that may be None."""
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - every Struct is one
    return {field.encode_name: _make_key_field(field) for field in info.fields}


def _make_key_field(field: inspect.Field) -> KeyField:
    kind, texts = _split_texts(field.type)
    description, examples = texts.get("description", ""), tuple(texts.get("examples", ()))
    if not isinstance(kind, inspect.UnionType):
        return KeyField(kind, field.required, description, examples)
    (inner,) = (option for option in kind.types if not isinstance(option, inspect.NoneType))
    return KeyField(inner, required=False, description=description, examples=examples)


def _split_texts(kind: inspect.Type) -> tuple[inspect.Type, Mapping[str, Any]]:
    """Separate a type from its description and examples, so that these never hide a type."""
    if not isinstance(kind, inspect.Metadata) or not kind.extra_json_schema:
        return kind, {}
    bare = inspect.Metadata(type=kind.type, extra=kind.extra) if kind.extra else kind.type
    return bare, kind.extra_json_schema


def read_record(
    node: Node | None,
    cls: type[Struct],
    path: str,
    problems: Problems,
    *,
    before: Collection[str] = (),
    beside: Collection[str] = (),
    hidden: Collection[str] = (),
) -> dict[str, Any] | None:
    """Return the values of the keys of ``cls`` that the plan gives; None if one is wrong or missing.

    Another function reads the values of the keys ``before``, which the plan must give, and of ``beside``,
    which it may give. A hint lists the keys of ``cls`` between them. ``hidden`` are fields of ``cls`` that
    are no keys here.
    """
    if not isinstance(node, MappingNode):
        if node is not None:
            _add_no_mapping(node, cls, path, problems)
        return None
    elsewhere = {*before, *beside}
    fields = {key: field for key, field in list_keys(cls).items() if key not in {*elsewhere, *hidden}}
    values: dict[str, Any] = {}
    for key, value in node.values.items():
        if key in fields:
            values[key] = read_value(value, fields[key].type, f"{path}.{key}" if path else key, problems)
        elif key not in elsewhere:
            known = [*before, *fields, *beside]
            _add_unknown_key(node, key, path, known, problems, under=_find_place(cls, key))
            # To ignore an unknown key would be to disobey it, so its whole mapping is refused.
            values[key] = UNSET
    for key in (*before, *(key for key, field in fields.items() if field.required)):
        if key not in node.keys:
            add_missing_key(node, key, [*before, *fields, *beside], path, problems)
            values[key] = UNSET
    return None if any(value is UNSET for value in values.values()) else values


def add_missing_key(
    node: MappingNode, key: str, known: Collection[str], path: str, problems: Problems
) -> None:
    """Add a problem for a ``key`` that ``node`` lacks, unless an unknown key of it stands for that one."""
    if not find_misspelt(key, node.keys, known):
        problems.add(node.at, path, f"the key {key} is missing")


def _add_no_mapping(node: Node, cls: type[Struct], path: str, problems: Problems) -> None:
    keys = f"a mapping with the keys {', '.join(list_keys(cls))}"
    if not is_secret(path):
        problems.add(node.at, path, f"found {describe_node(node)}, expected {keys}")
        return
    message = (
        "a credential never stands in the plan itself" if isinstance(node, ScalarNode) else "found a list"
    )
    # The text is not repeated, and the hint warns: people paste real credentials here.
    hint = _ASKED.get(cls, f"write {keys}")
    problems.add(node.at, path, message, f"{hint}; if it was a real one, change it")


def _find_place(cls: type[Struct], key: str) -> str:
    """Return the key of ``cls`` under which ``key`` stands; an empty text if it stands under none of them."""
    for name, field in list_keys(cls).items():
        if isinstance(field.type, inspect.StructType) and key in list_keys(field.type.cls):
            return name
    return ""


def _add_unknown_key(
    node: MappingNode, key: str, path: str, known: Collection[str], problems: Problems, *, under: str = ""
) -> None:
    """Add a problem for a ``key``; ``under`` names the one of the ``known`` keys that it belongs to."""
    at = node.keys[key]
    # Where credentials stand, the key may be one, so it is not repeated.
    if not is_secret(path):
        hint = f"it stands under {under}" if under else suggest_key(key, known)
        problems.add(at, path, f"unknown key {quote_text(key)}", hint)
    elif path.endswith(".auth") and key in _REFERENCES:
        problems.add(at, path, "unknown key", f"write auth: {{token: {_REFERENCES[key]}}}")
    else:
        near = suggest_nearest(key, known)
        problems.add(at, path, "unknown key", f"the keys here are {', '.join(known)}{near and f'; {near}'}")


def read_value(node: Node | None, kind: inspect.Type, path: str, problems: Problems) -> Any:
    """Return the value of ``node`` as a ``kind``; UNSET after adding a problem."""
    match kind:
        case _ if node is None:
            return UNSET
        case inspect.StructType(cls=cls) if cls not in _WRITTEN_AS_ONE_TEXT:
            return _read_struct(node, cls, path, problems)
        case inspect.VarTupleType(item_type=inspect.Metadata(extra={"form": str(form)}) as item):
            return _read_list(node, item, form, path, problems)
        case inspect.VarTupleType(item_type=inspect.StructType(cls=cls) as item) if cls is StepSize:
            return _read_sizes(node, item, path, problems)
        case inspect.VarTupleType(item_type=item):
            return _read_items(node, item, path, problems)
    if not isinstance(node, ScalarNode):
        problems.add(node.at, path, f"found {describe_node(node)}, expected a single value")
        return UNSET
    try:
        return _read_scalar(node, kind)
    except UnfitError as unfit:
        problems.add(node.at, path, unfit.message, prefer_straight_quotes(node.text, unfit.hint))
        return UNSET


def _read_struct(node: Node, cls: type[Struct], path: str, problems: Problems) -> Any:
    if cls is CredentialReference:
        return _read_reference(node, path, problems)
    values = read_record(node, cls, path, problems)
    if values is None:
        return UNSET
    missing = {
        key: None for key, field in list_keys(cls).items() if key not in values and _has_no_default(cls, key)
    }
    return cls(**missing, **values)


@cache
def _has_no_default(cls: type[Struct], key: str) -> bool:
    """Return whether a field has no default although it may be None."""
    return any(field.encode_name == key and field.required for field in msgspec.structs.fields(cls))


def _read_reference(node: Node, path: str, problems: Problems) -> Any:
    values = read_record(node, CredentialReference, path, problems)
    if values is None:
        return UNSET
    if len(values) != 1:
        forms = ", ".join(list_keys(CredentialReference))
        problems.add(node.at, path, f"expected exactly one of {forms}", _REFERENCE_HINT)
        return UNSET
    return CredentialReference(**values)


_LISTS = {
    "pattern": ("a list of patterns", ""),
    "argument": (
        "a list of a program and its arguments",
        "write [program, argument]; no shell reads it",
    ),
}


def _read_list(node: Node, item: inspect.Metadata, form: str, path: str, problems: Problems) -> Any:
    what, hint = _LISTS[form]
    if not isinstance(node, ListNode):
        problems.add(node.at, path, f"found {describe_node(node)}, expected {what}", hint)
        return UNSET
    if form == "argument" and not node.values:
        problems.add(node.at, path, f"found an empty list, expected {what}", hint)
        return UNSET
    found = [read_value(value, item, f"{path}[{index}]", problems) for index, value in enumerate(node.values)]
    return UNSET if UNSET in found else tuple(found)


def _read_items(node: Node, item: inspect.Type, path: str, problems: Problems) -> Any:
    if not isinstance(node, ListNode) or not node.values:
        found = "an empty list" if isinstance(node, ListNode) else describe_node(node)
        problems.add(node.at, path, f"found {found}, expected a list of one or more")
        return UNSET
    read = [read_value(value, item, f"{path}[{index}]", problems) for index, value in enumerate(node.values)]
    return UNSET if UNSET in read else tuple(read)


def _read_sizes(node: Node, item: inspect.StructType, path: str, problems: Problems) -> Any:
    if not isinstance(node, ListNode):
        message = f"found {describe_node(node)}, expected a list of sizes"
        problems.add(node.at, path, message, "write it as [1, 10%, 100%]")
        return UNSET
    found = [read_value(value, item, f"{path}[{index}]", problems) for index, value in enumerate(node.values)]
    return tuple(found) if UNSET not in found and check_sizes(node, found, path, problems) else UNSET


_FORMS: dict[str, Callable[[ScalarNode], Any]] = {
    "account": scalars.read_account,
    "argument": scalars.read_argument,
    "index": scalars.read_index,
    "keyring": scalars.read_keyring,
    "path": scalars.read_path,
    "pattern": scalars.read_pattern,
    "prose": lambda scalar: scalars.check_prose(scalar.text),
    "proxy": scalars.read_proxy,
    "rate": scalars.read_rate,
    "url": scalars.read_url,
    "variable": scalars.read_variable,
}


def _read_scalar(scalar: ScalarNode, kind: inspect.Type) -> Any:
    read: Callable[[ScalarNode], Any]
    match kind:
        case inspect.Metadata(type=inspect.FloatType() as bounds, extra={"form": "duration"}):
            read = partial(scalars.read_duration, bounds=bounds)
        case inspect.Metadata(extra={"form": form}):
            read = partial(scalars.read_text, form=form) if isinstance(form, TextForm) else _FORMS[form]
        case inspect.Metadata(type=inner):
            read = partial(_read_scalar, kind=inner)
        case inspect.StrType(pattern=None):
            read = scalars.read_text
        case inspect.IntType() as bounds:
            read = partial(scalars.read_whole, bounds=bounds)
        case inspect.BoolType():
            read = scalars.read_flag
        case inspect.LiteralType(values=allowed):
            read = partial(scalars.read_choice, allowed=[str(value) for value in allowed])
        case inspect.DateTimeType():
            read = scalars.read_moment
        case inspect.StructType(cls=cls) if cls in _WRITTEN_AS_ONE_TEXT:
            read = _WRITTEN_AS_ONE_TEXT[cls]
        case _:
            raise TypeError(f"no form of the plan reads a {kind}")
    return read(scalar)


def describe_node(node: Node) -> str:
    """Return in words which sort of node this is; never its text."""
    match node:
        case ScalarNode():
            return "a single value"
        case ListNode():
            return "a list"
        case MappingNode():
            return "a mapping"
