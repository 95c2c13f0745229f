"""The reads of one snapshot in their order: those of the target, then those of what hangs on it."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.model.features import RestoreFeature
from orchestrator.model.reading import Operation, Reading, Snapshot
from orchestrator.model.target import Target


class SnapshotReads:
    """Says what to read next for the snapshot of one target."""

    def __init__(self, restore: RestoreFeature, target: Target, *, with_bindings: bool = True) -> None:
        """``with_bindings``: read also what hangs on the target. Only a restore needs that."""
        self._restore = restore
        self._target = target
        self._with_bindings = with_bindings
        self._found: Snapshot | None = None
        """The snapshot but for the bindings. It is made once: nothing that is read later changes it."""

    def find_next(self, seen: Mapping[str, Reading], lacking: frozenset[str]) -> Operation | Snapshot:
        """Return the next read, or the whole snapshot; as ``RestoreFeature.next_snapshot_read``."""
        if self._found is None:
            found = self._restore.next_snapshot_read(self._target, seen, lacking)
            if isinstance(found, Operation) or not self._with_bindings:
                return found
            self._found = found
        return self._restore.next_binding_read(self._found, seen, lacking)
