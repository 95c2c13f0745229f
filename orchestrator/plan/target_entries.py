"""Read the entries of a list of targets: one target, a matrix of targets, or a file of targets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from itertools import product
from typing import NamedTuple

from yaml.events import Event, ScalarEvent

from orchestrator.errors import UnfitError
from orchestrator.gateways import KINDS
from orchestrator.model.gateway import Coordinate, Gateway
from orchestrator.plan.collectors import TargetCollector
from orchestrator.plan.dependencies import NeededTargets, read_after
from orchestrator.plan.gateways import NamedGateway
from orchestrator.plan.nodes import ListNode, MappingNode, Node, ScalarNode, get_position, join_path
from orchestrator.plan.problems import (
    FilePosition,
    Problems,
    find_misspelt,
    prefer_straight_quotes,
    suggest_key,
    suggest_nearest,
)
from orchestrator.plan.records import describe_node
from orchestrator.plan.scalars import check_prose, read_flag
from orchestrator.plan.target_files import TargetFiles
from orchestrator.plan.target_shape import TargetShape, check_coordinate, make_shape
from orchestrator.text.characters import quote_text

MOST_IN_A_MATRIX = 1_000_000
"""How many targets one entry may name, and how many dependencies it may make of them."""


class _PlacedText(NamedTuple):
    text: str
    at: FilePosition


class EntryReader:
    """Reads entries, and puts the targets that they name into the collector."""

    def __init__(
        self,
        gateways: Mapping[str, NamedGateway],
        collector: TargetCollector,
        target_files: TargetFiles,
        problems: Problems,
    ) -> None:
        self._gateways = gateways
        self._collector = collector
        self._put = collector.put
        self._target_files = target_files
        self._problems = problems
        self._shapes: dict[tuple[str, tuple[str, ...]], TargetShape] = {}
        self._last: TargetShape | None = None

    def put_flat(self, taken: list[ScalarEvent], start: Event) -> bool:
        """Put the target that begins at ``start``. ``taken`` holds its keys and values in turn.

        Returns False, and does nothing, if anything is wrong; ``read`` then adds the problem. Nearly all
        entries of a large plan go this way, so it only looks at the texts.
        """
        words = [event.value for event in taken]
        keys, texts = words[::2], words[1::2]
        shape = self._last  # most targets have the keys of the one before
        if shape is None or keys != shape.keys or (row := shape.read_row(texts)) is None:
            shape = self._last = self._find_shape(tuple(keys), texts)
            if shape is None or (row := shape.read_row(texts)) is None:
                return False
        # In quotes, "true" is a text and no flag; the slow way names that problem.
        if shape.persistent is not None and not taken[2 * shape.persistent + 1].implicit[0]:
            return False
        self._put(shape.gateway, *row, get_position(start))
        return True

    def _find_shape(self, keys: tuple[str, ...], texts: list[str]) -> TargetShape | None:
        name = texts[keys.index("gateway")] if "gateway" in keys else ""
        found = self._shapes.get((name, keys))
        known = self._gateways.get(name)
        if found is None and known is not None and known.kind is not None:
            found = make_shape(known.name, known.kind, keys)
            if found is not None:
                self._shapes[name, keys] = found
        return found

    def read(self, node: Node | None, at: FilePosition, path: str) -> None:
        """Put the targets of the entry ``node`` at the position ``at``, or add a problem."""
        if not isinstance(node, MappingNode):
            if node is not None:
                self._problems.add(
                    node.at, path, f"found {describe_node(node)}, expected a mapping with gateway"
                )
            return
        known = self._read_gateway(node, path)
        if known is None or known.kind is None:
            return
        if "from_file" in node.keys:
            self._read_file(node, known.name, known.kind, path)
            return
        for key in node.keys:
            if key not in _list_target_keys(known.kind):
                self._add_wrong_key(node, key, known, path)
        axes = [self._read_axis(node, coordinate, known.kind, path) for coordinate in known.kind.COORDINATES]
        options = self._read_options(node, known.kind, path)
        after: NeededTargets = ()
        if "after" in node.keys:
            after = read_after(node.values["after"], self._gateways, f"{path}.after", self._problems)
        if options is not None and all(axes):
            self._put_matrix(at, known.name, axes, options, after, path)

    def _read_gateway(self, node: MappingNode, path: str) -> NamedGateway | None:
        if "gateway" not in node.keys:
            self._add_no_gateway(node, path)
            return None
        value = node.values["gateway"]
        if not isinstance(value, ScalarNode):
            if value is not None:
                message = f"found {describe_node(value)}, expected the name of a gateway"
                self._problems.add(value.at, f"{path}.gateway", message)
            return None
        if value.text not in self._gateways:
            hint = (
                suggest_nearest(value.text, self._gateways) or f"the gateways are {', '.join(self._gateways)}"
            )
            message = f"no gateway is named {quote_text(value.text)}"
            hint = prefer_straight_quotes(value.text, hint if self._gateways else "")
            self._problems.add(value.at, f"{path}.gateway", message, hint)
            return None
        return self._gateways[value.text]

    def _add_no_gateway(self, node: MappingNode, path: str) -> None:
        """Add a problem for the missing gateway; if another key stands for it, at that key."""
        known = tuple(dict.fromkeys(key for kind in KINDS.values() for key in _list_target_keys(kind)))
        if misspelt := find_misspelt("gateway", node.keys, known):
            hint = suggest_key(misspelt, known)
            self._problems.add(node.keys[misspelt], path, f"unknown key {quote_text(misspelt)}", hint)
        else:
            self._problems.add(node.at, path, "the key gateway is missing")

    def _read_file(self, node: MappingNode, gateway: str, kind: type[Gateway], path: str) -> None:
        for key in node.keys:
            if key not in {"gateway", "from_file"}:
                message = "beside from_file only gateway may stand; the file gives everything else"
                self._problems.add(node.keys[key], join_path(path, key), message)
        value = node.values["from_file"]
        if isinstance(value, ScalarNode):
            self._target_files.read(
                value, gateway, kind, f"{path}.from_file", self._collector, self._gateways
            )
        elif value is not None:
            message = f"found {describe_node(value)}, expected the path of a file"
            self._problems.add(value.at, f"{path}.from_file", message)

    def _add_wrong_key(self, node: MappingNode, key: str, known: NamedGateway, path: str) -> None:
        at = node.keys[key]
        assert known.kind is not None  # noqa: S101 - the caller has seen to it
        kind = known.kind.KIND
        if any(key in _list_target_keys(other) for other in KINDS.values()):
            message = f"does not belong to a target of {quote_text(known.name)}, a gateway of kind {kind}"
            self._problems.add(
                at, join_path(path, key), message, f"its keys are {', '.join(_list_target_keys(known.kind))}"
            )
            return
        keys = _list_target_keys(known.kind)
        self._problems.add(at, path, f"unknown key {quote_text(key)}", suggest_key(key, keys))

    def _read_axis(
        self, node: MappingNode, coordinate: Coordinate, kind: type[Gateway], path: str
    ) -> list[_PlacedText]:
        name, plural = coordinate.name, coordinate.plural
        if plural and plural in node.keys:
            if name in node.keys:
                at = max(node.keys[name], node.keys[plural])
                self._problems.add(at, path, f"{name} and {plural} are both given")
            return self._read_list(node.values[plural], coordinate, f"{path}.{plural}")
        if name not in node.keys:
            keys, either = _list_target_keys(kind), [key for key in (name, plural) if key]
            if not any(find_misspelt(key, node.keys, keys) for key in either):
                self._problems.add(node.at, path, f"the key {' or '.join(either)} is missing")
            return []
        value = node.values[name]
        if isinstance(value, ListNode):
            hint = f"a list stands under {plural}" if plural else "write one entry for each"
            self._problems.add(value.at, f"{path}.{name}", "found a list, expected a single value", hint)
            return []
        return self._read_one(value, coordinate, f"{path}.{name}")

    def _read_list(self, node: Node | None, coordinate: Coordinate, path: str) -> list[_PlacedText]:
        if isinstance(node, ListNode) and node.values:
            found = [self._read_one(value, coordinate, f"{path}[{i}]") for i, value in enumerate(node.values)]
            return [value[0] for value in found] if all(found) else []
        if isinstance(node, ListNode):
            self._problems.add(node.at, path, "the list is empty")
        elif node is not None:
            hint = f"a single value stands under {coordinate.name}"
            self._problems.add(node.at, path, f"found {describe_node(node)}, expected a list", hint)
        return []

    def _read_one(self, node: Node | None, coordinate: Coordinate, path: str) -> list[_PlacedText]:
        if not isinstance(node, ScalarNode):
            if node is not None:
                self._problems.add(node.at, path, f"found {describe_node(node)}, expected a single value")
            return []
        try:
            check_coordinate(coordinate, node.text)
        except UnfitError as unfit:
            self._problems.add(node.at, path, unfit.message, prefer_straight_quotes(node.text, unfit.hint))
            return []
        return [_PlacedText(node.text, node.at)]

    def _read_options(
        self, node: MappingNode, kind: type[Gateway], path: str
    ) -> dict[str, str | bool] | None:
        given = [key for key in kind.OPTIONS if key in node.keys]
        found = {key: self._read_option(node.values[key], key, f"{path}.{key}") for key in given}
        right = {key: value for key, value in found.items() if value is not None}
        return right if len(right) == len(given) else None

    def _read_option(self, node: Node | None, key: str, path: str) -> str | bool | None:
        if not isinstance(node, ScalarNode):
            if node is not None:
                self._problems.add(node.at, path, f"found {describe_node(node)}, expected a single value")
            return None
        try:
            return check_prose(node.text) if key == "description" else read_flag(node)
        except UnfitError as unfit:
            self._problems.add(node.at, path, unfit.message, prefer_straight_quotes(node.text, unfit.hint))
            return None

    def _put_matrix(
        self,
        at: FilePosition,
        gateway: str,
        axes: list[list[_PlacedText]],
        options: Mapping[str, str | bool],
        after: NeededTargets,
        path: str,
    ) -> None:
        count = math.prod(map(len, axes))
        if count > MOST_IN_A_MATRIX:
            message = f"the lists make {count:,} targets; one entry may name {MOST_IN_A_MATRIX:,}"
            self._problems.add(at, path, message)
            return
        if count * len(after) > MOST_IN_A_MATRIX:
            message = f"{count:,} targets after {len(after):,} others each are more than {MOST_IN_A_MATRIX:,}"
            self._problems.add(at, path, message)
            return
        long = [index for index, axis in enumerate(axes) if len(axis) > 1]
        description, persistent = options.get("description"), options.get("persistent")
        for values in product(*axes):
            # With a single list each target has an item of its own to be found at; in a matrix none has.
            position = values[long[0]].at if len(long) == 1 else at
            parts = tuple([value.text for value in values])
            self._put(gateway, parts, description, persistent, position)  # type: ignore[arg-type]  # each key has its type
            for needs, where in after:
                self._collector.add_dependency(needs, where)


@cache
def _list_target_keys(kind: type[Gateway]) -> list[str]:
    names = [name for item in kind.COORDINATES for name in (item.name, item.plural) if name]
    return ["gateway", *names, *kind.OPTIONS, "after", "from_file"]
