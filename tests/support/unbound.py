"""Snapshots of ROMA's targets on whose front-end APIs nothing hangs."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.gateways.roma.binding_types import decode_bound_read
from orchestrator.lanes.snapshot_reads import SnapshotReads
from orchestrator.model.gateway import Gateway
from orchestrator.model.reading import Operation, Reading, Snapshot, Verdict
from orchestrator.model.target import Target

OTHER_SIDE = 10
"""Requests where nothing is bound, and at least three targets are left: five lists, and the five reads of the
one target that is compared with them."""

NOTHING_BOUND = Reading(verdict=Verdict.TOLD, kept={"bound": [], "size": 0, "total": 0})


def follow_reads(
    gateway: Gateway, target: Target, seen: Mapping[str, Reading], *lacking: str
) -> Operation | Snapshot:
    """Return the next read that is not of bindings, or the snapshot where nothing hangs on a front end."""
    seen, reads = dict(seen), SnapshotReads(gateway.restore, target)
    while True:
        found = reads.find_next(seen, frozenset(lacking))
        if isinstance(found, Snapshot) or decode_bound_read(found.via) is None:
            return found
        seen[found.via] = NOTHING_BOUND
