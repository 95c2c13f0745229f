"""What brings back what a run took down: a run of its own, linked to that one, made from its journal.

It touches only targets that the run's snapshot saw deployed and that an undeploy of the run may have reached,
in reverse order. What would not come back as it was is left out, with the option that takes it in.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.errors import RunError, UsageError
from orchestrator.journal.database import Database
from orchestrator.journal.draft import Draft
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.pending import parts_of
from orchestrator.journal.taken import Taken, fill, order_of, taken_down, unseen
from orchestrator.model import (
    DEPLOY,
    Act,
    Ask,
    Obstacle,
    Plan,
    Reason,
    RunId,
    Snapshot,
    StopWhen,
    Target,
    TargetId,
    Threshold,
    Wave,
)
from orchestrator.plan.globs import matcher
from orchestrator.plan.stored import plan_from_json, plan_to_json
from orchestrator.plan.targets import Place

ROLL_BACK = Ask(Act.DEPLOY, "rollback")

_NOWHERE = Place(0, 0, 0)


class Choice(Struct, frozen=True, kw_only=True):
    """What of a run is to come back, and what is put up with for it."""

    only: tuple[str, ...] = ()
    """Patterns of target ids; empty is all."""
    accept: frozenset[Obstacle] = frozenset()
    roll_back: bool = False
    """Bring Apinizer's revision back, which overwrites the manager's working definition."""


class Restoration(NamedTuple):
    """A restore that is ready to be agreed to."""

    parent: RunId
    plan: Plan
    draft: Draft
    place: Path
    folder: Path
    """What paths of the plan are relative to."""
    digest: str
    coming: int
    """How many targets are to come back."""
    left: Counter[Obstacle]
    """How many are left out, by what would have to be accepted."""
    unseen: int
    """How many went down without a snapshot that saw them deployed: those are left alone."""
    change: Ask


def prepare(parent: RunFolder, choice: Choice, place: Path) -> Restoration:
    """Make the journal of a restore in the folder ``place``. Sends nothing.

    Raises RunError where the parent is going on or took nothing down, UsageError where a pattern matches
    nothing.
    """
    if (holder := parent.holding()) is not None:
        raise RunError(
            f"run {parent.id} is going on: {holder}; stop it first: undeploy control {parent.id} stop"
        )
    database = parent.open()
    try:
        return _prepare(parent, database, choice, place)
    finally:
        database.close()


def _prepare(parent: RunFolder, database: Database, choice: Choice, place: Path) -> Restoration:
    meta: dict[str, Any] = dict(database.rows("SELECT key, value FROM meta"))
    _refuse(parent, meta)
    rows = _wanted(database, choice)
    if not rows:
        raise RunError(f"nothing of run {parent.id} can be restored: {_why_nothing(database)}")
    shutil.copyfile(parent.plan, place / "plan.yaml")
    plan = _reversed(plan_from_json(meta["plan"].encode()))
    draft = Draft(place / "journal.sqlite")
    seqs = {row.seq: seq for seq, row in enumerate(rows, 1)}
    for row in rows:
        draft.add(_target(row, seqs[row.seq], plan), _NOWHERE)
    _turn_round(database, draft, seqs, {row.seq: row.id for row in rows})
    digest = _digest(meta["digest"], rows, choice)
    change = ROLL_BACK if choice.roll_back else DEPLOY
    kept = {"plan": plan_to_json(plan).decode(), "digest": digest, "act": "restore", "parent": parent.id}
    same = {key: meta[key] for key in ("folder", "source", "program")}
    draft.finish(tuple(gateway.name for gateway in plan.gateways), {**same, **kept, "via": change.via})
    left = _left_out(rows, choice)
    fill(
        draft.database,
        [(seqs[row.seq], _kept(row.snapshot, choice)) for row in rows],
        [(seqs[seq], f"{Reason.SKIPPED}: {_option(why)}") for seq, why in left.items()],
    )
    return Restoration(
        parent=parent.id,
        plan=plan,
        draft=draft,
        place=place,
        folder=Path(meta["folder"]),
        digest=digest,
        coming=len(rows) - len(left),
        left=Counter(obstacle for why in left.values() for obstacle in why),
        unseen=unseen(database),
        change=change,
    )


def _target(row: Taken, seq: int, plan: Plan) -> Target:
    gateway, wave = plan.gateways[row.gateway].name, len(plan.waves) - 1 - row.wave
    return Target(seq, row.id, gateway, wave, parts_of(row.id), persistent=row.persistent)


def _refuse(parent: RunFolder, meta: dict[str, Any]) -> None:
    if meta.get("rehearsal"):
        raise UsageError(f"run {parent.id} was a rehearsal; nothing of it is down")
    if meta.get("act") != "undeploy":
        raise UsageError(f"run {parent.id} is a restore itself; restore the run {meta.get('parent')}")


def _wanted(database: Database, choice: Choice) -> list[Taken]:
    matches = matcher(choice.only or ("**",))
    for pattern in choice.only:
        alone = matcher((pattern,))
        if not any(alone(row.id) for row in taken_down(database)):
            raise UsageError(f"--only {pattern} matches nothing that the run took down; nothing was sent")
    return [row for row in taken_down(database) if matches(row.id) is not None]


def _why_nothing(database: Database) -> str:
    if count := unseen(database):
        return f"{count:,} targets went down that no snapshot had seen deployed"
    return "it took nothing down"


def _reversed(plan: Plan) -> Plan:
    """Return the plan of a restore: the same gateways, the waves backwards, nothing of an undeploy."""
    never = Threshold(share=1.0)
    rules = StopWhen(failed=plan.stop_when.failed, unknown=plan.stop_when.unknown, surprising=never)
    return replace(
        plan,
        window=None,
        stop_when=rules,
        protect=(),
        at_most=None,
        snapshot="off",
        approval="none",
        waves=tuple(Wave(name=wave.name) for wave in reversed(plan.waves)),
    )


def _turn_round(database: Database, draft: Draft, seqs: dict[int, int], ids: dict[int, TargetId]) -> None:
    """What went first comes back last: a target waits for those that went after it."""
    for after, first in order_of(database):
        if first in seqs and after in seqs:
            draft.require(seqs[first], ids[after], _NOWHERE)


def _left_out(rows: list[Taken], choice: Choice) -> dict[int, tuple[Obstacle, ...]]:
    """Return by number why targets are left out: what is in the way and was not accepted."""
    found = {}
    for row in rows:
        why = tuple(each for each in row.snapshot.obstacles if each not in choice.accept)
        if why:
            found[row.seq] = why
    return found


def _option(obstacles: tuple[Obstacle, ...]) -> str:
    texts = {
        "new-front-end-id": "its front-end API would get a new id",
        "unpublished-edits": "edits that were never deployed would go live with it",
        "missing-history": "what was deployed could not be read, so that it may come back different",
    }
    why = "; ".join(texts[obstacle] for obstacle in obstacles)
    return f"{why}; {' '.join(f'--accept {obstacle}' for obstacle in obstacles)} brings it back"


def _kept(snapshot: Snapshot, choice: Choice) -> Snapshot:
    if choice.roll_back and snapshot.facts.revision is not None:
        return replace(snapshot, deploy=snapshot.facts.revision)
    return snapshot


def _digest(parent: str, rows: list[Taken], choice: Choice) -> str:
    """Return what stands for this very restore: the run, the targets in order, and what is accepted."""
    said = [parent, [row.id for row in rows], sorted(choice.accept), choice.roll_back]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()
