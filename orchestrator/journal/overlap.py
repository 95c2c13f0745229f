"""Refuses a run that would touch a target on which another run of the same state folder works.

Two targets are the same by installation and parts, whatever name the gateway has in either plan.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from pathlib import Path

import anyio

from orchestrator.errors import JournalError, RunError
from orchestrator.journal.database import Database, make_uri, open_database
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.holder import LockHeldError, LockHolder, take_lock
from orchestrator.journal.meta import read_plan
from orchestrator.journal.publishing import make_private
from orchestrator.journal.run_lookup import list_runs
from orchestrator.journal.schema import KEPT, WORD
from orchestrator.text.counting import count_noun

Wanted = Callable[[str, int], bool]
"""Takes a target's id and the index of its wave; returns whether the run means that target."""

PATIENCE = 10.0
"""Seconds to wait until another run has started."""

_AT_ONCE = 20_000
"""Targets of a live run that one statement reads: the run itself must not wait for a reader."""

_KEPT_OUT = f"(outcome = 'not_started' AND {WORD} IN {KEPT})"
_SAME = """
CREATE TEMP TABLE place_of_ours (gateway INTEGER PRIMARY KEY, place INTEGER NOT NULL);
CREATE TEMP TABLE place_of_theirs (gateway INTEGER PRIMARY KEY, place INTEGER NOT NULL);
CREATE TEMP TABLE touched (place INTEGER, parts TEXT, PRIMARY KEY (place, parts)) WITHOUT ROWID;
"""
_PARTS = "nfc(substr(id, instr(id, '/')))"
_TOUCH = f"""
INSERT OR IGNORE INTO touched SELECT place, {_PARTS} FROM main.target JOIN place_of_theirs USING (gateway)
WHERE seq BETWEEN ? AND ? AND NOT ifnull({_KEPT_OUT}, 0)
"""
# A resume opens these outcomes again, and so its targets count although they have one.
_SHARED = f"""
SELECT id, wave FROM ours.target JOIN place_of_ours USING (gateway)
JOIN touched ON touched.place = place_of_ours.place AND touched.parts = {_PARTS}
WHERE (outcome IS NULL OR outcome IN ('unknown', 'not_started')) AND NOT ifnull({_KEPT_OUT}, 0)
"""


async def refuse_overlap(
    gate: ExitStack, state: Path, ours: Path, wanted: Wanted = lambda _name, _wave: True
) -> None:
    """Raise RunError if a live run of the state folder touches a target of ours, or may touch one.

    ``ours`` is our journal, and ``wanted`` says which of its unfinished targets our run means. ``gate`` gets
    the lock that keeps other runs from starting. Close it once our own run is published and locked: then of
    two runs that start at one instant the second sees the first.
    """
    await _enter_gate(gate, state)
    try:
        refuse_shared(list_runs(state), ours, wanted)
    except OSError as error:
        raise RunError(
            f"{error.filename or state}: whether a run is going on there cannot be told: {error.strerror};"
            " nothing was sent"
        ) from error


async def _enter_gate(gate: ExitStack, state: Path) -> None:
    # The gate is held for the moment of a start only, so a holder that stays has a fault.
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            make_private(state)
            lock = take_lock(state / "lock")
        except LockHeldError as error:
            if time.monotonic() > ends:
                raise RunError(
                    f"another run has been about to start for {PATIENCE:g} s: {state / 'lock'} is"
                    f" {error.holder}; nothing was sent. Try again, or end that process"
                ) from None
        except OSError as error:
            raise JournalError(f"{state}: runs cannot be kept here: {error.strerror}") from error
        else:
            gate.callback(lock.close)
            lock.write_entry()
            return
        await anyio.sleep(0.02)


def refuse_shared(runs: Iterable[RunFolder], ours: Path, wanted: Wanted) -> None:
    """Raise RunError for the first live run among ``runs`` that touches a wanted target of our journal.

    A live run whose journal cannot be read may touch any target, so our run is refused, too. Raises OSError
    if this host cannot know whether a run is live.
    """
    for run in runs:
        if run.journal.resolve() == ours.resolve() or (holder := run.read_holder()) is None:
            continue
        try:
            count, first = _find_shared(run.journal, ours, wanted)
        except JournalError as error:
            if run.read_holder() is None:
                continue  # it has ended, and may have been removed, while we read
            raise RunError(
                f"run {run.id} is going on ({holder}), and which targets it touches cannot be told: {error};"
                f" nothing was sent. {_advise(run, holder)}"
            ) from error
        if count:
            raise RunError(
                f"run {run.id} is going on ({holder}) and touches {count_noun(count, 'target')} of this one,"
                f" the first is {first}; nothing was sent. {_advise(run, holder)}, or leave them out with"
                " --skip"
            )


def _advise(run: RunFolder, holder: LockHolder) -> str:
    if holder.unseen:
        return run.explain_unseen_end(holder)
    state = run.state_option
    if holder.engine:
        return (
            f"Take it over with `undeploy resume {run.id} {holder.engine_options}{state}`, and stop it there"
        )
    return f"Wait for it to end, end it with `undeploy control {run.id} stop{state}`"


def _find_shared(theirs: Path, ours: Path, wanted: Wanted) -> tuple[int, str]:
    """Count the targets that both journals have, and return the first of our ids among them."""
    with closing(open_database(theirs, write=False, whole=False)) as database:
        with database.translate_errors():
            database.run("ATTACH ? AS ours", (make_uri(ours, "ro"),))
        if not _number_installations(database):
            return 0, ""
        last = database.one("SELECT ifnull(MAX(seq), 0) FROM main.target")[0]
        with database.translate_errors():
            for seq in range(0, last + 1, _AT_ONCE):
                database.run(_TOUCH, (seq, seq + _AT_ONCE - 1))
        count, first = 0, ""
        for name, wave in database.rows(_SHARED):
            if wanted(name, wave):
                count += 1
                first = min(first or name, name)
        return count, first


def _number_installations(database: Database) -> bool:
    """Number the installations that both plans name, and return whether there is one."""
    plans = {"theirs": read_plan(database), "ours": read_plan(database, schema="ours")}
    sides = {side: [gateway.installation for gateway in plan.gateways] for side, plan in plans.items()}
    common = sorted(set(sides["theirs"]).intersection(sides["ours"]))
    with database.translate_errors():
        database.script(_SAME)
        for side, places in sides.items():
            database.run_many(
                f"INSERT INTO place_of_{side} VALUES (?, ?)",
                [(index, common.index(place)) for index, place in enumerate(places) if place in common],
            )
    return bool(common)
