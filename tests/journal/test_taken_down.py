"""What a run took down, as its journal tells it: where a restore begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.journal.database import Database, open_database
from orchestrator.journal.pending import START, PendingTargets
from orchestrator.journal.report_source import JournalReportSource
from orchestrator.journal.schema import INSERT_INTENT
from orchestrator.journal.taken_down import (
    count_unseen,
    keep_snapshots,
    leave_out,
    list_coming,
    list_order,
    list_still_down,
    list_taken_down,
)
from orchestrator.model.bindings import Bindings
from orchestrator.model.plan import RunId, WaveStep
from orchestrator.model.reading import LookFacts, Snapshot, Verdict
from orchestrator.report.values import RestoreOutlook, UnrestorableTargets
from tests.support.journals import journal, plan, small, target

UP = Snapshot(
    verdict=Verdict.UP, facts=LookFacts(pods_responded=2), deploy='{"x": 1}', obstacles=("missing-history",)
)

Attempts = list[tuple[str, str | None]]
"""What was sent for a target, and what its verdict was; None where the process died first."""

Opened = Callable[..., Database]
Filled = Callable[..., Database]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens journals, and closes them after the test."""
    with ExitStack() as stack:

        def open_it(path: Path, *, write: bool = True) -> Database:
            return stack.enter_context(closing(open_database(path, write=write)))

        yield open_it


@pytest.fixture
def filled(tmp_path: Path, opened: Opened) -> Filled:
    """Makes a journal in which so much happened to ``roma/a1``, ``roma/a2`` …: look, attempts, outcome."""

    def fill(*targets: tuple[Snapshot | None, Attempts, str | None]) -> Database:
        database = opened(small(tmp_path, len(targets)))
        with database.transaction():
            for seq, target in enumerate(targets, 1):
                fill_target(database, seq, *target)
        return database

    return fill


def fill_target(
    database: Database, seq: int, snapshot: Snapshot | None, attempts: Attempts, outcome: str | None
) -> None:
    if snapshot is not None:
        value = msgspec.json.encode(snapshot).decode()
        database.run("INSERT INTO snapshot VALUES (?, 1.0, ?, ?)", (seq, snapshot.verdict.value, value))
    for number, (act, verdict) in enumerate(attempts, 1):
        database.run(INSERT_INTENT, (seq, number, act, "", 1.0))
        database.run("UPDATE attempt SET verdict = ? WHERE seq = ? AND number = ?", (verdict, seq, number))
    database.run("UPDATE target SET outcome = ? WHERE seq = ?", (outcome, seq))


def way_back(database: Database) -> RestoreOutlook:
    found = JournalReportSource(database, RunId("r1"), held=False).report.restore_outlook
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("heard", "named", "counted"), [(None, 3, 3), (None, 1, 1), (2, 3, 3), (2, None, 2), (None, None, None)]
)
def test_a_restore_wants_the_pods_that_the_undeploy_named(
    filled: Filled, heard: int | None, named: int | None, counted: int | None
) -> None:
    seen = replace(UP, facts=LookFacts(revision="7", pods_responded=heard))
    database = filled(
        (seen, [("undeploy", "doubt"), ("undeploy", "removed"), ("look", "down")], "undeployed")
    )
    if named is not None:
        database.run("UPDATE attempt SET pods = ? WHERE number = 2", (f"[[],{named}]",))
    (found,) = list_taken_down(database)

    assert found.snapshot.facts == LookFacts(revision="7", pods_responded=counted)


@pytest.mark.parametrize(
    ("attempts", "outcome", "taken"),
    [
        ([("undeploy", "removed")], "undeployed", True),
        ([("undeploy", None)], None, True),  # killed with the request in flight
        ([("undeploy", "removed")], None, True),  # killed before the outcome was kept
        ([("undeploy", "doubt"), ("look", "down")], "undeployed", True),
        ([("undeploy", "doubt"), ("look", "unclear")], "unknown", True),
        ([("undeploy", "doubt"), ("look", "up")], "not_started", False),
        ([("undeploy", "doubt"), ("look", "up"), ("undeploy", None)], None, True),
        ([("undeploy", "partial"), ("look", "partial")], "failed", True),
        ([("undeploy", "partial"), ("look", "up")], "failed", True),  # the manager's word; some pods are off
        # Refused at last, and down all the same: the report calls it undeployed.
        (
            [("undeploy", "doubt"), ("look", "up"), ("undeploy", "contested"), ("look", "down")],
            "undeployed",
            True,
        ),
        ([("undeploy", "doubt"), ("look", "up"), ("undeploy", "contested"), ("look", "down")], None, True),
        # Refused at last, and no look could tell: the earlier one may have taken it down.
        (
            [("undeploy", "doubt"), ("look", "up"), ("undeploy", "contested"), ("look", "unclear")],
            "unknown",
            True,
        ),
        ([("undeploy", "contested"), ("look", "down")], "already_undeployed", False),
        ([("undeploy", "refused")], "failed", False),
        ([("undeploy", "busy")], "not_started", False),
        ([("undeploy", "unsent")], "not_started", False),
        ([("look", "up")], None, False),
        ([], None, False),
    ],
)
@pytest.mark.promise(1)
def test_what_an_undeploy_may_have_reached(
    filled: Filled, attempts: Attempts, outcome: str | None, taken: bool
) -> None:
    database = filled((UP, attempts, outcome))

    assert [row.id for row in list_taken_down(database)] == (["roma/a1"] if taken else [])
    back = way_back(database)
    assert (back.restorable + back.doubtful_restorable, back.unrestorable) == (taken, ())
    assert count_unseen(database) == 0


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.UP])
def test_only_what_was_seen_deployed_is_touched(filled: Filled, verdict: Verdict) -> None:
    database = filled((Snapshot(verdict=verdict), [("undeploy", "removed")], "undeployed"))

    assert list(list_taken_down(database)) == []
    assert count_unseen(database) == 1


def test_what_went_down_without_a_snapshot_is_counted(filled: Filled) -> None:
    down, left = [("undeploy", "removed")], [("undeploy", "refused")]
    database = filled((None, down, "undeployed"), (None, left, "failed"), (UP, down, "undeployed"))

    assert count_unseen(database) == 1
    assert way_back(database) == RestoreOutlook(
        undeployed=2,
        restorable=1,
        to_accept={"missing-history": 1},
        unrestorable=(UnrestorableTargets("no look was made before the undeploy", 1),),
    )


def test_why_targets_cannot_be_brought_back_is_grouped(filled: Filled) -> None:
    down, doubt = [("undeploy", "removed")], [("undeploy", "doubt")]
    busy = Snapshot(verdict=Verdict.UNCLEAR, message="busy")
    old = Snapshot(verdict=Verdict.NOT_OFFERED)
    database = filled(
        (UP, down, "undeployed"),
        (busy, down, "undeployed"),
        (busy, doubt, "unknown"),
        (old, down, "undeployed"),
        (UP, doubt, "unknown"),
        (UP, doubt, "unknown"),
        (busy, [("undeploy", "refused")], "failed"),  # it was never down
    )

    assert way_back(database) == RestoreOutlook(
        undeployed=3,
        restorable=1,
        doubtful=3,
        doubtful_restorable=2,
        to_accept={"missing-history": 3},
        unrestorable=(
            UnrestorableTargets("the look before the undeploy could not tell: busy", 2),
            UnrestorableTargets("this version of the gateway offers no look", 1),
        ),
    )


def test_the_last_comes_first_with_all_that_was_seen(filled: Filled) -> None:
    database = filled(*[(UP, [("undeploy", "removed")], "undeployed")] * 3)

    rows = list(list_taken_down(database))
    assert [(row.seq, row.id, row.gateway, row.wave) for row in rows] == [
        (3, "roma/a3", 0, 0), (2, "roma/a2", 0, 0), (1, "roma/a1", 0, 0),
    ]  # fmt: skip
    assert {row.snapshot for row in rows} == {UP}


def test_who_went_after_whom(filled: Filled) -> None:
    database = filled(*[(None, [], None)] * 3)
    with database.transaction():
        database.run("INSERT INTO dependency VALUES (3, 1)")

    assert list(list_order(database)) == [(3, 1)]


def test_a_restore_s_targets_have_what_their_deploy_needs(
    tmp_path: Path, opened: Opened, filled: Filled
) -> None:
    database = filled(*[(None, [], None)] * 3)
    with database.transaction():
        keep_snapshots(database, [(1, UP), (2, UP)])
    leave_out(database, [(2, "skipped: because")])
    database.close()
    database = opened(tmp_path / "journal.sqlite", write=False)

    ((first, _), (third, _)), _ = PendingTargets(database, plan(), resumed=False).read_batch(
        WaveStep(0, 0), "roma", START
    )
    assert (first.id, first.deploy, first.pods) == ("roma/a1", '{"x": 1}', 2)
    assert (third.id, third.deploy, third.pods) == ("roma/a3", None, 0)
    assert database.one("SELECT outcome, reason FROM target WHERE seq = 2") == (
        "not_started",
        "skipped: because",
    )


def keep(database: Database, seq: int, snapshot: Snapshot) -> None:
    """Give a target a snapshot, and an undeploy that took it down."""
    value = msgspec.json.encode(snapshot).decode()
    database.run("INSERT INTO snapshot VALUES (?, 1.0, ?, ?)", (seq, snapshot.verdict.value, value))
    database.run(INSERT_INTENT, (seq, 1, "undeploy", "", 1.0))
    database.run("UPDATE attempt SET verdict = 'removed' WHERE seq = ?", (seq,))
    database.run("UPDATE target SET outcome = 'undeployed' WHERE seq = ?", (seq,))


@pytest.mark.parametrize(
    ("snapshot", "mode", "told"),
    [
        (None, "off", "the plan keeps no snapshots (snapshot: off)"),
        (None, "best", "no look was made before the undeploy"),
        (Snapshot(verdict=Verdict.NOT_OFFERED), "best", "this version of the gateway offers no look"),
        (
            Snapshot(verdict=Verdict.NOT_OFFERED, message="HTTP 404 without a body"),
            "best",
            "this version of the gateway offers no look",
        ),
        (
            Snapshot(verdict=Verdict.NOT_OFFERED, code="E.9", message="no such read"),
            "best",
            "the look before the undeploy could not tell: E.9 no such read",
        ),
        (
            Snapshot(verdict=Verdict.UNCLEAR, message="HTTP 502"),
            "off",
            "the look before the undeploy could not tell: HTTP 502",
        ),
        (
            Snapshot(verdict=Verdict.UNCLEAR, code="E.5"),
            "best",
            "the look before the undeploy could not tell: E.5",
        ),
        (
            Snapshot(verdict=Verdict.UNCLEAR),
            "best",
            "the look before the undeploy could not tell: no reason was given",
        ),
        (
            Snapshot(verdict=Verdict.PARTIAL, message="pods"),
            "best",
            "the look before the undeploy did not see it deployed in full",
        ),
        (
            Snapshot(verdict=Verdict.DOWN),
            "best",
            "the look before the undeploy did not see it deployed in full",
        ),
    ],
)
def test_a_target_without_a_way_back_has_its_reason(
    tmp_path: Path, opened: Opened, snapshot: Snapshot | None, mode: Literal["best", "off"], told: str
) -> None:
    kept = journal(tmp_path, replace(plan(), snapshot=mode), [target(1, "roma/a1")])
    database = opened(kept)
    keep(database, 1, snapshot or UP)
    if snapshot is None:
        database.run("DELETE FROM snapshot")

    assert way_back(database).unrestorable == (UnrestorableTargets(told, 1),)


@pytest.mark.parametrize(
    ("causes", "others"),
    [(5, []), (6, [("met 1 other cause", 2)]), (8, [("met 3 other causes", 6)])],
)
def test_five_causes_are_named_and_the_targets_of_the_others_are_counted(
    filled: Filled, causes: int, others: list[tuple[str, int]]
) -> None:
    """The most frequent come first: of each of the first five there are three targets, of the others two."""
    looks = [
        Snapshot(verdict=Verdict.UNCLEAR, message=f"cause {number}")
        for number in range(causes)
        for _ in range(3 if number < 5 else 2)
    ]
    database = filled(*((each, [("undeploy", "removed")], "undeployed") for each in looks))
    found = [(each.cause, each.count) for each in way_back(database).unrestorable]

    assert sorted(found[:5]) == [
        (f"the look before the undeploy could not tell: cause {number}", 3) for number in range(5)
    ]
    assert found[5:] == [(f"the looks before the undeploy {told}", count) for told, count in others]


def test_obstacles_that_an_earlier_version_did_not_know_are_counted_where_the_kind_has_them(
    tmp_path: Path,
    opened: Opened,
) -> None:
    """What hangs on the front ends of ROMA Connect was not always read; Apinizer has nothing of the sort."""
    names = ["roma/a1", "roma/a2", "roma/a3", "apim/p/x/e"]
    database = opened(journal(tmp_path, plan(), [target(seq, name) for seq, name in enumerate(names, 1)]))
    published = replace(UP, deploy='{"env_id": "DEFAULT"}', obstacles=("unpublished-edits",))
    keep(database, 1, published)
    keep(database, 2, replace(published, bindings=Bindings(), obstacles=("unpublished-edits", "x")))
    keep(database, 3, replace(published, obstacles=("lost-bindings",)))
    keep(database, 4, replace(published, obstacles=()))

    found = way_back(database).to_accept
    assert found == {"lost-bindings": 2, "unpublished-edits": 2, "x": 1}
    assert list(found) == sorted(found)


def test_what_is_still_down_is_what_a_restore_would_bring_back(filled: Filled) -> None:
    down, refused = [("undeploy", "removed")], [("undeploy", "refused")]
    database = filled(
        (UP, down, "undeployed"),
        (UP, refused, "failed"),
        (Snapshot(verdict=Verdict.DOWN), down, "undeployed"),
        (UP, [("undeploy", "doubt")], "unknown"),
    )
    source = JournalReportSource(database, RunId("r1"), held=False)
    assert source.plan.gateways[0].name == "roma"

    assert list(list_still_down(database)) == [("roma/a1", 0), ("roma/a4", 0)]


def test_the_snapshots_of_a_gateway_s_open_targets_are_what_comes_back_there(
    tmp_path: Path, opened: Opened
) -> None:
    names = ["roma/a1", "apim/p/x/e", "roma/a2"]
    database = opened(journal(tmp_path, plan(), [target(seq, name) for seq, name in enumerate(names, 1)]))
    first, second, third = (replace(UP, message=name) for name in names)
    with database.transaction():
        keep_snapshots(database, [(1, first), (2, second), (3, third)])
    leave_out(database, [(3, "skipped: because")])

    assert [list(list_coming(database, gateway)) for gateway in (0, 1)] == [[first], [second]]


@pytest.mark.parametrize(("given", "told"), [(None, None), (1, True), (0, False)])
def test_a_restore_knows_whether_the_undeploy_was_to_persist(
    filled: Filled, given: int | None, told: bool | None
) -> None:
    database = filled((UP, [("undeploy", "removed")], "undeployed"))
    database.run("UPDATE target SET persistent = ?", (given,))

    assert [row.persistent for row in list_taken_down(database)] == [told]
