"""Bounds the bad signatures of one access key over all lanes of a process.

A plan may name several gateways with one key, and a wrong secret or a wrong clock is wrong at all of them.
The vendor locks a key after a handful of bad signatures, for every program that uses it.
"""

from __future__ import annotations

from msgspec import Struct

from orchestrator.model.credentials import AccessKeys

MOST_UNPROVEN = 4
"""Requests with a key that no gateway has let in: those in flight and those that were refused together."""

FORGOTTEN_AFTER = 300.0
"""Seconds after which refusals no longer count: a locked key is free again by then."""

LOOK_PERIOD = 0.1
"""Seconds after which a lane that waits for the trial of another one asks again."""


class _KeyRecord(Struct):
    """What is known of one key."""

    is_proven: bool = False
    """Some gateway has let it in since it was refused last."""
    in_flight: int = 0
    refused: int = 0
    refused_at: float = 0.0


class KeyTrials:
    """The requests of all lanes with keys that are not proven yet. ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._records: dict[AccessKeys, _KeyRecord] = {}

    def find_refusal(self, keys: AccessKeys, now: float) -> str | None:
        """Return why no request may leave with a key any more; None if one may, or may soon."""
        if self._find(keys, now).refused < MOST_UNPROVEN:
            return None
        return f"{MOST_UNPROVEN} gateways have rejected signatures of this access key; one more could lock it"

    def may_begin(self, keys: AccessKeys, now: float) -> bool:
        """Return whether another request may leave with a key now."""
        record = self._find(keys, now)
        return record.is_proven or record.in_flight + record.refused < MOST_UNPROVEN

    def begin(self, keys: AccessKeys) -> None:
        """Count a request that is about to leave; ``may_begin`` comes first."""
        self._records.setdefault(keys, _KeyRecord()).in_flight += 1

    def end(self, keys: AccessKeys, now: float, *, is_let_in: bool | None) -> None:
        """Take in what came of such a request; None: no gateway has judged its signature."""
        record = self._find(keys, now)
        record.in_flight -= 1
        if is_let_in is None:
            return
        record.is_proven = is_let_in
        record.refused = 0 if is_let_in else record.refused + 1
        record.refused_at = now

    def _find(self, keys: AccessKeys, now: float) -> _KeyRecord:
        record = self._records.setdefault(keys, _KeyRecord())
        if record.refused and now - record.refused_at > FORGOTTEN_AFTER:
            record.refused = 0
        return record
