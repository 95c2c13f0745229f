"""The search for the targets deployed on a gateway, query by query: filters, queries, results. Pure.

A kind gives a first ``SearchQuery``; each reply gives a ``QueryResult``, which may hold further queries. The
reader takes the queries in any order, as many side by side as the limits of the gateway allow.
"""

from __future__ import annotations

import re
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

_HOUR_24 = re.compile("[Tt ]24")
_MINUTES_60 = re.compile(r"[+-][0-9]{2}:?[6-9][0-9]\Z")
"""An offset such as +03:60, which Python takes for +04:00."""

Traits = Mapping[str, tuple[str, ...]]
"""A target's texts for each filter: one, several or none."""


class FoundTarget(Struct, frozen=True, kw_only=True):
    """One target that is deployed and wanted."""

    parts: tuple[str, ...]
    traits: Traits
    notes: tuple[str, ...] = ()
    """Further facts about the target, for people; the vendor's texts are cut and made visible."""
    since: str | None = None
    """Time of the last deploy in the vendor's spelling, if a query asked for it or a list told it."""


class QueryResult(Struct, frozen=True, kw_only=True):
    """The result of one reply. ``queries`` may be long; the reader takes them one by one."""

    seen: int = 0
    """Number of targets whose state the reply tells, deployed or not."""
    deployed: int = 0
    found: tuple[FoundTarget, ...] = ()
    queries: Iterable[SearchQuery] = ()
    gaps: tuple[str, ...] = ()
    """Names of the parts that could not be seen."""
    remarks: tuple[str, ...] = ()
    """The way in which the targets were found, where a kind has several ways."""


class SearchQuery(Struct, frozen=True, kw_only=True):
    """One read. ``name`` names its subject.

    ``request`` raises ``ValueError`` for a name that cannot be a part of a URL. ``read`` never raises,
    whatever the bytes: UNCLEAR may be asked again, BUSY and DENIED concern the lane, any other reading is
    final. Where no reply could be used, ``failed`` gives the loss or the queries to ask instead; without
    ``failed`` the read becomes a gap.
    """

    name: str
    request: Callable[[Access, float], Request]
    read: Callable[[Reply], QueryResult | Reading]
    failed: Callable[[Reading], QueryResult] | None = None


class TargetFilter(Struct, frozen=True, kw_only=True):
    """The choice of targets: each given filter must admit one of a target's texts for it."""

    filters: Mapping[str, Callable[[str], bool]] = {}
    literals: Mapping[str, tuple[str, ...]] = {}
    """The texts of each filter that can only mean one thing: names without a star."""
    before: datetime | None = None
    """Deployed last before this time."""

    def has_filter(self, name: str) -> bool:
        """Return whether the filter is given."""
        return name in self.filters

    def admits(self, name: str, *texts: str) -> bool:
        """Return whether the filter ``name``, if it is given, admits one of the ``texts``."""
        test = self.filters.get(name)
        return test is None or any(test(text) for text in texts)

    def admits_all(self, traits: Traits) -> bool:
        """Return whether each filter apart from the time admits these traits."""
        return all(self.admits(name, *traits.get(name, ())) for name in self.filters)

    def is_early(self, since: str | None) -> bool | None:
        """Return whether a target deployed at ``since`` is early enough; None where the time does not tell.

        A time without an offset from UTC tells nothing.
        """
        if self.before is None:
            return True
        moment = parse_instant(since)
        return None if moment is None else moment < self.before


def parse_instant(text: str | None) -> datetime | None:
    """Return an aware time as ISO 8601 writes it; None for anything else, such as the hour 24."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    # From Python 3.14 on, 24:00 is the midnight after that day. One text means the same under each version.
    is_odd = _HOUR_24.search(text or "") is not None or _MINUTES_60.search(text or "") is not None
    return None if moment.tzinfo is None or is_odd else moment
