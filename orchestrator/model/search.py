"""The search for what is deployed on a gateway, query by query: filters, queries, results. Pure.

A kind gives a first ``SearchQuery``; each reply gives a ``QueryResult``, which may hold further queries. The
reader takes the queries in any order, as many side by side as the limits of the gateway allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from msgspec import Struct

from orchestrator.model.credentials import Access
from orchestrator.model.http import Reply, Request
from orchestrator.model.reading import Reading

MOST_LISTED = 100_000
"""Entries of one list that are taken in: longer ones are a mistake, or an attack."""

ANY_TEXT: frozenset[str] = frozenset()
"""Of a filter: the kind takes any text for it."""

Traits = Mapping[str, tuple[str, ...]]
"""What a target is, by the filter that asks for it; of some it has several texts, or none."""


class FoundTarget(Struct, frozen=True, kw_only=True):
    """One target that is deployed and wanted."""

    parts: tuple[str, ...]
    traits: Traits
    notes: tuple[str, ...] = ()
    """What else was seen of it, for people; the vendor's texts are cut and made visible."""
    since: str | None = None
    """When it was deployed, where that was asked or told, as the vendor writes it."""


class QueryResult(Struct, frozen=True, kw_only=True):
    """The result of one reply. ``queries`` may be long; the reader takes them one by one."""

    seen: int = 0
    """Of how many targets this tells the state, deployed or not."""
    deployed: int = 0
    found: tuple[FoundTarget, ...] = ()
    queries: Iterable[SearchQuery] = ()
    gaps: tuple[str, ...] = ()
    """What could not be seen, by name."""
    remarks: tuple[str, ...] = ()
    """How it was seen, where there are several ways."""


class SearchQuery(Struct, frozen=True, kw_only=True):
    """One read. ``name`` says of what.

    ``request`` raises ``ValueError`` for a name that cannot be a part of a URL. ``read`` never raises,
    whatever the bytes: UNCLEAR may be asked again, BUSY and DENIED concern the lane, any other reading is
    final. ``failed`` says what is lost, or asked in its place, where no reply could be used; without it that
    is a gap.
    """

    name: str
    request: Callable[[Access, float], Request]
    read: Callable[[Reply], QueryResult | Reading]
    failed: Callable[[Reading], QueryResult] | None = None


class TargetFilter(Struct, frozen=True, kw_only=True):
    """Which targets are wanted: each filter that is given says yes to one of a target's texts for it."""

    filters: Mapping[str, Callable[[str], bool]] = {}
    literals: Mapping[str, tuple[str, ...]] = {}
    """Of each filter the texts that can only mean one thing: a name without a star."""
    before: datetime | None = None
    """Deployed last before this time."""

    def has_filter(self, name: str) -> bool:
        """Return whether the filter is given."""
        return name in self.filters

    def admits(self, name: str, *texts: str) -> bool:
        """Return whether the filter ``name``, if it is given, says yes to one of the ``texts``."""
        test = self.filters.get(name)
        return test is None or any(test(text) for text in texts)

    def admits_all(self, traits: Traits) -> bool:
        """Return whether each filter but the time says yes."""
        return all(self.admits(name, *traits.get(name, ())) for name in self.filters)

    def is_early(self, since: str | None) -> bool | None:
        """Return whether a target deployed at ``since`` is early enough; None where that cannot be told.

        A time without an offset from UTC tells nothing.
        """
        if self.before is None:
            return True
        moment = parse_instant(since)
        return None if moment is None else moment < self.before


def parse_instant(text: str | None) -> datetime | None:
    """Return an aware time as ISO 8601 writes it; None for anything else."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment
