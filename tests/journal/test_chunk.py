"""The journal of a chunk, cut out of the journal of its run."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from orchestrator.journal.chunk import ChunkTargets, make_chunk_journal
from orchestrator.journal.database import open_database
from orchestrator.journal.pending import START, PendingTargets
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import WaveStep
from tests.support.journals import plan, small

HERE = WaveStep(0, 0)


def cut(first: int, count: int, *, level: int | None = None) -> ChunkTargets:
    return ChunkTargets(wave=0, step=0, gateway=0, first=first, count=count, level=level)


def make_run(folder: Path) -> Path:
    """Make a journal of ten targets: 1 has ended, 6 waits for 2, and 7 for 3."""
    path = small(folder, 10)
    with closing(open_database(path, write=True)) as database, database.transaction():
        database.run("UPDATE target SET outcome = 'undeployed' WHERE seq = 1")
        database.run("UPDATE target SET depth = 1 WHERE seq IN (6, 7)")
        database.run("INSERT INTO dependency VALUES (6, 2), (7, 3)")
        database.run("INSERT INTO approved VALUES (5, 'up', 'r5', NULL), (9, 'up', 'r9', NULL)")
        database.run(
            "INSERT INTO attempt (seq, number, act, via, started) VALUES (4, 1, 'undeploy', 'v', 1.0)"
        )
    return path


def test_a_chunk_has_the_open_targets_at_its_place_and_what_is_known_of_them(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    chunk = make_chunk_journal(run, tmp_path / "chunk", cut(1, 4), wanted=Outcome.UNDEPLOYED)
    with closing(chunk):
        pending = PendingTargets(chunk.database, plan(), resumed=True)
        batch, _ = pending.read_batch(HERE, "roma", START)

        assert [target.seq for target, _ in batch] == [3, 4, 5, 8]
        assert [history.in_doubt for _, history in batch] == [False, True, False, False]
        assert pending.read_approved(5) is not None
        assert pending.read_approved(9) is None
        fate = chunk.read_fate()
        assert fate.left == {3, 4, 5, 8}
        # 7, which is in another chunk, waits for 3.
        assert fate.broken == (3,)


def test_targets_of_other_chunks_that_are_waited_for_have_ended_or_were_in_vain(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for broken, undone, expected in (
        ((), (), {2: "undeployed", 3: "undeployed"}),
        ((3,), (), {2: "undeployed", 3: "failed"}),
        ((), (cut(0, 1),), {2: "failed", 3: "undeployed"}),
    ):
        path = tmp_path / f"chunk-{len(broken)}-{len(undone)}"
        chunk = make_chunk_journal(
            run, path, cut(0, 9, level=1), wanted=Outcome.UNDEPLOYED, broken=broken, undone=undone
        )
        with closing(chunk):
            assert [*chunk.database.rows("SELECT seq FROM part ORDER BY seq")] == [(6,), (7,)]
            found = {
                entry.required: entry.outcome
                for entry in PendingTargets(chunk.database, plan(), resumed=False).list_prerequisites(HERE)
            }
            assert found == {seq: Outcome(word) for seq, word in expected.items()}


def test_the_journal_of_the_run_stays_as_it_was(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with closing(make_chunk_journal(run, tmp_path / "c", cut(0, 5), wanted=Outcome.UNDEPLOYED)) as chunk:
        chunk.database.run("UPDATE target SET outcome = 'failed'")
    with closing(open_database(run, write=False)) as database:
        assert database.one("SELECT COUNT(*) FROM target WHERE outcome IS NULL")[0] == 9
