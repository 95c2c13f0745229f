"""The restore of a run: a run of its own, linked to the first one, and made from its journal.

A restore touches only targets that a snapshot saw deployed and that an undeploy may have reached, in reverse
order. A target that would not come back as it was is left out, with the option that brings it back still.
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
from orchestrator.journal.chain import merge_journals
from orchestrator.journal.database import Database
from orchestrator.journal.draft import Draft
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.meta import RunMeta, read_meta, read_plan
from orchestrator.journal.taken_down import (
    TakenDown,
    count_unseen,
    keep_snapshots,
    leave_out,
    list_coming,
    list_order,
    list_taken_down,
)
from orchestrator.journal.targets import list_first_open
from orchestrator.model.obstacles import LOST_BINDINGS, MISSING_HISTORY, Obstacle
from orchestrator.model.outcome import Reason
from orchestrator.model.plan import Plan, RunId, Wave
from orchestrator.model.reading import Snapshot
from orchestrator.model.target import Target, TargetId
from orchestrator.model.target_id import decode_parts
from orchestrator.plan.patterns import Patterns, name_by_entry
from orchestrator.plan.problems import FilePosition
from orchestrator.report.bindings import BindingCounts, count_bindings
from orchestrator.rules.stop_rules import adapt_to_restore
from orchestrator.text.counting import count_noun, make_plural, name_first
from orchestrator.version import __version__

_NOWHERE = FilePosition(0, 0, 0)
"""The targets of a restore come from a journal, not from a line of a plan."""
_BATCH = 1000
"""Number of snapshots that go into the draft at once."""
_MOST_CAUSES = 5
"""Gaps in the bindings of one target that are named: each type of binding has one, or each environment."""


class Choice(Struct, frozen=True, kw_only=True):
    """Which targets of a run to bring back, and which differences to accept."""

    only: tuple[str, ...] = ()
    """Patterns of target ids; empty is all of them."""
    accept: frozenset[str] = frozenset()
    roll_back: bool = False
    """Whether to bring back the very revision that was deployed, over the working definition. Counts only for
    gateways that keep revisions."""


class Restoration(NamedTuple):
    """A restore that is ready, and waits for the operator's approval."""

    parent: RunId
    runs: tuple[RunId, ...]
    """The runs to bring back, in their order: one run, or those of a chain."""
    plan: Plan
    draft: Draft
    place: Path
    """The temporary folder of the draft."""
    folder: Path
    """The folder that paths in the plan are relative to."""
    digest: str
    choice: Choice
    coming: int
    """Number of targets that come back."""
    left: Counter[str]
    """Number of targets that are left out, by the obstacle to accept; a target may count more than once."""
    left_out: int
    """Number of targets that are left out."""
    unseen: int
    """Number of targets that went down, but that no snapshot saw deployed: a restore leaves those alone."""

    def list_first(self, count: int) -> list[TargetId]:
        """Return the ids of the first targets that come back, in order, at most ``count`` of them."""
        return list_first_open(self.draft.database, count)

    def count_bindings(self) -> Iterator[tuple[str, BindingCounts]]:
        """Yield the gateways with front ends that come back, and the counts of what hung on those."""
        for index, gateway in enumerate(self.plan.gateways):
            counts = count_bindings(list_coming(self.draft.database, index))
            if counts.front_ends:
                yield gateway.name, counts

    def forget(self) -> None:
        """Remove the draft, unless a run has taken it over."""
        self.draft.close()
        shutil.rmtree(self.place, ignore_errors=True)


def build_restoration(
    parent: RunFolder, choice: Choice, place: Path, chain: Sequence[RunFolder] = ()
) -> Restoration:
    """Make the journal of a restore in the folder ``place``. Sends nothing.

    With a ``chain``, its runs in their order, the restore is of all of them, each target once. Raises
    RunError if a run is live or took nothing down, and UsageError if the run can never be restored or a
    pattern matches nothing.
    """
    runs = tuple(chain) or (parent,)
    # A live run may still take targets down, and this restore would miss them.
    for run in runs:
        if (holder := run.read_holder()) is not None:
            state, engine = run.state_option, holder.engine_options
            first = "" if engine is None else f"undeploy resume {run.id} {engine}{state}, then "
            raise RunError(
                f"run {run.id} is going on: {holder}; stop it first: {first}undeploy control {run.id} stop"
                f"{state}"
            )
    with _open_journals(parent, chain) as database:
        meta = read_meta(database)
        _refuse_wrong_run(parent, meta)
        draft = Draft(place / "journal.sqlite")
        try:
            return _RestorationBuilder(runs, database, meta, choice, draft).build(place)
        except BaseException:
            draft.close()
            raise


@contextmanager
def _open_journals(parent: RunFolder, chain: Sequence[RunFolder]) -> Iterator[Database]:
    """Open the journal of a run, or the journals of a chain as one."""
    if chain:
        with merge_journals(chain) as (database, _):
            yield database
    else:
        with closing(parent.open(checked=True)) as database:
            yield database


def _refuse_wrong_run(parent: RunFolder, meta: RunMeta) -> None:
    if meta.rehearsal:
        raise UsageError(f"run {parent.id} was a rehearsal; nothing of it is down")
    if meta.act != "undeploy":
        raise UsageError(f"run {parent.id} is a restore itself; restore the run {meta.parent}")


class _RestorationBuilder:
    """Copies the targets of a run, or of a whole chain, into the draft of a restore."""

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
        self._snapshots: list[tuple[int, Snapshot]] = []
        """The snapshots that are not in the draft yet, by the number of the target."""
        self._left_out: list[tuple[int, str]] = []
        """The targets that stay down, each with its reason."""
        self._counts: Counter[str] = Counter()
        self._digest = hashlib.sha256(_encode_choice(meta.digest, " ".join(self._runs), choice))

    def build(self, place: Path) -> Restoration:
        """Fill the draft, and return the restore."""
        source = _copy_plan(self._parent.plan, place / "plan.yaml")
        count = self._copy_targets()
        self._write_snapshots()
        left_alone = count_unseen(self._database)
        meta = RunMeta(
            digest=self._digest.hexdigest(),
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
        leave_out(self._draft.database, self._left_out)
        return Restoration(
            parent=self._parent.id,
            runs=self._runs,
            plan=self._plan,
            draft=self._draft,
            place=place,
            folder=Path(self._meta.folder),
            digest=self._digest.hexdigest(),
            choice=self._choice,
            coming=count - len(self._left_out),
            left=self._counts,
            left_out=len(self._left_out),
            unseen=left_alone,
        )

    def _copy_targets(self) -> int:
        """Add each wanted target to the draft; return their number."""
        pairs = list(list_order(self._database))
        ordered = {seq for pair in pairs for seq in pair}
        placed: dict[int, tuple[int, TargetId]] = {}
        count = 0
        for count, row in enumerate(self._find_wanted(), 1):
            self._draft.add(self._make_target(row, count), _NOWHERE)
            self._add_snapshot(row, count)
            if row.seq in ordered:
                placed[row.seq] = (count, row.id)
        for after, first in pairs:
            # The target that went down first comes back last.
            if first in placed and after in placed:
                self._draft.add_dependency(placed[first][0], placed[after][1], _NOWHERE)
        return count

    def _find_wanted(self) -> Iterator[TakenDown]:
        """Yield the targets that match the patterns. Raises if none does, or if a pattern matches none."""
        only = Patterns(self._choice.only or ("**",), self._plan.gateways, name_by_entry)
        used: set[int] = set()
        for row in list_taken_down(self._database):
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

    def _make_target(self, row: TakenDown, seq: int) -> Target:
        # The wave that went down last comes back first.
        gateway, wave = self._plan.gateways[row.gateway].name, len(self._plan.waves) - 1 - row.wave
        return Target(seq, row.id, gateway, wave, decode_parts(row.id), persistent=row.persistent)

    def _add_snapshot(self, row: TakenDown, seq: int) -> None:
        """Keep a target's snapshot, and the reason if the target is left out."""
        gateway = self._plan.gateways[row.gateway]
        snapshot = gateway.restore.adapt_snapshot(row.snapshot)
        if self._choice.roll_back:
            snapshot = gateway.restore.pin_revision(snapshot)
        self._snapshots.append((seq, snapshot))
        words = [word for word in snapshot.obstacles if word not in self._choice.accept]
        if words:
            known = {obstacle.word: obstacle for obstacle in gateway.OBSTACLES}
            obstacles = [known[word] for word in words]
            self._left_out.append((seq, f"{Reason.SKIPPED}: {_explain_obstacles(obstacles, snapshot)}"))
            self._counts.update(words)
        self._digest.update(f"\n{row.id}".encode())
        if len(self._snapshots) >= _BATCH:
            self._write_snapshots()

    def _write_snapshots(self) -> None:
        keep_snapshots(self._draft.database, self._snapshots)
        self._snapshots.clear()


def _copy_plan(plan: Path, copy: Path) -> str:
    """Copy a run's plan file; return the SHA-256 of its bytes."""
    try:
        shutil.copyfile(plan, copy)
        return hashlib.sha256(copy.read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"{plan}: cannot be read: {error.strerror or error}; nothing was sent") from error


def _encode_choice(digest: str, parent: str, choice: Choice) -> bytes:
    """Return the beginning of the bytes that a restore's digest covers; the ids of its targets follow."""
    head = [digest, parent, sorted(choice.accept), choice.roll_back]
    return json.dumps(head, ensure_ascii=False).encode()


def _explain_nothing(database: Database) -> str:
    if count := count_unseen(database):
        return f"{count_noun(count, 'target')} went down that no snapshot had seen deployed"
    return "it took nothing down"


def _reverse_plan(plan: Plan) -> Plan:
    """Return the plan of a restore: the same gateways, the waves in reverse, and no bound of the undeploy."""
    return replace(
        plan,
        window=None,
        stop_when=adapt_to_restore(plan.stop_when),
        protect=(),
        at_most=None,
        snapshot="off",
        approval="none",
        in_use="ignore",
        waves=tuple(Wave(name=wave.name) for wave in reversed(plan.waves)),
    )


def _explain_obstacles(obstacles: Sequence[Obstacle], snapshot: Snapshot) -> str:
    """Return why a target is left out, and the option that brings it back all the same."""
    texts = {obstacle.word: obstacle.consequence for obstacle in obstacles}
    for word, gap in _find_gaps(snapshot):
        if word in texts and gap:
            texts[word] += f" ({gap})"
    options = " ".join(f"--accept {word}" for word in texts)
    return f"{'; '.join(texts.values())}; {options} brings it back"


def _find_gaps(snapshot: Snapshot) -> Iterator[tuple[str, str | None]]:
    """Yield the obstacles that come of gaps in a snapshot, each with what is missing in it, and why."""
    yield MISSING_HISTORY.word, snapshot.message
    unread = snapshot.bindings.unread if snapshot.bindings is not None else ()
    causes = list(dict.fromkeys(f"{make_plural(each.what)}: {each.why}" for each in unread))
    yield LOST_BINDINGS.word, name_first(causes, _MOST_CAUSES)
