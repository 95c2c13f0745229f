"""The looks that were put off: for whom they are owed, in a few bytes a target."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from orchestrator.journal.pending import BATCH, PendingTargets
from orchestrator.model.target import Target
from orchestrator.rules.retry import TargetHistory


class DeferredTarget(NamedTuple):
    """A target with the vendor's full evidence, whose look is still owed."""

    target: Target
    history: TargetHistory
    began: float
    """Monotonic seconds at which a worker took the target."""


class DeferredLooks:
    """The targets of one lane that wait for the next list, in the order in which they were put off.

    Half of a plan may wait at once. So only numbers are kept, 17 bytes a target, and the journal gives target
    and history again.
    """

    def __init__(self) -> None:
        self._seqs = array("q")
        self._began = array("d")
        self._exist = array("b")

    def __len__(self) -> int:
        return len(self._seqs)

    def add(self, waiting: DeferredTarget) -> None:
        """Let a target wait. Its rows are queued for the journal."""
        self._seqs.append(waiting.target.seq)
        self._began.append(waiting.began)
        # The journal has no row for what a list has shown.
        self._exist.append(waiting.history.exists)

    def take(self) -> DeferredLooks:
        """Return the targets that wait, and forget them here."""
        taken = DeferredLooks()
        taken._seqs, taken._began, taken._exist = self._seqs, self._began, self._exist
        self._seqs, self._began, self._exist = array("q"), array("d"), array("b")
        return taken

    def read(self, pending: PendingTargets, gateway: str) -> Iterator[DeferredTarget]:
        """Yield the targets out of the journal, batch by batch; their rows are on disk."""
        for first in range(0, len(self._seqs), BATCH):
            batch = slice(first, first + BATCH)
            found = pending.read_again(self._seqs[batch], gateway)
            for (target, history), began, exists in zip(
                found, self._began[batch], self._exist[batch], strict=True
            ):
                yield DeferredTarget(target, replace(history, exists=bool(exists)), began)
