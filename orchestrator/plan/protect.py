"""What is never touched, as it is written down: a plan's own list, and the protect files of a site."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from orchestrator.errors import UsageError
from orchestrator.model.gateway import Gateway
from orchestrator.plan.gateways import NamedGateway
from orchestrator.plan.nodes import ListNode, MappingNode, ScalarNode
from orchestrator.plan.pattern_text import find_text_fault
from orchestrator.plan.patterns import find_fault
from orchestrator.plan.problems import FilePosition, Problems
from orchestrator.system.reading import FileRefusedError, read_regular

_LINE_END = re.compile("\r\n|\r|\n")
_BLANK = " \t"


class Line(Struct, frozen=True):
    """One pattern of a protect file, and where it begins, from 1."""

    pattern: str
    number: int
    column: int


class ProtectFile(Struct, frozen=True):
    """A protect file as it was read; whether its patterns are sound, ``tell_dead_lines`` says."""

    name: str
    lines: tuple[Line, ...]

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns in the order of the file."""
        return tuple(line.pattern for line in self.lines)


def read_protect_file(path: Path) -> ProtectFile:
    """Read a protect file: a pattern a line; empty lines and those that begin with ``#`` say nothing.

    Raises ``UsageError`` where it cannot be read as text, is no regular file or too large.
    """
    try:
        data = read_regular(path)
    except FileRefusedError as refused:
        raise UsageError(
            f"cannot read the protect file {path}: {refused.system or refused.message}"
        ) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"cannot read the protect file {path}: it is not UTF-8 text; save it as UTF-8"
        ) from error
    return ProtectFile(str(path), tuple(_lines(text)))


def _lines(text: str) -> Iterator[Line]:
    for number, raw in enumerate(_LINE_END.split(text), 1):
        line = raw.strip(_BLANK)
        if line and not line.startswith("#"):
            yield Line(line, number, raw.index(line) + 1)


def refuse_dead_lines(files: Sequence[ProtectFile], gateways: Sequence[Gateway] | None) -> None:
    """Raise ``PlanError`` with each line that can protect nothing, and each file that holds no pattern.

    ``gateways`` are those of the plan; None where they are not known.
    """
    problems = Problems()
    for file in files:
        index = problems.add_file(file.name)
        if not file.lines:
            hint = "write a pattern a line, such as apim/Payments/**; or do not name the file"
            problems.add(FilePosition(index, 0, 0), "", "this protect file holds no pattern", hint)
        for line in file.lines:
            if (unfit := find_fault(line.pattern, gateways, in_file=True)) is not None:
                problems.add(FilePosition(index, line.number, line.column), "", unfit.message, unfit.hint)
    problems.raise_any()


def check_own_patterns(header: MappingNode, gateways: Mapping[str, NamedGateway], problems: Problems) -> None:
    """Tell each pattern of the plan's own list that can match no id of its gateways.

    Where a gateway could not be read, nobody knows what its ids look like: nothing is told then.
    """
    entries = [known.entry for known in gateways.values() if known.entry is not None]
    listed = header.values.get("protect")
    if not isinstance(listed, ListNode) or not entries or len(entries) < len(gateways):
        return
    for number, node in enumerate(listed.values):
        if not isinstance(node, ScalarNode) or find_text_fault(node.text) is not None:
            continue  # told where it was read
        if (unfit := find_fault(node.text, entries)) is not None:
            problems.add(node.at, f"protect[{number}]", unfit.message, unfit.hint)
