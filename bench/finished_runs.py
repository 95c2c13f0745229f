"""Finished runs of any size for the benchmarks: a journal in a folder, without any request sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.journal.database import Database, open_database
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.meta import RunMeta
from orchestrator.journal.publishing import name_folder, publish_draft
from orchestrator.journal.schema import INSERT_INTENT, UPDATE_OUTCOME, UPDATE_RESULT
from orchestrator.journal.sessions import SessionOptions
from orchestrator.runs.load import load_plan

BEGAN = 1_795_374_000.0
"""Unix seconds at which each of these runs began."""
PACE = 1000.0
"""Undeploys a second in these runs."""
HEAD = """\
version: 1
name: bench
gateways:
  roma:
    kind: roma
    url: https://roma.example.com
    project_id: 0123456789abcdef0123456789abcdef
    instance_id: f0fa1789-3b76-433b-a787-9892951c620e
    auth: {token: {env: ROMA_TOKEN}}
targets:
"""
_BEGIN = "INSERT INTO session (number, started, holder, options) VALUES (1, ?, '{}', ?)"
_FINISH = "UPDATE session SET ended = ?, state = 'complete', exit_status = ?, seconds = ?"
_SNAPSHOT = "INSERT INTO snapshot (seq, taken, verdict, value) VALUES (?, ?, 'up', '{}')"


def write_plan(path: Path, targets: int, *, chained: bool = False) -> Path:
    """Write a plan of that many ROMA targets; ``chained`` lets each come ``after`` the one before."""
    with path.open("w", encoding="utf-8") as out:
        out.write(HEAD)
        for number in range(targets):
            out.write(f"  - gateway: roma\n    ld_api_id: {number:032x}\n")
            if chained and number:
                out.write(f"    after: [roma/{number - 1:032x}]\n")
    return path


def make_finished_run(
    state: Path, targets: int, *, failed: int = 0, snapshots: bool = False, chained: bool = False
) -> RunFolder:
    """Make a complete run under ``state``, in which the first ``failed`` targets were refused."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with load_plan(write_plan(state / "plan.yaml", targets, chained=chained)) as loaded:
        loaded.draft.keep(RunMeta(created=BEGAN))
        loaded.draft.close()
        folder = publish_draft(loaded.place, name_folder(state, name="bench", suffix="0000", at=BEGAN))
    database = open_database(folder.journal, write=True)
    try:
        with database.transaction():
            _fill(database, targets, failed, snapshots=snapshots)
    finally:
        database.close()
    return folder


def _fill(database: Database, targets: int, failed: int, *, snapshots: bool) -> None:
    seqs = [seq for (seq,) in database.rows("SELECT seq FROM target ORDER BY seq")]
    seconds = targets / PACE
    database.run(_BEGIN, (BEGAN, SessionOptions().encode()))
    database.run_many(INSERT_INTENT, (row[:5] for row in _list_attempts(seqs, failed)))
    database.run_many(UPDATE_RESULT, ((*row[5:], None, *row[:2]) for row in _list_attempts(seqs, failed)))
    database.run_many(
        UPDATE_OUTCOME,
        (
            ("failed", "refused: APIG.1005 No permissions to request this method", "code", 0.9, at, seq)
            if place < failed
            else ("undeployed", None, "204", 0.05, at, seq)
            for place, seq, at in _place_in_time(seqs)
        ),
    )
    if snapshots:
        database.run_many(_SNAPSHOT, ((seq, at) for _, seq, at in _place_in_time(seqs)))
    database.run(_FINISH, (BEGAN + seconds, 1 if failed else 0, seconds))


def _place_in_time(seqs: list[int]) -> Iterator[tuple[int, int, float]]:
    """Yield place, number and instant of each target."""
    return ((place, seq, BEGAN + place / PACE) for place, seq in enumerate(seqs))


def _list_attempts(seqs: list[int], failed: int) -> Iterator[tuple[int | str | float | bool | None, ...]]:
    """Yield number, act, time and result of each request."""
    for place, seq, at in _place_in_time(seqs):
        if place >= failed:
            yield seq, 1, "undeploy", "", at, 0.05, 204, None, None, "removed", True
            continue
        for number in (1, 2):
            yield (
                seq, number, "undeploy", "", at + number * 0.2, 0.1,
                500, "APIG.9999", "System error", "doubt", True,
            )  # fmt: skip
        yield (
            seq, 3, "undeploy", "", at + 0.8, 0.1,
            403, "APIG.1005", "No permissions to request this method", "refused", True,
        )  # fmt: skip
