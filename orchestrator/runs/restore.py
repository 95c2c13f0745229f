"""What brings back what a run took down: a run of its own, linked to that one, made from its journal.

It touches only targets that the run's snapshot saw deployed and that an undeploy of the run may have reached,
in reverse order. What would not come back as it was is left out, with the option that takes it in.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.errors import RunError, UsageError
from orchestrator.journal.chain import put_together
from orchestrator.journal.database import Database
from orchestrator.journal.draft import Draft
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.meta import RunMeta, read_meta, read_plan
from orchestrator.journal.taken import Taken, keep, leave, order_of, taken_down, unseen
from orchestrator.journal.targets import list_first_open
from orchestrator.model.outcome import Reason
from orchestrator.model.plan import Plan, RunId, Wave
from orchestrator.model.reading import Obstacle, Snapshot
from orchestrator.model.target import Target, TargetId
from orchestrator.model.target_id import decode_parts
from orchestrator.plan.patterns import Patterns, name_by_entry
from orchestrator.plan.problems import FilePosition
from orchestrator.rules.stop_rules import adapt_to_restore
from orchestrator.version import __version__

_NOWHERE = FilePosition(0, 0, 0)
_BATCH = 1000


class Choice(Struct, frozen=True, kw_only=True):
    """What of a run is to come back, and what is put up with for it."""

    only: tuple[str, ...] = ()
    """Patterns of target ids; empty is all."""
    accept: frozenset[Obstacle] = frozenset()
    roll_back: bool = False
    """Where a gateway keeps revisions, bring the one back that was deployed, over its working definition."""


class Restoration(NamedTuple):
    """A restore that is ready to be agreed to."""

    parent: RunId
    runs: tuple[RunId, ...]
    """The runs that are brought back, in their order: one, or those of a chain."""
    plan: Plan
    draft: Draft
    place: Path
    folder: Path
    """What paths of the plan are relative to."""
    digest: str
    choice: Choice
    coming: int
    """How many targets are to come back."""
    left: Counter[Obstacle]
    """How many are left out, by what would have to be accepted; one may be counted under several."""
    left_out: int
    unseen: int
    """How many went down without a snapshot that saw them deployed: those are left alone."""

    def first(self, count: int) -> list[TargetId]:
        """Return the ids of the first targets that are to come back, in order, at most ``count`` of them."""
        return list_first_open(self.draft.database, count)

    def forget(self) -> None:
        """Remove what was made ready, unless it was run."""
        self.draft.close()
        shutil.rmtree(self.place, ignore_errors=True)


def build_restoration(
    parent: RunFolder, choice: Choice, place: Path, chain: Sequence[RunFolder] = ()
) -> Restoration:
    """Make the journal of a restore in the folder ``place``. Sends nothing.

    ``chain`` are the runs of a chain in their order, all of which are brought back then, each target once.
    Raises RunError where a run is going on or nothing was taken down, UsageError where it can never be
    restored or a pattern matches nothing.
    """
    runs = tuple(chain) or (parent,)
    for run in runs:
        if (holder := run.holding()) is not None:
            raise RunError(
                f"run {run.id} is going on: {holder}; stop it first: undeploy control {run.id} stop"
            )
    with _open_journals(parent, chain) as database:
        meta = read_meta(database)
        _refuse_wrong_run(parent, meta)
        draft = Draft(place / "journal.sqlite")
        try:
            return _RestorationBuilder(runs, database, meta, choice, draft).fill(place)
        except BaseException:
            draft.close()
            raise


@contextmanager
def _open_journals(parent: RunFolder, chain: Sequence[RunFolder]) -> Iterator[Database]:
    """Open the journal of a run, or all journals of a chain as one."""
    if chain:
        with put_together(chain) as (database, _):
            yield database
    else:
        with closing(parent.open()) as database:
            yield database


def _refuse_wrong_run(parent: RunFolder, meta: RunMeta) -> None:
    if meta.rehearsal:
        raise UsageError(f"run {parent.id} was a rehearsal; nothing of it is down")
    if meta.act != "undeploy":
        raise UsageError(f"run {parent.id} is a restore itself; restore the run {meta.parent}")


class _RestorationBuilder:
    """Takes the targets of a run, or of a chain put together, over into the draft of a restore."""

    def __init__(
        self,
        runs: Sequence[RunFolder],
        database: Database,
        meta: RunMeta,
        choice: Choice,
        draft: Draft,
    ) -> None:
        self._parent = runs[-1]
        self._runs = tuple(run.id for run in runs)
        self._database = database
        self._meta = meta
        self._choice = choice
        self._draft = draft
        self._plan = _reverse_plan(read_plan(database))
        self._kept: list[tuple[int, Snapshot]] = []
        self._left: list[tuple[int, str]] = []
        self._counts: Counter[Obstacle] = Counter()
        self._said = hashlib.sha256(_encode_choice(meta.digest, " ".join(self._runs), choice))

    def fill(self, place: Path) -> Restoration:
        """Take all of them over, and return what came of it."""
        source = _copy_plan(self._parent.plan, place / "plan.yaml")
        count = self._take_over()
        self._flush()
        left_alone = unseen(self._database)
        meta = RunMeta(
            digest=self._said.hexdigest(),
            folder=self._meta.folder,
            source=source,
            program=__version__,
            act="restore",
            parent=self._parent.id,
            brings_back=self._runs,
            accept=tuple(sorted(self._choice.accept)),
            unaccepted=tuple(sorted(self._counts)),
            unseen=left_alone,
        )
        self._draft.finish(self._plan, meta)
        leave(self._draft.database, self._left)
        return Restoration(
            parent=self._parent.id,
            runs=self._runs,
            plan=self._plan,
            draft=self._draft,
            place=place,
            folder=Path(self._meta.folder),
            digest=self._said.hexdigest(),
            choice=self._choice,
            coming=count - len(self._left),
            left=self._counts,
            left_out=len(self._left),
            unseen=left_alone,
        )

    def _take_over(self) -> int:
        """Add each target that is wanted; return how many there are."""
        pairs = list(order_of(self._database))
        ordered = {seq for pair in pairs for seq in pair}
        placed: dict[int, tuple[int, TargetId]] = {}
        count = 0
        for count, row in enumerate(self._wanted(), 1):
            self._draft.add(self._target(row, count), _NOWHERE)
            self._note(row, count)
            if row.seq in ordered:
                placed[row.seq] = (count, row.id)
        for after, first in pairs:
            if first in placed and after in placed:  # what went first comes back last
                self._draft.require(placed[first][0], placed[after][1], _NOWHERE)
        return count

    def _wanted(self) -> Iterator[Taken]:
        """Yield what the patterns let through. Raises where that is nothing, or a pattern matches nothing."""
        only = Patterns(self._choice.only or ("**",), self._plan.gateways, name_by_entry)
        used: set[int] = set()
        for row in taken_down(self._database):
            if matching := set(only.find_matches(row.id)):
                used |= matching
                yield row
        for index, pattern in enumerate(only.texts if self._choice.only else ()):
            if index in used:
                continue
            raise UsageError(f"--only {pattern} matches nothing that the run took down; nothing was sent")
        if not used:
            why = _explain_nothing(self._database)
            raise RunError(f"nothing of run {self._parent.id} can be restored: {why}")

    def _target(self, row: Taken, seq: int) -> Target:
        gateway, wave = self._plan.gateways[row.gateway].name, len(self._plan.waves) - 1 - row.wave
        return Target(seq, row.id, gateway, wave, decode_parts(row.id), persistent=row.persistent)

    def _note(self, row: Taken, seq: int) -> None:
        """Keep a target's snapshot, and why it is left out where it is."""
        snapshot = row.snapshot
        if self._choice.roll_back:
            snapshot = self._plan.gateways[row.gateway].restore.pin_revision(snapshot)
        self._kept.append((seq, snapshot))
        obstacles = tuple(each for each in snapshot.obstacles if each not in self._choice.accept)
        if obstacles:
            self._left.append((seq, f"{Reason.SKIPPED}: {_explain_obstacles(obstacles, snapshot.message)}"))
            self._counts.update(obstacles)
        self._said.update(f"\n{row.id}".encode())
        if len(self._kept) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        keep(self._draft.database, self._kept)
        self._kept.clear()


def _copy_plan(plan: Path, copy: Path) -> str:
    """Copy the plan as it was run; return the digest of its bytes."""
    try:
        shutil.copyfile(plan, copy)
        return hashlib.sha256(copy.read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"{plan}: cannot be read: {error.strerror or error}; nothing was sent") from error


def _encode_choice(digest: str, parent: str, choice: Choice) -> bytes:
    """Return what stands for this very restore, before its targets in order: the run and what is accepted."""
    said = [digest, parent, sorted(choice.accept), choice.roll_back]
    return json.dumps(said, ensure_ascii=False).encode()


def _explain_nothing(database: Database) -> str:
    if count := unseen(database):
        went = f"{count:,} targets went" if count > 1 else "1 target went"
        return f"{went} down that no snapshot had seen deployed"
    return "it took nothing down"


def _reverse_plan(plan: Plan) -> Plan:
    """Return the plan of a restore: the same gateways, the waves backwards, nothing of an undeploy."""
    return replace(
        plan,
        window=None,
        stop_when=adapt_to_restore(plan.stop_when),
        protect=(),
        at_most=None,
        snapshot="off",
        approval="none",
        waves=tuple(Wave(name=wave.name) for wave in reversed(plan.waves)),
    )


def _explain_obstacles(obstacles: tuple[Obstacle, ...], gap: str | None) -> str:
    """Return why a target is left out, with the ``gap`` in its snapshot where it is named, and what takes it
    in."""
    texts = {
        "new-front-end-id": "its front-end API would get a new id",
        "unpublished-edits": "edits that were never deployed would go live with it",
        "missing-history": "what was deployed could not be read, so that it may come back otherwise",
    }
    if gap:
        texts["missing-history"] += f" ({gap})"
    why = "; ".join(texts[obstacle] for obstacle in obstacles)
    return f"{why}; {' '.join(f'--accept {obstacle}' for obstacle in obstacles)} brings it back"
