"""The use of targets as a journal keeps it, and as a report gets it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from orchestrator.journal.database import Database, create_database, open_database
from orchestrator.journal.ended import create_ended_view
from orchestrator.journal.restores import collect_up_again
from orchestrator.journal.usage import read_usage, report_use
from orchestrator.model.usage import Usage

SAMPLE = next((Path(__file__).parents[1] / "samples/journals/format-3/runs").iterdir()) / "journal.sqlite"
TARGET = "INSERT INTO target (seq, id, gateway, wave, file, line, column, outcome, reason)"
USED = (
    Usage(hours=24, calls=3, callers=("billing",)),
    Usage(hours=24, calls=0),
    Usage(hours=24, why="HTTP 502"),
    Usage(hours=24, calls=40, callers=("web-shop",), is_open=True),
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Database]:
    with closing(create_database(tmp_path / "journal.sqlite")) as database:
        yield database


def fill(database: Database) -> None:
    for seq, usage in enumerate(USED, 1):
        outcome = "not_started" if usage.calls != 0 else "undeployed"
        reason = "in_use: so many" if usage.calls != 0 else None
        values = (seq, f"gw/t{seq}", 0, 0, 0, 0, 0, outcome, reason)
        database.run(f"{TARGET} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        row = (seq, 1000.0 + seq, usage.calls, msgspec.json.encode(usage).decode())
        database.run("INSERT INTO usage VALUES (?, ?, ?, ?)", row)


def test_a_report_names_the_most_used_first_and_then_what_nothing_tells(journal: Database) -> None:
    fill(journal)
    create_ended_view(journal, None)

    collect_up_again(journal, (), ())

    use = report_use(journal)

    assert use is not None
    assert [used.id for used in use.most_used] == ["gw/t4", "gw/t1", "gw/t3"]
    assert [used.usage for used in use.most_used] == [USED[3], USED[0], USED[2]]
    counts = use.counts
    assert (counts.hours, counts.targets, counts.in_use, counts.calls, counts.not_told) == (24, 4, 2, 43, 1)
    assert use.left_alone == 3


def test_a_run_that_asked_for_no_use_reports_none(journal: Database) -> None:
    create_ended_view(journal, None)
    collect_up_again(journal, (), ())

    assert report_use(journal) is None


def test_the_use_of_one_target_comes_back_as_it_was_kept(journal: Database) -> None:
    fill(journal)

    assert read_usage(journal, 4) == (1004.0, USED[3])
    assert read_usage(journal, 9) is None


def test_a_journal_that_was_kept_still_tells_the_use(tmp_path: Path) -> None:
    copy = shutil.copy(SAMPLE, tmp_path)
    with closing(open_database(Path(copy), write=False)) as database:
        kept = read_usage(database, 1)

    assert kept is not None
    assert kept.usage == Usage(hours=72.0, calls=1204, callers=("web-shop",))
