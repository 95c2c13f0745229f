"""A plan's values as the text that the reader reads back; its lines are of bounded length."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, inspect

from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan, PlanHeader, StepSize, Threshold, Wave
from orchestrator.model.settings import CredentialReference
from orchestrator.model.target import Target, TargetId
from orchestrator.plan.keys import READS_VERSION
from orchestrator.plan.records import list_keys
from orchestrator.plan.scalars import UNITS

LONGEST_COMMENT = 500
"""Characters of somebody else's text in one comment."""

_PIECE = 2_000
"""Characters of a text on one line."""
_MOST_ON_A_LINE = 20
"""Items of a list on one line."""
_DEEPER = "\n          "

# Whatever reads YAML takes these for texts; the words that some readers take for something else are left out.
_BARE = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)[A-Za-z_][A-Za-z0-9_./-]{0,200}\Z", re.IGNORECASE | re.ASCII
)
_SHORT = {"\\": "\\\\", '"': '\\"'}
_BESIDE = frozenset({"name", "parent", "window"})
"""Keys at the top that are not taken from the plan as they are."""

PathMover = Callable[[str], str]
"""Gives the path of a plan as another folder's plan has to name it."""


def format_head(plan: Plan, parent: str, moved: PathMover) -> Iterator[str]:
    """Yield the lines of a plan down to its waves: those of ``plan``, going back to the run ``parent``.

    It has no window. Keys with their default are left out.
    """
    yield f"version: {READS_VERSION}\n"
    yield f"name: {format_text(plan.name)}\n"
    yield f"parent: {format_text(parent)}\n"
    for key, value, kind in _list_given(plan, PlanHeader):
        if key not in _BESIDE:
            yield f"{key}: {_format_value(value, kind, moved)}\n"
    yield "\ngateways:\n"
    for gateway in plan.gateways:
        yield from _format_gateway(gateway, moved)
    yield "\nwaves:\n"


def _format_gateway(gateway: Gateway, moved: PathMover) -> Iterator[str]:
    yield f"  {format_text(gateway.name)}:\n"
    yield f"    kind: {format_text(gateway.KIND)}\n"
    for key, value, kind in _list_given(gateway, type(gateway)):
        if key != "name":
            yield f"    {key}: {_format_value(value, kind, moved)}\n"


def format_wave(wave: Wave) -> Iterator[str]:
    """Yield the lines of a wave down to its targets."""
    yield f"  - name: {format_text(wave.name)}\n"
    for key, value, kind in _list_given(wave, Wave):
        if key != "name":
            yield f"    {key}: {_format_value(value, kind, str)}\n"
    yield "    targets:\n"


def format_target(target: Target, kind: type[Gateway], after: Sequence[TargetId]) -> str:
    """Return the entry of a target of a gateway of this ``kind``, which comes ``after`` others."""
    keys = {"gateway": format_text(target.gateway)}
    keys |= {item.name: format_text(part) for item, part in zip(kind.COORDINATES, target.parts, strict=True)}
    if target.description is not None:
        keys["description"] = format_text(target.description)
    if target.persistent is not None:
        keys["persistent"] = _format_flag(target.persistent)
    if after:
        keys["after"] = _format_list([format_text(name) for name in after])
    return f"      - {_format_mapping(keys)}\n"


def format_comment(said: str) -> str:
    """Return ``said`` as it may stand behind a ``#``: on one line, cut, with nothing invisible in it."""
    cut = said if len(said) <= LONGEST_COMMENT else f"{said[: LONGEST_COMMENT - 1]}…"
    return "".join(map(_visible, cut))


def _visible(letter: str) -> str:
    return letter if letter.isprintable() else _escaped(letter)


def format_text(value: str) -> str:
    """Return ``value`` as a scalar that is a text to every reader of YAML, without quotes where it can be."""
    return value if _BARE.match(value) else format_quoted(value)


def format_quoted(value: str) -> str:
    """Return ``value`` in quotes, as a text to every reader of YAML."""
    pieces = [value[at : at + _PIECE] for at in range(0, len(value), _PIECE)] or [""]
    return f'"{_fold(pieces)}"'


def format_flow(pairs: Mapping[str, str]) -> str:
    """Return a mapping of texts on one line."""
    return _format_mapping({format_text(key): format_text(value) for key, value in pairs.items()})


def _fold(pieces: Sequence[str]) -> str:
    """Return the pieces of one text, each on a line of its own; the breaks between them are no part of it."""
    first, *rest = ["".join(_SHORT.get(letter) or _visible(letter) for letter in piece) for piece in pieces]
    # A blank at the beginning of a line would count as indentation.
    rest = [f"\\{piece}" if piece[0] == " " else piece for piece in rest]
    return f"\\{_DEEPER}".join([first, *rest])


def _escaped(letter: str) -> str:
    code = ord(letter)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _list_given(value: Struct, keys: type[Struct]) -> Iterator[tuple[str, Any, inspect.Type]]:
    """Yield those ``keys`` of ``value`` that do not have their default, with their values and types."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(type(value))}
    for key, field in list_keys(keys).items():
        held = getattr(value, key, None)
        if held is not None and held != defaults.get(key, msgspec.NODEFAULT):
            yield key, held, field.type


def _format_value(value: Any, kind: inspect.Type, moved: PathMover) -> str:
    match kind:
        case inspect.StructType(cls=cls):
            return _format_struct(value, cls, moved)
        case inspect.VarTupleType(item_type=item):
            return _format_list([_format_value(each, item, moved) for each in value])
        case inspect.Metadata(extra={"form": "duration"}):
            return _format_duration(value)
        case inspect.Metadata(extra={"form": "rate"}):
            return _format_rate(value)
        case inspect.Metadata(extra={"form": "path"}):
            return format_text(moved(value))
        case inspect.Metadata(type=inner):
            return _format_value(value, inner, moved)
        case inspect.BoolType():
            return _format_flag(value)
        case inspect.IntType():
            return str(value)
    return format_text(value)


def _format_struct(value: Struct, cls: type[Struct], moved: PathMover) -> str:
    if isinstance(value, Threshold | StepSize):
        return str(value.count) if value.share is None else f"{_format_decimal(value.share * 100)}%"
    if isinstance(value, CredentialReference) and value.command:
        program, *arguments = value.command
        # A program without a slash is looked for in PATH, wherever the plan is.
        return _format_mapping(
            {
                "command": _format_list(
                    [format_text(moved(program) if "/" in program else program), *map(format_text, arguments)]
                )
            }
        )
    return _format_mapping(
        {key: _format_value(held, kind, moved) for key, held, kind in _list_given(value, cls)}
    )


def _format_mapping(keys: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}"


def _format_list(items: Sequence[str]) -> str:
    lines = [", ".join(items[at : at + _MOST_ON_A_LINE]) for at in range(0, len(items), _MOST_ON_A_LINE)]
    return f"[{f',{_DEEPER}'.join(lines)}]"


def _format_flag(value: bool) -> str:
    return "true" if value else "false"


def _format_decimal(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _format_duration(seconds: float) -> str:
    tried = {unit: _format_decimal(seconds / size) for unit, size in UNITS.items()}
    return _choose_nearest(
        {f"{number}{unit}": float(number) * UNITS[unit] for unit, number in tried.items()}, seconds
    )


def _format_rate(per_second: float) -> str:
    tried = {unit: _format_decimal(per_second * size) for unit, size in UNITS.items() if unit != "ms"}
    return _choose_nearest(
        {f"{number}/{unit}": float(number) / UNITS[unit] for unit, number in tried.items()}, per_second
    )


def _choose_nearest(written: dict[str, float], meant: float) -> str:
    """Return the shortest of the texts that come nearest to what is ``meant``; what was read is exact."""
    return min(written, key=lambda one: (abs(written[one] - meant), len(one)))
