"""The state of a run as its viewers get it: numbered, encoded once for all, and as differences.

Pure: whoever calls says when a new state is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

JsonObject: TypeAlias = dict[str, Any]

LONGEST_DELTA = 4096
"""Bytes of the longest difference; where more has changed, viewers are told to fetch the whole state."""

_KEYED: Mapping[str, tuple[str, ...]] = {
    "lanes": ("name",),
    "waves": ("name",),
    "causes": ("outcome", "label"),
}
"""The lists whose items change one by one, each with the fields that tell an item from the others."""
_UNTOLD = ("at", "over_time")
"""Keys that make no difference by themselves: the heartbeat has the time, and the charts are drawn here."""

_UNSEEN = ("over_time", "requests")
"""Keys that the page gets no values of: they are drawn here, or are for the metrics alone."""


class StateDelta(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The difference between the states ``base`` and ``seq``."""

    base: int
    seq: int
    set: JsonObject = {}
    """New values of top-level keys."""
    lists: dict[str, dict[str, JsonObject]] = {}
    """For each keyed list: by the key of an item, the fields that changed; a new item has them all."""
    order: dict[str, list[str]] = {}
    """For each list in which items came, went or moved: the keys of all its items, in order."""


class StateFeed:
    """Numbers the states of a run, and keeps the newest one with its difference from the one before.

    A new feed begins at ``first``: a viewer of an earlier server at the same address must not take a number
    of this one for one that it knows.
    """

    def __init__(self, first: int) -> None:
        self.seq = first
        self.over_time: JsonObject | None = None
        """The values of the charts, as the run told them last."""
        self.charts = 0
        """Counts the changes of ``over_time``."""
        self._state: JsonObject = {}
        self._delta: bytes | None = None
        self._whole: bytes | None = None

    @property
    def base(self) -> int:
        """The number of the state that ``delta`` begins at."""
        return self.seq - 1

    @property
    def delta(self) -> bytes | None:
        """The newest difference as JSON; None if it is too long to be sent."""
        return self._delta

    @property
    def state(self) -> bytes:
        """The whole newest state as JSON."""
        if self._whole is None:
            self._whole = msgspec.json.encode({"seq": self.seq, **self._state})
        return self._whole

    def advance(self, status: JsonObject) -> bool:
        """Take over a new state; return whether it differs from the one before."""
        after = self._prepare(status)
        delta = compare(self._state, after, self.seq)
        self._state = after
        if delta is None:
            return False
        encoded = msgspec.json.encode(delta)
        self.seq, self._whole = delta.seq, None
        self._delta = encoded if len(encoded) <= LONGEST_DELTA else None
        return True

    def _prepare(self, status: JsonObject) -> JsonObject:
        over_time = status.get("over_time")
        if over_time != self.over_time:
            self.over_time = over_time
            self.charts += 1
        state = {key: value for key, value in status.items() if key not in _UNSEEN}
        for name, fields in _KEYED.items():
            state[name] = list(_give_keys(status.get(name) or (), fields))
        return state | {"charts": self.charts}


def _give_keys(items: Iterable[JsonObject], fields: tuple[str, ...]) -> Iterable[JsonObject]:
    taken: dict[str, int] = {}
    for item in items:
        key = " ".join(str(item.get(field)) for field in fields)
        # Two waves may have one name; no name has a tab.
        taken[key] = taken.get(key, 0) + 1
        yield item | {"key": key if taken[key] == 1 else f"{key}\t{taken[key]}"}


def compare(before: JsonObject, after: JsonObject, seq: int) -> StateDelta | None:
    """Return what leads from the state ``seq`` to the next one; None if nothing differs that viewers see."""
    changed = {
        key: value
        for key, value in after.items()
        if key not in _KEYED and key not in _UNTOLD and (key not in before or before[key] != value)
    }
    lists: dict[str, dict[str, JsonObject]] = {}
    order: dict[str, list[str]] = {}
    for name in _KEYED:
        old = {item["key"]: item for item in before.get(name, ())}
        new = {item["key"]: item for item in after.get(name, ())}
        if patches := {key: patch for key, item in new.items() if (patch := _patch(old.get(key), item))}:
            lists[name] = patches
        if list(old) != list(new):
            order[name] = list(new)
    if not (changed or lists or order):
        return None
    # Only beside another change, so that a run that stands still costs no bytes.
    changed["at"] = after.get("at")
    return StateDelta(base=seq, seq=seq + 1, set=changed, lists=lists, order=order)


def _patch(before: JsonObject | None, after: JsonObject) -> JsonObject:
    if before is None:
        return after
    return {key: value for key, value in after.items() if key not in before or before[key] != value}
