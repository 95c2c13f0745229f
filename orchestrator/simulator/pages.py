"""The pages of a list: the bounds of the vendor, and lists that are not made anew for each page."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import parse_qs

_Entry = TypeVar("_Entry")

LONGEST = 500
"""Entries of a page: the bound of the vendor's older documents; the newest one prints none."""
USUAL = 20
"""Entries of a page where the request does not say how many."""

_KEPT = 8
"""Lists that are kept. A client reads one list at a time, so a few are enough."""


def parse_query(query: str) -> dict[str, str]:
    """Return the last value of each key of a query."""
    return {key: values[-1] for key, values in parse_qs(query).items()}


def cut_page(entries: Sequence[_Entry], asked: Mapping[str, str], longest: int) -> Sequence[_Entry] | str:
    """Return the page that is asked for, or the name of the key that cannot be obeyed."""
    try:
        offset, limit = max(0, int(asked.get("offset", 0))), int(asked.get("limit", USUAL))
    except ValueError:
        return "offset"
    if not 1 <= limit <= LONGEST:
        return "limit"
    return entries[offset : offset + min(limit, longest)]


class KeptLists:
    """Keeps the lists that pages are cut from, so that a page costs its own entries and not the whole list.

    A list is made again once its state has changed since.
    """

    def __init__(self) -> None:
        self._lists: OrderedDict[Hashable, tuple[int, Sequence[object]]] = OrderedDict()

    def find(self, key: Hashable, state: int, make: Callable[[], Sequence[_Entry]]) -> Sequence[_Entry]:
        """Return the list of this key; ``state`` is a number that grows with each change of its entries."""
        known = self._lists.get(key)
        if known is None or known[0] != state:
            known = (state, make())
            self._lists[key] = known
        self._lists.move_to_end(key)
        if len(self._lists) > _KEPT:
            self._lists.popitem(last=False)
        return known[1]  # type: ignore[return-value]  # one key always has entries of one type
