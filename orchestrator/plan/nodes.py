"""Build nodes from YAML events: texts, lists and mappings that know their position, and no types yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct
from yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from orchestrator.plan.keys import is_secret
from orchestrator.plan.problems import FilePosition, Problems, UnreadableError, quote_key, suggest_nearest
from orchestrator.text.characters import quote_text, why_hidden

# An alias multiplies what its anchor holds, so a few lines of YAML could fill any memory ("billion laughs").
MOST_DEPTH = 20
MOST_IN_AN_ANCHOR = 1_000
MOST_IN_ALL_ANCHORS = 10_000
MOST_BY_ALIASES = 1_000_000


class ScalarNode(Struct, frozen=True):
    """A text as written. ``plain`` is false if the text stands in quotes or as a block."""

    text: str
    plain: bool
    at: FilePosition


class ListNode(Struct, frozen=True):
    """A list. An item that could not be read is None; its problem has been added."""

    values: list[Node | None]
    at: FilePosition


class MappingNode(Struct, frozen=True):
    """A mapping: the position of each key, and its value. A value that could not be read is None."""

    keys: dict[str, FilePosition]
    values: dict[str, Node | None]
    at: FilePosition


Node: TypeAlias = ScalarNode | ListNode | MappingNode


def get_position(event: Event) -> FilePosition:
    """Return the position in the plan at which ``event`` begins."""
    mark = event.start_mark
    assert mark is not None  # noqa: S101 - libyaml gives every event one
    return FilePosition(0, mark.line + 1, mark.column + 1)


class NodeComposer:
    """Builds one node after the other from a stream of events, and keeps the nodes that anchors name.

    ``next_event`` is libyaml's. A caller that took events for nothing returns them with ``give_back``.
    """

    def __init__(self, next_event: Callable[[], Event], problems: Problems) -> None:
        self._next_event = next_event
        self._problems = problems
        self._given_back: list[Event] = []
        self._anchors: dict[str, tuple[Node | None, int]] = {}
        self._unused: dict[str, tuple[FilePosition, str]] = {}
        """Anchors on single texts that no alias has named so far: their positions and key paths."""
        self._count = 0
        self._anchored = 0
        self._aliased = 0

    def take_event(self) -> Event:
        """Return the next event."""
        return self._given_back.pop() if self._given_back else self._next_event()

    def give_back(self, events: list[Event]) -> None:
        """Put ``events`` back: ``take_event`` returns them next, in their order."""
        self._given_back.extend(reversed(events))

    def compose(self, event: Event, path: str, depth: int = 0) -> Node | None:
        """Return the node that begins with ``event``; None after adding a problem."""
        if isinstance(event, AliasEvent):
            return self._resolve_alias(event, path)
        if depth > MOST_DEPTH:
            raise UnreadableError(get_position(event), f"nested deeper than {MOST_DEPTH} levels")
        # Counted as the alias will count it: with everything below, aliases included.
        before = self._count
        self._count += 1
        node = self._compose_value(event, path, depth)
        self.refuse_tag(event, path)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._keep_anchor(anchor, node, self._count - before, event, path)
        return node

    def _compose_value(self, event: Event, path: str, depth: int) -> Node:
        at = get_position(event)
        if isinstance(event, ScalarEvent):
            return ScalarNode(event.value, bool(event.implicit[0]), at)
        if isinstance(event, MappingStartEvent):
            return self._compose_mapping(at, path, depth)
        values: list[Node | None] = []
        while not isinstance(event := self.take_event(), SequenceEndEvent):
            values.append(self.compose(event, f"{path}[{len(values)}]", depth + 1))
        return ListNode(values, at)

    def _compose_mapping(self, at: FilePosition, path: str, depth: int) -> MappingNode:
        entries = MappingNode({}, {}, at)
        while not isinstance(event := self.take_event(), MappingEndEvent):
            key = self.read_key(event, path, entries.keys, depth)
            value = self.compose(self.take_event(), join_path(path, key or ""), depth + 1)
            if key is not None:
                entries.values[key] = value
        return entries

    def read_key(self, event: Event, path: str, known: dict[str, FilePosition], depth: int = 0) -> str | None:
        """Return the key in ``event``, and note it in ``known``; None after adding a problem."""
        at = get_position(event)
        if not isinstance(event, ScalarEvent):
            # Read to its end, since the next event must be the key's value.
            self.compose(event, path, depth + 1)
            self._problems.add(at, path, "a key must be a plain text")
            return None
        self.refuse_tag(event, path)
        self.refuse_anchor(event, path)
        key: str = event.value
        # In quotes it is a text like any other.
        if key == "<<" and event.implicit[0]:
            self._problems.add(at, path, "merge keys (<<) are not supported", "write the keys out")
            return None
        if why := why_hidden(key):
            self._problems.add(
                at, path, f"{'a key' if is_secret(path) else f'the key {quote_text(key)}'} {why}"
            )
            return None
        if key in known:
            named = "a key" if is_secret(path) else f"the key {quote_text(key)}"
            where = self._problems.format_position(known[key])
            self._problems.add(at, path, f"{named} is given twice; first at {where}")
            return None
        known[key] = at
        return key

    def refuse_tag(self, event: Event, path: str) -> None:
        """Add a problem for an explicit tag. The message does not repeat the tag: it may be a secret."""
        if getattr(event, "tag", None) is not None:
            hint = "remove the tag"
            if isinstance(event, ScalarEvent):
                hint += ", or put a text that begins with ! into quotes"
            self._problems.add(get_position(event), path, "tags (!...) are not supported", hint)

    def refuse_anchor(self, event: Event, path: str) -> None:
        """Add a problem for an anchor on something that no alias can repeat."""
        if getattr(event, "anchor", None) is not None:
            self._problems.add(get_position(event), path, "an anchor (&...) cannot stand here", "remove it")

    def _keep_anchor(self, anchor: str, node: Node | None, size: int, event: Event, path: str) -> None:
        self._anchored += size
        if size > MOST_IN_AN_ANCHOR:
            message = f"the anchor holds {size:,} values, aliases included; at most {MOST_IN_AN_ANCHOR:,} may"
            self._problems.add(get_position(event), path, message)
            # The name stays known: else each of its aliases would be one more problem.
            node, size = None, 1
        if self._anchored > MOST_IN_ALL_ANCHORS:
            message = f"all anchors together hold more than {MOST_IN_ALL_ANCHORS:,} values"
            raise UnreadableError(get_position(event), message, "write the values out")
        self._anchors[anchor] = (node, size)
        if isinstance(event, ScalarEvent):
            self._unused[anchor] = get_position(event), path

    def warn_of_unused_anchors(self) -> None:
        """Warn of each text that loses its first word, since YAML takes the word for an anchor."""
        for at, path in self._unused.values():
            message = "the word behind the & is an anchor that no alias names, and no part of the text"
            self._problems.warn(at, path, message, "a text that begins with & stands in quotes")

    def _resolve_alias(self, event: AliasEvent, path: str) -> Node | None:
        if event.anchor not in self._anchors:
            message = "the alias names no anchor that stands before it"
            near = "" if is_secret(path) else suggest_nearest(event.anchor or "", self._anchors)
            hint = near or "a text that begins with * stands in quotes"
            self._problems.add(get_position(event), path, message, hint)
            return None
        self._unused.pop(event.anchor, None)
        node, size = self._anchors[event.anchor]
        self._count += size
        self._aliased += size
        if self._aliased > MOST_BY_ALIASES:
            message = f"aliases stand for more than {MOST_BY_ALIASES:,} values"
            raise UnreadableError(get_position(event), message, "write the values out")
        return node


def join_path(path: str, key: str) -> str:
    """Return the path of ``key`` under ``path``; without the key where credentials stand."""
    if not key or is_secret(path):
        return path
    # A gateway called a.auth has limits, and those are no place of a credential.
    step = f'"{quote_key(key)}"' if "." in key else quote_key(key)
    return f"{path}.{step}" if path else step
