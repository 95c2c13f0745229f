"""The command that plays faults in real processes: its faults, its judge, and a round of it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from orchestrator.journal.audit import audit_journal
from orchestrator.journal.database import open_database
from orchestrator.journal.schema import FORMAT
from orchestrator.simulator.process import RunningSimulators, start_simulators
from tests.chaos import program
from tests.chaos.__main__ import play_round, shorten_cause
from tests.chaos.earlier import OLDEST, make_earlier, read_planned
from tests.chaos.faults import damage, limit_process
from tests.chaos.scenes import SCENES
from tests.chaos.sessions import ChaosRound, check_status
from tests.support.commands import CommandResult
from tests.support.recorded import SAMPLES
from tests.support.stage import make_fixture


@pytest.fixture(scope="module")
def platform() -> Iterator[RunningSimulators]:
    with start_simulators(make_fixture(0, 0)) as running:
        yield running


def test_the_same_seed_damages_a_file_the_same_way(tmp_path: Path) -> None:
    held = bytes(range(256)) * 20
    told = []
    for number in range(30):
        files = [tmp_path / "journal", tmp_path / "copy"]
        for file in files:
            file.write_bytes(held)
        one, other = (damage(file, Random(number)).partition(" ")[2] for file in files)
        assert one == other
        assert files[0].read_bytes() == files[1].read_bytes()
        assert files[0].read_bytes() != held
        told.append(one.split()[0])

    assert set(told) == {"flipped", "cut", "blank"}


def _list_parts(journal: Path) -> list[tuple[str, str]]:
    """Return the name of each table and index of a journal, with its columns."""
    with closing(sqlite3.connect(f"file:{journal}?immutable=1", uri=True)) as connection:
        return connection.execute(
            "SELECT parts.name, columns.name FROM sqlite_master AS parts, pragma_table_xinfo(parts.name)"
            " AS columns UNION ALL SELECT parts.name, columns.name FROM sqlite_master AS parts,"
            " pragma_index_info(parts.name) AS columns ORDER BY 1, 2"
        ).fetchall()


@pytest.mark.parametrize("version", range(OLDEST, FORMAT))
def test_an_earlier_journal_has_the_parts_that_the_program_of_its_time_made(
    version: int, tmp_path: Path
) -> None:
    def find_sample(number: int) -> Path:
        return min(SAMPLES.glob(f"journals/format-{number}/runs/*/journal.sqlite"))

    journal = tmp_path / "journal.sqlite"
    journal.write_bytes(find_sample(FORMAT).read_bytes())

    make_earlier(journal, version)

    assert _list_parts(journal) == _list_parts(find_sample(version))
    assert read_planned(journal, tmp_path / "copy") == read_planned(find_sample(FORMAT), tmp_path / "sample")
    with closing(open_database(journal, write=True)) as database:
        assert audit_journal(database).faults == ()


def test_what_cannot_be_read_is_no_plan(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"no journal" * 100)

    assert read_planned(tmp_path / "journal.sqlite", tmp_path / "copy") is None


def test_a_limit_holds_in_the_process_that_it_is_set_for() -> None:
    import resource

    code = "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    limit = limit_process(resource.RLIMIT_NOFILE, 20)
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, preexec_fn=limit, check=True
    )

    assert done.stdout.strip() == "(20, 20)"


@pytest.mark.parametrize(
    ("status", "said"), [(3, ""), (-11, ""), (1, "Traceback (most recent call last):"), (2, "a bug of ours")]
)
def test_a_process_that_ends_in_an_undocumented_way_has_broken_a_promise(status: int, said: str) -> None:
    with pytest.raises(AssertionError):
        check_status(CommandResult(status, "", said))


def test_a_broken_round_is_named_by_the_error_and_not_by_the_advice() -> None:
    said = "Traceback (most recent call last):\n  File x\nRuntimeError: no thread\nThis is a bug of ours"
    with pytest.raises(AssertionError) as failed:
        check_status(CommandResult(3, "", said))

    assert shorten_cause(str(failed.value)) == "RuntimeError: no thread"
    assert shorten_cause("sent again before a look: ['a']\nmore") == "sent again before a look: ['a']"


def test_a_clock_jumps_after_its_time_and_by_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    program.jump_clock("-60@5")

    before = time.time()
    now[0] = 5.0
    assert (before, time.time()) == (1000.0, 940.0)


@pytest.mark.long("runs real processes")
@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.parametrize("name", list(SCENES))
def test_a_round_of_each_scene_keeps_the_promises(platform: RunningSimulators, name: str) -> None:
    trial = play_round(name, 1, platform)

    assert trial.broke == ()
    assert trial.counts["faults"] > 0


@pytest.mark.long("runs real processes")
def test_a_report_that_contradicts_the_books_is_found(tmp_path: Path, platform: RunningSimulators) -> None:
    play = ChaosRound(tmp_path, platform, Random(1))
    play.finish()
    play.stage.refill()  # now everything is up again, and nothing was ever sent

    with pytest.raises(AssertionError):
        play.judge()
    with pytest.raises(AssertionError, match="sent again after their end"):
        play.check_session(0, [])
