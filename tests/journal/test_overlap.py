"""No two runs of a state folder on the same target: who is refused, what they are told, what it costs."""

import errno
import os
import socket
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.errors import JournalError, RunError
from orchestrator.journal import overlap
from orchestrator.journal.database import open_database
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.holder import take_lock
from orchestrator.journal.overlap import refuse_overlap, refuse_shared
from orchestrator.journal.publishing import name_folder, publish_draft
from orchestrator.model.plan import Plan
from orchestrator.model.target import Target, TargetId
from tests.support.journals import START, apim, journal, plan, roma, target

IDS = ("roma/a1", "roma/a2", "apim/Retail/petstore/test", "apim/Retail/petstore/live")


def everything(_name: str, _wave: int) -> bool:
    return True


class Kept:
    """A state folder with runs in it, by name."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def run(self, name: str, ids: Iterable[str] = IDS, of: Plan | None = None) -> RunFolder:
        return publish_draft(
            self.draft(name, ids, of).parent, name_folder(self.state, name=name, suffix="0001", at=START)
        )

    def draft(self, name: str, ids: Iterable[str] = IDS, of: Plan | None = None) -> Path:
        place = self.state.parent / name
        place.mkdir(parents=True)
        return journal(place, of or plan(), (target(seq, each) for seq, each in enumerate(ids, 1)))


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / ".undeploy")


def end(path: Path, outcomes: Mapping[str, tuple[str, str | None]]) -> None:
    with closing(open_database(path, write=True)) as database, database.transaction():
        rows = [(*ended, name) for name, ended in outcomes.items()]
        database.run_many("UPDATE target SET outcome = ?, reason = ? WHERE id = ?", rows)


@contextmanager
def live(run: RunFolder) -> Iterator[None]:
    """A run as it is at work: locked, its journal open for writing and written to."""
    with run.lock(), closing(run.open(write=True)) as database:
        with database.transaction():
            database.run("INSERT INTO note (session, at, kind, text) VALUES (1, 0.0, 'warning', 'x')")
        yield


def shared(run: RunFolder, ours: Path) -> tuple[int, str]:
    return overlap._find_shared(run.journal, ours, everything)


# Who is refused.


def test_a_live_run_on_the_same_targets_refuses_another_one_and_says_all(kept: Kept) -> None:
    first, ours = kept.run("first"), kept.draft("second", IDS[1:])
    with live(first), pytest.raises(RunError) as caught:
        refuse_shared([first], ours, everything)
    told = str(caught.value)
    assert told.startswith(f"run {first.id} is going on (held by ")
    assert f" on {socket.gethostname()}, process {os.getpid()}, since 20" in told
    assert "touches 3 targets of this one, the first is apim/Retail/petstore/live; nothing was sent" in told
    state = first.path.parent.parent
    assert f"Wait for it to end, end it with `undeploy control {first.id} stop --state {state}`" in told
    assert told.endswith("or leave them out with --skip")


def test_a_run_that_nobody_works_on_refuses_nobody(kept: Kept) -> None:
    first, ours = kept.run("first"), kept.draft("second")
    refuse_shared([first], ours, everything)
    (first.path / "lock").write_text('{"user":"x","host":"elsewhere","pid":1,"since":"then"}')
    refuse_shared([first], ours, everything)


def test_a_run_does_not_refuse_itself_by_any_path(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    run = kept.run("only")
    monkeypatch.chdir(kept.state)
    with live(run):
        refuse_shared([run], Path("runs") / run.id / "journal.sqlite", everything)


def test_runs_on_other_targets_or_other_installations_go_side_by_side(kept: Kept) -> None:
    first = kept.run("first")
    others = {
        "targets": kept.draft("targets", ["roma/a3", "apim/Retail/petstore/stage"]),
        "place": kept.draft(
            "place", of=plan(replace(roma(), instance_id="j"), replace(apim(), url="https://x"))
        ),
        "case": kept.draft("case", ["apim/retail/petstore/test", "roma/A1"]),
    }
    with live(first):
        for ours in others.values():
            refuse_shared([first], ours, everything)


def test_one_installation_by_another_name_is_the_same_target(kept: Kept) -> None:
    first = kept.run("first", ["roma/a1", "apim/P/p/e"])
    renamed = plan(roma("unused"), apim("apim-2"), roma("roma"), roma("a/b"))
    ours = kept.draft("second", ["apim-2/P/p/e", "roma/a1"], renamed)
    assert shared(first, ours) == (2, "apim-2/P/p/e")
    swapped = plan(replace(roma("apim-x"), instance_id="j"), roma("other"))
    assert shared(first, kept.draft("third", ["apim-x/a1"], swapped)) == (0, "")
    assert shared(first, kept.draft("fourth", ["other/a1", "apim-x/a1"], swapped)) == (1, "other/a1")


def test_two_names_of_one_installation_in_the_live_plan(kept: Kept) -> None:
    first = kept.run("first", ["one/a1", "two/a2"], plan(roma("one"), roma("two")))
    assert shared(first, kept.draft("second", ["roma/a2", "roma/a1", "roma/a3"])) == (2, "roma/a1")


@pytest.mark.parametrize(
    "name",
    [
        "it's",
        '"quoted"',
        "100%25 off",
        "a%2Fb",
        "sentence; DROP TABLE target",
        "büro-ß",
        "東京",
        "ﬀ",
        "?1",
        "_%_",
    ],
)
def test_odd_names_are_compared_as_they_are(kept: Kept, name: str) -> None:
    first = kept.run("it's a 100% run", [f"apim/{name}/p/e", "apim/x/p/e"])
    assert shared(first, kept.draft("our's", [f"apim/{name}/p/e", f"apim/{name}/q/e"])) == (
        1,
        f"apim/{name}/p/e",
    )


def test_what_a_run_was_told_to_leave_alone_it_does_not_touch(kept: Kept) -> None:
    first = kept.run("first")
    end(
        first.journal,
        {
            IDS[0]: ("not_started", "filtered: left out"),
            IDS[1]: ("not_started", "protected: roma/*"),
            IDS[2]: ("not_started", "skipped: control"),
        },
    )
    with live(first):
        refuse_shared([first], kept.draft("second", IDS[:3]), everything)
        with pytest.raises(RunError, match=f"touches 1 target of this one, the first is {IDS[3]}"):
            refuse_shared([first], kept.draft("third"), everything)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("undeployed", None),
        ("already_undeployed", None),
        ("failed", "refused: no"),
        ("failed", None),
        ("unknown", None),
        ("not_started", "window: it closed"),
        ("not_started", None),
        ("not_started", "no word of ours"),
    ],
)
def test_a_target_that_has_ended_in_a_live_run_is_still_its_own(
    kept: Kept, outcome: str, reason: str | None
) -> None:
    first = kept.run("first", IDS[:1])
    end(first.journal, {IDS[0]: (outcome, reason)})
    assert shared(first, kept.draft("second")) == (1, IDS[0])


def test_of_ours_only_what_is_to_be_done_counts(kept: Kept) -> None:
    first, ours = kept.run("first"), kept.run("second")
    end(
        ours.journal,
        {
            IDS[0]: ("undeployed", None),
            IDS[1]: ("failed", "refused: no"),
            IDS[2]: ("not_started", "filtered: left out"),
            IDS[3]: ("not_started", "window: it closed"),
        },
    )
    assert shared(first, ours.journal) == (1, IDS[3])
    with live(first), live(ours):
        refuse_shared([first, ours], ours.journal, lambda name, _: name != IDS[3])
        with pytest.raises(RunError, match=f"first is {IDS[3]}"):
            refuse_shared([first, ours], ours.journal, everything)
    end(ours.journal, {IDS[3]: ("unknown", None)})
    assert shared(first, ours.journal) == (1, IDS[3])


def test_two_forms_of_an_accent_are_one_target(kept: Kept) -> None:
    first, ours = kept.run("first", ["apim/p/o\u0308/t"]), kept.draft("second", ["apim/p/\u00f6/t"])
    assert shared(first, ours) == (1, "apim/p/\u00f6/t")


def test_an_empty_side_shares_nothing(kept: Kept) -> None:
    first = kept.run("first", [])
    assert shared(first, kept.draft("second")) == (0, "")
    assert shared(kept.run("third"), kept.draft("fourth", [])) == (0, "")


# A journal that cannot be read.


@pytest.mark.parametrize("harm", ["newer", "noise", "plan", "missing table"])
def test_a_live_run_whose_journal_cannot_be_read_refuses_all(kept: Kept, harm: str) -> None:
    first, ours = kept.run("first"), kept.draft("second")
    if harm == "noise":
        first.journal.write_bytes(b"\x00\xff" * 9000)
    else:
        statement = {
            "newer": "PRAGMA user_version = 99",
            "plan": "UPDATE meta SET value = '{}' WHERE key = 'plan'",
            "missing table": "DROP TABLE target",
        }[harm]
        with closing(sqlite3.connect(first.journal)) as connection, connection:
            connection.execute(statement)
    before = first.journal.read_bytes()
    with (
        first.lock(),
        pytest.raises(RunError, match=r"which targets it touches cannot be told: .*nothing was sent"),
    ):
        refuse_shared([first], ours, everything)
    assert first.journal.read_bytes() == before
    refuse_shared([first], ours, everything)  # nobody works on it any more


def test_a_holder_whose_end_cannot_be_seen_counts_as_live(kept: Kept) -> None:
    first = RunFolder(kept.run("first").path, network=lambda _: "cifs")
    (first.path / "lock").write_text('{"user":"alice","host":"host-1","pid":7,"since":"2026"}')
    with pytest.raises(RunError) as caught:
        refuse_shared([first], kept.draft("second"), everything)
    told = str(caught.value)
    assert "is going on (held by alice on host-1, process 7, since 2026)" in told
    assert "on a network file system (cifs)" in told
    assert f"remove {first.path / 'lock'} if host-1 is gone" in told


def test_a_run_that_goes_while_it_is_read_is_no_hindrance(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, ours = kept.run("first"), kept.draft("second")
    with ExitStack() as work:
        work.enter_context(first.lock())

        def gone(*_: object) -> tuple[int, str]:
            work.close()
            raise JournalError("there is no journal here")

        monkeypatch.setattr(overlap, "_find_shared", gone)
        refuse_shared([first], ours, everything)


def test_reading_leaves_the_writer_alone(kept: Kept) -> None:
    first, ours = kept.run("first"), kept.draft("second")
    with first.lock(), closing(first.open(write=True)) as database:
        database.begin()  # a commit under way
        database.run("UPDATE target SET outcome = 'undeployed'")
        assert shared(first, ours) == (4, IDS[3])
        database.commit()
        assert shared(first, ours) == (4, IDS[3])


# Two at the same instant.


async def test_whoever_starts_second_waits_for_the_first_and_sees_it(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap, "PATIENCE", 0.1)
    with ExitStack() as first:
        await refuse_overlap(first, kept.state, kept.draft("first"))
        with ExitStack() as second, pytest.raises(RunError) as caught:
            await refuse_overlap(second, kept.state, kept.draft("second"))
    assert f"{kept.state / 'lock'} is held by " in str(caught.value)
    assert f"process {os.getpid()}" in str(caught.value)
    with ExitStack() as third:
        await refuse_overlap(third, kept.state, kept.draft("third"))
        assert kept.run("fourth").path.is_dir()
    assert (kept.state / "lock").read_text() == ""


async def test_who_is_refused_holds_nothing(kept: Kept) -> None:
    run, ours = kept.run("first"), kept.draft("second")
    with live(run):
        for _ in range(2):
            with ExitStack() as gate, pytest.raises(RunError, match="is going on"):
                await refuse_overlap(gate, kept.state, ours)
    take_lock(kept.state / "lock").close()


async def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with ExitStack() as gate, pytest.raises(JournalError, match=r"file/x: runs cannot be kept here: "):
        await refuse_overlap(gate, tmp_path / "file" / "x", tmp_path)


async def test_a_run_that_cannot_be_looked_at_refuses_all(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.run("first")

    def forbidden(run: RunFolder) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(run.path / "lock"))

    monkeypatch.setattr(RunFolder, "read_holder", forbidden)
    with (
        ExitStack() as gate,
        pytest.raises(RunError, match=r"lock: whether a run is going on there cannot be told: "),
    ):
        await refuse_overlap(gate, kept.state, kept.draft("second"))
    take_lock(kept.state / "lock").close()


# What it costs.


@pytest.mark.long("measures what a large plan costs")
def test_a_hundred_thousand_targets_against_as_many(kept: Kept) -> None:
    first = kept.run("first", (f"roma/{seq * 7919 % 999983:032x}" for seq in range(100_000)))
    ours = kept.draft("second", (f"roma/{seq * 7919 % 999983:032x}" for seq in range(99_999, 199_999)))
    with live(first):
        began = time.process_time()
        assert shared(first, ours)[0] == 1
        assert time.process_time() - began < 5


def test_names_that_hold_what_separates_parts(kept: Kept) -> None:
    """A decoded part never reaches the comparison: ids are compared as they are written."""
    place = kept.state.parent / "odd"
    place.mkdir()
    odd = Target(1, TargetId("apim/a%2Fb/p/e"), "apim", 0, ("a/b", "p", "e"))
    ours = journal(place, plan(), [odd])
    assert shared(kept.run("first", ["apim/a/b/p"]), ours) == (0, "")
