"""A plan without its targets, which `undeploy discover` reads and copies into the plan that it writes."""

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
from orchestrator.model.settings import CredentialReference, Tls
from orchestrator.plan.collectors import OptionsCollector
from orchestrator.plan.header import check_parts, read_header
from orchestrator.plan.nodes import ListNode, MappingNode, Node, ScalarNode
from orchestrator.plan.protect import check_own_patterns
from orchestrator.plan.reader import read_once
from orchestrator.plan.records import list_keys
from orchestrator.plan.source import is_within
from orchestrator.plan.yaml_text import format_list, format_quoted, format_text

# Values that stay plain if they were plain, besides names: numbers, shares, times, paths.
_PLAIN_ANYWHERE = re.compile(r"[A-Za-z0-9_./+][A-Za-z0-9_./+%:-]*(?<!:)")

_PATH_KEYS = frozenset(
    key for cls in (CredentialReference, Tls) for key, field in list_keys(cls).items() if field.form == "path"
)

_WITH_PATHS = ("gateways", "notify")
"""The keys at the top that may hold references to files."""


class PlanTemplate(Struct, frozen=True, kw_only=True):
    """The header and the gateways of a plan, both as values and as written. ``folder`` is absolute."""

    header: PlanHeader
    gateways: tuple[Gateway, ...]
    entries: MappingNode
    """Every key at the top but ``waves``, ``targets`` and ``parent``."""
    folder: Path


def read_template(path: Path) -> PlanTemplate:
    """Read a plan that may have no targets. Passes over its targets and their files.

    Raises ``PlanError`` with every problem of the rest. Resolves no credential.
    """
    problems, document = read_once(path, OptionsCollector(()), None, skip_targets=True)
    header = read_header(document.header, problems)
    check_parts(document.header, problems, targets=False)
    check_own_patterns(document.header, document.gateways or {}, problems)
    problems.raise_any()
    assert header is not None  # noqa: S101 - else there were problems
    known = (document.gateways or {}).values()
    return PlanTemplate(
        header=header,
        gateways=tuple(one.entry for one in known if one.entry is not None),
        entries=_drop_parent(document.header),
        folder=path.absolute().parent,
    )


def _drop_parent(header: MappingNode) -> MappingNode:
    # What is found is no remainder of the run that the template may be a remainder of.
    return replace(header, values={key: node for key, node in header.values.items() if key != "parent"})


def move_paths(template: PlanTemplate, folder: Path) -> MappingNode:
    """Return the entries for a plan in another ``folder``: their paths lead to the same files as before.

    Raises ``UsageError`` for a credential's command that may depend on the plan's folder, since it runs
    there.
    """
    here, there = Path(os.path.realpath(template.folder)), Path(os.path.realpath(folder))
    if here == there:
        return template.entries
    moving = _PathRebaser(here, there)
    moved = {
        key: moving.move(node, key)
        for key, node in template.entries.values.items()
        if key in _WITH_PATHS and node is not None
    }
    return replace(template.entries, values={**template.entries.values, **moved})


def has_relative_paths(template: PlanTemplate) -> bool:
    """Return whether the gateways name files by paths that depend on the plan's folder."""
    return _has_relative_path(template.entries.values.get("gateways"), "")


def _has_relative_path(node: Node | None, key: str) -> bool:
    match node:
        case MappingNode():
            return any(_has_relative_path(value, name) for name, value in node.values.items())
        case ListNode():
            return any(_has_relative_path(value, key) for value in node.values)
        case ScalarNode():
            return key in _PATH_KEYS and _is_relative(node.text)
    return False


def _is_relative(text: str) -> bool:
    return not text.startswith("~") and not Path(text).is_absolute()


class _PathRebaser:
    def __init__(self, here: Path, there: Path) -> None:
        self._here = here
        self._there = there

    def move(self, node: Node | None, path: str) -> Node | None:
        key = path.rpartition(".")[2]
        match node:
            case MappingNode():
                values = {name: self.move(value, f"{path}.{name}") for name, value in node.values.items()}
                return replace(node, values=values)
            case ListNode() if key == "command":
                self._refuse_command(node, path)
            case ScalarNode() if key in _PATH_KEYS and _is_relative(node.text):
                return replace(node, text=os.path.relpath(self._here / node.text, self._there))
        return node

    def _refuse_command(self, node: ListNode, path: str) -> None:
        for value in node.values:
            text = value.text if isinstance(value, ScalarNode) else ""
            # A word without a slash is looked for in PATH, or is no path at all.
            # Only if a file of that name lies in the plan's folder, it may mean that file.
            if text and _is_relative(text) and ("/" in text or self._is_here(text)):
                raise UsageError(
                    f"{path}: the command runs in the plan's folder and names {text} there;"
                    f" write the plan into {self._here}, or name the program by an absolute path"
                )

    def _is_here(self, text: str) -> bool:
        return is_within(self._here, text) and os.path.lexists(self._here / text)


def format_block(entries: MappingNode, indent: int = 0) -> Iterator[str]:
    """Yield the lines of a mapping as it was read. A plain value stays plain, so that a number stays one."""
    pad = " " * indent
    for key, node in entries.values.items():
        name = f"{pad}{format_text(key)}:"
        if isinstance(node, MappingNode) and node.values:
            yield name
            yield from format_block(node, indent + 2)
        elif isinstance(node, ListNode) and any(not isinstance(one, ScalarNode) for one in node.values):
            yield name
            yield from _format_list(node, indent + 2)
        else:
            yield f"{name} {_format_inline(node)}".rstrip()


def _format_list(items: ListNode, indent: int) -> Iterator[str]:
    for node in items.values:
        if isinstance(node, MappingNode) and node.values:
            first, *rest = format_block(node, indent + 2)
            yield f"{' ' * indent}- {first.strip()}"
            yield from rest
        else:
            yield f"{' ' * indent}- {_format_inline(node)}"


def _format_inline(node: Node | None) -> str:
    match node:
        case ScalarNode(said, plain) if plain and (not said or _PLAIN_ANYWHERE.fullmatch(said)):
            return said
        case ScalarNode(said, _):
            return format_text(said) if node.plain else format_quoted(said)
        case ListNode():
            return format_list(list(map(_format_inline, node.values)))
        case _:
            return "{}"
