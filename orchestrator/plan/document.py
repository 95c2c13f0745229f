"""Read a plan's file once: keep the keys at its top, and let its targets stream past.

A plan may have millions of targets, so nothing here holds more than one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import yaml
from yaml.events import (
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.reader import ReaderError

from orchestrator.errors import UsageError
from orchestrator.model.plan import Wave
from orchestrator.plan.collectors import TargetCollector
from orchestrator.plan.gateways import NamedGateway, read_gateways
from orchestrator.plan.header import refuse_other_version
from orchestrator.plan.keys import SHORT_WAVE
from orchestrator.plan.nodes import MappingNode, Node, NodeComposer, ScalarNode, get_position, join_path
from orchestrator.plan.placeholders import warn_of_placeholders
from orchestrator.plan.problems import FilePosition, Problems, UnreadableError
from orchestrator.plan.records import add_missing_key, describe_node, list_keys, read_record
from orchestrator.plan.scalars import WHOLE
from orchestrator.plan.source import PlanSource
from orchestrator.plan.target_entries import EntryReader
from orchestrator.plan.target_files import TargetFiles
from orchestrator.plan.yaml_hints import (
    LINES_BEFORE,
    LONGEST_LINE,
    YamlError,
    explain_yaml_error,
    find_missing_space,
)
from orchestrator.text.characters import quote_text
from orchestrator.text.names import to_nfc

try:
    from yaml import cyaml
except ImportError:  # PyYAML lacks libyaml if its build did not find it
    cyaml = None  # type: ignore[assignment]


def _make_parser(source: PlanSource) -> Any:
    """Return libyaml's parser of ``source``. Raises ``UsageError`` if PyYAML came without libyaml."""
    if cyaml is None:
        raise UsageError(
            "PyYAML was installed here without libyaml, by which plans are read; nothing was sent."
            " Install it from a wheel: pip install --force-reinstall --only-binary=:all: pyyaml"
        )
    return cyaml.CParser(source)  # type: ignore[attr-defined]  # re-exported, though the stub says no


class PlanDocument:
    """Reads the file once. Afterwards ``header``, ``gateways`` and ``waves`` hold the small parts.

    Targets can only be read once their gateways are known. If targets stand before the gateways, this reading
    passes over them and sets ``skipped``: read the file again, with the ``gateways`` of this reading.
    """

    def __init__(
        self,
        path: Path,
        stream: BinaryIO,
        collector: TargetCollector,
        problems: Problems,
        gateways: Mapping[str, NamedGateway] | None = None,
        *,
        skip_targets: bool = False,
    ) -> None:
        """``skip_targets``: pass over all targets, whether or not their gateways are known."""
        self.header = MappingNode({}, {}, FilePosition(0, 1, 1))
        self.gateways = gateways
        self.waves: list[Wave] = []
        self.skipped = skip_targets
        self.target_files = TargetFiles(path, problems)
        self.source = PlanSource(stream)
        self._problems = problems
        self._collector = collector
        parser = _make_parser(self.source)
        self._next_event = cast(
            "Callable[[], Event]", parser.get_event
        )  # None comes after the last event only
        self._composer = NodeComposer(self._next_event, problems)
        self._entries: EntryReader | None = None
        self._names: dict[str, FilePosition] = {}

    def read(self) -> None:
        """Read to the end. Raises ``UnreadableError`` where the rest of the file cannot be read."""
        try:
            self._read_document()
        except ReaderError as error:
            # libyaml's parser gives the code of the character, PyYAML's own reader the character.
            code = error.character if isinstance(error.character, int) else ord(error.character)
            position = self.source.find_position(error.position)
            hint = "" if code else "is this UTF-16? Save it as UTF-8"
            message = f"the character U+{code:04X} is not allowed in YAML"
            raise UnreadableError(position, message, hint, is_exact=True) from None
        except yaml.MarkedYAMLError as error:
            raise self._explain_yaml_error(error) from None

    def _explain_yaml_error(self, error: yaml.MarkedYAMLError) -> UnreadableError:
        mark = error.problem_mark or error.context_mark
        at = self._correct_mark(mark)
        message = f"cannot be read as YAML: {error.problem or error.context}"
        begun = self._correct_mark(error.context_mark).line
        if error.context and 0 < begun < at.line:
            message += f" ({error.context} that begins at line {begun})"
        # JSON writers break a character beyond U+FFFF into two escapes. Here one half came without the other.
        if "Unicode character escape" in (error.problem or ""):
            hint = "half of a pair names no character; write the character itself"
        else:
            cause = YamlError(error.problem or "", at.line, at.column, begun)
            hint = self._find_cause(cause) if at.line else ""
        return UnreadableError(at, message, hint, is_exact=True)

    def _correct_mark(self, mark: yaml.Mark | None) -> FilePosition:
        """Return a mark's position as an editor tells it; line 0 for none."""
        if mark is None:
            return FilePosition(0, 0, 0)
        return self._problems.correct(FilePosition(0, mark.line + 1, mark.column + 1))

    def _find_cause(self, error: YamlError) -> str:
        """Return what to write instead of what stops libyaml; an empty text if that cannot be told."""
        if odd := self.source.find_odd_character(error.line):
            return odd
        lines = self.source.read_lines_before(error.line, LINES_BEFORE)
        return explain_yaml_error(error, {number: text[:LONGEST_LINE] for number, text in lines.items()})

    def _read_document(self) -> None:
        composer = self._composer
        composer.take_event()
        if isinstance(composer.take_event(), StreamEndEvent):
            raise UnreadableError(
                FilePosition(0, 0, 0), "the file holds no plan", "undeploy init writes a commented one"
            )
        root = composer.take_event()
        if not isinstance(root, MappingStartEvent):
            node = composer.compose(root, "")
            found = describe_node(node) if node else "no value"
            keys = "version, name, gateways and waves"
            at = self._problems.correct(get_position(root))
            first = self.source.read_lines_before(at.line, 0)[at.line]
            hint = self.source.find_odd_character(at.line) or find_missing_space(first)
            raise UnreadableError(
                at, f"found {found}, expected a mapping with the keys {keys}", hint, is_exact=True
            )
        self._refuse_tag_and_anchor(root, "")
        while not isinstance(event := composer.take_event(), MappingEndEvent):
            self.source.begin_entry()
            self._read_top_key(event)
        composer.take_event()
        # Of two documents only one could be meant, and the program cannot know which.
        after = composer.take_event()
        if isinstance(after, DocumentStartEvent):
            raise UnreadableError(
                get_position(after), "a second document begins", "a plan is one document; remove ---"
            )
        self._composer.warn_of_unused_anchors()
        self.source.drain()

    def _refuse_tag_and_anchor(self, event: Event, path: str) -> None:
        self._composer.refuse_tag(event, path)
        self._composer.refuse_anchor(event, path)

    def _read_top_key(self, event: Event) -> None:
        key = self._composer.read_key(event, "", self.header.keys)
        value = self._composer.take_event()
        if key == "waves":
            self._read_waves(value)
        elif key == "targets":
            self.waves.append(Wave(name=SHORT_WAVE))
            self._read_targets(value, "targets")
        else:
            node = self._composer.compose(value, join_path("", key or ""))
            if key is not None:
                self._keep_key(key, node)

    def _keep_key(self, key: str, node: Node | None) -> None:
        self.header.values[key] = node
        warn_of_placeholders(node, key, self._problems)
        # Refused at once: further messages would judge the keys of another version by this one.
        if key == "version":
            refuse_other_version(node)
        elif key == "gateways":
            self.gateways = read_gateways(node, self._problems)
        # A plan over its limit is refused in any case, so its further targets need not be stored.
        elif key == "at_most" and isinstance(node, ScalarNode) and re.fullmatch(WHOLE, node.text):
            self._collector.set_limit(int(node.text))

    def _read_waves(self, event: Event) -> None:
        if not isinstance(event, SequenceStartEvent):
            self._add_no_list(event, "waves", "waves")
            return
        self._refuse_tag_and_anchor(event, "waves")
        count = 0
        while not isinstance(item := self._composer.take_event(), SequenceEndEvent):
            path = f"waves[{count}]"
            count += 1
            if isinstance(item, MappingStartEvent):
                self._read_wave(item, path)
            else:
                node = self._composer.compose(item, path)
                found = describe_node(node) if node else "an alias"
                self._problems.add(get_position(item), path, f"found {found}, expected a mapping")
        if not count:
            self._problems.add(get_position(event), "waves", "the list of waves is empty")

    def _read_wave(self, event: Event, path: str) -> None:
        self._refuse_tag_and_anchor(event, path)
        self._collector.begin_wave(len(self.waves))
        wave = MappingNode({}, {}, get_position(event))
        # Holds the place of a wave whose keys cannot be read, so that later waves keep their index.
        self.waves.append(Wave(name=path))
        while not isinstance(item := self._composer.take_event(), MappingEndEvent):
            self.source.begin_entry()
            key = self._composer.read_key(item, path, wave.keys)
            value = self._composer.take_event()
            if key == "targets":
                self._read_targets(value, f"{path}.targets")
                continue
            node = self._composer.compose(value, join_path(path, key or ""))
            if key is not None:
                wave.values[key] = node
        self._finish_wave(wave, path)

    def _finish_wave(self, wave: MappingNode, path: str) -> None:
        if "targets" not in wave.keys:
            add_missing_key(wave, "targets", [*list_keys(Wave), "targets"], path, self._problems)
        warn_of_placeholders(wave, path, self._problems)
        self._compare_name(wave, path)
        values = read_record(wave, Wave, path, self._problems, beside=("targets",))
        if values is not None:
            self.waves[-1] = Wave(**values)

    def _compare_name(self, wave: MappingNode, path: str) -> None:
        """Refuse a wave's name that stands already, also if other keys of one of the two cannot be read."""
        node = wave.values.get("name")
        if not isinstance(node, ScalarNode) or not node.text:
            return
        first = self._names.setdefault(to_nfc(node.text), node.at)
        if first != node.at:
            where = self._problems.format_position(first)
            message = f"a wave named {quote_text(node.text)} stands already at {where}"
            self._problems.add(node.at, f"{path}.name", message)

    def _add_no_list(self, event: Event, path: str, of: str) -> None:
        node = self._composer.compose(event, path)
        found = (
            describe_node(node) if isinstance(event, ScalarEvent | MappingStartEvent) and node else "an alias"
        )
        self._problems.add(get_position(event), path, f"found {found}, expected a list of {of}")

    def _read_targets(self, event: Event, path: str) -> None:
        if not isinstance(event, SequenceStartEvent):
            self._add_no_list(event, path, "targets")
            return
        self._refuse_tag_and_anchor(event, path)
        if self.gateways is None or self.skipped:
            self.skipped = True
            read: EntryReader | None = None
        else:
            read = EntryReader(self.gateways, self._collector, self.target_files, self._problems)
        if not self._read_entries(read, path):
            self._problems.add(get_position(event), path, "the list of targets is empty")

    def _read_entries(self, reader: EntryReader | None, path: str) -> int:
        """Read the entries of one list, and return how many there are. Without a reader, pass over them.

        Nearly every entry is a mapping of single texts. Reading it event by event, without a node, makes
        large plans several times as fast. Any other entry goes back to the composer.
        """
        composer, source, next_event = self._composer, self.source, self._next_event
        count = 0
        while type(start := next_event()) is not SequenceEndEvent:
            source.begin_entry()
            if type(start) is MappingStartEvent:
                taken: list[ScalarEvent] = []
                keep = taken.append
                while type(last := next_event()) is ScalarEvent:
                    keep(last)
                is_flat = type(last) is MappingEndEvent and not (source.marked and _is_marked(start, taken))
                if is_flat and reader and reader.put_flat(taken, start):
                    count += 1
                    continue
                composer.give_back([*taken, last])
            where = f"{path}[{count}]"
            node = composer.compose(start, where)
            if reader is not None:
                reader.read(node, get_position(start), where)
            count += 1
        return count


def _is_marked(start: MappingStartEvent, taken: list[ScalarEvent]) -> bool:
    if start.anchor is not None or start.tag is not None:
        return True
    return any(event.anchor is not None or event.tag is not None for event in taken)
