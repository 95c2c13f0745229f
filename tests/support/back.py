"""For the scenarios of snapshots and restores: a run, its restore, and what the books say of both."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.model.reading import Act
from tests.support.commands import CommandResult
from tests.support.stage import Stage

BEST = "snapshot: best"
ACCEPT = ("--accept", "new-front-end-id")


def undeployed(stage: Stage, *options: str, **plan: Any) -> str:
    """Run the plan with snapshots, and return the run's id."""
    ended = stage.undeploy("run", stage.write_plan(**{"top": BEST, **plan}), "--yes", *options)
    assert ended.status == 0, ended
    return ended.run


def restored(stage: Stage, run: str, *options: str, **more: Any) -> CommandResult:
    """Restore a run, and accept new front-end ids."""
    return stage.undeploy("restore", run, "--yes", *ACCEPT, *options, **more)


def down(stage: Stage) -> set[str]:
    """Return the targets that are down by the books."""
    return {target.id for target in stage.platform.books().targets.values() if target.down}


def deployed(stage: Stage) -> dict[str, int]:
    """Return how many deploys reached each target that got one."""
    return {target.id: target.deploys for target in stage.platform.books().targets.values() if target.deploys}


def orders(stage: Stage, act: Act) -> list[str]:
    """Return the targets in the order in which requests of an act arrived."""
    return [entry.target for entry in stage.list_requests() if entry.act is act and entry.target is not None]


def snapshots(run: Path) -> dict[str, dict[str, Any]]:
    """Return the snapshots of a run, by target id."""
    connection = sqlite3.connect(f"file:{run / 'journal.sqlite'}?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT id, value FROM snapshot JOIN target USING (seq)").fetchall()
    finally:
        connection.close()
    return {name: msgspec.json.decode(value) for name, value in rows}


def assert_told(stage: Stage) -> None:
    """Assert that the newest run is a restore, and that its report agrees with the platforms."""
    report, books = stage.report(), stage.platform.books()
    assert report["run"]["act"] == "restore"
    assert not books.destroyed
    for target in report["targets"]:
        facts = books.targets[target["id"]]
        if target["outcome"] in ("restored", "already_deployed"):
            assert not facts.down, target
        else:
            assert target["reason"], target


def assert_no_blind_deploy(stage: Stage, after: int, ids: Iterable[str]) -> None:
    """Assert that before each deploy of a target a look at it arrived."""
    looked: dict[str, bool] = {}
    wanted = set(ids)
    for entry in stage.list_requests(after):
        if entry.target not in wanted:
            continue
        if entry.act is Act.DEPLOY and entry.status not in (
            429,
            503,
        ):  # which only say to wait: the gateway did nothing
            assert looked.get(entry.target), entry
            looked[entry.target] = False
        elif entry.act is Act.LOOK:
            looked[entry.target] = True
