"""Write a plan's values as YAML that the reader reads back. Its lines have a bounded length."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, inspect

from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import CallBound, Plan, PlanHeader, StepSize, Threshold, Wave
from orchestrator.model.settings import CredentialReference
from orchestrator.model.target import Target, TargetId
from orchestrator.plan.keys import READS_VERSION
from orchestrator.plan.records import list_keys
from orchestrator.plan.scalars import UNITS
from orchestrator.text.characters import cut_between_letters, escape_character

LONGEST_COMMENT = 500
"""Characters of a text from outside in one comment."""

# The reader refuses a line of more than 1 MB, so long texts and lists are broken.
_PIECE = 2_000
"""Characters of one text on one line."""
_MOST_ON_A_LINE = 20
"""Items of a list on one line."""
_DEEPER = "\n          "

# Every reader of YAML takes these for texts. YAML 1.1 takes "no" for false and "y" for true, so they need
# quotes.
_BARE = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)[A-Za-z_][A-Za-z0-9_./-]{0,200}\Z", re.IGNORECASE | re.ASCII
)
_SHORT = {"\\": "\\\\", '"': '\\"'}
_BESIDE = frozenset({"name", "parent", "window"})
"""Keys that ``format_head`` writes by itself, or leaves out: the window of the plan is over."""

MovePath = Callable[[str], str]
"""Returns a path of one plan as a plan in another folder has to write it."""


def format_head(plan: Plan, parent: str, move_path: MovePath) -> Iterator[str]:
    """Yield the lines of a plan down to its waves: the lines of ``plan``, with the run ``parent``.

    Leaves out the window, and keys with their default.
    """
    yield f"version: {READS_VERSION}\n"
    yield f"name: {format_text(plan.name)}\n"
    yield f"parent: {format_text(parent)}\n"
    for key, value, kind in _list_given(plan, PlanHeader):
        if key not in _BESIDE:
            yield f"{key}: {_format_value(value, kind, move_path)}\n"
    yield "\ngateways:\n"
    for gateway in plan.gateways:
        yield from _format_gateway(gateway, move_path)
    yield "\nwaves:\n"


def _format_gateway(gateway: Gateway, move_path: MovePath) -> Iterator[str]:
    yield f"  {format_text(gateway.name)}:\n"
    yield f"    kind: {format_text(gateway.KIND)}\n"
    for key, value, kind in _list_given(gateway, type(gateway)):
        if key != "name":
            yield f"    {key}: {_format_value(value, kind, move_path)}\n"


def format_wave(wave: Wave) -> Iterator[str]:
    """Yield the lines of a wave down to its targets."""
    yield f"  - name: {format_text(wave.name)}\n"
    for key, value, kind in _list_given(wave, Wave):
        if key != "name":
            yield f"    {key}: {_format_value(value, kind, str)}\n"
    yield "    targets:\n"


def format_target(target: Target, kind: type[Gateway], after: Sequence[TargetId]) -> str:
    """Return the entry of a target at a gateway of this ``kind``, with the ids of ``after``."""
    keys = {"gateway": format_text(target.gateway)}
    keys |= {item.name: format_text(part) for item, part in zip(kind.COORDINATES, target.parts, strict=True)}
    if target.description is not None:
        keys["description"] = format_text(target.description)
    if target.persistent is not None:
        keys["persistent"] = _format_flag(target.persistent)
    if after:
        keys["after"] = format_list([format_text(name) for name in after])
    return f"      - {_format_mapping(keys)}\n"


def format_comment(said: str) -> str:
    """Return ``said`` as a comment behind a ``#``: one line, cut, with invisible characters escaped."""
    cut = said if len(said) <= LONGEST_COMMENT else f"{cut_between_letters(said, LONGEST_COMMENT - 1)}…"
    return "".join(map(_show_letter, cut))


def _show_letter(letter: str) -> str:
    return letter if letter.isprintable() else escape_character(letter)


def format_text(value: str) -> str:
    """Return ``value`` as a scalar that every reader of YAML takes for a text; in quotes only if needed."""
    return value if _BARE.match(value) else format_quoted(value)


def format_quoted(value: str) -> str:
    """Return ``value`` in double quotes, escaped."""
    pieces = [value[at : at + _PIECE] for at in range(0, len(value), _PIECE)] or [""]
    return f'"{_fold(pieces)}"'


def format_flow(pairs: Mapping[str, str]) -> str:
    """Return a mapping of texts on one line."""
    return _format_mapping({format_text(key): format_text(value) for key, value in pairs.items()})


def _fold(pieces: Sequence[str]) -> str:
    """Join the pieces of one text, each on its own line. YAML drops these line breaks again."""
    first, *rest = [
        "".join(_SHORT.get(letter) or _show_letter(letter) for letter in piece) for piece in pieces
    ]
    # YAML would take a blank at the beginning of a line for indentation.
    rest = [f"\\{piece}" if piece[0] == " " else piece for piece in rest]
    return f"\\{_DEEPER}".join([first, *rest])


def _list_given(value: Struct, keys: type[Struct]) -> Iterator[tuple[str, Any, inspect.Type]]:
    """Yield the ``keys`` of ``value`` that do not have their default, with their values and types."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(keys)}
    for key, field in list_keys(keys).items():
        held = getattr(value, key, None)
        if held is not None and held != defaults.get(key, msgspec.NODEFAULT):
            yield key, held, field.type


def _format_value(value: Any, kind: inspect.Type, move_path: MovePath) -> str:
    match kind:
        case inspect.StructType(cls=cls):
            return _format_struct(value, cls, move_path)
        case inspect.VarTupleType(item_type=item):
            return format_list([_format_value(each, item, move_path) for each in value])
        case inspect.Metadata(extra={"form": "duration"}):
            return _format_duration(value)
        case inspect.Metadata(extra={"form": "rate"}):
            return _format_rate(value)
        case inspect.Metadata(extra={"form": "path"}):
            return format_text(move_path(value))
        case inspect.Metadata(type=inner):
            return _format_value(value, inner, move_path)
        case inspect.BoolType():
            return _format_flag(value)
        case inspect.IntType():
            return str(value)
    return format_text(value)


def _format_struct(value: Struct, cls: type[Struct], move_path: MovePath) -> str:
    if isinstance(value, Threshold | StepSize):
        return str(value.count) if value.share is None else f"{_format_decimal(value.share * 100)}%"
    if isinstance(value, CallBound):
        return f"{value.calls}/{value.hours}h"
    if isinstance(value, CredentialReference) and value.command:
        program, *arguments = value.command
        # The system looks for a program without a slash in PATH, wherever the plan is.
        return _format_mapping(
            {
                "command": format_list(
                    [
                        format_text(move_path(program) if "/" in program else program),
                        *map(format_text, arguments),
                    ]
                )
            }
        )
    return _format_mapping(
        {key: _format_value(held, kind, move_path) for key, held, kind in _list_given(value, cls)}
    )


def _format_mapping(keys: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}"


def format_list(items: Sequence[str]) -> str:
    """Return a list of what is formatted already, with a line break after each twentieth item."""
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
    """Return the shortest of the texts that come nearest to ``meant``. A value from a plan stays exact."""
    return min(written, key=lambda one: (abs(written[one] - meant), len(one)))
