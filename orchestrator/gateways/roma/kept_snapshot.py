"""A snapshot out of a journal, as a restore takes it in: with all that its deploy will not bring back."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.gateways.roma.kept_deploy import (
    PERHAPS_WITHOUT_FRONT,
    WITHOUT_ITS_FRONT,
    KeptDeploy,
    decode_deploy,
)
from orchestrator.model.obstacles import LOST_BINDINGS, MISSING_HISTORY
from orchestrator.model.reading import Snapshot


def adapt_snapshot(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot with the obstacles and losses that an earlier version did not know.

    Its front-end APIs are then those that come back.
    """
    kept = decode_deploy(snapshot.deploy)
    if kept.environments:
        is_known = snapshot.bindings is not None and not snapshot.bindings.unread
        return snapshot if is_known else _add_obstacle(snapshot, LOST_BINDINGS.word)
    return _leave_front(snapshot) if _loses_front(snapshot, kept) else snapshot


def _loses_front(snapshot: Snapshot, kept: KeptDeploy) -> bool:
    """Return whether the target had a front-end API, or may have had one, that no deploy brings back."""
    # Earlier versions kept the same deploy for a backend API that had none. The time of a deployment is of
    # its record, and a record without a front-end API says that there was none.
    is_untold = MISSING_HISTORY.word in snapshot.obstacles and snapshot.facts.since is None
    return kept.lost_front is not None or bool(snapshot.fronts) or is_untold


def _leave_front(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot of a backend API that comes back alone: all that hung on its front end is lost."""
    # A person who accepts that the front end is lost has accepted the loss of all that hung on it.
    others = tuple(word for word in snapshot.obstacles if word != LOST_BINDINGS.word)
    # Every read that fails to bring a front-end API back still names it, if it has found that there is one.
    deploy = WITHOUT_ITS_FRONT if snapshot.fronts else PERHAPS_WITHOUT_FRONT
    alone = replace(snapshot, fronts=(), deploy=deploy, obstacles=others)
    return _add_obstacle(alone, MISSING_HISTORY.word)


def _add_obstacle(snapshot: Snapshot, word: str) -> Snapshot:
    return replace(snapshot, obstacles=tuple(dict.fromkeys((*snapshot.obstacles, word))))
