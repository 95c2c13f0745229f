"""What hangs on the front-end APIs of ROMA Connect: which reads tell it, and what they amount to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from orchestrator.gateways.roma.binding_types import BINDING_TYPES, BoundRead
from orchestrator.gateways.roma.records import is_front_id
from orchestrator.model.bindings import Binding, Bindings, UnreadBindings
from orchestrator.model.reading import Operation, Reading, Verdict

MOST_BOUND = 5_000
"""Things of one type that are kept for one front-end API in one environment. Of more, none is."""

MOST_PAGES = 100
"""Pages of one type that are read for one front-end API in one environment: a server may give short ones."""

MOST_READS = 1_000
"""Pages that are read for one target. Beyond them no further page is asked for."""

MOST_OF_TARGET = 20_000
"""Things that are kept for one target, and those of one more read. Of what is read after them, none is."""

MOST_ENVIRONMENTS = 50
"""Environments of one target whose bindings are read: each costs five requests."""

LONGEST_SETTINGS = 1024 * 1024
"""Characters of all settings that are kept for one front-end API in one environment."""

_NOTHING = {"bound": [], "size": 0, "total": 0}


class Published(NamedTuple):
    """A front-end API of a target, and the environments in which it is published."""

    front: str
    environments: Sequence[str]
    is_extra: bool = False
    """Whether it is another one than the one that a deploy brings back."""


def next_bindings(
    published: Iterable[Published], seen: Mapping[str, Reading], lacking: frozenset[str]
) -> Operation | Bindings:
    """Return the next read of what hangs on some front-end APIs, or all that was found.

    ``seen`` and ``lacking`` are as in ``RestoreFeature.next_snapshot_read``; ``lacking`` has the key of a
    type that the gateway does not tell to this credential.
    """
    reads, refused = _list_reads(published)
    if refused is not None:
        return mark_unread(refused)
    found: list[Binding] = []
    unread: dict[UnreadBindings, None] = {}
    for read, is_extra in reads:
        first = seen.get(read.operation.via)
        if first is not None and first.kept == _NOTHING:
            continue  # most front ends have nothing of most types
        if len(found) > MOST_OF_TARGET:
            why = f"more than {MOST_OF_TARGET:,} others hang on it already"
            unread[UnreadBindings(read.type.word, why)] = None
            continue
        bound = join_pages(read, seen, lacking)
        match bound:
            case Operation():
                return bound
            case UnreadBindings():
                unread[bound] = None
            case _ if is_extra:
                found += [replace(each, front=read.front) for each in bound]
            case _:
                found += bound
    return Bindings(found=tuple(found), unread=tuple(unread))


def mark_unread(why: str) -> Bindings:
    """Return that no type of bindings could be read."""
    return Bindings(unread=tuple(UnreadBindings(each.word, why) for each in BINDING_TYPES.values()))


def _list_reads(published: Iterable[Published]) -> tuple[list[tuple[BoundRead, bool]], str | None]:
    """Return the first read of each type, front end and environment; or why none can be made."""
    places = [(one.front, each, one.is_extra) for one in published for each in one.environments]
    if len(places) > MOST_ENVIRONMENTS:
        return [], f"it is published in {len(places):,} environments, more than {MOST_ENVIRONMENTS}"
    if not all(is_front_id(environment) for _, environment, _ in places):
        return [], "the id of an environment has a form that no id has"
    types = BINDING_TYPES.values()
    return [(BoundRead(each, front, env), extra) for front, env, extra in places for each in types], None


def join_pages(
    read: BoundRead, seen: Mapping[str, Reading], lacking: frozenset[str]
) -> Operation | UnreadBindings | list[Binding]:
    """Return the things of one type in one environment, the read of their next page, or why none is known.

    ``read`` is of the first page.
    """
    word, found, total, characters = read.type.word, dict[str, Binding](), None, 0
    for _ in range(MOST_PAGES):
        page = seen.get(read.operation.via)
        if page is None:
            return _ask(read, seen, lacking)
        if page.verdict is not Verdict.TOLD or page.kept is None:
            return UnreadBindings(word, _explain(page))
        told, before = page.kept["total"], len(found)
        for fields in page.kept["bound"]:
            found.setdefault(fields["id"], Binding(what=word, environment=read.environment, **fields))
        if why := _find_gap(page.kept, read.offset, total, is_new=len(found) > before):
            return UnreadBindings(word, why)
        characters += sum(map(_measure, page.kept["bound"]))
        if characters > LONGEST_SETTINGS:
            return UnreadBindings(word, "their settings have too many characters to be kept")
        read, total = read._replace(offset=read.offset + page.kept["size"]), told
        if read.offset >= told:
            return list(found.values())
    return UnreadBindings(word, f"{read.offset:,} of {told:,} are shown on {MOST_PAGES} pages")


def _ask(read: BoundRead, seen: Mapping[str, Reading], lacking: frozenset[str]) -> Operation | UnreadBindings:
    """Return the read of a page that was not made yet; or why it is not to be made."""
    if read.type.key in lacking:
        return UnreadBindings(read.type.word, "not offered")
    if len(seen) >= MOST_READS:
        return UnreadBindings(read.type.word, f"{MOST_READS:,} other pages were read for it already")
    return read.operation


def _explain(page: Reading) -> str:
    """Return why a read told nothing, in the vendor's words where it has any."""
    return ": ".join(filter(None, (page.code, page.message))) or "not offered"


def _find_gap(page: Mapping[str, Any], offset: int, total: int | None, *, is_new: bool) -> str | None:
    """Return why the pages so far do not give a whole list; None if nothing is wrong with them."""
    told, end = page["total"], offset + page["size"]
    if told > MOST_BOUND:
        return f"there are {told:,}, more than the {MOST_BOUND:,} that are kept"
    if total is not None and told != total:
        return "they changed while they were read"
    if end < told and not page["size"]:
        return f"{end:,} of {told:,} are shown"
    # A server that ignores the offset gives the same page again and again. Where a page holds only things of
    # other environments, none of it is new.
    if offset and page["bound"] and not is_new:
        return "its pages repeat each other"
    return None


def _measure(bound: Mapping[str, Any]) -> int:
    """Return the characters of the settings of one thing."""
    settings = bound.get("settings", {})
    return sum(len(text) for value in settings.values() for text in _list_texts(value))


def _list_texts(value: Any) -> Iterator[str]:
    yield from value if isinstance(value, list) else (value,)
