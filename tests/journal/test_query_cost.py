"""The queries of a run in progress search by an index: their cost must not grow with the targets behind."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from orchestrator.journal.database import Database, open_database
from orchestrator.journal.pending import BATCH, START, PendingTargets
from orchestrator.model.plan import WaveStep
from tests.support.journals import journal, plan, target

STEP = WaveStep(0, 0)
COUNT = 8 * BATCH


class Traced:
    """A database that keeps the statements of the block, so that a test can ask SQLite for their plans."""

    def __init__(self, database: Database) -> None:
        self._connection: sqlite3.Connection = database._connection
        self.statements: list[str] = []

    def __enter__(self) -> list[str]:
        self._connection.set_trace_callback(self.statements.append)
        return self.statements

    def __exit__(self, *_: object) -> None:
        self._connection.set_trace_callback(None)

    def count_steps(self, work: Iterator[None]) -> int:
        """Count the instructions of SQLite's machine that the work takes, in hundreds."""
        hundreds = 0

        def count() -> int:
            nonlocal hundreds
            hundreds += 1
            return 0

        self._connection.set_progress_handler(count, 100)
        for _ in work:
            pass
        self._connection.set_progress_handler(None, 100)
        return hundreds


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    targets = (target(seq, f"roma/a{seq}") for seq in range(1, COUNT + 1))
    path = journal(tmp_path_factory.mktemp("journal"), plan(), targets)
    with closing(open_database(path, write=True)) as opened:
        yield opened


def explain(database: Database, statement: str) -> list[str]:
    return [str(row[-1]) for row in database.rows(f"EXPLAIN QUERY PLAN {statement}")]


def test_a_batch_is_found_by_two_searches_of_the_index(database: Database) -> None:
    asked = PendingTargets(database, plan(), resumed=False)
    with Traced(database) as statements:
        asked.read_batch(STEP, "roma", (0, BATCH))
    (statement,) = statements
    steps = explain(database, statement)
    searches = [step for step in steps if "target USING INDEX target_turn" in step]
    assert [step.split("(")[1].split(")")[0] for step in searches] == [
        "wave=? AND step=? AND gateway=? AND depth=? AND seq>?",
        "wave=? AND step=? AND gateway=? AND depth>?",
    ]
    assert not [step for step in steps if step.startswith("SCAN target") or "TEMP B-TREE" in step]


def test_the_last_batch_costs_what_the_first_one_costs(database: Database) -> None:
    asked = PendingTargets(database, plan(), resumed=False)

    def read(after: tuple[int, int]) -> Iterator[None]:
        yield
        assert len(asked.read_batch(STEP, "roma", after)[0]) == BATCH

    traced = Traced(database)
    first, last = (traced.count_steps(read(after)) for after in (START, (0, COUNT - BATCH)))
    assert 0 < last <= first * 1.1


def test_the_counts_and_the_prerequisites_of_a_step_read_that_step_alone(database: Database) -> None:
    asked = PendingTargets(database, plan(), resumed=False)
    with Traced(database) as statements:
        asked.count_left_in(STEP)
        asked.count_outcomes(STEP)
        list(asked.list_prerequisites(STEP))
    for statement in statements:
        first = next(step for step in explain(database, statement) if step.startswith(("SEARCH", "SCAN")))
        assert "USING INDEX target_turn (wave=? AND step=?" in first, statement
