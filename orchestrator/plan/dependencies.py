"""Read the ids under ``after``, and add the problems of those that cannot be obeyed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from orchestrator.errors import UnfitError
from orchestrator.model.target import TargetId
from orchestrator.plan.gateways import NamedGateway, split_known_id
from orchestrator.plan.nodes import ListNode, MappingNode, Node, ScalarNode
from orchestrator.plan.problems import FilePosition, Problems, prefer_straight_quotes, quote_key
from orchestrator.plan.target_sink import DependencyFault
from orchestrator.text.characters import quote_text
from orchestrator.text.names import to_nfc

NeededTargets = Sequence[tuple[TargetId, FilePosition]]
"""The ids of the targets that go first, each with the position where ``after`` names it."""

_MOST_IN_A_CYCLE = 6
# A hint compares an id with up to a thousand others, and a mistake in a generator repeats in every line.
_MOST_HINTS = 20

_LIST = "write a list: after: [gateway/part]"


def read_after(
    node: Node | None, gateways: Mapping[str, NamedGateway], path: str, problems: Problems
) -> NeededTargets:
    """Return the ids in the list ``node`` that could be targets; add a problem for each of the others."""
    if not isinstance(node, ListNode):
        if node is not None:
            kind = "a mapping" if isinstance(node, MappingNode) else "a single value"
            problems.add(node.at, path, f"found {kind}, expected a list of target ids", _LIST)
        return ()
    found: dict[TargetId, FilePosition] = {}
    for index, value in enumerate(node.values):
        if isinstance(value, ScalarNode):
            try:
                add_needed_id(value.text, value.at, gateways, found)
            except UnfitError as unfit:
                hint = prefer_straight_quotes(value.text, unfit.hint)
                problems.add(value.at, f"{path}[{index}]", unfit.message, hint)
        elif value is not None:
            problems.add(value.at, f"{path}[{index}]", "found no single value, expected the id of a target")
    return tuple(found.items())


def add_needed_id(
    text: str, at: FilePosition, gateways: Mapping[str, NamedGateway], found: dict[TargetId, FilePosition]
) -> None:
    """Add the id ``text``, in NFC, to ``found``. Raises ``UnfitError`` for a twin, or for an impossible id.

    Ignores an id of a gateway that could not be read: the reader ignores the targets of that gateway, too.
    """
    known, _ = split_known_id(text, gateways)
    # The sink compares ids in NFC, so two forms of one accent are a twin here, too.
    name = TargetId(to_nfc(text))
    if name in found:
        raise UnfitError(f"{quote_text(text)} is given twice in one list")
    if known.kind is not None:
        found[name] = at


def add_dependency_faults(faults: Iterable[DependencyFault], problems: Problems) -> None:
    """Add a problem for each ``after`` that cannot be obeyed."""
    # An entry with a problem is no target yet, so its id may look unknown here.
    unread = "mend the other problems first: the entry of that target may have one" if problems else ""
    hinted = 0
    for fault in faults:
        name = quote_text(fault.ids[0])
        match fault.why:
            case "unknown":
                hint = _suggest_id(fault.ids[0], fault.among) if hinted < _MOST_HINTS else ""
                hinted += 1
                problems.add(fault.position, "after", f"{name} is no target of this plan", hint or unread)
            case "itself":
                problems.add(fault.position, "after", f"the target {name} comes after itself")
            case "later":
                hint = "after names targets of the same or an earlier wave"
                problems.add(fault.position, "after", f"the target {name} is in a later wave", hint)
            case "cycle":
                message = f"these targets wait for each other: {_format_cycle(fault.ids)}"
                problems.add(fault.position, "after", message, "take one of these dependencies out")


def _suggest_id(name: str, among: Sequence[str]) -> str:
    """Return ``did you mean "…"?`` if an id of the same gateway looks alike, else an empty text."""
    gateway, slash, rest = name.partition("/")
    begin = gateway + slash
    rests = [one[len(begin) :] for one in among if one.startswith(begin)]
    # Of two names that differ in one letter each, the one that differs in its case alone is meant.
    alike = [one for one in rests if one.casefold() == rest.casefold()]
    close = alike or get_close_matches(rest, rests, n=1)
    return f"did you mean {quote_text(begin + close[0])}?" if close else ""


def _format_cycle(ids: Sequence[str]) -> str:
    names = [quote_key(name) for name in ids]
    if len(names) > _MOST_IN_A_CYCLE:
        names[4:-1] = [f"({len(names) - 5:,} more)"]
    return " → ".join([*names, names[0]])
