"""A plan without its targets: what `undeploy discover` begins with, and copies into what it writes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.errors import UsageError
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import PlanHeader
from orchestrator.plan.header import read_header
from orchestrator.plan.intake import Options
from orchestrator.plan.nodes import Entries, Items, Node, Scalar
from orchestrator.plan.protect import tell_dead
from orchestrator.plan.reader import read_once
from orchestrator.plan.source import is_within
from orchestrator.plan.written import quoted, text

# What a plain value may look like besides a name, where it was plain before: numbers, shares, times, paths.
_PLAIN_ANYWHERE = re.compile(r"[A-Za-z0-9_./+][A-Za-z0-9_./+%:-]*(?<!:)")

_FILES = frozenset({"file", "ca_file", "cert_file", "key_file"})


class Frame(Struct, frozen=True, kw_only=True):
    """The header and the gateways of a plan, typed and as written. ``folder`` is absolute."""

    header: PlanHeader
    gateways: tuple[Gateway, ...]
    entries: Entries
    """Every key at the top but ``waves`` and ``targets``."""
    folder: Path


def read_frame(path: Path) -> Frame:
    """Read a plan that may have no targets; those that it has are passed over, with the files that they name.

    Raises ``PlanError`` with every problem of the rest. Resolves no credential.
    """
    problems, document = read_once(path, Options(()), None, pass_over=True)
    header = read_header(document.header, problems)
    if "gateways" not in document.header.keys:
        problems.add(document.header.at, "", "the key gateways is missing")
    tell_dead(document.header, document.gateways or {}, problems)
    problems.settle()
    assert header is not None  # noqa: S101 - else there were problems
    known = (document.gateways or {}).values()
    return Frame(
        header=header,
        gateways=tuple(one.entry for one in known if one.entry is not None),
        entries=document.header,
        folder=path.absolute().parent,
    )


def moved(frame: Frame, folder: Path) -> Entries:
    """Return the entries as they are to be written into another ``folder``: paths lead to the same files.

    Raises ``UsageError`` for a credential's command that may depend on the plan's folder, where it runs.
    """
    here, there = Path(os.path.realpath(frame.folder)), Path(os.path.realpath(folder))
    gateways = frame.entries.values.get("gateways")
    if here == there or not isinstance(gateways, Entries):
        return frame.entries
    moving = _Moving(here, there)
    values = {**frame.entries.values, "gateways": moving.node(gateways, "gateways")}
    return replace(frame.entries, values=values)


def paths_in(frame: Frame) -> bool:
    """Say whether the gateways name files by paths that depend on the plan's folder."""
    return _depends(frame.entries.values.get("gateways"), "")


def _depends(node: Node | None, key: str) -> bool:
    match node:
        case Entries():
            return any(_depends(value, name) for name, value in node.values.items())
        case Items():
            return any(_depends(value, key) for value in node.values)
        case Scalar():
            return key in _FILES and _is_relative(node.text)
    return False


def _is_relative(text: str) -> bool:
    return not text.startswith("~") and not Path(text).is_absolute()


class _Moving:
    def __init__(self, here: Path, there: Path) -> None:
        self._here = here
        self._there = there

    def node(self, node: Node | None, path: str) -> Node | None:
        key = path.rpartition(".")[2]
        match node:
            case Entries():
                values = {name: self.node(value, f"{path}.{name}") for name, value in node.values.items()}
                return replace(node, values=values)
            case Items() if key == "command":
                self._refuse_command(node, path)
            case Scalar() if key in _FILES and _is_relative(node.text):
                return replace(node, text=os.path.relpath(self._here / node.text, self._there))
        return node

    def _refuse_command(self, node: Items, path: str) -> None:
        for value in node.values:
            text = value.text if isinstance(value, Scalar) else ""
            if text and _is_relative(text) and ("/" in text or self._is_here(text)):
                raise UsageError(
                    f"{path}: the command runs in the plan's folder and names {text} there;"
                    f" write the plan into {self._here}, or name the program by an absolute path"
                )

    def _is_here(self, text: str) -> bool:
        return is_within(self._here, text) and os.path.lexists(self._here / text)


def block(entries: Entries, indent: int = 0) -> Iterator[str]:
    """Yield the lines of a mapping as it was read: what was plain stays so, and a number a number."""
    pad = " " * indent
    for key, node in entries.values.items():
        name = f"{pad}{text(key)}:"
        if isinstance(node, Entries) and node.values:
            yield name
            yield from block(node, indent + 2)
        elif isinstance(node, Items) and any(not isinstance(one, Scalar) for one in node.values):
            yield name
            yield from _listed(node, indent + 2)
        else:
            yield f"{name} {_inline(node)}".rstrip()


def _listed(items: Items, indent: int) -> Iterator[str]:
    for node in items.values:
        if isinstance(node, Entries) and node.values:
            first, *rest = block(node, indent + 2)
            yield f"{' ' * indent}- {first.strip()}"
            yield from rest
        else:
            yield f"{' ' * indent}- {_inline(node)}"


def _inline(node: Node | None) -> str:
    match node:
        case Scalar(said, plain) if plain and (not said or _PLAIN_ANYWHERE.fullmatch(said)):
            return said
        case Scalar(said, _):
            return text(said) if node.plain else quoted(said)
        case Items():
            return f"[{', '.join(map(_inline, node.values))}]"
        case _:
            return "{}"
