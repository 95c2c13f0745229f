"""Promise 8, and the end of a window, by the wire: nothing new leaves, and what was in flight is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from orchestrator.journal.folder import RunFolder
from orchestrator.model.reading import Act
from orchestrator.runs.result import RunResult
from tests.simulation.scene import SeedScene
from tests.simulation.wire import SessionWire

LOOKS_AFTER = 30.0
"""Seconds after the end of a window in which looks may still leave."""

REPORTS = ("report.json", "report.html", "report.md", "report.xml", "report.csv")


def check_stop(scene: SeedScene, wire: SessionWire) -> Iterator[str]:
    """Yield each request that left after the first interrupt, and each look long after the window."""
    stop = min(wire.signals, default=None)
    for each in wire.exchanges:
        if stop is not None and each.left > stop:
            yield f"promise 8: {each} left {each.left - stop:.3f} s after the first interrupt"
        if wire.closes is not None and each.act is Act.LOOK and each.left > wire.closes + LOOKS_AFTER + 0.2:
            yield f"promise 7: {each} left {each.left - wire.closes:.1f} s after the window had closed"


def check_landed(scene: SeedScene, result: RunResult, wire: SessionWire) -> Iterator[str]:
    """Yield what an interrupted session left: a result that is not kept, a report that is not written."""
    if len(wire.signals) != 1 or scene.full:
        return  # a full disk keeps nothing
    yield from _find_unkept(result.folder)
    missing = [name for name in REPORTS if not (result.folder.path / name).is_file()]
    if missing:
        yield f"promise 8: an interrupted session wrote no {', '.join(missing)}"


def _find_unkept(folder: RunFolder) -> Iterator[str]:
    query = (
        "SELECT id, number FROM attempt JOIN target USING (seq) WHERE verdict IS NULL"
        " AND attempt.started >= (SELECT MAX(started) FROM session)"
    )
    with closing(folder.open()) as database:
        for name, number in database.rows(query):
            yield f"promise 8: the result of request {number} of {name} was not kept after one interrupt"
