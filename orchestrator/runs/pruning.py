"""Choose the old runs that may be removed: those that no resume and no restore needs any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from orchestrator.errors import OrchestratorError
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.restores import Restore, find_restores


class PruneChoice(Struct, frozen=True, kw_only=True):
    """The runs that may be removed, and why others stay."""

    removable: tuple[RunFolder, ...]
    resumable: int
    """How many runs stay because they can be resumed."""
    needed: int
    """How many old runs stay for the last snapshot of a target that is still down."""


class _PruneCandidate(Struct, frozen=True):
    """The facts that decide about the removal of one run."""

    old: bool
    """The run is complete, or a rehearsal; no process works on it, and it ended long enough ago."""
    resumable: bool
    down: frozenset[str]
    """The targets that the run took down, that are still down, and of which it has a snapshot."""


def choose_prunable(
    folders: Sequence[RunFolder], before: datetime, *, with_snapshots: bool = False
) -> PruneChoice:
    """Return which of ``folders``, newest first, may be removed: complete runs that ended before ``before``.

    Rehearsals, too, that did not come to their end: no rehearsal can be resumed.
    A run with the last snapshot of a target that is still down stays, unless ``with_snapshots``. A restore
    stays as long as a run that it brings back: without it, that run's targets would count as still down.
    """
    restores = {each.id: each for each in find_restores(folders[0].path.parent)} if folders else {}
    candidates = {str(folder.id): _read_candidate(folder, restores.values(), before) for folder in folders}
    needed = frozenset() if with_snapshots else _find_needed(candidates)
    stays = {name for name, candidate in candidates.items() if not candidate.old or name in needed}
    stays |= {name for name, restore in restores.items() if stays.intersection(restore.brings_back)}
    return PruneChoice(
        removable=tuple(folder for folder in folders if folder.id not in stays),
        resumable=sum(candidate.resumable for candidate in candidates.values()),
        needed=len(needed),
    )


def _read_candidate(folder: RunFolder, restores: Iterable[Restore], before: datetime) -> _PruneCandidate:
    """Read one run; a run that cannot be read stays."""
    try:
        with folder.open_source(among=restores) as source:
            run = source.read_run()
            down = (
                frozenset() if run.act == "restore" or run.rehearsal else frozenset(source.list_still_down())
            )
    except OrchestratorError:
        return _PruneCandidate(old=False, resumable=False, down=frozenset())
    is_resumable = run.state in ("stopped", "interrupted", "killed") and not run.rehearsal
    is_over = run.state != "running" and not is_resumable and folder.describe_holder() is None
    # A rehearsal that was killed has no end.
    ended = run.started if run.ended is None and run.rehearsal else run.ended
    return _PruneCandidate(is_over and ended is not None and ended < before, is_resumable, down)


def _find_needed(candidates: Mapping[str, _PruneCandidate]) -> frozenset[str]:
    """Return the old runs with a snapshot of a target still down that no newer run which stays has, too."""
    seen: set[str] = set()
    needed = set[str]()
    for name, candidate in candidates.items():
        if candidate.old and not candidate.down <= seen:
            needed.add(name)
        if not candidate.old or name in needed:
            seen |= candidate.down
    return frozenset(needed)
