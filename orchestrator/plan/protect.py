"""Read the protect files of a site, and check their patterns and a plan's own: no run touches such a target.

A pattern that matches nothing protects nothing, and its author does not notice. So such a pattern is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from orchestrator.errors import UsageError
from orchestrator.model.gateway import Gateway
from orchestrator.plan.gateways import NamedGateway
from orchestrator.plan.nodes import ListNode, MappingNode, ScalarNode
from orchestrator.plan.pattern_text import find_text_fault
from orchestrator.plan.patterns import find_fault
from orchestrator.plan.problems import FilePosition, Problems, prefer_straight_quotes
from orchestrator.system.reading import FileRefusedError, read_regular
from orchestrator.text.lists import ListedLine, read_listed_lines


class ProtectFile(Struct, frozen=True):
    """A protect file as it was read. ``refuse_dead_lines`` checks its patterns."""

    name: str
    lines: tuple[ListedLine, ...]

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns in the order of the file."""
        return tuple(line.text for line in self.lines)


def read_protect_file(path: Path) -> ProtectFile:
    """Read a protect file: one pattern a line. Ignores empty lines and lines that begin with ``#``.

    Raises ``UsageError`` if the file is no regular file, too large, or no UTF-8 text.
    """
    try:
        # No pipe: people must be able to look at the rules of a run afterwards.
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
    return ProtectFile(str(path), tuple(read_listed_lines(text)))


def refuse_dead_lines(files: Sequence[ProtectFile], gateways: Sequence[Gateway] | None) -> None:
    """Raise ``PlanError`` with each line that can protect nothing, and each file without a pattern.

    ``gateways`` are the plan's; None if no plan is known yet.
    """
    problems = Problems()
    for file in files:
        index = problems.add_file(file.name)
        if not file.lines:
            hint = "write a pattern a line, such as apim/Payments/**; or do not name the file"
            problems.add(FilePosition(index, 0, 0), "", "this protect file holds no pattern", hint)
        for line in file.lines:
            if (unfit := find_fault(line.text, gateways, in_file=True)) is not None:
                problems.add(FilePosition(index, line.number, line.column), "", unfit.message, unfit.hint)
    problems.raise_any()


def check_own_patterns(header: MappingNode, gateways: Mapping[str, NamedGateway], problems: Problems) -> None:
    """Add a problem for each pattern in the plan's own list that can match no id of its gateways.

    Does nothing if some gateway could not be read: a pattern may be meant for that gateway.
    """
    entries = [known.entry for known in gateways.values() if known.entry is not None]
    listed = header.values.get("protect")
    if not isinstance(listed, ListNode) or not entries or len(entries) < len(gateways):
        return
    for number, node in enumerate(listed.values):
        if not isinstance(node, ScalarNode) or find_text_fault(node.text) is not None:
            continue  # the reader has added that problem
        if (unfit := find_fault(node.text, entries)) is not None:
            hint = prefer_straight_quotes(node.text, unfit.hint)
            problems.add(node.at, f"protect[{number}]", unfit.message, hint)
