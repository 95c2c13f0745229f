"""Which of a vendor's looks one gateway offers, as its replies show."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from orchestrator.model.reading import Reading, Snapshot, Verdict

MOST_REFUSALS = 3
"""Refusals with the vendor's own code after which a read of a part is asked for no more. The first ones may
be about the target: grants go by application."""


class OfferedLooks:
    """The looks on offer, as far as the lane's replies show. A look that was never sent counts as offered.

    The reads of a target's parts, ``<kind>/<ids>``, count by their kind.
    """

    def __init__(self) -> None:
        self._offered: set[str] = set()
        self._refusals: dict[str, Reading] = {}
        self._refused_parts: Counter[str] = Counter()
        self._explained: Reading | None = None
        """The first refusal that came with a code of the vendor's."""

    @property
    def lacking(self) -> frozenset[str]:
        """The looks, by ``via``, that this gateway does not offer."""
        return frozenset(self._refusals)

    def refusal(self, via: str) -> Reading | None:
        """Return the reply by which a look turned out not to be offered; None if it may be offered."""
        return self._refusals.get(_find_kind(via))

    def learn(self, via: str, reading: Reading) -> Reading:
        """Take in the reading of a look; return the reading as the target is to take it."""
        kind = _find_kind(via)
        if reading.verdict is Verdict.NOT_OFFERED and kind in self._offered:
            # A look that was once offered stays offered: a version does not lose a look while we watch, so
            # a later "no such look" comes from a proxy or a restarting node, and tells nothing.
            return replace(reading, verdict=Verdict.UNCLEAR)
        if reading.verdict is Verdict.NOT_OFFERED:
            self._refused_parts[kind] += 1
            if kind == via or not reading.code or self._refused_parts[kind] >= MOST_REFUSALS:
                self._refusals[kind] = reading
            if kind == via and reading.code and self._explained is None:
                self._explained = reading
        # A read with facts that tell too little, such as those of a manager without a pod, is there as well.
        elif reading.verdict in (Verdict.UP, Verdict.DOWN, Verdict.TOLD) or reading.facts is not None:
            self._offered.add(kind)
        return reading

    def explain(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot for which no look was offered with the vendor's words for that, if it had any.

        An error of the vendor's own (no such instance) is not the same as a version without looks, and people
        should read the same cause at each target.
        """
        refusal = self._explained
        if snapshot.verdict is not Verdict.NOT_OFFERED or snapshot.code or refusal is None:
            return snapshot
        return replace(snapshot, code=refusal.code, message=refusal.message)


def _find_kind(via: str) -> str:
    return via.partition("/")[0]
