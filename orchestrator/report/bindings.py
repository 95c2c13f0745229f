"""Counts of the things that hang on front ends, and the sentences that tell them. Pure.

The preview of a run, the question before it and a restore tell them in the same words.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from orchestrator.model.bindings import Binding, Bindings
from orchestrator.model.reading import Snapshot
from orchestrator.text.counting import count_noun, join_words, make_plural

MOST_CAUSES = 5
"""Most causes of gaps that are told one by one: the texts of a vendor may differ from read to read."""

_LINKS = {"application": "authorization"}
"""The word for one thing's tie to one front end, where it is no plain binding."""


class BoundKind(Struct, frozen=True):
    """The things of one kind that hang on front ends: ``count`` ties to ``things`` different ones."""

    what: str
    count: int
    things: int


class UnreadKind(Struct, frozen=True):
    """Number of targets of which one kind of things could not be read, and why."""

    what: str
    why: str
    targets: int


class BindingCounts(Struct, frozen=True, kw_only=True):
    """All that hangs on the front ends of some targets of one gateway, in numbers."""

    front_ends: int = 0
    kinds: tuple[BoundKind, ...] = ()
    """The most frequent kind first."""
    further_front_ends: int = 0
    """Number of other front-end APIs of the targets on which something hangs; no restore publishes those."""
    further_bindings: int = 0
    """Number of ties to those, of all kinds."""
    unread: tuple[UnreadKind, ...] = ()
    """The most frequent gap first."""
    never_read: int = 0
    """Targets with a front end of which nobody asked what hangs on it."""


def count_bindings(snapshots: Iterable[Snapshot]) -> BindingCounts:
    """Count what hangs on the front ends of targets of one gateway."""
    front_ends = never_read = 0
    ties: Counter[str] = Counter()
    things: dict[str, set[str]] = {}
    gaps: Counter[tuple[str, str]] = Counter()
    further: Counter[str] = Counter()
    for snapshot in snapshots:
        front_ends += len(snapshot.fronts)
        if snapshot.bindings is None:
            never_read += bool(snapshot.fronts)
            continue
        for binding in snapshot.bindings.found:
            if binding.front is not None:
                further[binding.front] += 1
                continue
            ties[binding.what] += 1
            things.setdefault(binding.what, set()).add(binding.id)
        gaps.update(_list_gaps(snapshot.bindings))
    return BindingCounts(
        front_ends=front_ends,
        kinds=tuple(BoundKind(what, count, len(things[what])) for what, count in ties.most_common()),
        further_front_ends=len(further),
        further_bindings=further.total(),
        unread=tuple(UnreadKind(what, why, count) for (what, why), count in gaps.most_common()),
        never_read=never_read,
    )


def _list_gaps(bindings: Bindings) -> set[tuple[str, str]]:
    # A target with several environments has a gap for each of them, and counts once.
    return {(gap.what, gap.why) for gap in bindings.unread}


def describe_bindings(counts: BindingCounts) -> str:
    """Return ``1,200 front-end APIs with 3,411 authorizations of 57 applications``."""
    front_ends = count_noun(counts.front_ends, "front-end API")
    if counts.kinds:
        return f"{front_ends} with {join_words(list(map(_describe_kind, counts.kinds)))}"
    if counts.unread or counts.never_read:
        return front_ends
    return f"{front_ends} with nothing bound to {'it' if counts.front_ends == 1 else 'them'}"


def _describe_kind(kind: BoundKind) -> str:
    link = _LINKS.get(kind.what, "binding")
    return f"{count_noun(kind.count, link)} of {count_noun(kind.things, kind.what)}"


def list_gaps(counts: BindingCounts) -> Iterator[str]:
    """Yield, as clauses, what no restore brings back, and what could not be read and why.

    Such as ``plug-ins of 3 targets cannot be read: …``.
    """
    if counts.further_bindings:
        hang = count_noun(counts.further_bindings, "more binding hangs", "more bindings hang")
        fronts = count_noun(counts.further_front_ends, "further front-end API")
        those = "it" if counts.further_bindings == 1 else "them"
        yield f"{hang} on {fronts}: no restore brings {those} back"
    for gap in counts.unread[:MOST_CAUSES]:
        yield f"{make_plural(gap.what)} of {count_noun(gap.targets, 'target')} cannot be read: {gap.why}"
    if (more := len(counts.unread) - MOST_CAUSES) > 0:
        yield f"{count_noun(more, 'more cause')} for things that cannot be read"
    if counts.never_read:
        targets = count_noun(counts.never_read, "target")
        yield f"the things bound to the front-end APIs of {targets} were never read"


def render_bindings(bindings: Bindings | None) -> Iterator[str]:
    """Yield a line for each thing that hangs on the front ends of one target, and for each gap."""
    if bindings is None:
        yield "not read"
        return
    yield from map(_describe_binding, bindings.found)
    yield from (f"{make_plural(gap.what)} cannot be read: {gap.why}" for gap in bindings.unread)
    if not bindings.found and not bindings.unread:
        yield "nothing"


def _describe_binding(binding: Binding) -> str:
    name = f"{binding.name} ({binding.id})" if binding.name else binding.id
    front = f" on front-end API {binding.front}" if binding.front else ""
    settings = ", ".join(
        f"{key} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in binding.settings.items()
    )
    told = f"{binding.what} {name} in {binding.environment}{front}"
    return f"{told}: {settings}" if settings else told
